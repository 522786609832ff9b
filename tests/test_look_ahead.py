"""Tests of `dynaopt.look_ahead`.

An instance of `line_profile` serves 10 requests/s on two GPUs, draws 200 W and 40 J a request, and takes 400 s at 110 W
a GPU to start: 88 kJ, which it idles away in 1.47 windows of 300 s.
"""

from itertools import product

import pytest
from forecast_builders import line_profile, make_demand, make_fleet, make_outlook, two_degrees
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.check import check
from dynaopt.errors import InvalidInputError
from dynaopt.look_ahead import GAP, LookAhead
from dynaopt.rolling import roll
from dynaopt.rolling_result import RollingResult


def _instances(rates: list[float], available: list[int], running: int, **cluster: object) -> list[int]:
    """Return the instances that are to run in each window; the outlook may be longer than what they are told for."""
    fleet = make_fleet(**cluster)
    wanted = LookAhead(fleet, len(rates)).plan(make_outlook(rates, available, [running]))
    return wanted.sum(axis=1).tolist()


def test_a_short_dip_is_idled_through() -> None:
    """Tests that of four instances none stops for one window of 15 requests/s: idling takes 120 kJ, starting 176."""
    assert _instances([35, 15, 35], [8, 8, 8], 4) == [4, 4, 4]


def test_a_long_dip_is_not() -> None:
    """Tests that for two windows two instances would idle away 240 kJ, and starting takes 176: they stop."""
    assert _instances([35, 15, 15, 35, 35], [8, 8, 8], 4) == [4, 2, 2]


def test_what_lies_beyond_the_lead_decides_too() -> None:
    """Tests that an instance is kept in the last window that is told for, since the next one needs it."""
    assert _instances([35, 35, 15, 35], [8, 8, 8], 4) == [4, 4, 4]
    assert _instances([35, 35, 15, 15], [8, 8, 8], 4) == [4, 4, 2]


def test_nothing_starts_before_it_can() -> None:
    """Tests that what is too little until orders arrive is all there is, and that what is needed then is ordered."""
    assert _instances([35, 35, 35], [4, 4, 4], 2) == [2, 2, 4]


def test_what_is_on_its_way_is_counted_on() -> None:
    """Tests that four more GPUs from the second window on serve it, and that the first has those that run."""
    assert _instances([15, 35, 35], [4, 8, 8], 2) == [2, 4, 4]


def test_a_cluster_that_is_too_small_runs_all_of_it() -> None:
    """Tests 100 requests/s on eight GPUs, four instances."""
    assert _instances([100, 100, 100], [4, 4, 4], 2, num_gpus=8) == [2, 2, 4]


def test_it_looks_at_least_one_window_ahead() -> None:
    """Tests that nothing to look at is refused."""
    with pytest.raises(InvalidInputError, match="look_ahead"):
        LookAhead(make_fleet(), 0)


def _energy_j(rates: list[float], counts: tuple[int, ...], before: int) -> float:
    """Return the energy of so many instances in each window, starts included; infinite where they are too few."""
    total_j = 0.0
    for rate, count in zip(rates, counts, strict=True):
        if 10 * count < rate:
            return float("inf")
        total_j += 300 * (200 * count + 40 * rate) + 88_000 * max(count - before, 0)
        before = count
    return total_j


@settings(max_examples=40, deadline=None)
@given(rates=st.lists(st.floats(1, 49.9), min_size=3, max_size=3), before=st.integers(5, 7))
def test_no_plan_takes_less(rates: list[float], before: int) -> None:
    """Tests against all numbers of instances up to those that run, which suffice, that none takes less than its gap."""
    counts = tuple(_instances(rates, [2 * before] * 3, before))
    least_j = min(_energy_j(rates, other, before) for other in product(range(before + 1), repeat=3))
    assert _energy_j(rates, counts, before) <= least_j * (1 + GAP)


def _roll(totals: list[float], **options: object) -> RollingResult:
    profile = two_degrees()
    chosen = {"forecaster": "oracle", "quantile": None, "num_gpus": 64, "headroom": 0.0, **options}
    return roll(make_demand(totals), profile, planner=lambda fleet: LookAhead(fleet, 6), **chosen)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(totals=st.lists(st.floats(1, 150), min_size=5, max_size=12))
def test_knowing_what_comes_it_serves_all(totals: list[float]) -> None:
    """Tests that with two degrees nothing is left over once orders can have arrived, and that `check` agrees."""
    totals[1:4] = [totals[1]] * 3
    found = _roll(totals)
    assert found.overload_share == 0
    assert check(found.schedule, profiles=[two_degrees()]) == []


def test_the_future_does_not_enter() -> None:
    """Tests that a forecaster that repeats the last window decides the same whatever comes next."""
    calm = [15.0, 25, 35, 25, 15, 15, 35, 25]
    one, two = (_roll([*calm, end, end], forecaster="last") for end in (20.0, 60.0))
    columns = ["num_gpus", "ordered_gpus", "foretold_rps"]
    assert one.windows[columns][:8].equals(two.windows[columns][:8])


def test_it_saves_what_single_windows_cannot_see() -> None:
    """Tests four dips of two windows: by itself a window keeps two instances that are needed within the lead time.

    Idling takes 240 kJ a dip and starting again 176, so that looking ahead saves 4 · 64 kJ.
    """
    totals = [35.0, 35] + [15.0, 15, 35] * 4
    options = {"forecaster": "oracle", "quantile": None, "keep_windows": 0, "num_gpus": 64, "headroom": 0.0}
    alone = roll(make_demand(totals), line_profile(), **options)  # type: ignore[arg-type]
    together = roll(make_demand(totals), line_profile(), planner=lambda f: LookAhead(f, 6), **options)  # type: ignore[arg-type]
    assert alone.overload_share == together.overload_share == 0
    assert alone.schedule.energy_j - together.schedule.energy_j == pytest.approx(4 * 64_000)
