"""Tests pools with spare capacity whose cost is found to the end."""

import time
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from search_builders import AT, only_group, three_mixes_problem, two_size_problem

from dynaopt.bench_cases import find_cases
from dynaopt.hull import MAX_NODES
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.spare_pools import SparePools
from dynaopt.tabled_pools import TabledPools

Reserve = float | Literal["n+1"]


def pools(problem: Problem, reserve: Reserve, deadline_s: float = np.inf) -> TabledPools:
    """Return the pools of a problem."""
    return TabledPools(only_group(problem), Workspace(), reserve, deadline_s)


@pytest.mark.parametrize(
    ("reserve", "rates", "cost"),
    [
        (0.2, {"SS": 0.8}, 90.0),  # 0.8 of a TP2 that has 1
        (0.2, {"SS": 3.2}, 288.0),  # a TP8 has 4; at 3.2 it draws 200 + 2.2 x 40
        (0.2, {"SS": 4.0}, 370.0),  # 5 are needed: a full TP8 and an idle TP2
        ("n+1", {"SS": 0.8}, 140.0),  # a TP2 at 0.8 and an idle one
        ("n+1", {"SS": 2.0}, 250.0),  # two full TP2 and an idle one; two TP8 would draw 100 + 240
        ("n+1", {"SS": 0.3, "MM": 0.3}, 143.0),  # together in MM: 1.1 x (80 + 50)
    ],
)
def test_costs_by_hand_are_found_and_proved(reserve: Reserve, rates: dict[str, float], cost: float) -> None:
    """Tests that cost and bound are both what was worked out by hand."""
    found = pools(two_size_problem(rates), reserve).search(MAX_NODES, 0.0)
    assert (found.cost, found.lower) == (pytest.approx(cost), pytest.approx(cost))


def test_convex_curves_spread_load() -> None:
    """Tests N+1 where 1.0 on one instance draws 300 W and 0.5 on each of two 2 x 60 W."""
    curve = make_curve(2, 1000, "SS", [(0, 50), (0.5, 60), (1, 300)])
    found = pools(make_problem(make_profile([curve]), {"SS": 1.0}), "n+1").search(MAX_NODES, 0.0)
    assert (found.cost, found.lower) == (pytest.approx(120.0), pytest.approx(120.0))


@pytest.mark.parametrize("reserve", [0.2, "n+1"])
def test_mixed_pools_are_weighed(reserve: Reserve) -> None:
    """Tests SM and SL, 0.4 requests/s each: together in the mixed pool, 0.8 on one and, with N+1, one idle."""
    tabled = pools(three_mixes_problem({"SM": 0.4, "SL": 0.4}, num_gpus=12), reserve)
    found = tabled.search(MAX_NODES, 0.0)
    assert found.cost == pytest.approx(90.0 if reserve == 0.2 else 140.0)
    assert found.lower == pytest.approx(found.cost)
    assert found.loads_rps[:9].sum() == 0


@pytest.mark.parametrize("name", ["reserve-s1", "reserve-s3", "n+1-s0"])
def test_it_is_no_worse_than_the_quick_answer_and_proved(name: str) -> None:
    """Tests three cases of the library on which the quick bound is 4 % low and more."""
    problem = next(c for c in find_cases(["operation"], full=True) if c.name == f"operation-{name}").build()
    reserve = problem.cluster.reserve
    quick = SparePools(only_group(problem), Workspace(), reserve, np.inf).search(MAX_NODES, 0.0)
    tabled = pools(problem, reserve)
    found = tabled.search(MAX_NODES, 0.0)
    assert quick.lower < 0.97 * quick.cost
    assert quick.lower <= found.lower <= found.cost <= quick.cost * (1 + 1e-9)
    assert found.lower == pytest.approx(found.cost, rel=1e-5)
    assert sum(way.cost_w for way in tabled.instances(found.loads_rps)) == pytest.approx(found.cost)


def test_prices_count() -> None:
    """Tests that N+1 for 0.8 takes 4 GPUs at least, and a price is charged for them."""
    tabled = pools(two_size_problem({"SS": 0.8}), "n+1")
    tabled.set_prices(np.array([10.0]))
    assert tabled.search(MAX_NODES, 0.0).cost == pytest.approx(180.0)
    tabled.set_prices(np.ones(1), power_weight=0.0)
    found = tabled.search(MAX_NODES, 0.0)
    assert (found.cost, found.lower) == (pytest.approx(4.0), pytest.approx(4.0))


def test_a_deadline_leaves_the_quick_answer() -> None:
    """Tests that without time the answer and the bound are no worse than the quick ones."""
    problem = next(c for c in find_cases(["operation"], full=True) if c.name == "operation-n+1-s0").build()
    tabled = pools(problem, "n+1", time.perf_counter())
    found = tabled.search(MAX_NODES, 0.0)
    quick = SparePools(tabled.group, Workspace(), "n+1", time.perf_counter()).search(MAX_NODES, 0.0)
    assert found.cost <= quick.cost * (1 + 1e-9)
    assert found.lower >= quick.lower * (1 - 1e-9)
    assert found.lower < 0.99 * found.cost


def test_what_cannot_be_served_is_told() -> None:
    """Tests a class whose pools have no options."""
    problem = two_size_problem({"SS": 1.0, "SL": 1.0}, classes=("SS",))
    assert pools(problem, 0.2).search(MAX_NODES, 0.0).cost == np.inf


def test_two_models_are_searched_apart() -> None:
    """Tests that what two models cost together is proved, and is what each costs by itself."""
    problem = next(c for c in find_cases(["operation"], full=True) if c.name == "operation-two-models-s1").build()
    both = pools(problem, 0.2).search(MAX_NODES, 0.0)
    alone = [
        pools(problem.replace(demand=replace(problem.demand, rate_rps=rates)), 0.2).search(MAX_NODES, 0.0).cost
        for model in problem.demand.rate_rps
        for rates in [{name: (name == model) * rate for name, rate in problem.demand.rate_rps.items()}]
    ]
    assert both.cost == pytest.approx(sum(alone), rel=1e-6)
    assert both.lower == pytest.approx(both.cost, rel=1e-5)


def test_nothing_is_kept_or_covered() -> None:
    """Tests that part of a pool with spare capacity is not taken for the whole."""
    tabled = pools(two_size_problem({"SS": 3.7, "MM": 0.9}), 0.2)
    ways = tabled.instances(tabled.search(MAX_NODES, 0.0).loads_rps)
    assert tabled.covers(AT["SS"], 1.0) == []
    assert tabled.keeping(AT["SS"], 1.0, ways[AT["SS"]], np.array([0.5])) == []
