"""Tests of `dynaopt.fleet`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_problem
from forecast_builders import line_profile, make_fleet, two_degrees, window_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.check import check_allocation
from dynaopt.demand import read_demand
from dynaopt.profile_io import read_profile


def test_needed_instances() -> None:
    """Tests that 25 requests/s on instances of 10 need three."""
    assert make_fleet().needed(window_of(25.0)).tolist() == [3]


def test_what_the_cluster_cannot_serve_needs_all_of_it() -> None:
    """Tests that 100 requests/s on 8 GPUs, four instances of 10, ask for all four."""
    assert make_fleet(num_gpus=8).needed(window_of(100.0)).tolist() == [4]


def test_filled_takes_the_largest_first() -> None:
    """Tests that of 3 × TP2 and 1 × TP8 12 GPUs hold 2 × TP2 and the TP8, and 16 have one more idle TP2."""
    fleet = make_fleet(two_degrees())
    assert fleet.filled(np.array([3, 1]), 12).tolist() == [2, 1]
    assert fleet.filled(np.array([3, 1]), 16).tolist() == [4, 1]
    assert fleet.filled(np.array([0, 0]), 28).tolist() == [2, 3]


def test_spare_instances_idle() -> None:
    """Tests by hand: 15 requests/s on three instances, all of which run: 3 · 200 W + 15 · 40 J = 1,200 W."""
    found = make_fleet().serve(window_of(15.0), np.array([3]))
    assert found is not None
    assert found.allocation.power_w == pytest.approx(1200.0)
    assert found.allocation.num_instances == 3
    assert (found.share, found.headroom) == (1.0, 0.0)


def test_headroom_is_used_before_anything_is_left() -> None:
    """Tests that at a headroom of 0.25 two instances are planned 8 requests/s each; 18 fit with 20 / 18 - 1 = 0.11."""
    found = make_fleet(headroom=0.25).serve(window_of(18.0), np.array([2]))
    assert found is not None
    assert found.share == 1.0
    assert found.headroom == pytest.approx(20 / 18 - 1, abs=0.01)


def test_overload_is_what_lies_beyond_all_capacity() -> None:
    """Tests that of 40 requests/s two instances serve 20, half of them, at full load: 2 · 600 W."""
    found = make_fleet(headroom=0.25).serve(window_of(40.0), np.array([2]))
    assert found is not None
    assert found.share == pytest.approx(0.5, rel=1e-3)
    assert found.headroom == 0.0
    assert found.allocation.power_w == pytest.approx(1200.0, rel=1e-3)


@pytest.mark.parametrize(("start", "counts"), [("2024-05-11 05:05", [2, 1, 2]), ("2024-05-11 11:55", [2, 1, 1])])
def test_fleets_that_just_suffice_keep_their_headroom(start: str, counts: list[int]) -> None:
    """Tests two windows of the coding week in which prices find no answer at the full headroom, though there is one."""
    demand, profile = read_demand("azure-2024-coding"), read_profile("llama2-70b-h100")
    at = int(demand.starts.searchsorted(pd.Timestamp(start, tz="UTC")))
    came = demand.window(at)
    window = replace(
        came,
        rate_rps={profile.model: came.rate_rps[""]},
        peak_factor={profile.model: came.peak_factor[""]},
    )
    found = make_fleet(profile, num_gpus=320, headroom=0.1).serve(window, np.array(counts))
    assert found is not None
    assert (found.share, found.headroom) == (1.0, 0.1)
    assert found.gap <= 1e-3


def test_no_instance_serves_nothing() -> None:
    """Tests that without instances there is no answer."""
    assert make_fleet().serve(window_of(5.0), np.array([0])) is None


@settings(max_examples=30, deadline=None)
@given(rate=st.floats(0.5, 150), small=st.integers(0, 5), large=st.integers(0, 3))
def test_answers_are_right_and_use_all_that_runs(rate: float, small: int, large: int) -> None:
    """Tests that `check` accepts what is served, that exactly the fleet runs, and that the gap is honest."""
    counts = np.array([small, large])
    found = make_fleet(two_degrees()).serve(window_of(rate), counts)
    if found is None:
        assert counts.sum() == 0
        return
    problem = make_problem(two_degrees(), {"SS": rate * found.share}, fixed_mix={"tiny-model": {2: small, 8: large}})
    assert check_allocation(problem, found.allocation) == []
    capacity = 10 * small + 50 * large
    assert found.share == pytest.approx(min(1.0, capacity / rate), rel=0.02)


def test_same_instances_as_needed_draw_the_least() -> None:
    """Tests that what a window needs serves it at the power of the free optimum: 3 · 200 + 25 · 40 = 1,600 W."""
    fleet = make_fleet(line_profile())
    found = fleet.serve(window_of(25.0), fleet.needed(window_of(25.0)))
    assert found is not None
    assert found.allocation.power_w == pytest.approx(1600.0)
