"""Tests of `dynaopt.rolling`."""

import numpy as np
import pytest
from forecast_builders import line_profile, make_demand
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.check import check
from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.rolling import load_weights, roll
from dynaopt.rolling_result import RollingResult
from dynaopt.slo import Slo

OPTIONS = {"num_gpus": 64, "headroom": 0.0}


def _roll(totals: list[float], forecaster: str = "last", **options: object) -> RollingResult:
    chosen = {"quantile": None, "keep_windows": 0, **OPTIONS, **options}
    return roll(make_demand(totals), line_profile(), forecaster=forecaster, **chosen)  # type: ignore[arg-type]


def test_oracle_runs_what_is_needed() -> None:
    """Tests that a step from 15 to 35 requests/s, known two windows ahead, has 2, then 4 instances of 2 GPUs."""
    found = _roll([15, 15, 15, 15, 35, 35], "oracle")
    assert found.windows["num_gpus"].tolist() == [4, 4, 4, 8, 8]
    assert found.windows["ordered_gpus"].tolist() == [0, 4, 0, 0, 0]  # 400 s are two windows of 300 s
    assert found.overload_share == 0


def test_reacting_is_late_by_the_lead_time() -> None:
    """Tests that who reacts sees the step after its first window and has the GPUs three windows after it began.

    Until then two instances serve 20 of 35 requests/s: 3 · 15 of all 235 are beyond them.
    """
    found = _roll([15, 15, 15, 35, 35, 35, 35, 50 / 50 * 35], "last")
    assert found.windows["num_gpus"].tolist() == [4, 4, 4, 4, 4, 8, 8]
    assert found.windows["served_share"].round(3).tolist() == [1, 1, 0.571, 0.571, 0.571, 1, 1]
    assert found.overload_share == pytest.approx(45 / 205, rel=1e-3)


def test_energy_by_hand() -> None:
    """Tests the oracle's energy on the step.

    Serving: 3 windows of 2 · 200 + 15 · 40 = 1,000 W and 2 of 4 · 200 + 35 · 40 = 2,200 W, 300 s each: 2.22 MJ.
    Starts: 4 GPUs · 400 s · 110 W = 176 kJ.
    """
    sums = _roll([15, 15, 15, 15, 35, 35], "oracle").totals()
    assert sums.serving_energy_j == pytest.approx((3 * 1000 + 2 * 2200) * 300)
    assert sums.transition_energy_j == pytest.approx(176_000)
    assert sums.started_gpus == 4


def test_spares_are_kept() -> None:
    """Tests that after a fall from 35 to 15 two instances go on for as many windows as asked, idle."""
    totals = [35.0, 35, 15, 15, 15, 15]
    assert _roll(totals, "oracle", keep_windows=0).windows["num_gpus"].tolist() == [8, 4, 4, 4, 4]
    assert _roll(totals, "oracle", keep_windows=2).windows["num_gpus"].tolist() == [8, 8, 8, 4, 4]


def test_margin_comes_from_the_past_alone() -> None:
    """Tests that a jump at the end changes nothing that was decided before it."""
    calm = list(np.random.default_rng(0).uniform(10, 30, 60))
    one, two = (_roll([*calm, end, end], quantile=0.9) for end in (20.0, 60.0))
    columns = ["foretold_rps", "margin", "lead_margin", "ordered_gpus"]
    assert one.windows[columns][:60].equals(two.windows[columns][:60])
    assert one.windows["margin"].iloc[40] > 1


@settings(max_examples=15, deadline=None)
@given(totals=st.lists(st.floats(1, 100), min_size=3, max_size=12), name=st.sampled_from(["oracle", "last"]))
def test_schedules_pass_the_check(totals: list[float], name: str) -> None:
    """Tests that windows that serve all pass, that others lack demand alone, and that starts are paid for."""
    found = _roll(totals, name, keep_windows=1)
    overloaded = set(found.windows.loc[found.windows["served_share"] < 1, "window_start"])
    for violation in check(found.schedule, profiles=[line_profile()]):
        assert violation.kind == "demand that is not served"
        assert violation.window_start in overloaded
    # All GPUs that were ordered and came in time were charged a cold start, no more and no less.
    came = found.windows["ordered_gpus"].iloc[:-2].sum()
    assert found.schedule.transition_energy_j == pytest.approx(came * 400 * 110)


@settings(max_examples=15, deadline=None)
@given(totals=st.lists(st.floats(1, 100), min_size=4, max_size=12))
def test_the_oracle_is_never_overloaded(totals: list[float]) -> None:
    """Tests that who knows what comes serves all once orders can have arrived."""
    totals[1:4] = [totals[1]] * 3
    assert _roll(totals, "oracle").overload_share == 0


def test_options_are_checked() -> None:
    """Tests that there is a window to learn from, and one to run."""
    for first in (0, 3):
        with pytest.raises(InvalidInputError, match="first"):
            _roll([1, 2, 3], first=first)
    with pytest.raises(InvalidInputError, match="keep_windows"):
        _roll([1, 2, 3], keep_windows=-1)


def test_load_weights() -> None:
    """Tests that 10 requests/s on two GPUs make a weight of 0.2 GPUs for each class."""
    assert load_weights(line_profile(), Slo.table_iv()).tolist() == pytest.approx([0.2] * len(REQUEST_CLASSES))
