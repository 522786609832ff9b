"""Tests of the schedule type: its sums, its summary and what it shows of itself."""

import pytest
from sample_schedule import make_schedule


def test_sums_are_over_answered_windows() -> None:
    """Tests four windows of 1,000 W and 600 J of starts each, one of them without an answer: 3 x 300,600 J."""
    schedule = make_schedule(4, unsolved=[2])
    assert (schedule.num_windows, schedule.num_unsolved) == (4, 1)
    assert schedule.serving_energy_j == pytest.approx(900_000)
    assert schedule.transition_energy_j == pytest.approx(1_800)
    assert schedule.energy_j == pytest.approx(901_800)
    assert schedule.lower_bound_j == pytest.approx(891_000)
    assert schedule.gap == pytest.approx(0.01)


def test_the_summary_says_what_a_person_asks() -> None:
    """Tests power, GPUs and energy per request by hand.

    Windows 0, 1 and 3 use 18, 20 and 24 GPUs and serve 10, 20 and 10 requests/s: 12,000 requests. 901,800 J over
    900 s are 1,002 W; 250.5 Wh over 12 thousand requests are 20.875 Wh.
    """
    summary = make_schedule(4, unsolved=[2]).summary()
    assert summary["mean_power_w"] == pytest.approx(1_002)
    assert (summary["gpus_min"], summary["gpus_mean"], summary["gpus_max"]) == (18, pytest.approx(62 / 3), 24)
    assert summary["num_requests"] == pytest.approx(12_000)
    assert summary["wh_per_1000_requests"] == pytest.approx(20.875)
    assert summary["runtime_s"] == pytest.approx(0.008)


def test_without_any_answer_there_is_no_mean() -> None:
    """Tests that nothing is divided by zero, and that what has no value is None."""
    schedule = make_schedule(2, unsolved=[0, 1])
    assert schedule.gap is None
    assert schedule.energy_j == 0
    for name in ("mean_power_w", "gpus_min", "gpus_mean", "gpus_max", "wh_per_1000_requests", "gap"):
        assert schedule.summary()[name] is None


def test_totals_are_those_of_the_windows() -> None:
    """Tests that the metadata's sums are recomputed."""
    schedule = make_schedule(4, unsolved=[2])
    assert schedule.metadata.totals == schedule.totals()
    assert schedule.totals().energy_j == schedule.energy_j
    assert schedule.totals().num_unsolved == 1


def test_the_repr_shows_the_plan() -> None:
    """Tests one line with name, windows, what is missing, energy, gap and solver."""
    text = repr(make_schedule(4, unsolved=[2]))
    assert "4 windows of 300 s, 1 without an answer: 0.3 kWh, gap 1.00%, by" in text
