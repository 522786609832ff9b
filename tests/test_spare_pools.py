"""Tests pools that keep a share of their capacity, or an instance, in reserve."""

from typing import Literal

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from search_builders import AT, NEAR, only_group, two_size_problem

from dynaopt.price_search import Workspace
from dynaopt.spare_pools import SparePools

Reserve = float | Literal["n+1"]


def pools(rates: dict[str, float], reserve: Reserve) -> SparePools:
    """Return the pools of TP2 (1 request/s, 50 to 100 W) and TP8 (4, 100 to 320 W)."""
    return SparePools(only_group(two_size_problem(rates)), Workspace(), reserve, np.inf)


@pytest.mark.parametrize(
    ("reserve", "rate", "cost"),
    [
        (0.2, 0.8, 90.0),  # 0.8 of a TP2 that has 1
        (0.2, 3.2, 288.0),  # a TP8 has 4; at 3.2 it draws 200 + 2.2 x 40
        (0.2, 4.0, 370.0),  # 5 are needed: a full TP8 and an idle TP2
        ("n+1", 0.8, 140.0),  # a TP2 at 0.8 and an idle one
        ("n+1", 4.0, 420.0),  # a full TP8 and an idle one
        ("n+1", 2.0, 250.0),  # two full TP2 and an idle one; two TP8 would draw 100 + 240
    ],
)
def test_one_pool_by_hand(reserve: Reserve, rate: float, cost: float) -> None:
    """Tests loads worked out by hand, found by the search too, and that the bound is not above."""
    spare = pools({"SS": rate}, reserve)
    way = spare.instances(np.eye(9)[AT["SS"]] * rate)[AT["SS"]]
    assert way.cost_w == pytest.approx(cost)
    found = spare.search(600, 1e-6)
    assert found.cost == pytest.approx(cost)
    assert 0.5 * cost <= found.lower <= cost * (1 + 1e-9)


@pytest.mark.parametrize("reserve", [0.1, 0.35, "n+1"])
@pytest.mark.parametrize("rate", [0.05, 0.9, 2.3, 5.7, 17.2])
def test_reserve_is_kept(reserve: Reserve, rate: float) -> None:
    """Tests the capacity of the instances found against the rule."""
    spare = pools({"MM": rate}, reserve)
    group = spare.group
    way = spare.instances(np.eye(9)[AT["MM"]] * rate)[AT["MM"]]
    capacity = [n * group.curve(k)[0][-1] for k, n, _ in way.parts]
    largest = max(group.curve(k)[0][-1] for k, _, _ in way.parts)
    usable = sum(capacity) - largest if reserve == "n+1" else (1 - reserve) * sum(capacity)
    assert usable >= rate * (1 - 1e-9)
    assert sum(n * load for _, n, load in way.parts) == pytest.approx(rate)


def test_convex_curves_spread_load() -> None:
    """Tests N+1 where 1.0 on one instance draws 300 W and 0.5 on each of two 2 x 60 W."""
    curve = make_curve(2, 1000, "SS", [(0, 50), (0.5, 60), (1, 300)])
    problem = make_problem(make_profile([curve]), {"SS": 1.0})
    spare = SparePools(only_group(problem), Workspace(), "n+1", np.inf)
    found = spare.search(600, 1e-6)
    assert found.cost == pytest.approx(120.0)
    assert found.lower <= 120.0


def test_classes_share_a_spare_instance() -> None:
    """Tests N+1 with SS 0.3 and MM 0.3: together in MM they need one spare TP2 and not two.

    Apart: 65 + 50 W in SS and 1.1 times as much in MM, 241.5 W. Together: 1.1 x (80 + 50) = 143 W.
    """
    found = pools({"SS": 0.3, "MM": 0.3}, "n+1").search(600, 1e-6)
    assert found.cost == pytest.approx(143.0)
    assert found.loads_rps[AT["MM"]] == pytest.approx(0.6)


def test_prices_and_least_usage() -> None:
    """Tests that N+1 for 0.8 takes 4 GPUs at least, and a price is charged for them."""
    spare = pools({"SS": 0.8}, "n+1")
    spare.set_prices(np.array([10.0]))
    assert spare.search(600, 1e-6).cost == pytest.approx(180.0)
    spare.set_prices(np.ones(1), power_weight=0.0)
    found = spare.search(600, 1e-6)
    assert found.cost == pytest.approx(4.0)
    assert found.lower <= 4.0


def test_a_pool_without_options_serves_nothing() -> None:
    """Tests that load cannot be moved to where nothing runs."""
    spare = pools({"SS": 1.0}, 0.2)
    assert spare.instances(np.eye(9)[AT["SL"]])[AT["SL"]].cost_w == np.inf
    assert spare.instances(np.zeros(9))[AT["SL"]].cost_w == 0.0


@pytest.mark.parametrize("reserve", [0.1, "n+1"])
def test_more_instances_than_the_tables_hold(reserve: Reserve) -> None:
    """Tests 600 requests/s on three near sizes, whose tables end at about a tenth: load and reserve are kept.

    A request/s costs 100 W on full instances; 0.1 / 0.9 requests/s of idle capacity cost 26.7 W each on the largest.
    """
    curves = [make_curve(2 * n, 1000 + n, "SS", list(zip(*curve, strict=True))) for n, curve in enumerate(NEAR, 1)]
    spare = SparePools(only_group(make_problem(make_profile(curves), {"SS": 600.0})), Workspace(), reserve, np.inf)
    way = spare.instances_of(AT["SS"], 600.0)
    capacity = [(n, NEAR[k][0][-1]) for k, n, _ in way.parts]
    total = sum(n * most for n, most in capacity)
    usable = total - max(most for _, most in capacity) if reserve == "n+1" else 0.9 * total
    assert sum(n * rate for _, n, rate in way.parts) == pytest.approx(600.0)
    assert all(0 <= rate <= NEAR[k][0][-1] * (1 + 1e-9) for k, _, rate in way.parts)
    assert usable >= 600.0 * (1 - 1e-9)
    idle_w = 29.0 if reserve == "n+1" else 600 * (0.1 / 0.9) * 35 / 1.31
    assert way.cost_w == pytest.approx(60_000 + idle_w, rel=2e-3)
