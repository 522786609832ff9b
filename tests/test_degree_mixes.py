"""Tests the search for mixes of tensor-parallel degrees against trying everything, and its answers by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_builders import SLOW_TP8, TP2, TP8, Curve, make_policy_case, make_policy_profile

from dynaopt.policies.degree_mixes import Degrees, degrees_of
from dynaopt.policies.served import class_pools
from dynaopt.problem import Cluster

TP4: Curve = (4, 1980, [(0.0, 300.0), (1.0, 700.0), (4.0, 1000.0)])


def degrees(*curves: Curve, clock: int | None = None, **cluster: object) -> Degrees:
    """Lay out these curves."""
    case = make_policy_case(make_policy_profile(*curves, classes=("SS",)), {"SS": [1.0]})
    return degrees_of(class_pools(case)[0], Cluster.of(**cluster), clock)


def test_a_mix_by_hand() -> None:
    """Tests 12 requests/s on 16 GPUs: a full TP8 (1800 W) and a full TP2 (420 W) take 2220 W, six TP2 2520 W."""
    found = degrees(TP2, TP8)
    counts = found.cheapest(12.0, 1.0, 16, exact=False)
    assert counts is not None
    assert list(counts) == [1, 1]
    power_w, parts = found.settle(counts, 12.0, 1.0, lower_clocks=False)
    assert power_w == pytest.approx(2220)
    assert sorted(parts) == [(0, 1, 2.0), (1, 1, 10.0)]


def test_all_gpus_hold_instances_where_they_must() -> None:
    """Tests 16 GPUs: at 4 requests/s eight TP2 take 960 + 600 W, at 12 a TP8 and four TP2 800 + 480 + 1000 + 300 W."""
    found = degrees(TP2, TP8)
    for load, expected, power in ((4.0, [8, 0], 1560), (12.0, [4, 1], 2580)):
        counts = found.cheapest(load, 1.0, 16, exact=True)
        assert counts is not None
        assert list(counts) == expected
        assert found.settle(counts, load, 1.0, lower_clocks=False)[0] == pytest.approx(power)


def test_clocks_are_lowered_as_far_as_the_peak_allows() -> None:
    """Tests a TP8 at 4 requests/s: slow it takes 600 + 320 W, and only where the busiest minute has at most 5."""
    found = degrees(SLOW_TP8, TP8)
    one = np.array([1])
    assert found.settle(one, 4.0, 1.25, lower_clocks=True)[0] == pytest.approx(920)
    assert found.settle(one, 4.0, 1.3, lower_clocks=True)[0] == pytest.approx(1200)
    assert found.settle(one, 4.0, 1.25, lower_clocks=False)[0] == pytest.approx(1200)


def test_one_clock_may_be_given() -> None:
    """Tests that only the configurations of that clock are laid out."""
    assert degrees(SLOW_TP8, TP8, TP2, clock=1000).laid.slo_rps.tolist() == [5.0]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("reserve", [0.0, 0.3, "n+1"])
@given(load=st.floats(0.0, 30.0), stretch=st.floats(1.0, 1.5), num_gpus=st.integers(0, 13).map(lambda n: 2 * n))
@settings(max_examples=25, deadline=None)
def test_it_finds_what_trying_everything_finds(
    exact: bool, reserve: float | str, load: float, stretch: float, num_gpus: int
) -> None:
    """Tests the search against all numbers of three degrees, of which one has a concave curve."""
    found = degrees(TP2, TP4, TP8, reserve=reserve)
    ways = [
        np.array(counts)
        for counts in product(*(range(num_gpus // tp + 1) for tp in found.tp))
        if (np.dot(counts, found.tp) == num_gpus if exact else np.dot(counts, found.tp) <= num_gpus)
    ]
    powers = [
        found.settle(counts, load, stretch, lower_clocks=False)[0]
        for counts in ways
        if found.can_serve(counts, load, stretch)
    ]
    counts = found.cheapest(load, stretch, num_gpus, exact=exact)
    assert (counts is None) == (not powers)
    if counts is not None:
        assert found.can_serve(counts, load, stretch)
        power_w, parts = found.settle(counts, load, stretch, lower_clocks=False)
        assert power_w == pytest.approx(min(powers))
        assert sum(n * rate for _, n, rate in parts) == pytest.approx(load)
        assert sum(n for _, n, _ in parts) == counts.sum()


def test_what_serves_a_request_for_least_is_filled_first() -> None:
    """Tests 5 requests/s on a TP2 (150 J a request) and a TP8 (100 J): all on the TP8, 120 + 1300 W.

    The TP2 filled first would take 420 + 1100 W, an even share 245 + 1216.7 W.
    """
    found = degrees(TP2, TP8)
    power_w, parts = found.settle(np.array([1, 1]), 5.0, 1.0, lower_clocks=False)
    assert power_w == pytest.approx(1420)
    assert sorted(parts) == [(0, 1, 0.0), (1, 1, 5.0)]


def test_hosts_are_part_of_the_power() -> None:
    """Tests 80 W for a server of 8 GPUs: a full TP8 and a full TP2 take 2220 + 10 · 10 W."""
    case = make_policy_case(make_policy_profile(TP2, TP8, classes=("SS",), host_w=80.0), {"SS": [1.0]})
    found = degrees_of(class_pools(case)[0], Cluster())
    assert found.settle(np.array([1, 1]), 12.0, 1.0, lower_clocks=False)[0] == pytest.approx(2320)
