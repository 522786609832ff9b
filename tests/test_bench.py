"""Tests the benchmark as a whole: it runs, stores, resumes, and does not let a wrong answer through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dynaopt import bench_run
from dynaopt.bench import run_bench
from dynaopt.bench_cases import Case, find_cases
from dynaopt.bench_run import BenchOptions, Run
from dynaopt.bench_store import read_runs
from dynaopt.errors import InvalidInputError, SolverError, UnknownNameError
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers import solve

OPTIONS = BenchOptions(time_limit_s=5.0)


def cases() -> list[Case]:
    """Return two cases with an answer and one without."""
    wanted = ("classes-1-s0", "classes-3-s0", "tightness-1.2-s0")
    return [case for case in find_cases(["classes", "tightness"]) if case.name in wanted]


def test_two_solvers_side_by_side() -> None:
    """Tests that an exact solver and the heuristic solve what can be solved, without defects."""
    seen: list[Run] = []
    report = run_bench(cases(), ("greedy", "highs"), options=OPTIONS, progress=seen.append)
    assert report.defects == ()
    assert [(run.solver, run.case) for run in seen] == [
        (solver, case.name) for solver in ("greedy", "highs") for case in cases()
    ]
    summary = report.summary.set_index("solver")
    assert summary.loc["highs", ["feasible", "solved", "infeasible", "optimal"]].tolist() == [2, 2, 1, 2]
    assert summary.loc["greedy", "solved"] == 2
    assert summary.loc["greedy", "max_gap"] < 0.03
    assert summary.loc["highs", "max_gap"] <= 1e-4 + 1e-9
    assert report.meta["options"]["time_limit_s"] == 5.0


def test_an_unknown_solver_is_refused() -> None:
    """Tests that nothing is run when a name is wrong."""
    with pytest.raises(UnknownNameError, match="one of exact"):
        run_bench(cases(), ("nobody",))


def test_less_than_one_repeat_is_refused() -> None:
    """Tests the option's limit."""
    with pytest.raises(InvalidInputError, match="option repeats"):
        BenchOptions(repeats=0)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the solves, the warm-up among them."""
    calls: list[str] = []

    def count(problem: Problem, **options: object) -> Result:
        calls.append(str(options["solver"]))
        return solve(problem, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bench_run, "solve", count)
    return calls


def test_what_is_stored_is_not_run_again(tmp_path: Path, counted: list[str]) -> None:
    """Tests that a second benchmark solves nothing and says the same, and one with other options solves anew."""
    options = replace(OPTIONS, store=tmp_path)
    first = run_bench(cases(), ("greedy",), options=options)
    assert len(counted) == 1 + 3
    second = run_bench(cases(), ("greedy",), options=options)
    assert len(counted) == 1 + 3
    assert second.runs.equals(first.runs)
    run_bench(cases(), ("greedy",), options=replace(options, gap_tolerance=1e-3))
    assert len(counted) == 2 * (1 + 3)
    run_bench(cases(), ("greedy",), options=replace(options, gap_tolerance=1e-3, rerun=True))
    assert len(counted) == 3 * (1 + 3)


def test_a_stopped_benchmark_goes_on(tmp_path: Path, counted: list[str]) -> None:
    """Tests that a benchmark killed after two cases has stored two and later runs only the third."""

    def stop(run: Run) -> None:
        if run.case == cases()[1].name:
            raise KeyboardInterrupt

    options = replace(OPTIONS, store=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_bench(cases(), ("greedy",), options=options, progress=stop)
    assert [row["case"] for row in read_runs(tmp_path / "greedy.csv", bench_run.RUN_COLUMNS)] == [
        case.name for case in cases()[:2]
    ]
    counted.clear()
    report = run_bench(cases(), ("greedy",), options=options)
    assert len(counted) == 1 + 1
    assert report.runs["case"].tolist() == [case.name for case in cases()]


def test_a_changed_problem_is_run_again(tmp_path: Path, counted: list[str]) -> None:
    """Tests that a stored run stands only for the very problem that it solved."""
    case = cases()[0]
    options = replace(OPTIONS, store=tmp_path)
    run_bench([case], ("greedy",), options=options)
    counted.clear()
    changed = replace(case, build=lambda: case.build().replace(headroom=0.2))
    run_bench([changed], ("greedy",), options=options)
    assert len(counted) == 2


def test_repeats_are_timed(counted: list[str]) -> None:
    """Tests that each case is solved as often as asked and its median time is at most the 99th percentile."""
    report = run_bench(cases()[:1], ("greedy",), options=replace(OPTIONS, repeats=5))
    assert len(counted) == 1 + 5
    row = report.runs.iloc[0]
    assert 0 < row["runtime_p50_s"] <= row["runtime_p99_s"]
    assert row["num_repeats"] == 5


def test_a_wrong_answer_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an answer that leaves instances out is found by the check and reported loudly."""

    def cheat(problem: Problem, **options: object) -> Result:
        result = solve(problem, **options)  # type: ignore[arg-type]
        if result.allocation is None:
            return result
        allocation = replace(result.allocation, groups=result.allocation.groups[1:])
        return replace(result, allocation=allocation)

    monkeypatch.setattr(bench_run, "solve", cheat)
    report = run_bench(cases()[:1], ("greedy",), options=OPTIONS)
    assert report.summary.loc[0, ["solved", "wrong"]].tolist() == [0, 1]
    assert report.defects[0].startswith("classes-1-s0, greedy: ")
    assert report.best_known["classes-1-s0"].power_w is None


def test_a_solver_that_raises_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a failure of a solver is a defect and not the end of the benchmark."""

    def fail(problem: Problem, **options: object) -> Result:
        raise SolverError("numerical trouble")

    monkeypatch.setattr(bench_run, "solve", fail)
    report = run_bench(cases()[:2], ("greedy",), options=OPTIONS)
    assert report.summary.loc[0, "failed"] == 2
    assert report.defects[0] == "classes-1-s0, greedy: the solver failed: SolverError: numerical trouble"
