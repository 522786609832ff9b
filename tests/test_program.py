"""Tests how two results for one problem are combined, and when a program is asked."""

import time

import pytest
from search_builders import two_size_problem

from dynaopt.errors import SolverError
from dynaopt.result import Result, Termination
from dynaopt.solvers.greedy import Greedy
from dynaopt.solvers.math_opt import Highs, Scip
from dynaopt.solvers.program import LONG_S, PROGRAM_GAP, PROGRAM_S, better, go_on, is_settled


def answer(solver: str, power_w: float, bound_w: float) -> Result:
    """Return greedy's answer to a problem of `power_w` watts as if it came from `solver` with such a bound."""
    found = Greedy().solve(two_size_problem({"SS": power_w / 80.0})).allocation
    assert found is not None
    assert found.power_w == pytest.approx(power_w)
    return Result(
        solver=solver, termination=Termination.FEASIBLE, allocation=found, lower_bound_w=bound_w, gap_tolerance=1e-4
    )


def test_the_better_answer_and_both_bounds_are_kept() -> None:
    """Tests 640 W with a bound of 320 W and 320 W with one of 300 W: together they prove 320 W, whoever comes first."""
    one, other = answer("greedy", 640.0, 320.0), answer("scip", 320.0, 300.0)
    for found in (better(one, other), better(other, one)):
        assert (found.solver, found.power_w) == ("scip", pytest.approx(320.0))
        assert (found.termination, found.lower_bound_w) == (Termination.OPTIMAL, pytest.approx(320.0))
        assert found.reason == ""


def test_no_answer_from_two() -> None:
    """Tests that the greater bound is kept where neither found anything."""
    one, other = (
        Result(solver=name, termination=Termination.NO_SOLUTION_FOUND, lower_bound_w=bound_w, reason="none")
        for name, bound_w in (("greedy", 5.0), ("scip", 3.0))
    )
    found = better(one, other)
    assert (found.termination, found.lower_bound_w) == (Termination.NO_SOLUTION_FOUND, 5.0)


def test_a_program_goes_on_from_an_answer() -> None:
    """Tests that the bound of 300 W is proved with time, and that 0.5 s count as none."""
    problem = two_size_problem({"SS": 3.0}, num_gpus=7)
    found = Greedy().solve(problem)
    assert not is_settled(found)
    late = go_on(problem, found, deadline_s=time.perf_counter() + 0.5, gap_tolerance=1e-4)
    assert (late.allocation, late.lower_bound_w) == (found.allocation, found.lower_bound_w)
    assert "time limit" in late.reason
    done = go_on(problem, found, deadline_s=float("inf"), gap_tolerance=1e-4)
    assert is_settled(done)
    assert done.power_w == pytest.approx(300.0)


@pytest.mark.parametrize(
    ("left_s", "name", "least_s", "most_s"),
    [(5.0, "scip", 4.0, 5.0), (LONG_S + 5, "highs", LONG_S, LONG_S + 4), (float("inf"), "highs", PROGRAM_S, PROGRAM_S)],
)
def test_who_is_asked_and_for_how_long(
    left_s: float, name: str, least_s: float, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that no program runs for ever, and that it closes its gap further than a coarse tolerance asks."""
    asked = []

    def note(self: Highs | Scip, _: object, *, time_limit_s: float, gap_tolerance: float) -> Result:
        asked.append((self.name, time_limit_s, gap_tolerance))
        raise SolverError("failed: by order")

    monkeypatch.setattr("dynaopt.solvers.milp.MilpSolver.solve", note)
    problem = two_size_problem({"SS": 3.0}, num_gpus=7)
    found = Greedy().solve(problem)
    kept = go_on(problem, found, deadline_s=time.perf_counter() + left_s, gap_tolerance=0.01)
    assert (kept.allocation, kept.reason) == (found.allocation, "failed: by order")
    assert [(who, gap) for who, _, gap in asked] == [(name, PROGRAM_GAP)]
    assert least_s <= asked[0][1] <= most_s
