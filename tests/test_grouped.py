"""Tests the planner that may group classes by mixes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from policy_builders import MIX, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.errors import NoSolutionError
from dynaopt.policies.grouped import Grouped
from dynaopt.policies.planned import Planned
from dynaopt.policies.replanned import Replanned
from dynaopt.profile import LoadCurve, Profile

SHARES = {"SS": 0.5, "SM": 0.25, "LL": 0.25}
MIXES = {MIX: SHARES, f"{MIX}-S": {"SS": 2 / 3, "SM": 1 / 3}, f"{MIX}-M": {"MM": 1.0}, f"{MIX}-L": {"LL": 1.0}}


def make_two_kinds() -> Profile:
    """Return a profile in which a request of LL takes ten times a short one, in a pool by class and in the mixes."""
    short = make_policy_profile(TP8, TP2, classes=("SS", "SM"), mixes=MIXES)
    dear = (8, 1980, [(0.0, 800.0), (10.0, 10800.0)])
    long = make_policy_profile(dear, classes=("LL",), mixes={})
    return Profile(short.metadata, {**long.curves, **short.curves})


def test_few_requests_share_a_mixed_pool() -> None:
    """Tests 0.3, 0.1 and 0.1 requests/s: one TP2 takes 120 + 75 W; by class LL alone needs a TP8 of 800 W idle."""
    case = make_policy_case(make_two_kinds(), {"SS": [0.3], "SM": [0.1], "LL": [0.1]})
    schedule = Grouped().plan(case)
    assert power_w(schedule) == [195]
    assert set(schedule.routes["pool"]) == {MIX}
    assert check(schedule, profiles=case.profiles) == []


def test_one_length_of_inputs_may_be_mixed_and_another_not() -> None:
    """Tests a mix of S beside a pool of LL, where the whole mix cannot keep the objectives of LL.

    1 and 0.5 requests/s of SS and SM share a TP2, 120 + 225 W; by class SS would be promoted to SM for the same. LL
    with 2 requests/s is a TP8 of its own, 800 + 2000 W, or three hundred in the mix L, whose curve is the short one.
    """
    profile = make_two_kinds()
    kept = {key: curve for key, curve in profile.curves.items() if key[2] not in (MIX, f"{MIX}-L", "SS")}
    curve = profile.curves[8, 1980, "LL"]
    slow = {(8, 1980, MIX): _renamed(curve, MIX), (8, 1980, f"{MIX}-L"): _renamed(curve, f"{MIX}-L")}
    case = make_policy_case(Profile(profile.metadata, {**kept, **slow}), {"SS": [1.0], "SM": [0.5], "LL": [2.0]})
    schedule = Grouped().plan(case)
    assert power_w(schedule) == [345 + 2800]
    assert check(schedule, profiles=case.profiles) == []


def _renamed(curve: LoadCurve, name: str) -> LoadCurve:
    """Return the curve as one of a mix."""
    latencies = dict.fromkeys(MIXES[name], (curve.ttft_p99_s, curve.tbt_p99_s))
    return replace(curve, request_class=name, class_latencies=latencies)


@pytest.mark.parametrize("cluster", [{}, {"unused_gpus": "on"}, {"reserve": 0.2}, {"reserve": "n+1"}])
def test_no_grouping_serves_with_less(cluster: dict[str, object]) -> None:
    """Tests random rates: never more serving energy than the plan by class or either rival, window by window."""
    rng = np.random.default_rng(3)
    total = rng.uniform(0.3, 30, 12)
    rates = {c: (share * total * rng.uniform(0.95, 1.05, 12)).tolist() for c, share in SHARES.items()}
    case = make_policy_case(make_two_kinds(), rates, headroom=0.1, **cluster)
    schedule = Grouped().plan(case)
    assert check(schedule, profiles=case.profiles) == []
    for other in (Planned(workers=1), Replanned(by_input=False), Replanned(by_input=True)):
        least = other.plan(case).windows["serving_energy_j"].to_numpy(float)
        assert (schedule.windows["serving_energy_j"].to_numpy(float) <= least * (1 + 1e-9)).all()


def test_without_mixes_by_input_the_whole_is_still_there() -> None:
    """Tests a profile with one mix only."""
    profile = make_policy_profile(TP8, TP2)
    schedule = Grouped().plan(make_policy_case(profile, {"SS": [0.5], "LL": [0.5]}))
    assert power_w(schedule) == [120 + 150]


def test_too_few_gpus_for_any_grouping_are_told() -> None:
    """Tests that a window which nothing serves is no schedule."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [500.0], "LL": [500.0]})
    with pytest.raises(NoSolutionError, match="64 GPUs are too few for any grouping at 2024-05-12 00:00"):
        Grouped().plan(case)


def test_a_mix_of_other_requests_is_not_trusted() -> None:
    """Tests 0.1, 0.1 and 0.3 requests/s, of which the mix takes 0.35 for another class: SS and SM share a TP2 by class.

    That is 120 + 30 W, the mix S being too far as well, and 800 + 300 W for LL, where its own mix L is near: 120 + 45.
    """
    case = make_policy_case(make_two_kinds(), {"SS": [0.1], "SM": [0.1], "LL": [0.3]})
    schedule = Grouped().plan(case)
    assert power_w(schedule) == [150 + 165]
    assert set(schedule.routes["pool"]) == {"SM", f"{MIX}-L"}
    loose = Grouped(most_mix_distance=0.4).plan(case)
    assert set(loose.routes["pool"]) == {MIX}
    assert power_w(loose) == [120 + 75]
