"""Tests ways to serve a load with few instances of each degree."""

import numpy as np
import pytest
from search_builders import AT, two_size_problem

from dynaopt.flat_problem import Group, groups_of
from dynaopt.mix_covers import covers


def mixed(**mix: int) -> Group:
    """Return the group of a fixed mix, of TP2 with 1 request/s and TP8 with 4."""
    numbers = {int(degree.removeprefix("tp")): number for degree, number in mix.items()}
    return groups_of(two_size_problem({"SS": 1.0}, num_gpus=400, fixed_mix={"tiny-model": numbers}))[1]


def test_all_ways_none_of_which_can_spare_an_instance() -> None:
    """Tests 5.0 requests/s: five TP2, one of each but not less, or two TP8; with a TP2 beside two TP8 one is spare."""
    found = covers(mixed(tp2=6, tp8=3), AT["SS"], 5.0)
    assert sorted(tuple(way.usage) for way in found) == [(0.0, 2.0), (1.0, 1.0), (5.0, 0.0)]


def test_limits_are_kept() -> None:
    """Tests that with four TP2 five of them are no way."""
    assert sorted(tuple(way.usage) for way in covers(mixed(tp2=4, tp8=3), AT["SS"], 5.0)) == [(0.0, 2.0), (1.0, 1.0)]


def test_what_the_mix_cannot_carry() -> None:
    """Tests 9.5 requests/s on what carries 9."""
    assert covers(mixed(tp2=5, tp8=1), AT["SS"], 9.5) == []


@pytest.mark.parametrize("load", [0.4, 1.0, 3.7, 4.4, 8.9])
def test_ways_carry_the_load_within_capacities(load: float) -> None:
    """Tests loads of parts, and that each is the cost of its parts."""
    group = mixed(tp2=9, tp8=3)
    for way in covers(group, AT["SS"], load):
        assert sum(n * rate for _, n, rate in way.parts) == pytest.approx(load)
        assert all(0 <= rate <= group.curve(k)[0][-1] * (1 + 1e-12) for k, _, rate in way.parts)
        assert way.cost_w == pytest.approx(sum(n * np.interp(rate, *group.curve(k)) for k, n, rate in way.parts))


def test_the_cheaper_filling_is_taken() -> None:
    """Tests 4.5 on one of each: beyond idle, a full TP8 and half a TP2 cost 220 + 25 W, other fillings more."""
    way = next(w for w in covers(mixed(tp2=1, tp8=1), AT["SS"], 4.5) if w.usage.tolist() == [1.0, 1.0])
    assert way.cost_w == pytest.approx(220 + 0.5 * 50)


def test_no_load_and_no_options_have_no_ways() -> None:
    """Tests a load of 0 and a pool without configurations."""
    assert covers(mixed(tp2=1, tp8=1), AT["SS"], 0.0) == []
    assert covers(mixed(tp2=1, tp8=1), AT["SL"], 1.0) == []
