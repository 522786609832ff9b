"""Every solver on problems worked by hand."""

from collections.abc import Callable

import pytest
from cases import CASES, INFEASIBLE, Case
from mixed_cases import MIXED_CASES, MIXED_INFEASIBLE

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.result import Termination
from dynaopt.solvers import get_solver


@pytest.mark.parametrize("case", CASES + MIXED_CASES, ids=lambda case: case.__name__)
def test_least_power(solver_name: str, case: Callable[[], Case]) -> None:
    """Tests that the answer has the power worked by hand and passes the check."""
    worked = case()
    result = dynaopt.solve(worked.problem, solver=solver_name, time_limit_s=20.0)
    assert result.power_w == pytest.approx(worked.power_w, rel=1e-4, abs=1e-9)
    assert result.lower_bound_w <= worked.power_w * (1 + 1e-9) + 1e-9
    assert not check_allocation(worked.problem, result.allocation)
    if get_solver(solver_name).proves:
        assert result.termination is Termination.OPTIMAL
        assert result.gap <= result.gap_tolerance + 1e-6


@pytest.mark.parametrize("case", INFEASIBLE + MIXED_INFEASIBLE, ids=lambda case: case.__name__)
def test_infeasible(solver_name: str, case: Callable[[], tuple[Problem, str]]) -> None:
    """Tests that infeasible is an outcome, with the reason in the user's words."""
    problem, reason = case()
    result = dynaopt.solve(problem, solver=solver_name, time_limit_s=20.0)
    assert result.termination is Termination.INFEASIBLE
    assert result.allocation is None
    assert reason in result.reason
