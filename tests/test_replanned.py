"""Tests pools of mixes that are re-planned in every window, by hand and against trying everything."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from policy_builders import MIX, SLOW_TP8, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.errors import NoSolutionError
from dynaopt.policies.replanned import Replanned

RATES = {"SS": [6.0, 2.0], "LL": [6.0, 2.0]}
BY_INPUT = {MIX: {"SS": 0.5, "LL": 0.5}, f"{MIX}-S": {"SS": 1.0}, f"{MIX}-L": {"LL": 1.0}, f"{MIX}-M": {"MM": 1.0}}


def test_one_pool_by_hand() -> None:
    """Tests 12 requests/s on a full TP8 and a full TP2, 1800 + 420 W, then 4 on two TP2, 840 W; nothing cold starts."""
    case = make_policy_case(make_policy_profile(TP8, TP2), RATES)
    schedule = Replanned(by_input=False).plan(case)
    assert power_w(schedule) == [2220, 840]
    assert set(schedule.routes["pool"]) == {MIX}
    assert schedule.transition_energy_j == 110 * 2 * 5
    assert check(schedule, profiles=case.profiles) == []


def test_clock_degree_and_number_are_free() -> None:
    """Tests that no numbers of instances at any of three configurations serve 12 and 4 requests/s with less."""
    curves = (TP8, SLOW_TP8, TP2)
    schedule = Replanned(by_input=False).plan(make_policy_case(make_policy_profile(*curves), RATES))
    for found, load in zip(power_w(schedule), (12.0, 4.0), strict=True):
        assert found == pytest.approx(min(_powers(curves, load)))


def _powers(curves: tuple, load: float) -> list[float]:
    """Return the power of every way to fill up to six instances of each of three straight curves in any order."""
    idle, slope, most = (np.array([f(c[2]) for c in curves]) for f in (_idle, _slope, lambda p: p[-1][0]))
    found = []
    for counts in product(range(7), repeat=len(curves)):
        if np.dot(counts, most) < load:
            continue
        power, left = float(np.dot(counts, idle)), load
        for k in np.argsort(slope):
            taken = min(left, counts[k] * most[k])
            power, left = power + taken * slope[k], left - taken
        found.append(round(power, 3))
    return found


def _idle(points: list[tuple[float, float]]) -> float:
    return points[0][1]


def _slope(points: list[tuple[float, float]]) -> float:
    return (points[1][1] - points[0][1]) / points[1][0]


def test_a_pool_for_each_length_of_inputs() -> None:
    """Tests 6 requests/s each, three TP2 of 360 + 900 W for either pool, then one of 420 W each."""
    profile = make_policy_profile(TP8, TP2, classes=(), mixes=BY_INPUT)
    case = make_policy_case(profile, RATES)
    schedule = Replanned(by_input=True).plan(case)
    assert power_w(schedule) == [2 * 1260, 2 * 420]
    assert set(schedule.routes["pool"]) == {f"{MIX}-S", f"{MIX}-L"}
    assert check(schedule, profiles=case.profiles) == []


def test_a_class_outside_the_mix_has_its_own_pool() -> None:
    """Tests 1 request/s of LM beside a mix of SS and LL: 12 requests/s on the mix and a TP2 at 270 W for LM."""
    profile = make_policy_profile(TP8, TP2, classes=("LM",))
    case = make_policy_case(profile, {"SS": [6.0], "LL": [6.0], "LM": [1.0]})
    schedule = Replanned(by_input=False).plan(case)
    assert power_w(schedule) == [2220 + 270]
    assert check(schedule, profiles=case.profiles) == []


@pytest.mark.parametrize("reserve", [0.25, "n+1"])
def test_reserves_are_kept(reserve: float | str) -> None:
    """Tests that the check finds the spare capacity that was asked for, under headroom and peaks too."""
    profile = make_policy_profile(TP8, SLOW_TP8, TP2)
    case = make_policy_case(profile, RATES, reserve=reserve, headroom=0.1, peak_factor=1.2)
    assert check(Replanned(by_input=False).plan(case), profiles=case.profiles) == []


def test_scarce_gpus_are_kept_to() -> None:
    """Tests 12 requests/s on 10 GPUs, which a TP8 and a TP2 just carry, and on 8, which carry 10 at most.

    Where a TP2 costs 10 W for each request at no idle power, six of them would take less, on 12 GPUs.
    """
    cheap = (2, 1980, [(0.0, 0.0), (2.0, 20.0)])
    profile = make_policy_profile(TP8, cheap)
    assert power_w(Replanned(by_input=False).plan(make_policy_case(profile, RATES, num_gpus=12))) == [120, 40]
    case = make_policy_case(profile, RATES, num_gpus=10)
    schedule = Replanned(by_input=False).plan(case)
    assert power_w(schedule) == [1800 + 20, 40]
    assert check(schedule, profiles=case.profiles) == []
    with pytest.raises(NoSolutionError, match="8 GPUs are too few for these pools at 2024-05-12 00:00"):
        Replanned(by_input=False).plan(make_policy_case(profile, RATES, num_gpus=8))


def test_missing_mixes_are_told() -> None:
    """Tests a profile without any mix, and one without mixes by input length."""
    with pytest.raises(NoSolutionError, match="no curves of a whole mix"):
        Replanned(by_input=False).plan(make_policy_case(make_policy_profile(TP8, mixes={}), RATES))
    with pytest.raises(NoSolutionError, match="no curves of mixes by input length"):
        Replanned(by_input=True).plan(make_policy_case(make_policy_profile(TP8), RATES))
