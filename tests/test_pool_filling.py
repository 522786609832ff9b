"""Tests ways to hand a load to instances that are given."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaopt import pool_filling
from dynaopt.pool import PoolOption
from dynaopt.pool_filling import equally_full, one_after_the_other, scaled, with_power


def option(tp: int, *points: tuple[float, float]) -> PoolOption:
    """Make an option through (requests/s, watts)."""
    rates, powers = np.array(points, dtype=float).T
    return PoolOption(tp=tp, frequency_mhz=1000, rate_rps=rates, power_w=powers)


SMALL = option(2, (0, 50), (1, 100))
LARGE = option(8, (0, 100), (1, 200), (4, 320))


def test_full_ones_one_part_filled_the_rest_idle() -> None:
    """Tests 4.5 requests/s on two TP8 and two TP2: a full TP8 (320 W), half a TP2 (75), an idle TP8 and TP2 (150)."""
    power_w, filling = with_power(one_after_the_other([(LARGE, 2), (SMALL, 2)], 4.5))
    assert power_w == pytest.approx(320 + 75 + 100 + 50)
    assert sorted((k.tp, n, rate) for k, n, rate in filling) == [(2, 1, 0.0), (2, 1, 0.5), (8, 1, 0.0), (8, 1, 4.0)]


def test_equal_shares() -> None:
    """Tests 5 requests/s on a TP8 and a TP2, both full; half of it on both half-full."""
    assert [rate for _, _, rate in equally_full([(LARGE, 1), (SMALL, 1)], 5.0)] == [4.0, 1.0]
    assert [rate for _, _, rate in equally_full([(LARGE, 1), (SMALL, 1)], 2.5)] == [2.0, 0.5]


def test_scaling_keeps_proportions_or_fails() -> None:
    """Tests 2 and 0.5 requests/s at one and a half times as much, at more than a TP2 carries, and from no load."""
    filling = [(LARGE, 1, 2.0), (SMALL, 1, 0.5)]
    assert scaled(filling, 3.75) == [(LARGE, 1, 3.0), (SMALL, 1, 0.75)]
    assert scaled(filling, 5.1) is None
    assert scaled([(SMALL, 2, 0.0)], 0.1) is None
    assert scaled([(SMALL, 2, 0.0)], 0.0) == [(SMALL, 2, 0.0)]


def brute_force(instances: list[tuple[PoolOption, int]], load: float) -> float:
    """Return the least power with all instances but one full or idle."""
    flat = [k for k, n in instances for _ in range(n)]
    best = np.inf
    for part, last in enumerate(flat):
        others = flat[:part] + flat[part + 1 :]
        for full in product((0, 1), repeat=len(others)):
            rest = load - sum(k.capacity_rps for k, f in zip(others, full, strict=True) if f)
            if -1e-9 <= rest <= last.capacity_rps + 1e-9:
                power = sum(k.power_w[-1] if f else k.power_w[0] for k, f in zip(others, full, strict=True))
                best = min(best, power + np.interp(rest, last.rate_rps, last.power_w))
    return float(best)


@given(st.integers(1, 3), st.integers(1, 3), st.floats(0, 1))
def test_the_cheapest_of_all_ways(num_large: int, num_small: int, share: float) -> None:
    """Tests against every choice of full, part-filled and idle instances; loads add up."""
    instances = [(LARGE, num_large), (SMALL, num_small)]
    load = share * (4 * num_large + num_small)
    power_w, filling = with_power(one_after_the_other(instances, load))
    assert power_w == pytest.approx(brute_force(instances, load))
    assert sum(n * rate for _, n, rate in filling) == pytest.approx(load)
    assert sum(n for _, n, _ in filling) == num_large + num_small


def test_many_instances_are_filled_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that with too many ways the TP2 (50 W a request) are filled before the TP8 (55 W)."""
    monkeypatch.setattr(pool_filling, "MAX_SUMS", 1)
    filling = one_after_the_other([(LARGE, 2), (SMALL, 2)], 2.5)
    assert sorted((k.tp, n, rate) for k, n, rate in filling) == [(2, 2, 1.0), (8, 1, 0.0), (8, 1, 0.5)]
    full = one_after_the_other([(LARGE, 2), (SMALL, 2)], 10.0)
    assert sum(n * rate for _, n, rate in full) == pytest.approx(10.0)
