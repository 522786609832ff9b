"""Tests the package's own exact solver."""

import logging

import numpy as np
import pytest
from search_builders import three_mixes_problem, two_size_problem

import dynaopt
from dynaopt.bench_cases import find_cases
from dynaopt.best_known import find_best_known, read_best_known
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.exact import Exact
from dynaopt.solvers.greedy import Greedy

SMALL = {
    "plain": two_size_problem({"SS": 1.2, "MM": 2.3}, num_gpus=12),
    "mixed pools": three_mixes_problem({"SM": 0.4, "SL": 0.4, "LS": 0.3}, num_gpus=8),
    "reserve": two_size_problem({"SS": 1.2, "MM": 0.7}, num_gpus=12, reserve=0.2),
    "n+1": two_size_problem({"SS": 0.3, "MM": 0.3}, num_gpus=10, reserve="n+1"),
    "fixed mix": two_size_problem({"SS": 1.2, "MM": 0.7}, num_gpus=12, fixed_mix={"tiny-model": {2: 2, 8: 1}}),
    "power cap": two_size_problem({"SS": 3.0}, num_gpus=12, power_cap_w=290.0),
    "few GPUs": two_size_problem({"SS": 3.0}, num_gpus=7),
}


@pytest.mark.parametrize("problem", SMALL.values(), ids=SMALL)
def test_it_finds_what_the_exhaustive_search_finds(problem: Problem) -> None:
    """Tests every kind of row on two sizes of instances against the oracle."""
    oracle, result = dynaopt.solve(problem, solver="exhaustive"), Exact().solve(problem)
    assert oracle.termination is Termination.OPTIMAL
    assert result.termination is Termination.OPTIMAL
    assert result.power_w == pytest.approx(oracle.power_w, rel=2e-4)
    assert result.allocation is not None
    assert not check_allocation(problem, result.allocation)


def test_an_ordinary_window_is_searched_to_the_end() -> None:
    """Tests that a coarse tolerance does not leave a worse answer, and greedy's is never better."""
    for case in find_cases(["classes"])[:3]:
        problem = case.build()
        coarse, fine = Exact().solve(problem, gap_tolerance=0.05), Exact().solve(problem, gap_tolerance=1e-6)
        assert (coarse.solver, fine.solver) == ("exact", "exact")
        assert coarse.power_w == pytest.approx(fine.power_w, rel=1e-9)
        assert coarse.gap <= 1e-6
        assert fine.power_w <= Greedy().solve(problem).power_w * (1 + 1e-9)


def test_a_gap_of_prices_is_closed_by_a_program() -> None:
    """Tests 3 requests/s on 7 GPUs, whose 300 W greedy finds and cannot prove."""
    problem = two_size_problem({"SS": 3.0}, num_gpus=7)
    assert Greedy(search_gap=0.0).solve(problem).termination is Termination.FEASIBLE
    result = Exact().solve(problem)
    assert (result.solver, result.termination) == ("exact", Termination.OPTIMAL)
    assert result.power_w == pytest.approx(300.0)


def test_a_short_limit_gives_the_answer_at_hand_and_says_so() -> None:
    """Tests that 50 ms are no time for a program: an answer, its gap, and the reason."""
    result = Exact().solve(two_size_problem({"SS": 3.0}, num_gpus=7), time_limit_s=0.05)
    assert (result.solver, result.termination) == ("exact", Termination.FEASIBLE)
    assert "time limit" in result.reason
    assert np.isfinite(result.gap)


class Blind:
    """A search that finds and proves nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take any options."""

    def solve(self, problem: Problem, *, time_limit_s: float | None, gap_tolerance: float) -> Result:  # noqa: ARG002
        """Give up."""
        return Result(solver="greedy", termination=Termination.NO_SOLUTION_FOUND, reason="blind", lower_bound_w=1.0)


def test_where_the_search_finds_nothing_a_program_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an answer matters more than a limit of 50 ms, and is credited to who found it."""
    monkeypatch.setattr("dynaopt.solvers.exact.Greedy", Blind)
    result = Exact().solve(two_size_problem({"SS": 4.0}), time_limit_s=0.05)
    assert (result.solver, result.power_w) == ("scip", pytest.approx(320.0))
    nothing = Exact().solve(two_size_problem({"SS": 3.0}, num_gpus=4), time_limit_s=0.05)
    assert nothing.termination is Termination.INFEASIBLE


def test_going_on_with_a_program_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Tests that the gap of the search and the program that is asked can be read."""
    with caplog.at_level(logging.INFO, logger="dynaopt"):
        Exact().solve(two_size_problem({"SS": 3.0}, num_gpus=7))
    told = " ".join(caplog.messages)
    assert "The search ends with a gap of" in told
    assert "highs goes on with the integer program, for 60 s at most" in told


@pytest.mark.parametrize("name", ["reserve-s1", "n+1-s1", "n+1-s3"])
def test_spare_capacity_needs_no_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the search proves answers no worse than the best known, and the check accepts them."""
    monkeypatch.setattr("dynaopt.solvers.exact.go_on", lambda *_, **__: pytest.fail("a program was asked"))
    case = next(c for c in find_cases(["operation"], full=True) if c.name == f"operation-{name}")
    problem, best = case.build(), read_best_known(find_best_known())[case.name]
    result = Exact().solve(problem)
    assert (result.solver, result.termination) == ("exact", Termination.OPTIMAL)
    assert best.power_w is not None
    assert best.lower_bound_w * (1 - 1e-9) <= result.power_w <= best.power_w * (1 + 1e-9)
    assert result.allocation is not None
    assert not check_allocation(problem, result.allocation)


def test_infeasible_is_an_outcome() -> None:
    """Tests 3 requests/s, which need 6 GPUs, on 4."""
    result = Exact().solve(two_size_problem({"SS": 3.0}, num_gpus=4))
    assert (result.solver, result.termination) == ("exact", Termination.INFEASIBLE)
    assert result.reason


def test_auto_is_another_name_of_it() -> None:
    """Tests that `auto` answers under the name of who found the answer."""
    result = dynaopt.solve(SMALL["plain"], solver="auto", time_limit_s=1.0)
    assert (result.solver, result.termination) == ("exact", Termination.OPTIMAL)
