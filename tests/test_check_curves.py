"""Tests how the independent check reads curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.check_curves import read_curves, worst_up_to
from dynaopt.slo import Slo

RATES = np.array([0.0, 2.0, 4.0, 8.0])
HUMP = np.array([1.0, 5.0, 2.0, 6.0])


def rows(*loads: float, frequency_mhz: int = 1000) -> pd.DataFrame:
    """Return one TP2 instance of pool SS at each load."""
    names = {"model": "tiny-model", "pool": "SS", "tp": 2, "frequency_mhz": frequency_mhz}
    return pd.DataFrame({"rate_per_instance_rps": loads}).assign(**names)


@pytest.mark.parametrize(
    ("load", "worst"), [(0, 1.0), (1, 3.0), (2, 5.0), (3, 5.0), (4, 5.0), (7, 5.0), (7.5, 5.5), (8, 6.0), (9, 6.0)]
)
def test_the_worst_latency_is_that_of_any_load_up_to_it(load: float, worst: float) -> None:
    """Tests a curve that rises to 5, falls to 2 and rises by 1 per request/s to 6: it passes 5 again at 7."""
    assert worst_up_to(RATES, HUMP, np.array([load]))[0] == worst


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.floats(0, 10), min_size=4, max_size=4),
    load=st.floats(0, 8),
)
def test_the_worst_latency_bounds_a_fine_scan(values: list[float], load: float) -> None:
    """Tests against the maximum over a thousand loads and all rows of the curve that lie before."""
    curve = np.array(values)
    scan = np.interp(np.append(np.linspace(0, load, 1000), RATES[load >= RATES]), RATES, curve)
    assert worst_up_to(RATES, curve, np.array([load]))[0] == pytest.approx(scan.max())


def test_power_and_latencies_are_interpolated() -> None:
    """Tests a load of 4 with a stretch of 1.25: power at 4 (360 W), latencies at 5 (0.25 s and 0.15 s)."""
    curve = make_curve(2, 1000, "SS", [(0, 200), (10, 600)], ttft_p99_s=(0.05, 0.45), tbt_p99_s=(0.1, 0.2))
    read = read_curves(rows(4.0), {"tiny-model": make_profile([curve])}, Slo.table_iv(), np.array([1.25]))
    assert read.known.tolist() == [True]
    assert (read.power_w[0], read.peak_rate_rps[0], read.last_rate_rps[0]) == (360.0, 5.0, 10.0)
    assert (read.ttft_p99_s[0], read.tbt_p99_s[0]) == pytest.approx((0.25, 0.15))
    assert (read.ttft_bound_s[0], read.tbt_bound_s[0]) == (0.25, 0.1)


def test_capacity_is_where_the_first_bound_is_met() -> None:
    """Tests that TTFT (0.25 s at 5) binds before TBT (0.1 s at 8), and that the stretch of 2 halves what is left."""
    curve = make_curve(2, 1000, "SS", [(0, 200), (10, 600)], ttft_p99_s=(0.05, 0.45), tbt_p99_s=(0.02, 0.12))
    profile = {"tiny-model": make_profile([curve])}
    read = read_curves(rows(1.0, 1.0), profile, Slo.table_iv(), np.array([1.0, 2.0]))
    assert read.capacity_rps == pytest.approx([5.0, 2.5])


@pytest.mark.parametrize(("latency_s", "capacity"), [((0.01, 0.02), 10.0), ((0.3, 0.4), 0.0)])
def test_capacity_is_the_whole_curve_or_nothing(latency_s: tuple[float, float], capacity: float) -> None:
    """Tests a curve that keeps its bound to the end, and one that never does."""
    curve = make_curve(2, 1000, "SS", [(0, 200), (10, 600)], ttft_p99_s=latency_s)
    read = read_curves(rows(1.0), {"tiny-model": make_profile([curve])}, Slo.table_iv(), np.ones(1))
    assert read.capacity_rps[0] == pytest.approx(capacity, abs=1e-12)


def test_what_the_profile_does_not_have_is_unknown() -> None:
    """Tests that nothing is read for an unknown configuration."""
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 200), (10, 600)])])
    read = read_curves(rows(1.0, frequency_mhz=999), {"tiny-model": profile}, Slo.table_iv(), np.ones(1))
    assert not read.known.any()
    assert np.isnan(read.power_w).all()


def test_of_a_mix_the_class_nearest_to_its_bound_counts() -> None:
    """Tests SS at 0.2 s of 0.25 s and LL at 1 s of 2 s: the shorter latency is the nearer to its bound."""
    curve = make_curve(2, 1000, "ALL-chat", [(0, 200), (10, 600)])
    quick = np.array([0.01, 0.01])
    latencies = {"LL": (np.array([1.0, 1.0]), quick), "SS": (np.array([0.2, 0.2]), quick)}
    profile = {"tiny-model": make_profile([replace(curve, class_latencies=latencies)])}
    read = read_curves(rows(1.0).assign(pool="ALL-chat"), profile, Slo.table_iv(), np.ones(1))
    assert (read.ttft_p99_s[0], read.ttft_bound_s[0]) == (0.2, 0.25)


def test_the_time_between_tokens_binds_too() -> None:
    """Tests a TBT of 0.02 s that rises by 0.01 s for each request/s: 0.1 s at 8; the TTFT keeps its bound to 10."""
    curve = make_curve(2, 1000, "SS", [(0, 200), (10, 600)], tbt_p99_s=(0.02, 0.12))
    read = read_curves(rows(1.0), {"tiny-model": make_profile([curve])}, Slo.table_iv(), np.ones(1))
    assert read.capacity_rps[0] == pytest.approx(8.0)


def test_a_mix_without_latencies_of_its_classes_is_unknown() -> None:
    """Tests that the P99 over all requests, which says nothing of a class, does not stand in for them."""
    profile = {"tiny-model": make_profile([make_curve(2, 1000, "ALL-chat", [(0, 200), (10, 600)])])}
    read = read_curves(rows(1.0).assign(pool="ALL-chat"), profile, Slo.table_iv(), np.ones(1))
    assert read.known.tolist() == [False]
