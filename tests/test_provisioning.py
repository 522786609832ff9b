"""Tests of `dynaopt.provisioning`."""

from collections.abc import Sequence

import numpy as np
import pytest
from builders import make_profile, same_for_all_classes
from forecast_builders import line_profile, make_fleet, make_outlook
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.provisioning import KeepSpares, break_even_windows


def _gpus(planner: KeepSpares, rates: Sequence[float], available: Sequence[int], running: int = 2) -> list[int]:
    """Return the GPUs that the planner wants in each window; an instance serves 10 requests/s on two."""
    return (planner.plan(make_outlook(rates, available, [running])) * 2).sum(axis=1).tolist()


def test_what_is_foretold_is_wanted() -> None:
    """Tests 15, 25 and 35 requests/s: 2, 3 and 4 instances, the last two of which must come first."""
    assert _gpus(KeepSpares(make_fleet(), 0), [15, 25, 35], [4, 4, 4]) == [4, 6, 8]


def test_what_is_needed_again_is_kept() -> None:
    """Tests that of four instances none stops before a window that needs four again, as far as they are there."""
    assert _gpus(KeepSpares(make_fleet(), 0), [15, 15, 35], [8, 8, 8], running=4) == [8, 8, 8]
    assert _gpus(KeepSpares(make_fleet(), 0), [15, 15, 35], [6, 6, 6], running=3) == [6, 6, 8]


def test_what_was_needed_goes_on_for_some_windows() -> None:
    """Tests that after a window of 35 requests/s four instances run in the two next of 15, and in no third."""
    planner = KeepSpares(make_fleet(), 2)
    assert _gpus(planner, [35, 15, 15], [8, 8, 8], running=4)[0] == 8
    wanted = [_gpus(planner, [15, 15, 15], [8, 8, 8], running=4)[0] for _ in range(3)]
    assert wanted == [8, 8, 4]


def test_memory_fades_within_the_outlook() -> None:
    """Tests that what was needed in the last window is kept in two more, and what was before it in one."""
    planner = KeepSpares(make_fleet(), 2)
    assert _gpus(planner, [35, 15, 15], [8, 8, 8], running=4) == [8, 4, 4]
    assert _gpus(planner, [15, 15, 15], [8, 8, 8], running=4) == [8, 8, 4]
    assert _gpus(planner, [15, 15, 15], [8, 8, 8], running=4) == [8, 4, 4]


def test_windows_beyond_the_lead_are_not_asked_for() -> None:
    """Tests that a longer outlook changes nothing: each window is planned by itself."""
    longer = KeepSpares(make_fleet(), 0).plan(make_outlook([15, 25, 35, 95, 95], [4, 4, 4], [2]))
    assert longer.sum(axis=1).tolist() == [2, 3, 4]


@settings(max_examples=40, deadline=None)
@given(
    outlooks=st.lists(st.lists(st.floats(1, 100), min_size=3, max_size=3), min_size=1, max_size=4),
    there=st.lists(st.integers(0, 15), min_size=3, max_size=3),
    keep=st.integers(0, 3),
)
def test_never_less_than_needed_nor_more_than_is_there(
    outlooks: list[list[float]], there: list[int], keep: int
) -> None:
    """Tests that a window has at least what it needs, and beyond that only GPUs that are there."""
    fleet = make_fleet()
    planner, available = KeepSpares(fleet, keep), [2 * n for n in sorted(there)]
    for rates in outlooks:
        wanted = _gpus(planner, rates, available)
        needed = [fleet.num_gpus(fleet.needed(w)) for w in make_outlook(rates, available, [1]).windows]
        for own, least, most in zip(wanted, needed, available, strict=True):
            assert least <= own <= max(least, most)


def test_break_even_by_hand() -> None:
    """Tests 400 s · 110 W a GPU to start, against 200 W of two idle GPUs in 300 s: 44 kJ / 30 kJ windows."""
    assert break_even_windows(line_profile(), 300.0) == pytest.approx(44 / 30)
    assert break_even_windows(line_profile(), 600.0) == pytest.approx(22 / 30)


def test_idling_for_nothing_never_breaks_even() -> None:
    """Tests that instances that idle at no power are kept for ever."""
    profile = make_profile(same_for_all_classes(2, 1000, [(0, 0), (10, 400)]))
    assert break_even_windows(profile, 300.0) == np.inf
