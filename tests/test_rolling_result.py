"""Tests of `dynaopt.rolling_result`.

An instance of `line_profile` serves 10 requests/s on two GPUs, 8 with a headroom of 0.25, and draws 200 W and 40 J a
request.
"""

import numpy as np
import pandas as pd
import pytest
from forecast_builders import line_profile, make_demand, make_fleet, window_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.policies.base import make_case
from dynaopt.rolling_result import RollingResult, WindowRecord, make_result

HEADROOM = 0.25


def _result(windows: list[tuple[float, int]], *, foretold: float = 0.0) -> RollingResult:
    """Make a result of windows of so many requests/s on so many instances."""
    fleet = make_fleet(headroom=HEADROOM)
    records = []
    for rate, count in windows:
        served = fleet.serve(window_of(rate), np.array([count]))
        assert served is not None
        records.append(
            WindowRecord(served=served, foretold_rps=foretold, margin=1.1, lead_margin=1.2, ordered_gpus=2 * count)
        )
    demand = make_demand([rate for rate, _ in windows])
    case = make_case(demand, line_profile(), slo=None, num_gpus=64, headroom=HEADROOM)
    return make_result(case, "by-hand", records, 1.5)


def test_a_window_for_each_record() -> None:
    """Tests the rows of 15 requests/s on three instances, one of which has nothing to do, and of 40 on two."""
    w = _result([(15.0, 3), (40.0, 2)], foretold=12.0).windows
    assert w["arrived_rps"].tolist() == [15.0, 40.0]
    assert w["foretold_rps"].tolist() == [12.0, 12.0]
    assert w["num_gpus"].tolist() == [6, 4]
    assert w["ordered_gpus"].tolist() == [6, 4]
    assert w["served_share"].tolist() == pytest.approx([1.0, 0.5], rel=1e-3)
    assert w["headroom"].tolist() == [HEADROOM, 0.0]
    assert (w["margin"].tolist(), w["lead_margin"].tolist()) == ([1.1] * 2, [1.2] * 2)


def test_idle_instances_are_told() -> None:
    """Tests that 8 requests/s on three instances leave two of them, four GPUs, idle at 200 W each, and their energy."""
    found = _result([(8.0, 3)])
    assert found.windows["idle_gpus"].tolist() == [4]
    assert found.windows["idle_power_w"].tolist() == pytest.approx([400.0])
    assert found.totals().idle_energy_j == pytest.approx(400.0 * 300)


def test_sums_by_hand() -> None:
    """Tests 15 requests/s on three instances and 40 on two: 1,200 W each; 20 of 55 are beyond the second window.

    Two instances start in neither: the second window has one fewer. The forecast of 20 is off by 5 and by 20.
    """
    sums = _result([(15.0, 3), (40.0, 2)], foretold=20.0).totals()
    assert sums.serving_energy_j == pytest.approx(2 * 1200 * 300, rel=1e-3)
    assert sums.transition_energy_j == 0
    assert sums.energy_j == pytest.approx(sums.serving_energy_j)
    assert sums.overload_share == pytest.approx(20 / 55, rel=1e-3)
    assert (sums.overloaded_windows, sums.thin_windows) == (0.5, 0.0)
    assert (sums.mean_gpus, sums.started_gpus) == (5.0, 10)
    assert sums.wape == pytest.approx(25 / 55)


def test_starts_are_charged() -> None:
    """Tests that a third instance takes 400 s at 110 W on two GPUs, 88 kJ."""
    assert _result([(15.0, 2), (20.0, 3)]).totals().transition_energy_j == pytest.approx(88_000)


def test_headroom_that_is_used_makes_a_window_thin() -> None:
    """Tests 18 requests/s on two instances, which have 0.11 left of 0.25: also where no window has all of it."""
    assert _result([(18.0, 2), (16.0, 2)]).totals().thin_windows == 0.5
    assert _result([(18.0, 2), (18.0, 2)]).totals().thin_windows == 1.0
    assert _result([(18.0, 2)]).totals().overloaded_windows == 0


def test_the_schedule_is_of_what_ran() -> None:
    """Tests that it is named after the forecaster, promises no headroom, and says why a window is not served."""
    schedule = _result([(15.0, 3), (40.0, 2)]).schedule
    assert schedule.metadata.solver == "rolling-by-hand"
    assert schedule.metadata.cluster.headroom == 0
    reasons = schedule.windows["reason"].tolist()
    assert reasons[0] == ""
    assert reasons[1].startswith("overload: 0.5")
    served = schedule.routes.groupby("window_start")["rate_rps"].sum()
    assert served.tolist() == pytest.approx([15.0, 20.0], rel=1e-3)


def test_nothing_that_came_is_no_overload() -> None:
    """Tests that a window without arrivals has shares of 0 and not of nothing."""
    found = _result([(5.0, 1)])
    idle = RollingResult(
        forecaster="none",
        schedule=found.schedule,
        windows=found.windows.assign(arrived_rps=0.0),
        planned_headroom=HEADROOM,
    ).totals()
    assert (idle.overload_share, idle.wape) == (0.0, 0.0)


def test_what_it_prints() -> None:
    """Tests that the name, the windows, the energy and the overload are seen at once, and that sums have names."""
    found = _result([(15.0, 3), (40.0, 2)])
    assert repr(found).startswith("RollingResult(by-hand, 2 windows: 0.2 kWh, overload 36.")
    assert found.summary()["mean_gpus"] == 5.0
    assert found.overload_share == found.summary()["overload_share"]


@settings(max_examples=20, deadline=None)
@given(windows=st.lists(st.tuples(st.floats(0.5, 60), st.integers(1, 6)), min_size=1, max_size=6))
def test_sums_hold_together(windows: list[tuple[float, int]]) -> None:
    """Tests that energy is serving and starts, that windows are whole, thin or overloaded, and shares are shares."""
    found = _result(windows)
    sums, w = found.totals(), found.windows
    assert sums.energy_j == pytest.approx(sums.serving_energy_j + sums.transition_energy_j)
    assert 0 <= sums.idle_energy_j <= sums.serving_energy_j * (1 + 1e-9)
    whole = float(((w["served_share"] == 1) & (w["headroom"] == HEADROOM)).mean())
    assert whole + sums.thin_windows + sums.overloaded_windows == pytest.approx(1)
    capacity = np.array([10.0 * count for _, count in windows])
    over = np.maximum(w["arrived_rps"].to_numpy() - capacity, 0).sum() / w["arrived_rps"].sum()
    assert sums.overload_share == pytest.approx(over, abs=0.01)
    assert isinstance(w["window_start"].dtype, pd.DatetimeTZDtype)
