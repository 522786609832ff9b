"""Tests of `dynaopt.slo_margin`."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_profile
from planning import START

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.horizon import plan
from dynaopt.perturbation import Perturbation, perturbed
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule
from dynaopt.slo_margin import LARGEST_MARGIN, margin_quantile, slo_margins
from dynaopt.violations import ViolationKind

SLO_KINDS = {ViolationKind.TTFT, ViolationKind.TBT, ViolationKind.BEYOND_CURVE}


def _profile(**latencies: list[float]) -> Profile:
    """Make one configuration for LL, with a TTFT of 0.5, 1 and 3 s at 0, 2 and 4 requests/s; the bound is 2 s."""
    chosen = {"ttft_p99_s": [0.5, 1.0, 3.0], "tbt_p99_s": [0.02, 0.02, 0.02]} | latencies
    return make_profile([make_curve(4, 1000, "LL", [(0.0, 100.0), (2.0, 300.0), (4.0, 400.0)], **chosen)])


def _demand(rate_rps: float, peak_factor: float = 1.0, num_windows: int = 1) -> Demand:
    starts = pd.date_range(START, periods=num_windows, freq="300s", unit="us")
    columns = {"model": "", "request_class": "LL", "rate_rps": rate_rps, "input_tokens": 3000.0}
    frame = pd.DataFrame({"window_start": starts, **columns, "output_tokens": 400.0, "peak_factor": peak_factor})
    return Demand("one class", 300.0, frame)


def _plan(profile: Profile, rate_rps: float, peak_factor: float = 1.0, **options: Any) -> Schedule:
    return plan(_demand(rate_rps, peak_factor), profile, **{"num_gpus": 8, "headroom": 0.0, "workers": 1, **options})


def _margins(profile: Profile, schedule: Schedule, **options: float) -> tuple[float, float]:
    (row,) = slo_margins(schedule, [profile], **options).itertuples()
    return row.latency_margin, row.duration_margin


def test_margins_by_hand() -> None:
    """Tests an instance at 2 requests/s, with a TTFT of 1 s where 2 s are allowed.

    Latencies may double. Iterations that take s times as long make it 2s requests/s of the profile, with a TTFT of
    s·(1 + 2s - 2): that is 2 s at s = (1 + sqrt(17)) / 4.
    """
    profile = _profile()
    latency, duration = _margins(profile, _plan(profile, 2.0))
    assert latency == pytest.approx(1.0)
    assert duration == pytest.approx((1 + math.sqrt(17)) / 4 - 1)


def test_the_busiest_minute_counts() -> None:
    """Tests a peak factor of 1.25: 2.5 requests/s with a TTFT of 1.5 s, a third below its bound."""
    profile = _profile()
    assert _margins(profile, _plan(profile, 2.0, 1.25))[0] == pytest.approx(2 / 1.5 - 1)


def test_headroom_is_margin_unless_it_is_to_be_left() -> None:
    """Tests the same with 25 % to be left over and above a peak factor of 1."""
    profile = _profile()
    schedule = _plan(profile, 2.0, headroom=0.25)
    assert _margins(profile, schedule)[0] == pytest.approx(1.0)
    assert _margins(profile, schedule, headroom=0.25)[0] == pytest.approx(2 / 1.5 - 1)


def test_the_gap_between_tokens_may_decide() -> None:
    """Tests a TBT of 80 ms of 100 ms at all loads: 25 % longer, by latency and by duration alike."""
    profile = _profile(tbt_p99_s=[0.08, 0.08, 0.08], ttft_p99_s=[0.1, 0.1, 0.1])
    assert _margins(profile, _plan(profile, 2.0)) == pytest.approx((0.25, 0.25))


def test_a_worse_latency_at_a_lower_load_counts() -> None:
    """Tests a curve that falls: up to 2 requests/s its TTFT was 1.6 s, so that a quarter is left."""
    profile = _profile(ttft_p99_s=[1.6, 0.5, 0.5])
    assert _margins(profile, _plan(profile, 2.0))[0] == pytest.approx(0.25)


def test_nothing_is_assumed_beyond_a_curve() -> None:
    """Tests latencies far below their bounds: iterations may only double, since the curve ends at twice the load."""
    profile = _profile(ttft_p99_s=[0.01, 0.01, 0.01], tbt_p99_s=[0.001, 0.001, 0.001])
    assert _margins(profile, _plan(profile, 2.0)) == pytest.approx((LARGEST_MARGIN, 1.0))


def test_a_schedule_that_breaks_its_slo_has_less_than_no_margin() -> None:
    """Tests a truth in which the TTFT is four times as long: half of it would have to go."""
    profile = _profile()
    truth = perturbed(profile, Perturbation(name="x", latency=4.0))
    latency, duration = _margins(truth, _plan(profile, 2.0))
    assert latency == pytest.approx(-0.5)
    assert duration < 0


def test_loads_beyond_the_curve_have_less_than_no_margin() -> None:
    """Tests 2 requests/s on a curve that ends at 4 / 2.5."""
    profile = _profile(ttft_p99_s=[0.01, 0.01, 0.01])
    truth = perturbed(profile, Perturbation(name="x", duration=2.5))
    assert _margins(truth, _plan(profile, 2.0)) == pytest.approx((-0.2, -0.2))


def test_a_mix_keeps_the_bound_of_each_class_in_it() -> None:
    """Tests a pool of a mix in which SS, with a bound of 250 ms, sees 200 ms: a quarter is left, whatever LL sees."""
    profile = _profile()
    schedule = _plan(profile, 2.0)
    curve = profile.curve(4, 1000, "LL")
    of_classes = {"SS": (np.full(3, 0.2), np.full(3, 0.01)), "LL": (np.full(3, 0.3), np.full(3, 0.01))}
    mixed = replace(curve, request_class="ALL-chat", class_latencies=of_classes)
    truth = Profile(profile.metadata, {(4, 1000, "ALL-chat"): mixed})
    pooled = replace(schedule, allocations=schedule.allocations.assign(pool="ALL-chat"))
    assert _margins(truth, pooled)[0] == pytest.approx(0.25)


def test_an_instance_of_which_nothing_is_known_has_no_margin() -> None:
    """Tests a profile without the configuration."""
    profile = _profile()
    schedule = _plan(profile, 2.0)
    found = slo_margins(schedule, [make_profile([])])
    assert found[["latency_margin", "duration_margin"]].isna().all(axis=None)


@pytest.mark.parametrize("kind", ["latency", "duration"])
def test_the_independent_check_agrees(kind: str) -> None:
    """Tests that `check` finds the SLO broken just beyond the margin, and kept just below it."""
    profile = _profile()
    schedule = _plan(profile, 2.0, 1.1)
    margin = dict(zip(("latency", "duration"), _margins(profile, schedule), strict=True))[kind]
    for more, is_broken in ((0.999, False), (1.001, True)):
        truth = perturbed(profile, Perturbation(name="x", **{kind: (1 + margin) * more}))
        found = {violation.kind for violation in check(schedule, profiles=[truth])}
        assert bool(found & SLO_KINDS) == is_broken


def test_quantiles_count_instances() -> None:
    """Tests 1, 2 and 7 instances with margins of 10, 20 and 30 %: a tenth has less than 20 %, and 3 tenths 30 %."""
    margins = pd.DataFrame({"num_instances": [7, 1, 2], "latency_margin": [0.3, 0.1, 0.2]})
    quantiles = [margin_quantile(margins, "latency_margin", share) for share in (0.0, 0.05, 0.1, 0.29, 0.5, 1.0)]
    assert quantiles == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert math.isnan(margin_quantile(margins.iloc[:0], "latency_margin", 0.0))
