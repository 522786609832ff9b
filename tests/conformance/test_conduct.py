"""How every solver behaves: limits, inputs, repetition, honesty."""

from collections.abc import Iterator

import cases
import numpy as np
import pytest

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.demand import read_demand
from dynaopt.errors import InvalidInputError
from dynaopt.problem import Problem
from dynaopt.profile_io import read_profile
from dynaopt.result import Termination

# What starting a program or joining a thread may take on a busy machine.
GRACE_S = 3.0


@pytest.fixture(scope="module")
def busy_window() -> Problem:
    """Return the problem of a window of the shipped conversation week."""
    return read_demand("azure-2024-conversation").window(700).problem(read_profile("llama2-70b-h100"))


def _numbers(problem: Problem) -> Iterator[bytes]:
    for rates in problem.demand.rate_rps.values():
        yield rates.tobytes()
    for profile in problem.profiles.values():
        for curve in profile.curves.values():
            yield curve.rate_rps.tobytes() + curve.power_w.tobytes()
    for pool in problem.pools:
        yield np.array([pool.rate_rps, pool.gpu_power_w]).tobytes()
        for option in pool.options:
            yield option.rate_rps.tobytes() + option.power_w.tobytes()
    yield repr((problem.cluster, problem.slo, dict(problem.demand.peak_factor))).encode()


def test_input_is_left_unchanged(solver_name: str) -> None:
    """Tests that solving changes nothing in the problem."""
    problem = cases.promotion_of_a_part().problem
    before = list(_numbers(problem))
    dynaopt.solve(problem, solver=solver_name, time_limit_s=20.0)
    assert list(_numbers(problem)) == before


def test_same_problem_same_answer(solver_name: str) -> None:
    """Tests that an answer does not change from one run to the next."""
    first, second = (
        dynaopt.solve(cases.mixed_clocks().problem, solver=solver_name, time_limit_s=20.0) for _ in range(2)
    )
    assert first.allocation == second.allocation
    assert first.lower_bound_w == second.lower_bound_w


def test_time_limit(solver_name: str, busy_window: Problem) -> None:
    """Tests that a solver stops soon after its limit, and claims no more than it proved."""
    if solver_name == "exhaustive":
        with pytest.raises(InvalidInputError, match="ways to place instances"):
            dynaopt.solve(busy_window, solver=solver_name, time_limit_s=0.3)
        return
    result = dynaopt.solve(busy_window, solver=solver_name, time_limit_s=0.3)
    assert result.runtime_s < 0.3 + GRACE_S
    if result.termination is not Termination.OPTIMAL:
        assert result.termination in (Termination.FEASIBLE, Termination.NO_SOLUTION_FOUND)
        assert solver_name == "greedy" or result.reason
    if result.allocation is not None:
        assert not check_allocation(busy_window, result.allocation)
        assert result.lower_bound_w <= result.power_w * (1 + 1e-6)


def test_gap_is_recorded(solver_name: str) -> None:
    """Tests that the gap at which a solver was allowed to stop stands in the result."""
    result = dynaopt.solve(cases.one_instance().problem, solver=solver_name, gap_tolerance=0.01, time_limit_s=20.0)
    assert result.gap_tolerance == 0.01
    assert result.solver == solver_name


def test_solvers_agree_on_a_real_window(busy_window: Problem) -> None:
    """Tests that bounds and answers of different solvers do not contradict each other on a shipped window."""
    found = [dynaopt.solve(busy_window, solver=name, time_limit_s=3.0) for name in ("highs", "scip", "cbc", "exact")]
    answered = [r for r in found if r.allocation is not None]
    assert len(answered) >= 2
    assert max(r.lower_bound_w for r in found) <= min(r.power_w for r in answered) * (1 + 1e-6)
    assert all(not check_allocation(busy_window, r.allocation) for r in answered)
