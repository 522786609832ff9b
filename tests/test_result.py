"""Tests of `dynaopt.result`."""

import dataclasses

import pytest

from dynaopt.allocation import Allocation
from dynaopt.errors import NoSolutionError
from dynaopt.result import Result, Termination

ANSWER = Allocation(groups=(), routes=(), power_w=1000.0)


@pytest.mark.parametrize("termination", [Termination.OPTIMAL, Termination.FEASIBLE])
def test_an_answer_needs_an_allocation(termination: Termination) -> None:
    """Tests that no result can claim an answer that it does not carry."""
    with pytest.raises(ValueError, match="disagree"):
        Result(solver="x", termination=termination)


@pytest.mark.parametrize("termination", [Termination.INFEASIBLE, Termination.NO_SOLUTION_FOUND])
def test_no_answer_carries_no_allocation(termination: Termination) -> None:
    """Tests that a result without an answer cannot smuggle one in."""
    with pytest.raises(ValueError, match="disagree"):
        Result(solver="x", termination=termination, allocation=ANSWER)


@pytest.mark.parametrize("termination", [Termination.INFEASIBLE, Termination.NO_SOLUTION_FOUND])
def test_power_without_an_answer_raises(termination: Termination) -> None:
    """Tests that power and gap raise, with the reason, instead of being inf or 0."""
    result = Result(solver="x", termination=termination, reason="too few GPUs")
    with pytest.raises(NoSolutionError, match="too few GPUs"):
        _ = result.power_w
    with pytest.raises(NoSolutionError):
        _ = result.gap
    assert "too few GPUs" in repr(result)


def test_gap_is_relative_to_the_answer() -> None:
    """Tests that 1,000 W over a bound of 990 W is a gap of 1 %."""
    result = Result(solver="x", termination=Termination.FEASIBLE, allocation=ANSWER, lower_bound_w=990)
    assert result.gap == pytest.approx(0.01)
    assert "gap 1.00%" in repr(result)


def test_optimal_needs_a_proof() -> None:
    """Tests that a gap of 1 % is optimal only for who asked for 1 %."""
    with pytest.raises(ValueError, match="no proof"):
        Result(solver="x", termination=Termination.OPTIMAL, allocation=ANSWER, lower_bound_w=990, gap_tolerance=1e-4)
    Result(solver="x", termination=Termination.OPTIMAL, allocation=ANSWER, lower_bound_w=990, gap_tolerance=0.01)


def test_a_bound_above_the_answer_is_a_contradiction() -> None:
    """Tests that such a result cannot be made."""
    with pytest.raises(ValueError, match="above the answer"):
        Result(solver="x", termination=Termination.FEASIBLE, allocation=ANSWER, lower_bound_w=1001)


def test_results_are_frozen() -> None:
    """Tests that nobody improves a result after the fact."""
    result = Result(solver="x", termination=Termination.FEASIBLE, allocation=ANSWER)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.lower_bound_w = 1.0  # type: ignore[misc]


def test_an_answer_of_no_power_has_no_gap() -> None:
    """Tests that a window without demand is optimal at 0 W."""
    nothing = Allocation(groups=(), routes=(), power_w=0.0)
    assert Result(solver="x", termination=Termination.OPTIMAL, allocation=nothing).gap == 0
