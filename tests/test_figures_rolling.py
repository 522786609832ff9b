"""Tests of `dynaopt.figures_rolling`."""

import numpy as np
import pytest
from forecast_builders import line_profile, make_demand

from dynaopt.figures_rolling import rolling_windows
from dynaopt.rolling import roll


def test_the_picture_shows_what_came_and_marks_overload() -> None:
    """Tests that lines have the numbers of the run and that as many windows are marked as were overloaded.

    Who repeats 15 requests/s when 35 come is 57 % short of them.
    """
    demand = make_demand([15.0, 15, 15, 35, 35, 35, 35])
    found = roll(demand, line_profile(), forecaster="last", quantile=None, num_gpus=64, headroom=0.0)
    by_name = {trace.name: trace for trace in rolling_windows(found).data}
    assert list(by_name["arrived"].y) == [15, 15, 35, 35, 35, 35]
    assert list(by_name["foretold beyond arrived"].y) == pytest.approx([0, 0, -100 * 20 / 35, 0, 0, 0])
    assert list(by_name["GPUs that ran"].y) == found.windows["num_gpus"].tolist()
    assert len(by_name["overload"].x) == int((found.windows["served_share"] < 1).sum()) > 0
    assert all(trace.line.shape == "hv" for trace in by_name.values() if trace.mode == "lines")


def test_a_window_in_which_nothing_came_has_no_error() -> None:
    """Tests that the line of errors has a gap where there is nothing to hold a forecast against."""
    found = roll(make_demand([15.0, 15, 0, 15]), line_profile(), forecaster="last", num_gpus=64, headroom=0.0)
    by_name = {trace.name: trace for trace in rolling_windows(found).data}
    assert np.isnan(by_name["foretold beyond arrived"].y).tolist() == [False, True, False]
