"""Tests what an answer of a planner says of itself."""

from typing import Any

import pytest
from planner_builders import running
from search_builders import two_size_problem

import dynaopt
from dynaopt.errors import NoSolutionError
from dynaopt.replan import Replan
from dynaopt.result import Termination


def make(**changes: Any) -> Replan:
    """Make an answer of 1,000 W for 300 s and 6,000 J of starts, unless told."""
    values: dict[str, Any] = {
        "problem": two_size_problem({"SS": 1.0}),
        "termination": Termination.FEASIBLE,
        "allocation": running(("SS", 2, 1, 1.0)),
        "answered_by": "search",
        "payback_s": 300.0,
        "transition_energy_j": 6000.0,
        "lower_bound_j": 244_800.0,
        "deadline_s": 0.01,
        "runtime_s": 0.004,
    }
    return Replan(**{**values, **changes})


def test_the_accounts() -> None:
    """Tests 1,000 W x 300 s + 6,000 J = 306,000 J against a bound of 244,800: a gap of 20 %."""
    answer = make()
    assert answer.power_w == 1000.0
    assert answer.objective_j == 306_000.0
    assert answer.gap == pytest.approx(0.2)
    assert not answer.is_late
    assert "1000.0 W, starts 1.7 Wh, gap 20.00%, 1 instances on 2 GPUs, 4.0 ms" in repr(answer)


def test_a_late_answer_says_so() -> None:
    """Tests 12 ms of 10."""
    answer = make(runtime_s=0.012)
    assert answer.is_late
    assert "12.0 of 10 ms" in repr(answer)


def test_no_answer_has_no_numbers() -> None:
    """Tests that power, objective, gap and explanation are refused, and that the reason is told."""
    none = make(termination=Termination.INFEASIBLE, allocation=None, answered_by="", reason="too few GPUs")
    for ask in (lambda: none.power_w, lambda: none.objective_j, lambda: none.gap, none.explain):
        with pytest.raises(NoSolutionError, match="too few GPUs"):
            ask()
    assert "too few GPUs" in repr(none)


def test_parts_must_agree() -> None:
    """Tests an answer without allocation, and an allocation without answer."""
    with pytest.raises(ValueError, match="disagree"):
        make(allocation=None)
    with pytest.raises(ValueError, match="disagree"):
        make(termination=Termination.INFEASIBLE)


def test_it_is_at_the_front_of_the_package() -> None:
    """Tests that users find it."""
    assert dynaopt.Replan is Replan
