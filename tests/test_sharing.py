"""Tests how equal instances share a load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_builders import make_policy_case, make_policy_profile

from dynaopt.policies.served import ServedPool, class_pools
from dynaopt.policies.sharing import needed, share
from dynaopt.problem import Cluster

CONCAVE = [(0.0, 100.0), (5.0, 400.0), (10.0, 600.0)]
CONVEX = [(0.0, 100.0), (5.0, 200.0), (10.0, 600.0)]


def pool_at(load_rps: float, points: list[tuple[float, float]]) -> ServedPool:
    """Return a pool of SS with one configuration."""
    case = make_policy_case(make_policy_profile((8, 1980, points), classes=("SS",)), {"SS": [load_rps]})
    return class_pools(case)[0]


@pytest.mark.parametrize(
    ("points", "spread", "expected"),
    [(CONCAVE, False, 600 + 100), (CONCAVE, True, 2 * 400), (CONVEX, False, 2 * 200), (CONVEX, True, 2 * 200)],
)
def test_the_cheaper_way_is_taken(points: list[tuple[float, float]], spread: bool, expected: float) -> None:
    """Tests 10 requests/s on two instances: one full and one idle where curves are concave, else both half full."""
    pool = pool_at(10.0, points)
    shared = share(pool, pool.configurations[0], np.array([2]), spread=spread)
    assert shared.power_w == pytest.approx(expected)
    assert float((shared.count * shared.rate_rps).sum()) == pytest.approx(10.0)


@given(load_rps=st.floats(0.001, 99.0), more=st.integers(0, 5), is_concave=st.booleans())
@settings(max_examples=60, deadline=None)
def test_all_of_the_load_is_carried(load_rps: float, more: int, is_concave: bool) -> None:
    """Tests that loads add up, none is beyond capacity, and no way of the two takes less than what is reported."""
    pool = pool_at(load_rps, CONCAVE if is_concave else CONVEX)
    (configuration,) = pool.configurations
    number = needed(pool, configuration, Cluster()) + more
    shared = share(pool, configuration, number)
    assert float((shared.count * shared.rate_rps).sum()) == pytest.approx(load_rps)
    assert shared.rate_rps[shared.count > 0].max() <= 10.0 * (1 + 1e-9)
    assert shared.number == number
    assert float(shared.power_w[0]) <= float(number[0] * configuration.power_w(load_rps / number)[0]) + 1e-9


def test_rounding_needs_no_further_instance() -> None:
    """Tests that three tenths of a capacity of 0.1 need three instances, although 0.3 / 0.1 is above 3 in floats."""
    points = [(0.0, 100.0), (0.1, 200.0)]
    pool = pool_at(0.1 + 0.2, points)
    assert needed(pool, pool.configurations[0], Cluster()) == 3


@pytest.mark.parametrize(("reserve", "expected"), [(0.0, [4, 0]), (0.25, [6, 0]), ("n+1", [5, 0])])
def test_a_reserve_takes_more_instances_where_anything_comes(reserve: float | str, expected: list[int]) -> None:
    """Tests 40 requests/s on instances of 10, then none: 40 / 10 = 4; 4 / 0.75 = 5.33, so 6; 4 + 1; without load 0."""
    profile = make_policy_profile((8, 1980, CONCAVE), classes=("SS",))
    pool = class_pools(make_policy_case(profile, {"SS": [40.0, 0.0]}))[0]
    assert needed(pool, pool.configurations[0], Cluster(reserve=reserve)).tolist() == expected


def test_the_busiest_minute_limits_what_an_instance_carries() -> None:
    """Tests a peak of 1.25: of 10 requests/s the full instance carries 10 / 1.25 = 8, not 10.

    At 8 requests/s it draws 400 + 3 · 40 = 520 W, the other at 2 draws 100 + 2 · 60 = 220 W; shared evenly 2 · 400 W.
    For 17 requests/s, 17 · 1.25 / 10 = 2.125, so 3 instances.
    """
    profile = make_policy_profile((8, 1980, CONCAVE), classes=("SS",))
    pool = class_pools(make_policy_case(profile, {"SS": [10.0, 17.0]}, peak_factor=1.25))[0]
    assert needed(pool, pool.configurations[0], Cluster()).tolist() == [2, 3]
    shared = share(pool, pool.configurations[0], np.array([2, 3]))
    assert shared.count[:, 0].tolist() == [1, 1, 0]
    assert shared.rate_rps[:2, 0] == pytest.approx([8.0, 2.0])
    assert shared.power_w[0] == pytest.approx(520 + 220)


def test_every_instance_has_its_share_of_a_host() -> None:
    """Tests 80 W for a server of 8 GPUs: the 700 W of two TP8, of which one idles, become 700 + 2 · 80 W."""
    profile = make_policy_profile((8, 1980, CONCAVE), classes=("SS",), host_w=80.0)
    pool = class_pools(make_policy_case(profile, {"SS": [10.0]}))[0]
    assert share(pool, pool.configurations[0], np.array([2])).power_w == pytest.approx(860)
