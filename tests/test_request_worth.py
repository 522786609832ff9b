"""Tests bounds from what requests are worth."""

import numpy as np
import pytest
from search_builders import AT, only_group, three_mixes_problem, two_size_problem

from dynaopt.hull import MAX_NODES
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.request_worth import ModelPools, RequestWorth, marginal_worth

PROBLEMS = {
    "one class": two_size_problem({"SS": 7.3}),
    "three classes": two_size_problem({"SS": 1.2, "MM": 2.3, "LL": 0.4}),
    "mixed pools": three_mixes_problem({"SM": 3.4, "SL": 3.4, "LS": 3.3}),
}


def filled(problem: Problem) -> tuple[ModelPools, Workspace, float]:
    """Return a problem's model, its value functions, and the least cost."""
    group, room = only_group(problem), Workspace()
    pools = PlainPools(group, room)
    pools.set_prices(np.zeros(1))
    return ModelPools.of(group, 0), room, pools.search(MAX_NODES, 0.0).cost


def test_pools_that_may_serve_each_class() -> None:
    """Tests that SM goes to its own pool and to longer ones, and to the mixed pools that it is a member of."""
    model, _, _ = filled(PROBLEMS["mixed pools"])
    names = [model.group.pools[p] for p in model.serving[AT["SM"]] if p in model.mixed]
    assert (len(model.mixed), len(names)) == (2, 2)
    assert set(model.serving[AT["SM"]]) >= {AT["SM"], AT["SL"], AT["LL"]}
    assert AT["SS"] not in model.serving[AT["SM"]]


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_marginal_worth_bounds_the_cost(problem: Problem) -> None:
    """Tests that the bound is no higher than the least cost, and near it where there are many instances."""
    model, room, least = filled(problem)
    worth = marginal_worth(model, room, model.group.most_rps, np.zeros(9))
    assert 0.5 * least <= worth.bound_w <= least * (1 + 1e-9)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_any_worth_bounds_the_cost(problem: Problem) -> None:
    """Tests random worths: with what pools cost at least beyond them they bound the cost too."""
    model, room, least = filled(problem)
    rng = np.random.default_rng(3)
    for _ in range(5):
        worth = marginal_worth(model, room, model.group.most_rps, rng.uniform(0, 200, 9))
        assert worth.bound_w <= least * (1 + 1e-9)


def test_one_pool_with_a_load_by_hand() -> None:
    """Tests 2 requests/s of SS, worth 60 W each, and 1 of MM, worth 90 W, in the pool MM at a cost of 10 W + 80 W L.

    Serving MM first, L in MM is worth 90 L up to 1 and 60 L beyond: at 1 it costs no more than that, at 3 40 W more.
    """
    model, _, _ = filled(two_size_problem({"SS": 2.0, "MM": 1.0}))
    worth_w = np.zeros(9)
    worth_w[AT["SS"]], worth_w[AT["MM"]] = 60.0, 90.0
    worth = RequestWorth(model, worth_w)
    assert worth.bound_w == pytest.approx(210.0)
    ends = [np.array([x]) for x in (0.5, 3.0)]
    assert worth.bound_with(AT["MM"], (10.0, 80.0), ends[1], ends[1]) == pytest.approx(210 + 40)
    assert worth.bound_with(AT["MM"], (10.0, 80.0), *ends) == pytest.approx(210 + 0)
    assert worth.least_beyond(AT["MM"], np.array([0.5, 3.0]), np.array([50.0, 250.0])) == pytest.approx(0.0)
