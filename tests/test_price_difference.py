"""Tests of `dynaopt.price_difference`: intervals that hold whatever the two optima are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaopt.price_difference import Difference, Proved, difference


def proved(objective_w: float, bound_w: float) -> Proved:
    """Make what is known of a problem whose objective is its power."""
    return Proved(power_w=objective_w, objective_w=objective_w, bound_w=bound_w)


def test_two_optima() -> None:
    """Tests that without gaps the price is their difference, 500 − 600 W, and both ends are that."""
    found = difference(proved(600, 600), proved(500, 500))
    assert found == Difference(power_w=-100, objective_w=-100, lower_w=-100, upper_w=-100)


def test_gaps() -> None:
    """Tests the ends: with 600 to 590 before and 505 to 500 after, the price is from 500 − 600 to 505 − 590."""
    found = difference(proved(600, 590), proved(505, 500))
    assert (found.lower_w, found.objective_w, found.upper_w) == (-100, -95, -85)


def test_the_wider_problem_takes_the_answer_of_the_narrower() -> None:
    """Tests that after widening nothing costs more: an answer of 610 W is replaced by that of 600 W."""
    found = difference(proved(600, 590), proved(610, 580), widens=1)
    assert found.objective_w == 0
    assert (found.lower_w, found.upper_w) == (-20, 0)


def test_the_bound_of_the_wider_holds_for_the_narrower() -> None:
    """Tests that a bound of 595 W after widening is one before it: the price is at most 598 − 595 W, and so 0."""
    found = difference(proved(600, 400), proved(598, 595), widens=1)
    assert (found.lower_w, found.upper_w) == (-5, 0)
    narrowed = difference(proved(598, 595), proved(600, 400), widens=-1)
    assert (narrowed.lower_w, narrowed.objective_w, narrowed.upper_w) == (0, 2, 5)


def test_an_answer_that_serves_both() -> None:
    """Tests that where the wider answer serves in the narrower problem too nothing is gained, up to its own gap."""
    found = difference(proved(600, 400), proved(550, 549), widens=1, serves_both=True)
    assert (found.lower_w, found.objective_w, found.upper_w) == (-1, 0, 0)


def test_unused_gpus_that_stay_on() -> None:
    """Tests that a GPU that stays unused costs just what it draws: 70 W."""
    found = difference(proved(600, 600), proved(670, 670), widens=1, serves_both=True, shift_w=70)
    assert found == Difference(power_w=70, objective_w=70, lower_w=70, upper_w=70)
    taken = difference(proved(670, 670), proved(600, 600), widens=-1, serves_both=True, shift_w=70)
    assert (taken.lower_w, taken.objective_w, taken.upper_w) == (-70, -70, -70)


def test_power_is_told_apart_from_the_objective() -> None:
    """Tests that where GPUs have a price both differences are told: +480 W of power, −120 W of objective."""
    before = Proved(power_w=1320, objective_w=1920, bound_w=1920)
    after = Proved(power_w=840, objective_w=2040, bound_w=2040)
    found = difference(after, before, widens=1)
    assert (found.power_w, found.objective_w) == (480, -120)


watts = st.floats(0, 1000)


@given(narrow=watts, gain=watts, gaps=st.tuples(watts, watts, watts, watts), shift_w=st.sampled_from([0.0, 70.0]))
def test_the_interval_holds_the_truth(
    narrow: float, gain: float, gaps: tuple[float, float, float, float], shift_w: float
) -> None:
    """Tests for any optima, answers and bounds that the price lies inside, and so does the estimate."""
    wide = narrow + shift_w - gain
    own = proved(narrow + gaps[0], narrow - gaps[1])
    other = proved(wide + gaps[2], wide - gaps[3])
    for before, after, widens, truth in ((own, other, 1, wide - narrow), (other, own, -1, narrow - wide)):
        found = difference(before, after, widens=widens, shift_w=shift_w)
        plain = difference(before, after)
        assert found.lower_w - 1e-6 <= truth <= found.upper_w + 1e-6
        assert found.lower_w - 1e-6 <= found.objective_w <= found.upper_w + 1e-6
        assert found.lower_w >= plain.lower_w - 1e-6
        assert found.upper_w <= plain.upper_w + 1e-6
    if gain == 0:
        found = difference(own, other, widens=1, serves_both=True, shift_w=shift_w)
        assert found.objective_w == pytest.approx(shift_w)
        assert found.lower_w - 1e-6 <= shift_w <= found.upper_w + 1e-6
