"""Tests of `dynaopt.profile`."""

import numpy as np
import pytest
from builders import make_curve, make_profile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dynaopt.errors import UnknownNameError
from dynaopt.profile import LoadCurve, Mix, Power, slo_rates_rps
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

POINTS = [(0, 100), (2, 300), (4, 400)]


def test_power_is_linear_between_loads() -> None:
    """Tests that half-way between 100 W at 0 and 300 W at 2 requests/s lie 200 W."""
    curve = make_curve(2, 1000, "SS", POINTS)
    assert curve.power_at_w(1.0) == 200
    assert curve.power_at_w(4.0) == 400


@pytest.mark.parametrize("rate_rps", [-0.1, 4.1])
def test_power_beyond_the_curve_is_refused(rate_rps: float) -> None:
    """Tests that nothing is extrapolated."""
    with pytest.raises(ValueError, match=r"must lie in \[0, 4\] requests/s"):
        make_curve(2, 1000, "SS", POINTS).power_at_w(rate_rps)


def test_slo_rate_is_where_the_curve_crosses_the_bound() -> None:
    """Tests that TTFT 0.05, 0.15, 0.35 s crosses the 0.25 s of SS half-way between 2 and 4 requests/s."""
    curve = make_curve(2, 1000, "SS", POINTS, ttft_p99_s=[0.05, 0.15, 0.35])
    assert curve.slo_rate_rps(Slo.table_iv()) == pytest.approx(3.0)


def test_the_tighter_of_both_latencies_counts() -> None:
    """Tests that a TBT of 0.05, 0.15, 0.35 s crosses 0.1 s at 1 request/s although the TTFT never does."""
    curve = make_curve(2, 1000, "SS", POINTS, tbt_p99_s=[0.05, 0.15, 0.35])
    assert curve.slo_rate_rps(Slo.table_iv()) == pytest.approx(1.0)


def test_first_crossing_counts() -> None:
    """Tests that a latency that falls back below its bound does not make the loads beyond usable."""
    curve = make_curve(2, 1000, "SS", [(0, 1), (1, 2), (2, 3), (3, 4)], ttft_p99_s=[0.05, 0.45, 0.05, 0.05])
    assert curve.slo_rate_rps(Slo.table_iv()) == pytest.approx(0.5)


def test_a_curve_within_its_bounds_is_usable_to_its_end_and_no_further() -> None:
    """Tests that the last profiled load is the limit when every latency is low."""
    assert make_curve(2, 1000, "SS", POINTS).slo_rate_rps(Slo.table_iv()) == 4


def test_a_curve_that_never_keeps_its_bounds_has_no_rate() -> None:
    """Tests that an instance too slow even without load is out, and a looser SLO brings it back."""
    curve = make_curve(2, 1000, "SS", POINTS, ttft_p99_s=[0.3, 0.4, 0.5])
    assert curve.slo_rate_rps(Slo.table_iv()) is None
    assert curve.slo_rate_rps(Slo.table_iv().scaled(2)) == 4


def test_a_curve_that_only_just_keeps_its_bounds_without_load_has_no_rate() -> None:
    """Tests that a usable load of zero is no usable load."""
    curve = make_curve(2, 1000, "SS", POINTS, ttft_p99_s=[0.25, 0.4, 0.5])
    assert curve.slo_rate_rps(Slo.table_iv()) is None


def test_a_mix_keeps_its_slo_when_each_class_does() -> None:
    """Tests that SS crosses its 0.25 s at 2 and LL its 2 s at 3 requests/s, so that the mix may go to 2."""
    whole = make_curve(8, 1980, "ALL-x", POINTS, ttft_p99_s=[9, 9, 9])
    fine = np.full(3, 0.01)
    latencies = {"SS": (np.array([0.05, 0.25, 0.45]), fine), "LL": (np.array([0.5, 1.0, 3.0]), fine)}
    parts = {name: getattr(whole, name) for name in LoadCurve.__slots__ if name != "class_latencies"}
    mix = LoadCurve(**parts, class_latencies=latencies)
    assert mix.slo_rate_rps(Slo.table_iv()) == pytest.approx(2.0)


@given(
    st.lists(st.floats(0.001, 1.0), min_size=3, max_size=3),
    st.floats(0.5, 2.0),
    st.floats(1.0, 2.0),
)
def test_a_looser_slo_never_lowers_the_rate(ttft_s: list[float], scale: float, more: float) -> None:
    """Tests that the usable load grows with the scale of the SLO."""
    curve = make_curve(2, 1000, "SS", POINTS, ttft_p99_s=ttft_s)
    tight = curve.slo_rate_rps(Slo.table_iv().scaled(scale)) or 0.0
    assert (curve.slo_rate_rps(Slo.table_iv().scaled(scale * more)) or 0.0) >= tight - 1e-12


def test_power_bends_where_its_slope_changes() -> None:
    """Tests slopes of 10, 10, 5, 5 and 5 + 1e-6 W per request/s: the first bend at 2, the last at 4, a small one."""
    curve = make_curve(4, 2000, "SS", [(0, 100), (1, 110), (2, 120), (3, 125), (4, 130), (6, 140 + 2e-6)])
    assert curve.power_bends().tolist() == [0, 2, 4, 5]


def test_straight_power_bends_nowhere() -> None:
    """Tests a line, and the two levels of the shortest curve."""
    assert make_curve(4, 2000, "SS", [(0, 0.1), (1, 0.4), (2, 0.7), (3, 1.0)]).power_bends().tolist() == [0, 3]
    assert make_curve(4, 2000, "SS", [(0, 100), (1, 110)]).power_bends().tolist() == [0, 1]


def test_profile_knows_its_grid() -> None:
    """Tests what a profile says of itself, and the order of a class's curves."""
    profile = make_profile([make_curve(tp, f, "SS", POINTS) for f in (1400, 800) for tp in (8, 2)])
    assert profile.tps == (2, 8)
    assert profile.frequencies_mhz == (800, 1400)
    assert [(c.tp, c.frequency_mhz) for c in profile.of_class("SS")] == [(2, 800), (2, 1400), (8, 800), (8, 1400)]
    assert list(profile.of_class("LL")) == []
    assert "tiny: TP (2, 8)" in repr(profile)


def test_an_unknown_configuration_is_named() -> None:
    """Tests that asking for a curve that is not there tells which ones are."""
    with pytest.raises(UnknownNameError, match=r"TP \(2,\), clocks \(1000,\) MHz, got TP4 at 1000 MHz for SS"):
        make_profile([make_curve(2, 1000, "SS", POINTS)]).curve(4, 1000, "SS")


def test_slo_rates_leave_out_what_cannot_serve() -> None:
    """Tests that only curves that keep the SLO appear among the usable ones."""
    slow = make_curve(2, 800, "SS", POINTS, ttft_p99_s=[9, 9, 9])
    rates = slo_rates_rps(make_profile([slow, make_curve(2, 1400, "SS", POINTS)]), Slo.table_iv())
    assert rates == {(2, 1400, "SS"): 4.0}


@pytest.mark.parametrize(
    ("rates", "distance"),
    [({"SS": 3.0, "LL": 1.0}, 0.25), ({"SS": 1.0, "LL": 1.0}, 0.0), ({"SS": 1.0, "MM": 1.0}, 0.5), ({}, 0.0)],
)
def test_distance_from_a_mix(rates: dict[str, float], distance: float) -> None:
    """Tests halves of SS and LL, given by shares that do not add up to 1, as rounded ones do not."""
    came = np.array([rates.get(c, 0.0) for c in REQUEST_CLASSES])
    assert Mix(name="ALL-a", shares={"SS": 1.0, "LL": 1.0}).distance(came) == pytest.approx(distance)


def test_metadata_is_strict() -> None:
    """Tests that a misspelt power is refused instead of ignored."""
    with pytest.raises(ValidationError, match="gpu_idle_w"):
        Power(gpu_on_w=1, start_up_gpu_w=1, gpu_idle_w=3)  # type: ignore[call-arg]
