"""Tests moving load between pools."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_builders import AT, loads, only_group, three_mixes_problem, two_size_problem

from dynaopt.load_moves import improve
from dynaopt.load_sets import LOWER_SETS, NUM_CLASSES


def opening_cost(_: int, load: float) -> float:
    """Return a cost that depends on nothing but whether there is load."""
    return 10.0 if load > 0 else 0.0


def test_nothing_moves_out_of_a_mixed_pool() -> None:
    """Tests LS and LM in their mixed pool; SM beside it moves to SL, and not to LM or into the mix."""
    group = only_group(three_mixes_problem({"SM": 1.0, "SL": 2.0, "LS": 4.0, "LM": 8.0}))
    start = np.append(loads(SM=1.0, SL=2.0), [0.0, 12.0, 0.0])
    found = improve(start, group, opening_cost)
    assert found == pytest.approx(np.append(loads(SL=3.0), [0.0, 12.0, 0.0]))


def test_pools_are_closed_where_opening_is_all_that_costs() -> None:
    """Tests that SS and MM end up together with LL, which cannot move."""
    group = only_group(two_size_problem({"SS": 1.0, "MM": 2.0, "LL": 3.0}))
    found = improve(loads(SS=1.0, MM=2.0, LL=3.0), group, opening_cost)
    assert found == pytest.approx(loads(LL=6.0))


def test_load_is_moved_back_where_it_came_from() -> None:
    """Tests that SS, promoted to LL at a cost, returns to SS, and LL's own load stays."""
    group = only_group(two_size_problem({"SS": 1.0, "LL": 3.0}))
    found = improve(loads(LL=4.0), group, lambda p, load: load * (1.0 if p == AT["SS"] else 2.0))
    assert found == pytest.approx(loads(SS=1.0, LL=3.0))


def test_nothing_is_moved_without_gain() -> None:
    """Tests a cost that is the same everywhere."""
    group = only_group(two_size_problem({"SS": 1.0, "LL": 3.0}))
    start = loads(SS=1.0, LL=3.0)
    assert improve(start, group, lambda _, load: load).tolist() == start.tolist()


def test_past_the_deadline_nothing_is_moved() -> None:
    """Tests that a deadline in the past leaves the loads, and that the loads given are never changed."""
    group = only_group(two_size_problem({"SS": 1.0, "LL": 3.0}))
    start = loads(SS=1.0, LL=3.0)
    assert improve(start, group, opening_cost, time.perf_counter() - 1).tolist() == start.tolist()
    improve(start, group, opening_cost)
    assert start == pytest.approx(loads(SS=1.0, LL=3.0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rates=st.dictionaries(st.sampled_from(list(AT)), st.floats(0.01, 5.0), min_size=1),
    prices=st.lists(st.floats(0.0, 10.0), min_size=9, max_size=9),
    openings=st.lists(st.floats(0.0, 10.0), min_size=9, max_size=9),
)
def test_moved_loads_can_be_served_and_cost_no_more(
    rates: dict[str, float], prices: list[float], openings: list[float]
) -> None:
    """Tests random costs: the total stays, lower sets hold, and the cost does not rise."""

    def cost(p: int, load: float) -> float:
        return prices[p] * load + openings[p] if load > 0 else 0.0

    start = loads(**rates)
    found = improve(start, only_group(two_size_problem(rates)), cost)
    assert found.sum() == pytest.approx(start.sum())
    assert (found >= 0).all()
    assert (LOWER_SETS @ found <= LOWER_SETS @ start + 1e-9).all()
    total = [sum(cost(p, float(one[p])) for p in range(NUM_CLASSES)) for one in (start, found)]
    assert total[1] <= total[0] + 1e-9
    assert np.isfinite(total[1])
