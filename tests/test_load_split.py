"""Tests the branch and bound over the loads of pools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_builders import AT, loads, only_group, two_size_problem

from dynaopt.load_sets import LOWER_SETS
from dynaopt.load_split import split_load
from dynaopt.pool_value import value
from dynaopt.price_search import Workspace, priced

CLASSES = ("SS", "SM", "MM", "LL")


def split(
    rates: dict[str, float], max_nodes: int = 4096, gap: float = 1e-9, **known: float
) -> tuple[float, float, np.ndarray, Workspace]:
    """Split arrivals over pools; longer classes cost a tenth more for each step."""
    group, room = only_group(two_size_problem(rates, CLASSES)), Workspace()
    room.fill(group, priced(group, np.zeros(1)))
    besides, beaten = known.get("besides", 0.0), known.get("beaten", np.inf)
    arrivals, tree = group.families[0][0].rates_rps, room.tree[0]
    found = split_load(arrivals, group.most_rps, LOWER_SETS, room.pools, tree, max_nodes, gap, besides, beaten)
    return *found, room


def test_what_must_be_beaten_closes_the_tree() -> None:
    """Tests that loads which cannot beat an answer that is there are not looked for beyond their first bound.

    What comes besides counts on both sides: 1000 W more on either change nothing.
    """
    rates = {"SS": 1.3, "MM": 0.7, "LL": 2.2}
    cost, lower, *_ = split(rates)
    first = split(rates, max_nodes=1)
    assert first[1] < lower
    for besides in (0.0, 1000.0):
        beaten = split(rates, besides=besides, beaten=first[1] + besides)
        assert beaten[1] == pytest.approx(first[1])
        assert split(rates, besides=besides, beaten=cost + besides + 1.0)[1] == pytest.approx(lower)


def test_one_class_stays_in_its_pool() -> None:
    """Tests SS 4.0: one full TP8 at 320 W."""
    cost, lower, found, _ = split({"SS": 4.0})
    assert (cost, lower) == (pytest.approx(320.0), pytest.approx(320.0))
    assert found == pytest.approx(loads(SS=4.0))


def test_a_small_class_joins_a_longer_one() -> None:
    """Tests SS 0.2 and MM 3.0.

    Apart: TP2 at 50 + 0.2 x 50 = 60 W, and TP8 in MM at 1.2 x (200 + 2 x 40) = 336 W, together 396 W. Together in MM:
    3.2 requests/s on the TP8, 1.2 x (200 + 2.2 x 40) = 345.6 W.
    """
    cost, lower, found, _ = split({"SS": 0.2, "MM": 3.0})
    assert cost == pytest.approx(345.6)
    assert lower == pytest.approx(345.6)
    assert found == pytest.approx(loads(MM=3.2))


def test_a_longer_class_is_never_demoted() -> None:
    """Tests LL alone: SS would be cheaper, but LL must be served in LL at 1.3 x 320 W."""
    cost, _, found, _ = split({"LL": 4.0})
    assert cost == pytest.approx(416.0)
    assert found == pytest.approx(loads(LL=4.0))


def test_part_of_a_class_fills_a_gap() -> None:
    """Tests SS 4.4 and MM 3.6.

    Apart: SS on a full TP8 and a TP2, 320 + 50 + 0.4 x 50 = 390 W; MM on a TP8, 1.2 x (200 + 2.6 x 40) = 364.8 W,
    754.8 W in all. With 0.4 of SS promoted both TP8 are full: 320 + 1.2 x 320 = 704 W.
    """
    cost, lower, found, _ = split({"SS": 4.4, "MM": 3.6})
    assert cost == pytest.approx(704.0)
    assert lower == pytest.approx(704.0)
    assert found == pytest.approx(loads(SS=4.0, MM=4.0))


def test_no_arrivals_cost_nothing() -> None:
    """Tests a window in which nothing arrives."""
    cost, lower, found, _ = split({})
    assert (cost, lower, found.sum()) == (0.0, 0.0, 0.0)


def test_a_class_that_no_pool_can_serve_is_impossible() -> None:
    """Tests that both cost and bound are infinite where LL arrives and has no configuration."""
    group, room = only_group(two_size_problem({"LL": 1.0}, ("SS", "MM"))), Workspace()
    room.fill(group, priced(group, np.zeros(1)))
    found = split_load(group.families[0][0].rates_rps, group.most_rps, LOWER_SETS, room.pools, room.tree[0], 100, 1e-4)
    assert (found[0], found[1]) == (np.inf, np.inf)


@pytest.mark.parametrize("max_nodes", [1, 3, 10, 50, 4096])
def test_the_bound_rises_and_the_cost_falls_with_the_nodes(max_nodes: int) -> None:
    """Tests that bounds and costs of any number of nodes enclose the optimum."""
    rates = {"SS": 2.3, "SM": 0.7, "MM": 1.9, "LL": 0.35}
    best, proved, _, _ = split(rates)
    cost, lower, _, _ = split(rates, max_nodes)
    assert best - proved <= 1e-6 * best
    assert lower <= best * (1 + 1e-9)
    assert cost >= best * (1 - 1e-9)


def test_the_gap_stops_it() -> None:
    """Tests that cost and bound lie within the gap asked for, and not much nearer at the first node."""
    rates = {"SS": 2.3, "SM": 0.7, "MM": 1.9, "LL": 0.35}
    cost, lower, _, _ = split(rates, gap=0.2)
    assert (cost - lower) / cost <= 0.2
    assert split(rates, gap=1e-6)[1] >= lower


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rates=st.dictionaries(st.sampled_from(CLASSES), st.floats(0.01, 6.0), min_size=1), data=st.data())
def test_no_loads_that_can_be_served_cost_less(rates: dict[str, float], data: st.DataObject) -> None:
    """Tests the bound against random promotions, and that the loads found can be served and cost what is said."""
    cost, lower, found, room = split(rates, gap=1e-6)
    arrivals = loads(**rates)
    assert found.sum() == pytest.approx(arrivals.sum())
    assert (LOWER_SETS @ found <= LOWER_SETS @ arrivals + 1e-7).all()
    assert sum(value(room.pools[p], load)[0] for p, load in enumerate(found)) == pytest.approx(cost, rel=1e-7)
    assert lower <= cost <= lower * (1 + 2e-6) + 1e-6
    other = arrivals.copy()
    for _ in range(3):
        c, p = (AT[name] for name in sorted(data.draw(st.tuples(*[st.sampled_from(CLASSES)] * 2)), key=CLASSES.index))
        share = data.draw(st.floats(0, 1)) * other[c]
        other[c] -= share
        other[p] += share
    assert sum(value(room.pools[p], load)[0] for p, load in enumerate(other)) >= lower - 1e-6
