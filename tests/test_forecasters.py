"""Tests of `dynaopt.forecasters`."""

import numpy as np
import pandas as pd
import pytest
from forecast_builders import MONDAY, make_history, totals_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt import forecasters
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.forecasters import History, forecaster_names, get_forecaster
from dynaopt.forecasters.base import Forecast
from dynaopt.forecasters.simple import LastValue, Perfect
from dynaopt.forecasters.template import Template


def test_last_value_repeats_the_last_window() -> None:
    """Tests that reacting means expecting what came last, for all steps."""
    assert totals_of(LastValue().forecast(make_history([1, 2, 5]), 3)) == [5, 5, 5]


def test_oracle_knows_and_repeats_the_end() -> None:
    """Tests that the oracle tells windows 2 and 3 of four, and the last one again beyond."""
    truth = make_history([1, 2, 5, 7])
    assert totals_of(Perfect(truth).forecast(truth.until(2), 3)) == [5, 7, 7]


def test_oracle_refuses_another_history() -> None:
    """Tests that a history that begins elsewhere is refused rather than looked up wrongly."""
    truth = make_history([1, 2, 5, 7])
    other = make_history([1, 2], first=MONDAY + pd.Timedelta(hours=6))
    with pytest.raises(InvalidInputError, match="the first windows"):
        Perfect(truth).forecast(other, 1)


def test_template_takes_the_median_of_the_same_time_of_day() -> None:
    """Tests by hand: the third windows of three weekdays had 3, 30 and 6, the median is 6; the fourth 4."""
    history = make_history([1, 2, 3, 4, 1, 2, 30, 4, 1, 2, 6, 4, 1, 2])
    assert totals_of(Template().forecast(history, 2)) == [6, 4]


def test_template_keeps_weekends_apart() -> None:
    """Tests that on the first Saturday, without another one before, the last window is repeated."""
    friday = MONDAY + pd.Timedelta(days=4)
    history = make_history([1, 2, 3, 4], first=friday)
    assert totals_of(Template().forecast(history, 2)) == [4, 4]
    monday_after = make_history([1, 2, 3, 4, *[100] * 8], first=friday)
    assert totals_of(Template().forecast(monday_after, 2)) == [1, 2]


def test_scaled_template_follows_the_level() -> None:
    """Tests that a day at twice the level of the template doubles it: 3 becomes 6."""
    history = make_history([1, 2, 3, 4, 2, 4])
    assert totals_of(Template(scaled=True).forecast(history, 1)) == [6]


def test_template_may_be_learnt_from_an_earlier_week() -> None:
    """Tests that with a week before, Monday's windows are foretold from its weekdays, all alike here."""
    earlier = make_history([*[1, 2, 3, 4] * 5, *[9] * 8], first=MONDAY - pd.Timedelta(days=7))
    found = Template(learnt_from=earlier).forecast(make_history([7]), 3)
    assert totals_of(found) == [2, 3, 4]


def _wave(days: int, seed: int = 0) -> History:
    t = np.arange(days * 48)
    noise = np.random.default_rng(seed).normal(0, 0.01, t.size)
    return make_history(list(20 * np.exp(np.sin(2 * np.pi * t / 48) + noise)), window_s=1800.0)


def test_structural_series_beats_the_last_value_on_a_daily_wave() -> None:
    """Tests that a day whose shape was seen three times is foretold with less than half the error of reacting."""
    pytest.importorskip("statsmodels")
    history, ours, last = _wave(4), get_forecaster("statsmodels", _wave(4)), LastValue()
    errors = []
    for f in (ours, last):
        told = [totals_of(f.forecast(history.until(n), 3))[2] for n in range(150, 185)]
        errors.append(np.abs(np.array(told) - history.rates_rps[152:187, 0]).sum())
    assert errors[0] < 0.5 * errors[1]


def test_structural_series_does_not_depend_on_earlier_calls() -> None:
    """Tests that a forecaster that followed all windows says what a fresh one says."""
    pytest.importorskip("statsmodels")
    history = _wave(3)
    followed = get_forecaster("statsmodels", history)
    for n in range(90, 121):
        kept = followed.forecast(history.until(n), 3)
    fresh = get_forecaster("statsmodels", history).forecast(history.until(120), 3)
    assert np.allclose(kept.rates_rps, fresh.rates_rps, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in forecaster_names() if n not in ("oracle", "statsmodels")])
@settings(max_examples=25, deadline=None)
@given(totals=st.lists(st.floats(0, 100), min_size=3, max_size=30), cut=st.integers(1, 29), other=st.floats(0, 500))
def test_the_future_does_not_leak(name: str, totals: list[float], cut: int, other: float) -> None:
    """Tests that changing windows that have not ended changes no forecast."""
    cut = min(cut, len(totals) - 1)
    one, two = make_history(totals), make_history([*totals[:cut], *[other] * (len(totals) - cut)])
    found = [totals_of(get_forecaster(name, h).forecast(h.until(cut), 3)) for h in (one, two)]
    assert found[0] == found[1]


def test_the_future_does_not_leak_into_the_structural_series() -> None:
    """Tests the same of the forecaster that is fitted, in the middle of its third day."""
    pytest.importorskip("statsmodels")
    one = _wave(3)
    two = make_history([*one.rates_rps[:110, 0], *[500.0] * 34], window_s=1800.0)
    found = [totals_of(get_forecaster("statsmodels", h).forecast(h.until(110), 3)) for h in (one, two)]
    assert found[0] == found[1]


def test_unknown_names_are_refused() -> None:
    """Tests that the message tells which names there are."""
    with pytest.raises(UnknownNameError, match="last"):
        get_forecaster("tea-leaves", make_history([1]))


def test_a_missing_package_is_told_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that without statsmodels the message has the pip command."""
    monkeypatch.setattr(forecasters, "find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"pip install 'dynaopt\[forecast\]'"):
        get_forecaster("statsmodels", make_history([1]))


def test_an_impossible_forecast_cannot_be_made() -> None:
    """Tests that NaN is refused where it arises."""
    with pytest.raises(ValueError, match="at least 0"):
        Forecast(rates_rps=np.full((1, 9), np.nan), peak_factors=np.ones(1))
