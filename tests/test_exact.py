"""Tests the package's own exact solver."""

import numpy as np
import pytest
from search_builders import three_mixes_problem, two_size_problem

import dynaopt
from dynaopt.bench_cases import find_cases
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.result import Termination
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


def test_infeasible_is_an_outcome() -> None:
    """Tests 3 requests/s, which need 6 GPUs, on 4."""
    result = Exact().solve(two_size_problem({"SS": 3.0}, num_gpus=4))
    assert (result.solver, result.termination) == ("exact", Termination.INFEASIBLE)
    assert result.reason
