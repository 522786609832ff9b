"""Tests picking an alternative for each pool within limits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.price_search import PoolInstances
from dynaopt.within_limits import pick


def way(cost_w: float, *usage: float) -> PoolInstances:
    """Make an alternative."""
    return PoolInstances(parts=(), cost_w=cost_w, usage=np.array(usage, dtype=float))


def test_the_cheapest_is_picked_where_it_fits() -> None:
    """Tests two pools whose cheapest alternatives take 8 + 4 of 12 GPUs."""
    chosen = pick([[way(100, 8), way(150, 4)], [way(60, 4), way(90, 2)]], np.array([12.0]))
    assert chosen is not None
    assert [w.cost_w for w in chosen] == [100, 60]


def test_the_least_is_paid_for_what_does_not_fit() -> None:
    """Tests 10 GPUs: giving up 2 costs 30 W in the second pool and 50 W (and 4 GPUs) in the first."""
    chosen = pick([[way(100, 8), way(150, 4)], [way(60, 4), way(90, 2)]], np.array([10.0]))
    assert chosen is not None
    assert [w.cost_w for w in chosen] == [100, 90]


def test_two_limits() -> None:
    """Tests one instance of each of two degrees, which both pools would like to have of the first."""
    chosen = pick([[way(10, 1, 0), way(40, 0, 1)], [way(10, 1, 0), way(20, 0, 1)]], np.array([1.0, 1.0]))
    assert chosen is not None
    assert [w.cost_w for w in chosen] == [10, 20]


def test_nothing_fits() -> None:
    """Tests that None is returned where even the least is too much, or a pool has no alternative."""
    assert pick([[way(10, 4)], [way(10, 4)]], np.array([6.0])) is None
    assert pick([[way(10, 4)], []], np.array([6.0])) is None


def test_too_many_states_are_given_up() -> None:
    """Tests that a knapsack of a million million states is not begun."""
    assert pick([[way(10, 1, 1)]], np.array([1e6, 1e6])) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    ways=st.lists(
        st.lists(st.tuples(st.integers(1, 50), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    limits=st.tuples(st.integers(0, 9), st.integers(0, 6)),
)
def test_against_every_combination(ways: list[list[tuple[int, int, int]]], limits: tuple[int, int]) -> None:
    """Tests the cost against trying all combinations, and that the limits hold."""
    alternatives = [[way(c, 2 * a, b) for c, a, b in pool] for pool in ways]
    room = np.array([2.0 * limits[0], limits[1]])
    fitting = [
        sum(w.cost_w for w in combination)
        for combination in product(*alternatives)
        if (sum(w.usage for w in combination) <= room).all()
    ]
    chosen = pick(alternatives, room)
    assert (chosen is None) == (not fitting)
    if chosen is not None:
        assert sum(w.cost_w for w in chosen) == pytest.approx(min(fitting))
        assert (sum(w.usage for w in chosen) <= room).all()
