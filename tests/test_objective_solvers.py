"""Tests that a price of GPUs in use reaches the solvers as it should: all exact ones agree, and limits still hold."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_problem, make_profile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynaopt.allocation import Allocation
from dynaopt.check import check_allocation
from dynaopt.errors import InvalidInputError
from dynaopt.objective import Objective
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers import solve

EXACT = ("cbc", "highs", "scip", "cp-sat")
THREE = {"SS": 5.0, "MM": 1.5, "LL": 2.5}
# An instance of TP2 at the low clock draws less, one at the high clock carries twice the load.
SLOW, FAST = [(0, 100), (2, 300), (4, 400)], [(0, 200), (4, 900), (8, 1300)]
# Three pools only, for the oracle tries every number of every configuration in each.
PROFILE = make_profile(
    [make_curve(2, mhz, c, points) for c in ("SS", "MM", "LL") for mhz, points in ((1000, SLOW), (2000, FAST))],
    host_w=80.0,
)


def small_problem(gpu_price_w: float, **options: Any) -> Problem:
    """Pose a problem in which few slow instances or fewer fast ones can serve."""
    problem = make_problem(PROFILE, options.pop("rates", {"SS": 7.0}), **{"num_gpus": 8, **options})
    return problem.replace(gpu_price_w=gpu_price_w)


@lru_cache
def least_objective_w(gpu_price_w: float) -> float:
    """Try every number of instances."""
    return solve(small_problem(gpu_price_w, rates=THREE), solver="exhaustive").objective_w


def test_few_fast_gpus_are_cheaper_where_gpus_have_a_price() -> None:
    """Tests both sides of the trade by hand.

    At 7 requests/s two slow instances draw 400 + 350 W and 4 · 10 W of hosts: 790 W on 4 GPUs. One fast instance draws
    900 + 3/4 · 400 = 1,200 W and 2 · 10 W: 1,220 W on 2 GPUs. It is the better one where a GPU costs more than
    (1,220 - 790) / (4 - 2) = 215 W.
    """
    energy, below, above = (solve(small_problem(w), solver="highs") for w in (0.0, 214.0, 216.0))
    assert energy.power_w == pytest.approx(790)
    assert below.power_w == pytest.approx(790)
    assert below.objective_w == pytest.approx(790 + 4 * 214)
    assert above.power_w == pytest.approx(1220)
    assert above.objective_w == pytest.approx(1220 + 2 * 216)


@pytest.mark.parametrize("solver", [*EXACT, "greedy", "exact"])
@pytest.mark.parametrize("gpu_price_w", [50.0, 215.5, 20_000.0])
def test_every_solver_agrees_with_the_oracle(solver: str, gpu_price_w: float) -> None:
    """Tests least objective, bound and power of three classes against trying every number of instances."""
    problem = small_problem(gpu_price_w, rates=THREE)
    least_w, result = least_objective_w(gpu_price_w), solve(problem, solver=solver)
    assert result.objective_w == pytest.approx(least_w, rel=1e-4)
    assert result.lower_bound_w <= least_w * (1 + 1e-6)
    assert result.allocation is not None
    assert check_allocation(problem, result.allocation) == []
    power_w = sum(g.num_instances * (g.power_per_instance_w + g.tp * 10) for g in result.allocation.groups)
    assert result.power_w == pytest.approx(power_w)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rates=st.tuples(*(st.floats(0.2, 4.0) for _ in range(2))),
    gpu_price_w=st.floats(0, 2000),
    reserve=st.sampled_from([0.0, 0.2, "n+1"]),
    cap_w=st.one_of(st.none(), st.floats(500, 2500)),
)
def test_the_formulation_agrees_with_the_oracle_under_limits(
    rates: tuple[float, float], gpu_price_w: float, reserve: float | str, cap_w: float | None
) -> None:
    """Tests that pruning loses no optimum where GPUs have a price, with reserves and power caps."""
    problem = small_problem(
        gpu_price_w, rates={"SS": rates[0], "LL": rates[1]}, reserve=reserve, power_cap_w=cap_w, num_gpus=6
    )
    oracle, program = solve(problem, solver="exhaustive"), solve(problem, solver="highs", gap_tolerance=0.0)
    assert program.termination == oracle.termination
    if oracle.allocation is not None:
        assert program.objective_w == pytest.approx(oracle.objective_w, rel=1e-6)
    heuristic = solve(problem, solver="greedy")
    assert heuristic.allocation is None or heuristic.objective_w >= oracle.objective_w * (1 - 1e-9)
    assert heuristic.lower_bound_w <= (oracle.objective_w if oracle.allocation else math.inf) * (1 + 1e-9)


@pytest.mark.parametrize("solver", ["highs", "greedy", "exhaustive"])
def test_a_power_cap_is_of_power(solver: str) -> None:
    """Tests that a cap of 1,000 W rules out the one fast instance of 1,220 W, which GPUs of 1,000 W each ask for."""
    result = solve(small_problem(1000.0, power_cap_w=1000.0), solver=solver)
    assert result.power_w == pytest.approx(790)
    assert result.objective_w == pytest.approx(790 + 4 * 1000)
    assert result.lower_bound_w <= result.objective_w


@pytest.mark.parametrize("solver", ["highs", "greedy", "exhaustive"])
def test_a_cap_below_the_least_power_is_infeasible_at_any_price(solver: str) -> None:
    """Tests that 700 W is told to be too little for 790 W, and that the need is told in power."""
    result = solve(small_problem(1000.0, power_cap_w=700.0), solver=solver)
    assert result.termination is Termination.INFEASIBLE
    assert "790 W of a power cap of 700 W" in result.reason


def test_the_heuristic_comes_near_under_a_cap() -> None:
    """Tests that the search for a price that keeps the cap finds more than the plan of least energy.

    At 14 requests/s and 2,100 W: four slow instances draw 1,580 W on 8 GPUs; one fast and two slow ones 1,300 + 2 · 350
    + 60 = 2,060 W on 6; two fast ones 2 · 1,200 + 40 = 2,440 W on 4, which is beyond the cap.
    """
    problem = small_problem(1000.0, rates={"SS": 14.0}, power_cap_w=2100.0)
    oracle, heuristic = solve(problem, solver="exhaustive"), solve(problem, solver="greedy")
    assert oracle.allocation is not None
    assert oracle.allocation.num_gpus == 6
    assert heuristic.objective_w == pytest.approx(oracle.objective_w, rel=0.02)


def test_idle_instances_that_save_power_help_a_cap_but_not_the_objective() -> None:
    """Tests that with unused GPUs at 70 W, idle instances of 40 W on TP1 are started for a cap and for nothing else.

    5 GPUs: one serves at 200 W, four unused draw 280 W, 480 W in all. Idle instances save 30 W each, at 100 W each.
    """
    profile = make_profile([make_curve(1, 1000, "LL", [(0, 40), (2, 200)])])
    problem = make_problem(profile, {"LL": 2.0}, num_gpus=5, unused_gpus="on")
    free, capped = problem.replace(gpu_price_w=100.0), problem.replace(gpu_price_w=100.0, power_cap_w=400.0)
    for solver in ("highs", "exhaustive"):
        assert solve(free, solver=solver).power_w == pytest.approx(480)
        assert solve(capped, solver=solver).power_w == pytest.approx(390)


def test_the_objective_of_a_result_is_power_and_price() -> None:
    """Tests the arithmetic of `Allocation` and `Result`, and that a bound above the objective is refused."""
    problem = small_problem(300.0)
    answer = solve(problem, solver="highs").allocation
    assert answer is not None
    assert answer.objective_w == answer.power_w + 300 * answer.num_gpus
    bound_w = answer.power_w + 100
    result = Result(solver="x", termination=Termination.FEASIBLE, allocation=answer, lower_bound_w=bound_w)
    assert result.gap == pytest.approx((answer.objective_w - bound_w) / answer.objective_w)
    with pytest.raises(ValueError, match="lies above the answer"):
        Result(
            solver="x", termination=Termination.FEASIBLE, allocation=answer, lower_bound_w=answer.objective_w * 1.001
        )
    assert Allocation(groups=(), routes=(), power_w=5.0).objective_w == 5.0


def test_solve_takes_an_objective() -> None:
    """Tests that 2.15 an hour for a GPU at 10 a kWh and PUE 1 is 215 W: above it one fast instance, below two slow."""
    problem = small_problem(0.0)
    for price, power_w in ((2.14, 790), (2.16, 1220)):
        objective = Objective(minimise="cost", price_per_kwh=10.0, price_per_gpu_hour=price)
        assert solve(problem, solver="highs", objective=objective).power_w == pytest.approx(power_w)
    prices = Objective(minimise="cost", price_per_kwh=10.0, price_per_gpu_hour=2.0).over(
        pd.DatetimeIndex([problem.demand.start]), problem.demand.window_s
    )
    assert prices.gpu_price_w == pytest.approx(np.array([200.0]))


@pytest.mark.parametrize("price_w", [-1.0, math.inf, math.nan])
def test_a_price_of_gpus_is_a_number_of_at_least_zero(price_w: float) -> None:
    """Tests that no other is taken."""
    with pytest.raises(InvalidInputError, match="gpu_price_w"):
        small_problem(price_w)


def test_the_power_of_hosts_can_be_given() -> None:
    """Tests that 800 W a server instead of the profile's 80 W adds 90 W for each of 4 GPUs."""
    result = solve(small_problem(0.0, host_w=800.0), solver="highs")
    assert result.allocation is not None
    assert result.power_w == pytest.approx(750 + result.allocation.num_gpus * 100)
    assert check_allocation(small_problem(0.0, host_w=800.0), result.allocation) == []
