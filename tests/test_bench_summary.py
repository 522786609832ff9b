"""Tests how runs are judged: gaps over all feasible cases, and claims that cannot be true."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from dynaopt.bench_summary import BenchReport, Outcome, describe_machine, judge
from dynaopt.best_known import BestKnown, Status

NAN = float("nan")


def make_run(
    case: str, solver: str, termination: str, power_w: float = NAN, bound_w: float = 0.0, **more: object
) -> dict:
    """Make a run as the benchmark writes it."""
    return {
        "case": case,
        "family": case[:1],
        "level": "1",
        "problem_sha256": "0",
        "solver": solver,
        "answered_by": solver,
        "termination": termination,
        "power_w": power_w,
        "lower_bound_w": bound_w,
        "num_gpus": 8.0,
        "num_violations": 0,
        "violation": "",
        "reason": "",
        "num_repeats": 1,
        "runtime_p50_s": 0.5,
        "runtime_p99_s": 0.5,
        "cpu_p50_s": 0.5,
        "time_limit_s": 1.0,
        "gap_tolerance": 1e-3,
        "version": "0.1.0",
        **more,
    }


def judge_runs(*runs: dict, known: dict[str, BestKnown] | None = None) -> BenchReport:
    """Judge runs."""
    return judge(pd.DataFrame(runs), known or {}, {})


def outcome(report: BenchReport, case: str, solver: str) -> str:
    """Return what a run counted as."""
    runs = report.runs
    return str(runs.loc[(runs["case"] == case) & (runs["solver"] == solver), "outcome"].item())


def test_gaps_are_to_the_best_bound_and_the_best_answer() -> None:
    """Tests that greedy's 102 W lie 2 / 102 above highs' bound of 100 W and 1 / 102 above its answer of 101 W."""
    report = judge_runs(
        make_run("a", "greedy", "feasible", 102.0, 50.0), make_run("a", "highs", "feasible", 101.0, 100.0)
    )
    greedy = report.summary.set_index("solver").loc["greedy"]
    assert greedy["mean_gap"] == pytest.approx(2 / 102)
    assert greedy["mean_gap_to_best"] == pytest.approx(1 / 102)
    assert report.defects == ()


def test_a_case_without_an_answer_counts_as_a_gap_of_one() -> None:
    """Tests that the mean is over all feasible cases: (0 + 1) / 2, with the unsolved one counted beside."""
    report = judge_runs(
        make_run("a", "highs", "optimal", 100.0, 100.0),
        make_run("b", "highs", "no_solution_found"),
        make_run("b", "greedy", "feasible", 100.0),
    )
    highs = report.summary.set_index("solver").loc["highs"]
    assert (highs["mean_gap"], highs["max_gap"]) == (0.5, 1.0)
    assert (highs["cases"], highs["feasible"], highs["solved"], highs["unsolved"]) == (2, 2, 1, 1)


def test_an_infeasible_case_has_no_gap() -> None:
    """Tests that a proof that there is no answer is counted, and stays out of the mean."""
    report = judge_runs(make_run("a", "highs", "infeasible"), make_run("b", "highs", "optimal", 1.0, 1.0))
    row = report.summary.iloc[0]
    assert (row["infeasible"], row["feasible"], row["mean_gap"]) == (1, 1, 0.0)
    assert report.best_known["a"].status is Status.INFEASIBLE


def test_a_case_about_which_nothing_is_known_has_no_gap() -> None:
    """Tests that a case that nobody solved or refuted is unsolved but not feasible."""
    report = judge_runs(make_run("a", "greedy", "no_solution_found"))
    row = report.summary.iloc[0]
    assert (row["unsolved"], row["feasible"]) == (1, 0)
    assert report.best_known["a"].status is Status.UNKNOWN


def test_an_answer_with_violations_never_counts() -> None:
    """Tests that it is wrong, has a gap of 1, and does not become the best known although it is the cheapest."""
    report = judge_runs(
        make_run("a", "greedy", "feasible", 90.0, num_violations=2, violation="GPUs"),
        make_run("a", "highs", "optimal", 100.0, 100.0),
    )
    assert outcome(report, "a", "greedy") == Outcome.WRONG
    assert report.defects == ("a, greedy: 2 violations, the first: GPUs",)
    assert report.best_known["a"].power_w == 100.0
    assert report.summary.set_index("solver").loc["greedy", "mean_gap"] == 1.0


def test_a_false_claim_of_optimality_is_told() -> None:
    """Tests that 100.2 W cannot be optimal at a tolerance of 0.1 % where 100 W are known, while 100.05 W can."""
    best = make_run("a", "highs", "feasible", 100.0, 90.0)
    report = judge_runs(best, make_run("a", "cbc", "optimal", 100.2, 90.0))
    assert report.defects == ("a, cbc: claims that 100.2 W is optimal, but highs has 100 W",)
    assert outcome(report, "a", "cbc") == Outcome.WRONG
    assert judge_runs(best, make_run("a", "cbc", "optimal", 100.05, 90.0)).defects == ()


def test_a_false_bound_is_told() -> None:
    """Tests that a bound above an answer that another has is a defect, even of a heuristic."""
    report = judge_runs(
        make_run("a", "greedy", "feasible", 110.0, 105.0), make_run("a", "highs", "feasible", 100.0, 90.0)
    )
    assert report.defects == ("a, greedy: claims the bound 105 W, but highs has an answer of 100 W",)


def test_a_false_claim_of_infeasibility_is_told() -> None:
    """Tests that an answer, now or from the file, refutes a proof that there is none."""
    claim = make_run("a", "highs", "infeasible")
    assert judge_runs(claim, make_run("a", "greedy", "feasible", 100.0)).defects == (
        "a, highs: claims that there is no answer, but greedy has one of 100 W",
    )
    known = {"a": BestKnown(case="a", problem_sha256="0").with_answer(100.0, "cbc", "1")}
    assert outcome(judge_runs(claim, known=known), "a", "highs") == Outcome.WRONG


def test_a_false_entry_in_the_file_is_told() -> None:
    """Tests that a new answer refutes a stored proof and a stored bound, and replaces them."""
    none = BestKnown(case="a", problem_sha256="0").with_proof_of_none("scip", "1")
    bound = BestKnown(case="b", problem_sha256="0").with_bound(105.0)
    report = judge_runs(
        make_run("a", "greedy", "feasible", 100.0),
        make_run("b", "greedy", "feasible", 100.0),
        known={"a": none, "b": bound},
    )
    assert report.defects == (
        "a, best known: scip proved that there is no answer, but greedy has a checked answer of 100 W",
        "b, best known: a bound of 105 W was proved, but greedy has a checked answer of 100 W",
    )
    assert (report.best_known["a"].power_w, report.best_known["b"].lower_bound_w) == (100.0, 0.0)


def test_what_is_known_of_another_problem_is_dropped() -> None:
    """Tests that a better answer to a problem of another digest counts for nothing."""
    known = {"a": BestKnown(case="a", problem_sha256="1").with_answer(1.0, "cbc", "1")}
    report = judge_runs(make_run("a", "highs", "optimal", 100.0, 100.0), known=known)
    assert report.defects == ()
    assert (report.best_known["a"].problem_sha256, report.best_known["a"].power_w) == ("0", 100.0)


def test_cases_that_were_not_run_stay_known() -> None:
    """Tests that a partial run does not forget the rest of the file."""
    known = {"z": BestKnown(case="z", problem_sha256="1").with_answer(1.0, "cbc", "1")}
    report = judge_runs(make_run("a", "highs", "infeasible"), known=known)
    assert report.best_known["z"] == known["z"]


def test_only_an_exact_solver_proves() -> None:
    """Tests that a heuristic's bound and its claim that there is no answer do not enter the best known."""
    report = judge_runs(make_run("a", "greedy", "infeasible", NAN, 50.0))
    assert report.best_known["a"] == BestKnown(case="a", problem_sha256="0")


def test_an_answer_is_credited_to_who_gave_it() -> None:
    """Tests that `exact` passes its answers on under the name of the program that it took them from."""
    report = judge_runs(make_run("a", "exact", "optimal", 100.0, 100.0, answered_by="highs"))
    assert (report.best_known["a"].solver, report.best_known["a"].lower_bound_w) == ("highs", 100.0)


def test_a_solver_that_fails_is_told() -> None:
    """Tests that an exception is counted and named."""
    report = judge_runs(make_run("a", "highs", "error", reason="out of memory"))
    assert outcome(report, "a", "highs") == Outcome.FAILED
    assert report.defects == ("a, highs: the solver failed: out of memory",)


def test_counts_add_up_to_the_cases() -> None:
    """Tests that every run counts as exactly one thing, by solver and by family."""
    report = judge_runs(
        make_run("a", "highs", "optimal", 100.0, 100.0),
        make_run("b", "highs", "infeasible"),
        make_run("c", "highs", "no_solution_found"),
        make_run("d", "highs", "error"),
        make_run("e", "highs", "feasible", 1.0, num_violations=1, violation="x"),
    )
    for table in (report.summary, report.by_family()):
        assert (table[[str(o) for o in Outcome]].sum(axis=1) == table["cases"]).all()
    assert report.summary[[str(o) for o in Outcome]].iloc[0].tolist() == [1, 1, 1, 1, 1]


def test_a_report_becomes_json() -> None:
    """Tests that nothing in it is beyond JSON and that missing numbers are null."""
    report = judge_runs(make_run("a", "highs", "infeasible"))
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["runs"][0]["power_w"] is None
    assert plain["summary"][0]["infeasible"] == 1
    assert repr(report) == "BenchReport(1 cases, 1 solvers, 0 defects)"


def test_the_machine_is_described() -> None:
    """Tests that what times depend on is there."""
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["processor"]
    assert set(machine["versions"]) >= {"dynaopt", "ortools", "pulp"}
