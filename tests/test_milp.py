"""Tests of `dynaopt.solvers.milp`: what a back end says becomes a result that claims no more than was proved."""

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile

from dynaopt.errors import SolverError
from dynaopt.linear_model import LinearModel
from dynaopt.problem import Problem
from dynaopt.result import Termination
from dynaopt.solvers.math_opt import Highs
from dynaopt.solvers.milp import MilpSolver, Outcome

# One instance at 1.5 requests/s: 100 + 1.5 · 100 W.
POWER_W = 250.0


class Scripted(MilpSolver):
    """A back end that says what it is told to; "answer" as values stands for those of the optimum."""

    name = "scripted"

    def __init__(self, **outcome: object) -> None:
        self.outcome = outcome
        self.calls: list[tuple[float | None, float]] = []

    def run(self, model: LinearModel, time_limit_s: float | None, gap: float) -> Outcome:
        """Return the outcome."""
        self.calls.append((time_limit_s, gap))
        said = dict(self.outcome)
        if said.get("values") == "answer":
            said["values"] = Highs().run(model, None, 0.0).values
        return Outcome(**said)  # type: ignore[arg-type]


@pytest.fixture
def problem() -> Problem:
    """Pose 1.5 requests/s of SS with the plain curve."""
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 100), (2, 300)])])
    return make_problem(profile, {"SS": 1.5})


def test_proof(problem: Problem) -> None:
    """Tests that a bound within the tolerance makes an answer optimal, without a reason."""
    result = Scripted(values="answer", bound=POWER_W * 0.9995, reason="something").solve(problem, gap_tolerance=1e-3)
    assert result.termination is Termination.OPTIMAL
    assert result.lower_bound_w == POWER_W * 0.9995
    assert result.power_w == pytest.approx(POWER_W)
    assert result.gap_tolerance == 1e-3
    assert result.reason == ""
    assert result.runtime_s > 0


def test_no_proof(problem: Problem) -> None:
    """Tests that a bound outside the tolerance makes it feasible, whatever the back end says of itself."""
    result = Scripted(values="answer", bound=POWER_W * 0.99).solve(problem)
    assert result.termination is Termination.FEASIBLE
    assert "made to hold exactly" in result.reason


def test_limit(problem: Problem) -> None:
    """Tests that the reason of the back end is passed on."""
    result = Scripted(values="answer", bound=0.0, reason="the time limit was reached").solve(problem)
    assert result.reason == "the time limit was reached"


def test_nothing_found_keeps_the_bound(problem: Problem) -> None:
    """Tests that no answer is None, with the bound that was proved."""
    result = Scripted(bound=123.0, reason="the time limit was reached").solve(problem)
    assert result.termination is Termination.NO_SOLUTION_FOUND
    assert result.allocation is None
    assert result.lower_bound_w == 123.0


def test_unknown_bound_is_zero(problem: Problem) -> None:
    """Tests that a bound of minus infinity becomes 0, below which no power lies."""
    assert Scripted(reason="the time limit was reached").solve(problem).lower_bound_w == 0.0


def test_bound_above_the_answer_is_an_error(problem: Problem) -> None:
    """Tests that a bound above the answer is a failure of the back end and not a proof."""
    with pytest.raises(SolverError, match="above its answer"):
        Scripted(values="answer", bound=POWER_W * 1.01).solve(problem)


def test_bound_is_cut_to_the_answer(problem: Problem) -> None:
    """Tests that a bound above the answer by rounding is taken as the answer's power."""
    result = Scripted(values="answer", bound=POWER_W * (1 + 5e-7)).solve(problem)
    assert result.lower_bound_w == result.power_w
    assert result.gap == 0.0


def test_infeasible_is_explained(problem: Problem) -> None:
    """Tests that infeasible comes with the reason in words."""
    result = Scripted(infeasible=True).solve(problem.replace(power_cap_w=200.0))
    assert result.termination is Termination.INFEASIBLE
    assert "needs 250 W of a power cap of 200 W" in result.reason


def test_time_to_build_counts(problem: Problem) -> None:
    """Tests that the back end gets less than the limit, and is not asked when nothing is left."""
    back_end = Scripted(values="answer", bound=POWER_W)
    back_end.solve(problem, time_limit_s=5.0, gap_tolerance=0.25)
    ((left_s, gap),) = back_end.calls
    assert left_s is not None
    assert 0 < left_s < 5.0
    assert gap == 0.25
    late = Scripted(values="answer", bound=POWER_W)
    result = late.solve(problem, time_limit_s=1e-9)
    assert late.calls == []
    assert result.termination is Termination.NO_SOLUTION_FOUND
    assert "while the program was built" in result.reason


def test_nothing_to_decide() -> None:
    """Tests that a window without arrivals needs no back end, and unused GPUs still draw."""
    back_end = Scripted()
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 200), (2, 300)])])
    result = back_end.solve(make_problem(profile, {}, unused_gpus="on"))
    assert back_end.calls == []
    assert result.power_w == 64 * 70.0
    assert result.termination is Termination.OPTIMAL


def test_class_without_pool_needs_no_back_end() -> None:
    """Tests that a class that nothing can serve is infeasible before a back end sees the program."""
    back_end = Scripted()
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 100), (2, 300)])])
    result = back_end.solve(make_problem(profile, {"SS": 1.0, "LL": 1.0}))
    assert back_end.calls == []
    assert result.termination is Termination.INFEASIBLE
    assert "class LL" in result.reason


def test_outcome_says_nothing_by_default() -> None:
    """Tests that an outcome without arguments claims nothing."""
    outcome = Outcome()
    assert (outcome.values, outcome.bound, outcome.infeasible, outcome.reason) == (None, -np.inf, False, "")
