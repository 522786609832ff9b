"""Tests of `dynaopt.least_power`."""

import numpy as np
import pytest
from builders import make_problem, make_profile, same_for_all_classes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_builders import two_size_problem

import dynaopt
from dynaopt.flat_problem import groups_of
from dynaopt.least_power import least_power_w
from dynaopt.problem import Problem


def least(problem: Problem) -> float:
    """Return the bound of a problem."""
    return least_power_w(groups_of(problem))


def test_by_hand() -> None:
    """Tests TP2 at 100 W idle and 400 W at 10/s, 160 W at 8/s: 20 W for each request/s, not 40 W at capacity."""
    profile = make_profile(same_for_all_classes(2, 1000, [(0, 100), (8, 160), (10, 400)]))
    assert least(make_problem(profile, {"SS": 8.0}, num_gpus=8)) == pytest.approx(160.0)
    assert least(make_problem(profile, {"SS": 3.0, "LL": 2.0}, num_gpus=8)) == pytest.approx(100.0)


def test_nothing_arrives_and_nowhere_to_go() -> None:
    """Tests that no arrivals take nothing, and that a class without a configuration has no bound."""
    curves = [curve for curve in same_for_all_classes(2, 1000, [(0, 100), (10, 400)]) if curve.request_class == "SS"]
    profile = make_profile(curves)
    assert least(make_problem(profile, {}, num_gpus=8)) == 0.0
    assert np.isinf(least(make_problem(profile, {"LL": 1.0}, num_gpus=8)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rates=st.dictionaries(st.sampled_from(["SS", "MM", "LL", "SL"]), st.floats(0.01, 6.0), min_size=1),
    reserve=st.sampled_from([0.0, 0.3, "n+1"]),
)
def test_no_answer_is_below(rates: dict[str, float], reserve: float | str) -> None:
    """Tests that no answer of the search is below it, and that it is not zero."""
    problem = two_size_problem(rates).replace(reserve=reserve)
    result = dynaopt.solve(problem, solver="greedy")
    if result.allocation is not None:
        assert 0 < least(problem) <= result.power_w * (1 + 1e-9)


def test_it_is_near_on_the_shipped_week() -> None:
    """Tests that on the conversation week it proves 98 % of the optimum."""
    demand, profile = dynaopt.read_demand("azure-2024-conversation"), dynaopt.read_profile("llama2-70b-h100")
    for number in range(0, demand.num_windows, 300):
        problem = demand.window(number).problem(profile, num_gpus=320)
        power_w = dynaopt.solve(problem, solver="greedy").power_w
        assert 0.98 * power_w < least(problem) <= power_w
