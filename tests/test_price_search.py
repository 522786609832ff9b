"""Tests searches at given prices."""

import numpy as np
import pytest
from search_builders import AT, loads, only_group, three_mixes_problem, two_size_problem

from dynaopt.price_search import Workspace, instances_at, pool_instances, priced, search


def test_a_price_is_charged_for_every_gpu() -> None:
    """Tests 5 W a GPU: TP2 costs 10 W more at every load, TP8 40 W more."""
    group = only_group(two_size_problem({"SS": 1.0}))
    cost = priced(group, np.array([5.0]))
    assert cost[:5].tolist() == [60.0, 110.0, 140.0, 240.0, 360.0]


def test_power_may_count_for_nothing() -> None:
    """Tests that at weight 0 an instance costs its GPUs only."""
    group = only_group(two_size_problem({"SS": 1.0}))
    assert priced(group, np.array([1.0]), 0.0)[:5].tolist() == [2.0, 2.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("price_w", "cost", "gpus"),
    [
        (0.0, 320.0, 8.0),  # one TP8
        (1000.0, 8320.0, 8.0),  # as many GPUs as four TP2
    ],
)
def test_search_by_hand(price_w: float, cost: float, gpus: float) -> None:
    """Tests SS 4.0 on one TP8 of 320 W and 8 GPUs; four TP2 would draw 400 W on as many."""
    group, room = only_group(two_size_problem({"SS": 4.0})), Workspace()
    room.fill(group, priced(group, np.array([price_w])))
    found = search(group, room, max_nodes=100, gap=1e-6)
    assert found.cost == pytest.approx(cost)
    assert found.lower == pytest.approx(cost)
    way = instances_at(group, room, AT["SS"], float(found.loads_rps[AT["SS"]]))
    assert way.usage.tolist() == [gpus]
    assert way.cost_w == pytest.approx(320.0)


@pytest.mark.parametrize("max_nodes", [1, 100])
@pytest.mark.parametrize(
    ("rates", "opened", "cost"),
    [
        ((0.2, 0.2, 0.2, 0.2), [11], 99.0),  # all in one, 55 + 44 W; two pairs take 2 · 50 + 40 W
        ((0.1, 0.5, 0.5, 0.4), [9, 10], 175.0),  # two pairs, 80 + 95 W; all in two take 110 + 82.5 W, so do classes
        ((0.0, 0.5, 0.5, 0.4), [9], 177.5),  # SL by itself, 82.5 W, and the other pair
        ((0.0, 0.5, 0.0, 0.0), [], 82.5),  # by itself, for there is no mix of one
        ((0.0, 0.0, 0.0, 0.0), [], 0.0),
    ],
)
def test_the_cheapest_family_is_taken(rates: tuple[float, ...], opened: list[int], cost: float, max_nodes: int) -> None:
    """Tests rates of SM, SL, LS and LM: mixed pools are weighed against each other and against pools of classes."""
    group = only_group(three_mixes_problem(dict(zip(("SM", "SL", "LS", "LM"), rates, strict=True))))
    room = Workspace()
    room.fill(group, priced(group, np.zeros(1)))
    found = search(group, room, max_nodes=max_nodes, gap=1e-9)
    assert found.cost == pytest.approx(cost)
    assert found.lower == pytest.approx(cost)
    assert (9 + np.flatnonzero(found.loads_rps[9:])).tolist() == opened


def test_a_price_moves_load_to_smaller_instances() -> None:
    """Tests SS 2.0: a TP8 draws 240 W and two TP2 200 W; both take fewer GPUs with TP2."""
    group, room = only_group(two_size_problem({"SS": 2.0})), Workspace()
    room.fill(group, priced(group, np.array([10.0])))
    way = instances_at(group, room, AT["SS"], 2.0)
    assert way.parts == ((0, 2, 1.0),)
    assert (way.cost_w, way.usage.tolist()) == (200.0, [4.0])


def test_instances_carry_the_load() -> None:
    """Tests that parts add up to loads between, at and beyond sums of capacities, and none for no load."""
    group, room = only_group(two_size_problem({"SS": 30.0})), Workspace()
    room.fill(group, priced(group, np.zeros(1)))
    for load in (0.0, 0.37, 1.0, 4.0, 4.0 + 1e-13, 6.2, 29.9):
        way = instances_at(group, room, AT["SS"], load)
        assert sum(n * rate for _, n, rate in way.parts) == pytest.approx(load, rel=1e-12)


def test_cost_and_usage_add_up() -> None:
    """Tests two TP2 at full load and a TP8 at 2.5: 2 x 100 + 260 W on 12 GPUs."""
    way = pool_instances(only_group(two_size_problem({"SS": 1.0})), [(0, 2, 1.0), (1, 1, 2.5)])
    assert (way.cost_w, way.usage.tolist()) == (460.0, [12.0])


def test_no_options_no_answer() -> None:
    """Tests that a class without configuration makes the search impossible."""
    group, room = only_group(two_size_problem({"LL": 1.0}, ("SS",))), Workspace()
    room.fill(group, priced(group, np.zeros(1)))
    found = search(group, room, max_nodes=100, gap=1e-6)
    assert (found.cost, found.lower) == (np.inf, np.inf)


def test_the_workspace_serves_groups_of_any_size() -> None:
    """Tests that a second group gives what it gives in a workspace of its own."""
    room = Workspace()
    results = []
    for rates in ({"SS": 4.0}, {"SS": 4.4, "MM": 3.6}, {"SS": 4.0}):
        group = only_group(two_size_problem(rates))
        room.fill(group, priced(group, np.zeros(1)))
        results.append(search(group, room, max_nodes=500, gap=1e-6))
    assert results[0].cost == results[2].cost
    assert results[0].loads_rps == pytest.approx(loads(SS=4.0))
