"""Tests ScaleShard against cases worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy_builders import TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.errors import NoSolutionError
from dynaopt.policies.sharded_pools import ScaleShard


def test_fixed_gpus_are_split_anew_in_every_window() -> None:
    """Tests 16 GPUs, two TP8 for 12 requests/s: a TP8 and four TP2 take 2580 W; at 4 requests/s eight TP2 1560 W.

    Then four TP2 start on the 8 GPUs that the TP8 gave up: 110 W · 8 · 5 s.
    """
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [12.0, 4.0]})
    schedule = ScaleShard().plan(case)
    assert power_w(schedule) == [2580, 1560]
    assert list(schedule.windows["num_gpus"]) == [16, 16]
    assert schedule.transition_energy_j == 110 * 8 * 5
    assert check(schedule, profiles=case.profiles) == []


def test_the_best_has_no_more_gpus_than_it_needs() -> None:
    """Tests that a TP8 and a TP2, 10 GPUs, serve 12 requests/s with 2220 W; at 4, five TP2 take 600 + 600 W."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [12.0, 4.0]})
    schedule = ScaleShard(best=True).plan(case)
    assert list(schedule.windows["num_gpus"]) == [10, 10]
    assert power_w(schedule) == [2220, 1200]


def test_the_best_clock_is_chosen() -> None:
    """Tests two clocks of a TP2, of which the lower serves half as much for half the power at any load."""
    slow = (2, 1000, [(0.0, 50.0), (1.5, 100.0)])
    case = make_policy_case(make_policy_profile(TP8, TP2, slow), {"SS": [1.4]})
    assert set(ScaleShard(best=True).plan(case).allocations["frequency_mhz"]) == {1000}


def test_too_few_gpus_are_told() -> None:
    """Tests that a pool which cannot be served on the whole cluster is no schedule."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [1000.0]})
    with pytest.raises(NoSolutionError, match="64 GPUs are too few for pool SS alone"):
        ScaleShard(best=True).plan(case)


def test_the_gpus_of_a_pool_are_those_of_its_busiest_window_wherever_it_lies() -> None:
    """Tests the first case the other way round: 4 and then 12 requests/s take two TP8's GPUs in both windows."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [4.0, 12.0]})
    schedule = ScaleShard().plan(case)
    assert list(schedule.windows["num_gpus"]) == [16, 16]
    assert power_w(schedule) == [1560, 2580]


def test_the_busiest_minute_may_lie_in_a_window_of_lower_load() -> None:
    """Tests 12 requests/s with a peak of 1 and 10 with a peak of 2: 20 need two TP8, where 12 need a TP8 and a TP2."""
    case = make_policy_case(make_policy_profile(TP8, TP2), {"SS": [12.0, 10.0]})
    demand = Demand("peaks", 300.0, case.demand.table.assign(peak_factor=[1.0, 2.0]), starts=case.demand.starts)
    schedule = ScaleShard(best=True).plan(replace(case, demand=demand))
    assert list(schedule.windows["num_gpus"]) == [16, 16]


def test_clocks_are_compared_by_the_sum_over_the_sample() -> None:
    """Tests a TP2 whose low clock idles cheaply, 50 W + 300 J a request, on windows 0 and 12 of thirteen.

    At 1.9 and 0.1 requests/s the high clock takes 405 + 135 = 540 W, the low one 620 + 80 = 700 W.
    """
    slow = (2, 1000, [(0.0, 50.0), (2.0, 650.0)])
    case = make_policy_case(make_policy_profile(TP2, slow), {"SS": [1.9] + [0.1] * 12})
    assert set(ScaleShard(best=True).plan(case).allocations["frequency_mhz"]) == {1980}
