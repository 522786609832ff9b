"""Tests of `dynaopt.perturbation`."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_profile

from dynaopt.errors import InvalidInputError
from dynaopt.perturbation import Perturbation, perturbations, perturbed
from dynaopt.profile import LoadCurve, Mix, Profile

POINTS = [(0.0, 100.0), (2.0, 300.0), (4.0, 400.0)]


def _curve(tp: int = 4, frequency_mhz: int = 1000, request_class: str = "SS") -> LoadCurve:
    return make_curve(
        tp, frequency_mhz, request_class, POINTS, ttft_p99_s=[0.1, 0.2, 0.4], tbt_p99_s=[0.02, 0.04, 0.05]
    )


def _profile(*curves: LoadCurve) -> Profile:
    return make_profile(curves or (_curve(),))


def _only(profile: Profile, **change: float) -> LoadCurve:
    (curve,) = perturbed(profile, Perturbation(name="x", **change)).curves.values()
    return curve


def test_no_difference() -> None:
    """Tests that factors of 1 leave every number as it is."""
    before, after = _curve(), _only(_profile())
    for name in ("rate_rps", "power_w", "ttft_p50_s", "ttft_p99_s", "tbt_p50_s", "tbt_p99_s"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-15), name


def test_power_by_hand() -> None:
    """Tests 100, 300, 400 W: idle up by a tenth moves all by 10 W; beyond idle up by a tenth adds 0, 20 and 30 W."""
    assert _only(_profile(), idle=1.1).power_w == pytest.approx([110, 310, 410])
    assert _only(_profile(), slope=1.1).power_w == pytest.approx([100, 320, 430])
    assert _only(_profile(), idle=1.1, slope=1.1).power_w == pytest.approx([110, 330, 440])


def test_the_clock_decides_how_much() -> None:
    """Tests 10 % more beyond idle at the lowest of three clocks, 5 % half way, nothing at the highest."""
    profile = _profile(*(_curve(frequency_mhz=mhz) for mhz in (1000, 1500, 2000)))
    curves = perturbed(profile, Perturbation(name="x", slope_at_lowest_clock=1.1)).curves
    assert curves[4, 1000, "SS"].power_w == pytest.approx([100, 320, 430])
    assert curves[4, 1500, "SS"].power_w == pytest.approx([100, 310, 415])
    assert curves[4, 2000, "SS"].power_w == pytest.approx([100, 300, 400])


def test_one_clock_is_the_highest() -> None:
    """Tests that a profile with one clock has no low one to be off."""
    assert _only(_profile(), slope_at_lowest_clock=2.0).power_w == pytest.approx([100, 300, 400])


def test_latencies_by_hand() -> None:
    """Tests that latencies grow at the same loads, all four of them, and power does not."""
    curve = _only(_profile(), latency=1.5)
    assert curve.rate_rps == pytest.approx([0, 2, 4])
    assert curve.ttft_p99_s == pytest.approx([0.15, 0.3, 0.6])
    assert curve.ttft_p50_s == pytest.approx([0.075, 0.15, 0.3])
    assert curve.tbt_p99_s == pytest.approx([0.03, 0.06, 0.075])
    assert curve.tbt_p50_s == pytest.approx([0.015, 0.03, 0.0375])
    assert curve.power_w == pytest.approx([100, 300, 400])


def test_time_that_runs_slower() -> None:
    """Tests iterations that take twice as long: twice the latencies, at half the loads, at the same powers."""
    curve = _only(_profile(), duration=2.0)
    assert curve.rate_rps == pytest.approx([0, 1, 2])
    assert curve.ttft_p99_s == pytest.approx([0.2, 0.4, 0.8])
    assert curve.power_w == pytest.approx([100, 300, 400])


def test_a_degree_alone() -> None:
    """Tests that other degrees stay, as the very same curves."""
    profile = _profile(_curve(tp=2), _curve(tp=8))
    after = perturbed(profile, Perturbation(name="x", idle=2.0, tp=8))
    assert after.curves[2, 1000, "SS"] is profile.curves[2, 1000, "SS"]
    assert after.curves[8, 1000, "SS"].power_w[0] == 200


def test_an_input_length_alone() -> None:
    """Tests that LS differs and SL does not; of the mixes that one whose classes are all long."""
    names = ("LS", "SL", "ALL-chat", "ALL-chat-L")
    profile = _profile(*(_curve(request_class=name) for name in names))
    mixes = (Mix(name="ALL-chat", shares={"SS": 0.5, "LS": 0.5}), Mix(name="ALL-chat-L", shares={"LS": 0.5, "LL": 0.5}))
    profile = replace(profile, metadata=profile.metadata.model_copy(update={"mixes": mixes}))
    after = perturbed(profile, Perturbation(name="x", idle=2.0, input_letter="L"))
    assert {c for _, _, c in after.curves if after.curves[4, 1000, c].power_w[0] == 200} == {"LS", "ALL-chat-L"}


def test_classes_in_a_mix_are_slower_too() -> None:
    """Tests the latencies that each class sees inside a mix."""
    latencies = {"SS": (np.array([0.1, 0.1, 0.2]), np.array([0.01, 0.01, 0.02]))}
    curve = replace(_curve(request_class="ALL-chat"), class_latencies=latencies)
    after = _only(_profile(curve), latency=3.0)
    ttft_s, tbt_s = after.class_latencies["SS"]
    assert ttft_s == pytest.approx([0.3, 0.3, 0.6])
    assert tbt_s == pytest.approx([0.03, 0.03, 0.06])


def test_the_set_is_telling() -> None:
    """Tests that every change has its own name and its opposite, and that each factor and degree is in it."""
    profile = _profile(_curve(tp=2), _curve(tp=8), _curve(tp=8, request_class="LL"))
    found = perturbations(profile, 0.1)
    assert len({c.name for c in found}) == len(found) == 2 * (4 + 2 + 2 + 2)
    for factor in ("idle", "slope", "slope_at_lowest_clock", "latency", "duration"):
        assert {getattr(c, factor) for c in found} == {0.9, 1.0, 1.1}
    assert {c.tp for c in found} == {None, 2, 8}
    assert {c.name for c in found if c.is_slower} == {
        "latencies +10%",
        "iterations +10%",
        "iterations of TP2 +10%",
        "iterations of TP8 +10%",
    }


@pytest.mark.parametrize("size", [0.0, -0.1, 1.0, float("nan")])
def test_a_size_that_makes_no_sense(size: float) -> None:
    """Tests that 0, a negative share, one of 100 % and what is no number are refused."""
    with pytest.raises(InvalidInputError, match="option perturb: expected a share above 0 and below 1"):
        perturbations(_profile(), size)
