"""Tests DynamoLLM's three levels together, by hand."""

from __future__ import annotations

import pytest
from policy_builders import SLOW_TP8, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.policies.dynamo_llm import DynamoLlm

RATES = {"SS": [12.0, 4.0], "LL": [6.0, 6.0]}


def test_three_levels_by_hand() -> None:
    """Tests servers, mixes and clocks.

    12 requests/s of SS fill one server, and 2 go to LL's server. First window: SS has 10, which only a TP8 carries on
    8 GPUs, 1800 W; LL has 8, a TP8 1600 W against four TP2 480 + 1200 W. Second: SS has 4, two TP2 240 + 600 W; LL has
    6, three TP2 360 + 900 W. A TP8 could have stayed in SS at 1000 MHz for 600 + 320 W, but 80 W for 300 s are more
    than 110 W · 4 GPUs · 5 s. Five TP2 start in all on GPUs that TP8 gave up: 110 W · 10 · 5 s.
    """
    case = make_policy_case(make_policy_profile(TP8, SLOW_TP8, TP2), RATES)
    schedule = DynamoLlm().plan(case)
    assert power_w(schedule) == [1800 + 1600, 840 + 1260]
    assert schedule.transition_energy_j == 110 * 10 * 5
    assert check(schedule, profiles=case.profiles) == []


def test_nothing_changes_that_saves_less_than_it_takes() -> None:
    """Tests re-sharding of 400 s: 110 W · 4 · 400 s are more than 80 W · 300 s, so SS stays on its TP8, slowed down.

    In LL the TP8 at 6 requests/s takes 1400 W, 140 W more than three TP2, and stays as well.
    """
    case = make_policy_case(make_policy_profile(TP8, SLOW_TP8, TP2, reshard_s=400.0), RATES)
    schedule = DynamoLlm().plan(case)
    assert power_w(schedule) == [1800 + 1600, 920 + 1400]
    assert schedule.transition_energy_j == 0


def test_the_best_may_round_up() -> None:
    """Tests 4 requests/s of SS where a request costs ten times as much in LL: a server of its own takes less."""
    profile = make_policy_profile(TP8, classes=("SS", "LL"))
    dear = {key: curve for key, curve in profile.curves.items() if key[2] == "SS"}
    long = make_policy_profile((8, 1980, [(0.0, 800.0), (10.0, 10800.0)]), classes=("LL",))
    case = make_policy_case(type(profile)(profile.metadata, {**long.curves, **dear}), {"SS": [4.0]})
    assert power_w(DynamoLlm().plan(case)) == [800 + 4 * 1000]
    assert power_w(DynamoLlm(best=True).plan(case)) == [800 + 4 * 100]


@pytest.mark.parametrize("reserve", [0.2, "n+1"])
def test_reserves_are_kept(reserve: float | str) -> None:
    """Tests that the check finds the spare capacity that was asked for."""
    case = make_policy_case(make_policy_profile(TP8, SLOW_TP8, TP2), RATES, reserve=reserve)
    assert check(DynamoLlm(best=True).plan(case), profiles=case.profiles) == []


def test_a_window_without_arrivals_runs_nothing() -> None:
    """Tests that a pool stops and starts again, and that the start is cold: 110 W · 2 GPUs · 400 s."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"LL": [1.0, 0.0, 1.0]})
    schedule = DynamoLlm().plan(case)
    assert power_w(schedule) == [270, 0, 270]
    assert schedule.transition_energy_j == 110 * 2 * 400
