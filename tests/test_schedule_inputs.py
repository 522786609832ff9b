"""Tests of `dynaopt.schedule_inputs`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planning import START, make_small_profile, make_week, plan_simply
from two_windows import OPTIONS, two_demand, two_objective, two_profile

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.horizon import plan
from dynaopt.profile_io import write_profile
from dynaopt.schedule import Schedule, Source
from dynaopt.schedule_inputs import charges_of, choose_windows, profiles_of, read_again, window_of
from dynaopt.schedule_io import read_schedule, write_schedule


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    """Return a plan of 60 windows, two of them without an answer."""
    return plan_simply(make_week(60, too_much=(7, 20)))


def test_a_planned_schedule_has_its_profiles(schedule: Schedule) -> None:
    """Tests that they are the very ones, totals recomputed or not."""
    assert profiles_of(schedule) == schedule.profiles
    assert schedule.with_totals().profiles[0] is schedule.profiles[0]
    assert schedule.profiles[0].name == "small-tiny-model"


def test_a_schedule_that_was_read_reads_them_again(schedule: Schedule, tmp_path: Path) -> None:
    """Tests the path that was given for a profile."""
    write_profile(make_small_profile(), tmp_path / "profile")
    planned = plan_simply(make_week(2), paths={"small-tiny-model": tmp_path / "profile"}, out=tmp_path / "plan")
    again = read_schedule(tmp_path / "plan")
    assert again.profiles == ()
    assert [p.name for p in profiles_of(again)] == ["small-tiny-model"]
    assert plan_simply(make_week(2), out=tmp_path / "plan").profiles[0].name == planned.profiles[0].name


def test_a_profile_made_in_memory_cannot_be_read_again(schedule: Schedule, tmp_path: Path) -> None:
    """Tests that a name that nothing goes by is told, and that the profile itself helps."""
    write_schedule(schedule, tmp_path)
    again = read_schedule(tmp_path)
    with pytest.raises(UnknownNameError, match="small-tiny-model"):
        profiles_of(again)
    given = make_small_profile()
    assert profiles_of(again, [given]) == (given,)


def test_another_profile_is_refused(schedule: Schedule) -> None:
    """Tests that digests decide, and what is said."""
    with pytest.raises(
        InvalidInputError, match=r"profile small-tiny-model: expected the one that was planned with, .*"
    ):
        profiles_of(schedule, [make_small_profile("another")])


def test_a_shipped_profile_is_read_by_name() -> None:
    """Tests the name without a path."""
    assert read_again(Source(name="llama2-70b-h100", sha256="", content_sha256="")).name == "llama2-70b-h100"


def test_a_window_has_its_model_named(schedule: Schedule) -> None:
    """Tests that what arrives of the demand's only model is that of the profile's."""
    window = window_of(schedule, schedule.profiles, 3)
    assert list(window.rate_rps) == ["tiny-model"]
    assert window.rate_rps["tiny-model"].tolist() == schedule.demand.rates_rps[""][3].tolist()
    assert window.start == schedule.demand.starts[3]


def test_charges() -> None:
    """Tests that those of the objective come back: 0.05 an hour over 1.5 · 0.2 and 1.5 · 0.1 a kWh; none without."""
    planned = plan(two_demand(), two_profile(), objective=two_objective(), **OPTIONS)
    charges = charges_of(planned)
    assert charges is not None
    assert charges.gpu_price_w == pytest.approx([1000 * 0.05 / 0.3, 1000 * 0.05 / 0.15])
    assert charges_of(plan(two_demand(), two_profile(), **OPTIONS)) is None


def test_all_windows_and_the_busiest(schedule: Schedule) -> None:
    """Tests that window 7 or 20, both of 6,000 requests/s, is the busiest, and the first of equals is taken."""
    assert choose_windows(schedule, "all") == list(range(60))
    assert choose_windows(schedule, "busiest") == [7]
    assert choose_windows(schedule, "all", among=[20, 30]) == [20, 30]
    assert choose_windows(schedule, "busiest", among=[3, 20]) == [20]
    assert choose_windows(schedule, None, among=[]) == []


def test_the_sample(schedule: Schedule) -> None:
    """Tests that it has the busiest, the ends, and 24 windows in all, or all where there are fewer."""
    chosen = choose_windows(schedule, None)
    assert {0, 7, 59} <= set(chosen)
    assert len(chosen) in (23, 24)
    assert chosen == sorted(chosen)
    assert choose_windows(plan_simply(make_week(1)), None) == [0]
    assert choose_windows(schedule, None, among=[7, 20]) == [7, 20]


def test_numbers_and_moments(schedule: Schedule) -> None:
    """Tests numbers from both ends, and any moment inside a window of five minutes."""
    inside = START + pd.Timedelta("9min59s")
    assert choose_windows(schedule, [-1, 4, inside, "2024-05-12T00:05", np.int64(4)]) == [1, 4, 59]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("windows", "found"),
    [([60], "60"), (["2024-05-12T05:00"], "2024-05-12T05:00"), (["soon"], "soon"), ("some", "some")],
)
def test_windows_that_there_are_not(schedule: Schedule, windows: object, found: str) -> None:
    """Tests that they are refused: the 60 windows end at 05:00."""
    with pytest.raises(InvalidInputError, match=f"option windows: expected .*, got '?{found}"):
        choose_windows(schedule, windows)  # type: ignore[arg-type]


def test_a_moment_before_the_first_window(schedule: Schedule) -> None:
    """Tests that it is not taken for the last one."""
    with pytest.raises(InvalidInputError, match="a moment in the windows of 2024-05-12T00:00:00"):
        choose_windows(schedule, ["2024-05-11T23:59"])


def test_demand_keeps_its_class(schedule: Schedule) -> None:
    """Tests that nothing of this changes the schedule's demand."""
    assert isinstance(replace(schedule).demand, Demand)
    assert schedule.demand.models == ("",)
