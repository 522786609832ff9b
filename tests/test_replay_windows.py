"""Tests of `dynaopt.replay_windows`."""

import pytest
from builders import make_curve, make_profile
from replay_builders import llama, make_schedule

from dynaopt.errors import InvalidInputError
from dynaopt.replay_windows import Flow, Group, by_nearness, energy_slope_j, pool_order, read_plans, serves


def test_plans_are_what_the_tables_say() -> None:
    """Tests two groups and a promotion, with the power of the curve, and that another model sees nothing of it."""
    groups = [("MS", 4, 1980, 2, 3.0), ("LL", 8, 1800, 1, 0.5)]
    schedule = make_schedule([(groups, [("SS", "MS", 6.0), ("LL", "LL", 0.5)])])
    (plan,) = read_plans(schedule, "llama2-70b")
    assert [(g.pool, g.tp, g.frequency_mhz, g.num_instances, g.rate_rps) for g in plan.groups] == groups
    assert plan.groups[0].power_w == pytest.approx(llama().curve(4, 1980, "MS").power_at_w(3.0))
    assert plan.flows == (Flow("SS", "MS", 6.0), Flow("LL", "LL", 0.5))
    assert plan.pools == ("MS", "LL")
    (other,) = read_plans(schedule, "another")
    assert (other.groups, other.flows) == ((), ())


def test_unanswered_window_is_as_the_one_before() -> None:
    """Tests windows without an answer at the start (nothing runs) and after an answer (it goes on)."""
    window = ([("MS", 4, 1980, 2, 3.0)], [("MS", "MS", 6.0)])
    plans = read_plans(make_schedule([None, window, None, ([], [])]), "llama2-70b")
    assert plans[0].groups == ()
    assert plans[2] is plans[1]
    assert plans[3].groups == ()


def test_pools_are_ordered_as_classes_and_then_mixes() -> None:
    """Tests five names."""
    names = ["ALL-b", "LL", "SS", "ALL-a", "ML"]
    assert sorted(names, key=pool_order) == ["SS", "ML", "LL", "ALL-a", "ALL-b"]


def test_who_serves_whom() -> None:
    """Tests promotion by both lengths, and that a mix serves what is in it."""
    profile = llama()
    assert serves(profile, "MM", "SS")
    assert not serves(profile, "MM", "LS")
    assert serves(profile, "ALL-conversation", "LL")
    assert not serves(profile, "ALL-conversation", "SL")
    assert not serves(profile, "ALL-unknown", "SS")


def test_nearest_pool_comes_first() -> None:
    """Tests MS: its own, then the smallest larger ones, then a mix; and those too small apart."""
    pools = ["SS", "MS", "MM", "LS", "LL", "ALL-conversation", "SL"]
    able, others = by_nearness(llama(), pools, "MS")
    assert able == ["MS", "MM", "LS", "LL", "ALL-conversation"]
    assert others == ["SS", "SL"]


@pytest.mark.parametrize(("rate_rps", "slope_j"), [(0.0, 100.0), (1.0, 100.0), (1.5, 20.0), (3.0, 20.0)])
def test_slope_is_that_of_the_segment_below(rate_rps: float, slope_j: float) -> None:
    """Tests a curve that rises by 100 W to 1 request/s and by 20 W per request/s from there to 3."""
    profile = make_profile([make_curve(4, 1980, "MS", [(0, 50), (1, 150), (3, 190)])])
    assert energy_slope_j(profile, Group("MS", 4, 1980, 1, rate_rps, 0.0)) == pytest.approx(slope_j)


def test_configuration_without_a_curve_is_refused() -> None:
    """Tests a clock that the profile does not have."""
    profile = make_profile([make_curve(4, 1980, "MS", [(0, 50), (1, 150)])])
    with pytest.raises(InvalidInputError, match="TP4 at 1400 MHz in pool MS"):
        energy_slope_j(profile, Group("MS", 4, 1400, 1, 0.5, 0.0))
