"""Tests the tables of the pools of a model."""

import numpy as np
import pytest
from search_builders import AT, only_group, three_mixes_problem, two_size_problem

from dynaopt.pool_value import POOL, value, value_floor
from dynaopt.price_search import Workspace
from dynaopt.request_worth import ModelPools
from dynaopt.spare_points import points_of
from dynaopt.spare_tables import SpareTables

RATES = {"SS": 2.6, "MM": 1.3}


def tables(best: float, rates: dict[str, float] | None = None) -> tuple[SpareTables, ModelPools, Workspace]:
    """Return the tables of TP2 and TP8 with a reserve of a fifth, where a cost is possible, and room for them."""
    group, room = only_group(two_size_problem(rates or RATES)), Workspace()
    room.pools = np.zeros(len(group.pools), POOL)
    points = [points_of(group, group.cost_w, p) for p in range(len(group.pools))]
    model = ModelPools.of(group, 0)
    return SpareTables(points, 0.2, model, best), model, room


def test_loads_that_cost_too_much_are_left_out() -> None:
    """Tests that LL, a fifth dearer, may have the whole load where 600 W are possible, and less where 360 are."""
    easy, hard = tables(600.0)[0].most_rps[AT["LL"]], tables(360.0)[0].most_rps[AT["LL"]]
    assert easy == pytest.approx(3.9)
    assert 0 < hard < 2.0


def test_budgets_rise_until_no_more_is_of_use() -> None:
    """Tests that doubling ends, and that then V is known wherever less than 450 W in all are possible."""
    found, _, room = tables(450.0)
    budget, rounds = 0.125 * found.unit, 0
    while found.raise_to(budget, 450.0, np.inf):
        found.write(room)
        budget, rounds = 2 * budget, rounds + 1
    found.write(room)
    assert rounds < 12
    for load in np.linspace(0.3, 2.6, 12):
        own = room.pools[AT["SS"]]
        cost = value(own, float(load))[0]
        assert np.isfinite(cost)
        assert value_floor(own, float(load)) == pytest.approx(cost)
        assert found.instances(AT["SS"], float(load)).cost_w == pytest.approx(cost)


def test_nothing_is_raised_when_time_is_up() -> None:
    """Tests a deadline that has passed: V stays unknown."""
    found, _, room = tables(450.0)
    assert not found.raise_to(100.0, 450.0, 0.0)
    found.write(room)
    assert value(room.pools[AT["SS"]], 1.0)[0] == np.inf
    assert value_floor(room.pools[AT["SS"]], 1.0) > 0


def test_a_mixed_pool_is_known_at_its_load_only() -> None:
    """Tests the mixed pool of SM and SL, 0.4 requests/s each: two instances with N+1, one at 0.8 and one idle."""
    group, room = only_group(three_mixes_problem({"SM": 0.4, "SL": 0.4})), Workspace()
    room.pools = np.zeros(len(group.pools), POOL)
    points = [points_of(group, group.cost_w, p) for p in range(len(group.pools))]
    model = ModelPools.of(group, 0)
    found = SpareTables(points, "n+1", model, 500.0)
    found.raise_to(500.0, 500.0, np.inf)
    found.write(room)
    costs = {p: value(room.pools[p], 0.8)[0] for p in model.mixed}
    assert min(costs.values()) == pytest.approx(50 + 0.8 * 50 + 50)
    assert all(value(room.pools[p], 0.4)[0] == np.inf for p in model.mixed)
