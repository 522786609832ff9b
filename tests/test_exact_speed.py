"""Tests the arithmetic of ``benchmarks/exact_speed.py``, and one small run of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from dynaopt.bench_cases import window_problem
from dynaopt.bench_run import Run
from dynaopt.best_known import BestKnown, Status

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "exact_speed.py"
RUN = Run(
    case="a",
    family="coding",
    level="1",
    problem_sha256="",
    solver="exact",
    answered_by="exact",
    termination="optimal",
    power_w=100.0,
    lower_bound_w=100.0,
    num_gpus=8,
    num_violations=0,
    violation="",
    reason="",
    num_repeats=1,
    runtime_p50_s=0.01,
    runtime_p99_s=0.01,
    cpu_p50_s=0.01,
    time_limit_s=15.0,
    gap_tolerance=1e-4,
    version="0.1.0",
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("exact_speed", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_runs(script: ModuleType, *runs: Run) -> pd.DataFrame:
    """Judge runs at a limit of 15 s, processor time half of the wall-clock time."""
    return script.judged([script.Timed(run=run, cpu_s=run.runtime_p50_s / 2) for run in runs], 15.0)


def make_run(case: str, solver: str, time_s: float, power_w: float | None = 100.0, **changes: object) -> Run:
    """Make a run that proved its answer unless told otherwise."""
    return replace(RUN, case=case, solver=solver, runtime_p50_s=time_s, power_w=power_w, **changes)


def test_a_run_that_is_not_proved_counts_with_the_limit(script: ModuleType) -> None:
    """Tests a proof in 3 s, an answer of 100 W with a bound of 90 W given up after 9 s, and none after 15.4 s."""
    frame = make_runs(
        script,
        make_run("a", "highs", 3.0),
        make_run("a", "scip", 9.0, termination="feasible", lower_bound_w=90.0),
        make_run("a", "cbc", 15.4, None, termination="no_solution_found", lower_bound_w=90.0),
    )
    assert frame["counted_s"].tolist() == [3.0, 15.0, 15.0]
    assert frame["gap"].tolist() == pytest.approx([0.0, 0.1, 1.0])
    assert frame["wall_s"].tolist() == [3.0, 9.0, 15.4]


def test_a_wrong_answer_is_no_proof(script: ModuleType) -> None:
    """Tests that an answer that the check refutes has no power, counts with the limit, and is told."""
    frame = make_runs(script, make_run("a", "exact", 0.01, 50.0, num_violations=1, violation="no room"))
    assert frame["power_w"].isna().all()
    found = script.describe(frame)
    assert (found["proved_share"], found["counted_with_the_limit"], found["worst_gap"]) == (0.0, 1, 1.0)
    assert found["counted_s"]["p50"] == 15.0
    assert found["violations"] == ["no room"]


def test_the_rival_is_the_fastest_program_of_each_window(script: ModuleType) -> None:
    """Tests HiGHS in 1 and 9 s, SCIP in 4 and 3 s: the fastest take 1 and 3 s, 100 and 150 times 0.01 and 0.02 s.

    Medians are 2 s and 0.015 s, a ratio of 133; either solver alone has a median of 5 or 3.5 s.
    """
    frame = make_runs(
        script,
        *(make_run(case, "exact", time_s) for case, time_s in (("a", 0.01), ("b", 0.02))),
        *(make_run(case, "highs", time_s) for case, time_s in (("a", 1.0), ("b", 9.0))),
        *(make_run(case, "scip", time_s) for case, time_s in (("a", 4.0), ("b", 3.0))),
    )
    found = script.compare(frame, 1e-4)["wall_clock"]
    assert found["fastest_program"] == {"highs": 1, "scip": 1}
    assert found["fastest_program_s"]["p50"] == 2.0
    assert found["times_faster_p50"] == pytest.approx(2 / 0.015)
    assert found["times_faster_p99"] == pytest.approx((1 + 0.99 * 2) / (0.01 + 0.99 * 0.01))
    assert found["times_faster_in_a_window"] == pytest.approx({"least": 100.0, "p50": 125.0, "most": 150.0})
    assert script.compare(frame, 1e-4)["processor_time"]["fastest_program_s"]["p50"] == 1.0


def test_exact_is_held_against_the_best_program(script: ModuleType) -> None:
    """Tests 101 W against 100 and 102 W, and a window that no program answered, which is not compared."""
    frame = make_runs(
        script,
        make_run("a", "exact", 0.01, 101.0),
        make_run("a", "highs", 1.0, 100.0),
        make_run("a", "scip", 1.0, 102.0),
        make_run("b", "exact", 0.01, 300.0),
        make_run("b", "highs", 15.0, None, termination="no_solution_found"),
        make_run("b", "scip", 15.0, None, termination="no_solution_found"),
    )
    found = script.compare(frame, 1e-4)
    assert found["windows"] == 2
    assert found["exact_above_best_program"] == pytest.approx({"compared": 1, "most": 0.01, "beyond_the_gap": 1})
    assert found["best_program_above_exact"]["most"] == pytest.approx(100 / 101 - 1)


def test_an_excess_within_the_gap_is_none(script: ModuleType) -> None:
    """Tests that 100.009 W against 100 W is within 10⁻⁴ and 100.011 W is not."""
    within = script.excess(pd.Series([100.009]), pd.Series([100.0]), 1e-4)
    beyond = script.excess(pd.Series([100.011]), pd.Series([100.0]), 1e-4)
    assert (within["beyond_the_gap"], beyond["beyond_the_gap"]) == (0, 1)


def test_library_runs_are_held_against_best_known_answers_and_bounds(script: ModuleType) -> None:
    """Tests 100 W, bound 100 W, against 99 W with a bound of 98 W: 1/99 above, 2 % to the bound, one bound refuted."""
    frame = make_runs(script, make_run("a", "exact", 0.01)).assign(best_power_w=99.0, best_lower_bound_w=98.0)
    found = script.hold(frame, 1e-4)
    assert found["above_best_known"]["most"] == pytest.approx(1 / 99)
    assert found["gap_to_best_known_bound"] == pytest.approx(0.02)
    assert found["bounds_above_best_known_answer"] == 1


def test_best_known_answers_of_other_problems_are_refused(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a digest that does not agree ends the run."""
    case = script.window_case("azure-2024-coding", 0)
    monkeypatch.setattr(script, "find_cases", lambda *_, **__: [case])
    known = {case.name: BestKnown(case=case.name, problem_sha256="other", status=Status.FEASIBLE, power_w=1.0)}
    with pytest.raises(SystemExit, match=case.name):
        script.run_library(["coding"], known, script.BenchOptions())


def test_windows_have_mixed_pools(script: ModuleType) -> None:
    """Tests that a window is posed with more pools than the library's window of that number, and has another name."""
    case = script.window_case("azure-2024-coding", 1000)
    assert len(case.build().pools) > len(window_problem("azure-2024-coding", 1000).pools)
    assert case.name == "coding-mixed-w1000"


def test_a_small_run_is_stored(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests one window a week against HiGHS with a limit of 0.5 s: all runs stored, none refuted, and printed."""
    monkeypatch.setattr(script, "PROGRAMS", ("highs",))
    words = ["--windows", "1", "--limit", "0.5", "--families", "configurations", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["exact_speed.py", *words])
    script.main()
    stored = json.loads((tmp_path / "exact_speed.json").read_text())
    assert [(run["solver"], run["violation"]) for run in stored["runs"]] == [("exact", ""), ("highs", "")] * 2
    assert stored["asked"]["time_limit_s"] == 0.5
    assert set(stored["windows"]) == {"all", "azure-2024-conversation", "azure-2024-coding"}
    assert stored["library"]["configurations"]["cases"] == len(stored["library_runs"]) == 24
    assert stored["library"]["all"]["bounds_above_best_known_answer"] == 0
    assert '"times_faster_p99"' in capsys.readouterr().out
