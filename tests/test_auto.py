"""Tests the solver that combines others."""

import time

import pytest
from search_builders import two_size_problem

from dynaopt.check import check_allocation
from dynaopt.errors import SolverError
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers import auto as module
from dynaopt.solvers.auto import Auto
from dynaopt.solvers.greedy import Greedy
from dynaopt.solvers.math_opt import Highs


def hard() -> Problem:
    """Return a problem whose optimum greedy finds but cannot prove: 3 requests/s on 7 GPUs, 300 W."""
    return two_size_problem({"SS": 3.0}, num_gpus=7)


def test_what_greedy_proves_is_greedys() -> None:
    """Tests an answer that needs no program."""
    result = Auto().solve(two_size_problem({"SS": 4.0}))
    assert (result.solver, result.termination) == ("greedy", Termination.OPTIMAL)


def test_without_a_limit_the_optimum_is_proved() -> None:
    """Tests that a program proves greedy's 300 W, and greedy's name stays as no better answer was found."""
    assert Greedy().solve(hard()).termination is Termination.FEASIBLE
    result = Auto().solve(hard())
    assert (result.termination, result.power_w) == (Termination.OPTIMAL, pytest.approx(300.0))
    assert result.lower_bound_w == pytest.approx(300.0, rel=1e-4)


def test_a_short_limit_gives_greedys_answer() -> None:
    """Tests that 50 ms are no time for a program, and the reason is said."""
    problem = hard()
    Auto().solve(problem, time_limit_s=0.05)
    started = time.perf_counter()
    result = Auto().solve(problem, time_limit_s=0.05)
    assert time.perf_counter() - started < 1.0
    assert (result.solver, result.termination) == ("greedy", Termination.FEASIBLE)
    assert "time" in result.reason
    assert result.allocation is not None
    assert not check_allocation(problem, result.allocation)


def test_a_longer_limit_has_time_for_a_program() -> None:
    """Tests that with 10 s the bound is raised to the optimum."""
    assert Auto().solve(hard(), time_limit_s=10.0).termination is Termination.OPTIMAL


def test_infeasible_is_said_at_once() -> None:
    """Tests that a proof of greedy's suffices."""
    result = Auto().solve(two_size_problem({"SS": 3.0}, num_gpus=4), time_limit_s=0.05)
    assert (result.solver, result.termination) == ("greedy", Termination.INFEASIBLE)
    assert result.reason


class Blind:
    """A greedy that finds and proves nothing."""

    def __init__(self, max_nodes: int = 1) -> None:
        self.max_nodes = max_nodes

    def solve(self, problem: Problem, *, time_limit_s: float | None, gap_tolerance: float) -> Result:  # noqa: ARG002
        """Give up."""
        return Result(solver="greedy", termination=Termination.NO_SOLUTION_FOUND, reason="blind", lower_bound_w=1.0)


def test_where_greedy_finds_nothing_a_program_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an answer matters more than a limit of 50 ms, and is credited to who found it."""
    monkeypatch.setattr(module, "Greedy", Blind)
    result = Auto().solve(two_size_problem({"SS": 4.0}), time_limit_s=0.05)
    assert (result.solver, result.power_w) == ("scip", pytest.approx(320.0))
    nothing = Auto().solve(two_size_problem({"SS": 3.0}, num_gpus=4), time_limit_s=0.05)
    assert nothing.termination is Termination.INFEASIBLE


def test_a_failing_program_leaves_greedys_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an error of a back end is told and costs nothing."""

    def fail(*_: object, **__: object) -> Result:
        raise SolverError("highs failed: by order")

    monkeypatch.setattr(Highs, "solve", fail)
    result = Auto().solve(hard())
    assert (result.solver, result.power_w, result.reason) == ("greedy", pytest.approx(300.0), "highs failed: by order")
