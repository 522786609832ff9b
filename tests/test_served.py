"""Tests pools as policies see them: who is served where, and on which curves."""

from __future__ import annotations

import numpy as np
import pytest
from policy_builders import MIX, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.errors import NoSolutionError
from dynaopt.policies import get_policy
from dynaopt.policies.served import class_pools, mix_pools
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.single_pool import single_pool

MIXES = {MIX: {"SS": 0.5, "LL": 0.5}, f"{MIX}-S": {"SS": 1.0}, f"{MIX}-L": {"LL": 1.0}}


def test_a_class_without_curves_is_told() -> None:
    """Tests that SM, of which the profile has no curve, has no pool."""
    with pytest.raises(NoSolutionError, match="no configuration of profile tiny keeps the objectives of pool SM"):
        class_pools(make_policy_case(make_policy_profile(TP8), {"SM": [1.0]}))


def test_every_class_that_arrives_has_a_pool() -> None:
    """Tests names, loads, stretch (1.25 · 1.1) and configurations, by degree, of two pools; MM never arrives."""
    profile = make_policy_profile(TP8, TP2, classes=("SS", "MM", "LL"))
    case = make_policy_case(profile, {"SS": [2.0, 0.0], "LL": [1.0, 3.0]}, peak_factor=1.25, headroom=0.1)
    short, long = class_pools(case)
    assert (short.name, long.name) == ("SS", "LL")
    assert short.load_rps.tolist() == [2.0, 0.0]
    assert long.load_rps.tolist() == [1.0, 3.0]
    assert long.stretch == pytest.approx([1.375, 1.375])
    assert [(k.tp, k.slo_rate_rps) for k in short.configurations] == [(2, 2.0), (8, 10.0)]


def test_routes_are_what_arrives() -> None:
    """Tests the rows of a pool of two classes: only where something comes."""
    case = make_policy_case(make_policy_profile(TP8), {"SS": [2.0, 0.0], "LL": [1.0, 3.0]})
    (pool,) = mix_pools(case, by_input=False)
    rows = [tuple(row) for row in pool.routes()[["window", "request_class", "pool", "rate_rps"]].to_numpy()]
    assert rows == [(0, "SS", MIX, 2.0), (0, "LL", MIX, 1.0), (1, "LL", MIX, 3.0)]


def test_pools_by_input_length_take_the_mixes_of_the_nearest_whole() -> None:
    """Tests that short inputs alone, nearest to the mix S itself, still go to the pools of the service."""
    case = make_policy_case(make_policy_profile(TP8, classes=(), mixes=MIXES), {"SS": [2.0]})
    assert [pool.name for pool in mix_pools(case, by_input=True)] == [f"{MIX}-S"]
    assert [pool.name for pool in mix_pools(case, by_input=False)] == [f"{MIX}-S"]
    both = make_policy_case(make_policy_profile(TP8, classes=(), mixes=MIXES), {"SS": [2.0], "LL": [2.0]})
    assert [pool.name for pool in mix_pools(both, by_input=True)] == [f"{MIX}-S", f"{MIX}-L"]
    assert [pool.name for pool in mix_pools(both, by_input=False)] == [MIX]


def test_the_spread_pool_is_that_of_single_pool() -> None:
    """Tests that the policy and `dynaopt.single_pool`, written apart, come to the same power in every window."""
    rng = np.random.default_rng(2)
    share = {"SS": 0.5, "LL": 0.5}
    total = rng.uniform(1, 40, 20)
    profile = make_policy_profile((8, 1980, [(0.0, 800.0), (2.5, 1400.0), (5.0, 1800.0)]), host_w=100.0)
    case = make_policy_case(profile, {c: (s * total).tolist() for c, s in share.items()}, headroom=0.1)
    usual = single_pool(case.demand, profile, num_gpus=64, headroom=0.1)
    schedule = get_policy("spread-single-pool").plan(case)
    assert power_w(schedule) == pytest.approx(usual.power_w.tolist(), abs=1e-2)
    assert schedule.windows["num_gpus"].iloc[0] == usual.num_gpus


def test_classes_keep_their_order() -> None:
    """Tests that pools come in the order of the classes, whatever the order of the rows."""
    profile = make_policy_profile(TP8, classes=REQUEST_CLASSES)
    case = make_policy_case(profile, {c: [1.0] for c in reversed(REQUEST_CLASSES)})
    assert [pool.name for pool in class_pools(case)] == list(REQUEST_CLASSES)
