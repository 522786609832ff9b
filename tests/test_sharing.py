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
