"""Tests of a schedule's values window by window."""

import pandas as pd
import pytest
from sample_schedule import SHARES, make_schedule

from dynaopt import series
from dynaopt.request_class import REQUEST_CLASSES


def test_gpus_are_counted_by_tensor_parallel_degree() -> None:
    """Tests that window n has 2 × 8 GPUs in TP8 and (n + 1) × 2 in TP2."""
    counts = series.gpus_by_tp(make_schedule(3))
    assert list(counts.columns) == [2, 8]
    assert counts[8].tolist() == [16, 16, 16]
    assert counts[2].tolist() == [2, 4, 6]


def test_gpus_of_a_window_without_an_answer_are_unknown() -> None:
    """Tests that no answer shows as NaN and not as zero GPUs."""
    counts = series.gpus_by_tp(make_schedule(3, unsolved=[1]))
    assert counts.isna().all(axis="columns").tolist() == [False, True, False]
    assert series.gpus_in_use(make_schedule(3, unsolved=[1])).isna().tolist() == [False, True, False]


def test_the_mean_clock_is_weighted_by_gpus() -> None:
    """Tests (16 × 1600 + 2 × 800) / 18 MHz in the first window and NaN where nothing runs."""
    clock = series.mean_clock_mhz(make_schedule(2, unsolved=[1]))
    assert clock.iloc[0] == pytest.approx((16 * 1600 + 2 * 800) / 18)
    assert pd.isna(clock.iloc[1])


def test_total_power_holds_the_transitions() -> None:
    """Tests that 600 J of transitions in 300 s are 2 W on top of 1,000 W of serving."""
    schedule = make_schedule(2)
    assert series.serving_power_w(schedule).tolist() == [1000.0, 1000.0]
    assert series.total_power_w(schedule).tolist() == pytest.approx([1002.0, 1002.0])
    assert series.bound_power_w(schedule).tolist() == pytest.approx([990.0, 990.0])


def test_rates_come_by_class_in_the_order_of_the_classes() -> None:
    """Tests rates of 10 requests/s in the first window and 20 in the second, with a class that never arrives at 0."""
    rates = series.class_rates_rps(make_schedule(2))
    assert tuple(rates.columns) == REQUEST_CLASSES
    assert rates.iloc[1].to_dict() == pytest.approx({c: 20 * share for c, share in SHARES.items()})


def test_the_busiest_minute_stands_above_the_mean() -> None:
    """Tests that a peak factor of 1.2 makes 12 of 10 requests/s, also where a window has no answer."""
    assert series.peak_rate_rps(make_schedule(2, unsolved=[0])).tolist() == pytest.approx([12.0, 24.0])


def test_runs_of_windows_without_an_answer_are_joined() -> None:
    """Tests two runs, of windows 1 to 2 and of window 5, the last one."""
    schedule = make_schedule(6, unsolved=[1, 2, 5])
    minutes = [[int(t.minute) for t in span] for span in series.unsolved_spans(schedule)]
    assert minutes == [[5, 15], [25, 30]]
    assert series.unsolved_spans(make_schedule(6)) == []


def test_series_have_every_window_of_the_schedule() -> None:
    """Tests that a schedule without any answer still has its windows."""
    schedule = make_schedule(3, unsolved=[0, 1, 2])
    for function in (series.gpus_by_tp, series.mean_clock_mhz, series.total_power_w, series.class_rates_rps):
        assert len(function(schedule)) == 3, function.__name__
