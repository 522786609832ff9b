"""Tests pools whose instances are all alike against cases worked by hand."""

from __future__ import annotations

import pytest
from policy_builders import SLOW_TP8, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.errors import NoSolutionError
from dynaopt.policies.fixed_pools import MultiPool, ScaleFreq, ScaleInst, SinglePool

RATES = {"SS": [12.0, 4.0], "LL": [6.0, 6.0]}


def test_multi_pool_is_sized_for_each_class_and_never_changes() -> None:
    """Tests two instances for SS (12 of 10 requests/s each) and one for LL.

    First window: 2 · 800 + 12 · 100 = 2800 W and 800 + 6 · 100 = 1400 W; second: 1600 + 400 = 2000 W and 1400 W.
    """
    case = make_policy_case(make_policy_profile(TP8), RATES)
    schedule = MultiPool().plan(case)
    assert power_w(schedule) == [4200, 3400]
    assert list(schedule.windows["num_gpus"]) == [24, 24]
    assert schedule.transition_energy_j == 0
    assert check(schedule, profiles=case.profiles) == []


def test_scale_inst_runs_what_a_window_needs() -> None:
    """Tests that SS goes from one instance (800 + 400 W) to two (2800 W), which costs 110 W · 8 GPUs · 400 s."""
    rates = {"SS": [4.0, 12.0], "LL": [6.0, 6.0]}
    schedule = ScaleInst().plan(make_policy_case(make_policy_profile(TP8), rates))
    assert power_w(schedule) == [1200 + 1400, 2800 + 1400]
    assert schedule.transition_energy_j == 110 * 8 * 400


def test_scale_freq_slows_down_where_two_slow_instances_do() -> None:
    """Tests that 4 requests/s on two instances run at 1000 MHz (1200 + 320 W), and 12 and 6 cannot: 5 each at most."""
    schedule = ScaleFreq().plan(make_policy_case(make_policy_profile(TP8, SLOW_TP8), RATES))
    assert power_w(schedule) == [2800 + 1400, 1520 + 1400]
    second = schedule.allocations[schedule.allocations["window_start"] == schedule.windows["window_start"][1]]
    assert dict(zip(second["pool"], second["frequency_mhz"], strict=True)) == {"SS": 1000, "LL": 1980}
    assert schedule.transition_energy_j == 0


def test_the_best_multi_pool_turns_every_static_knob() -> None:
    """Tests LL at 6 requests/s: three TP2 take 3 · 120 + 6 · 150 = 1260 W, one TP8 1400 W, two slow ones 1680 W.

    SS at 12 and 4: six TP2 take 720 + 150 · 8 = 1920 W on average, two TP8 1600 + 100 · 8 = 2400 W.
    """
    schedule = MultiPool(best=True).plan(make_policy_case(make_policy_profile(TP8, SLOW_TP8, TP2), RATES))
    assert power_w(schedule) == [720 + 1800 + 1260, 720 + 600 + 1260]


def test_the_best_scale_inst_counts_starts() -> None:
    """Tests a pool of SS at 2, 10, 2, 10, … requests/s whose TP2 serve with 840 W on average, and TP8 with 1400 W.

    Four more TP2 start in every other window, 110 W · 8 GPUs · 400 s = 352 kJ or 1173 W of its 300 s.
    One TP8 never starts: 800 + 600 = 1400 W on average; TP2: (420 + 2100) / 2 = 1260 W and 587 W of starts.
    """
    rates = {"SS": [2.0, 10.0] * 10}
    schedule = ScaleInst(best=True).plan(make_policy_case(make_policy_profile(TP8, TP2), rates))
    assert set(schedule.allocations["tp"]) == {8}
    assert power_w(schedule)[:2] == [1000, 1800]


def test_the_best_scale_freq_may_have_more_instances() -> None:
    """Tests 6 requests/s: two slow instances take 1200 + 480 W, one fast one 1400 W; at 3 both fit, 1440 and 840 W.

    With one instance: fast at 6 (1400 W), slow at 3 (600 + 240 W): 1120 W on average. With two: 1680 and 1440 W.
    """
    schedule = ScaleFreq(best=True).plan(make_policy_case(make_policy_profile(TP8, SLOW_TP8), {"LL": [6.0, 3.0]}))
    assert power_w(schedule) == [1400, 840]


def test_single_pools_share_load_in_three_ways() -> None:
    """Tests 10 requests/s at the peak, 5 later, on concave instances: 800 W idle, 1400 W at 2.5, 1800 W at 5 or more.

    Two of 5 requests/s each are needed. Spread, 5 requests/s take 2 · 1400 W; filled, 1800 + 800 W. The best pool has
    one TP2 that serves 10 requests/s for 900 W, and 5 for 700 W.
    """
    concave = (8, 1980, [(0.0, 800.0), (2.5, 1400.0), (5.0, 1800.0)])
    small = (2, 1980, [(0.0, 500.0), (10.0, 900.0)])
    case = make_policy_case(make_policy_profile(concave, small), {"SS": [5.0, 2.5], "LL": [5.0, 2.5]})
    found = {way: power_w(SinglePool(way).plan(case)) for way in ("spread", "usual", "best")}  # type: ignore[arg-type]
    assert found == {"spread": [3600, 2800], "usual": [3600, 2600], "best": [900, 700]}


@pytest.mark.parametrize(("reserve", "number"), [(0.0, 2), (0.5, 3), ("n+1", 3)])
def test_headroom_peak_and_reserve_count(reserve: float | str, number: int) -> None:
    """Tests 10 requests/s, 1.25 at the peak and 0.1 headroom: 13.75 in two, with half in reserve three, or one more."""
    case = make_policy_case(
        make_policy_profile(TP8), {"SS": [10.0]}, peak_factor=1.25, headroom=0.1, reserve=reserve, num_gpus=24
    )
    schedule = MultiPool().plan(case)
    assert schedule.allocations["num_instances"].sum() == number
    assert check(schedule, profiles=case.profiles) == []


def test_unused_gpus_and_hosts_count() -> None:
    """Tests 64 GPUs that stay on at 70 W, 8 of them in use at 50 W of host each: 56 · 70 + 8 · 50 + 1000 W."""
    profile = make_policy_profile(TP8, host_w=400.0)
    case = make_policy_case(profile, {"SS": [2.0]}, unused_gpus="on")
    for policy in (MultiPool(), ScaleInst(), ScaleFreq()):
        schedule = policy.plan(case)
        assert power_w(schedule) == [56 * 70 + 400 + 1000]
        assert check(schedule, profiles=case.profiles) == []


def test_a_class_that_nothing_can_serve_is_told() -> None:
    """Tests that a class without a curve gives a reason and no schedule."""
    with pytest.raises(NoSolutionError, match="objectives of pool MM"):
        MultiPool().plan(make_policy_case(make_policy_profile(TP8), {"MM": [1.0]}))


def test_the_largest_degree_of_a_profile_is_the_usual_one() -> None:
    """Tests that where a profile ends at TP2, pools are of TP2."""
    schedule = MultiPool().plan(make_policy_case(make_policy_profile(TP2), {"SS": [1.0]}))
    assert set(schedule.allocations["tp"]) == {2}
