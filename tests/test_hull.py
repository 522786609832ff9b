"""Tests convex hulls of value functions over intervals, and where a node branches."""

import numpy as np
import pytest
from search_builders import AT, NEAR, only_group, two_size_problem, value_table

from dynaopt.hull import HULL_ROOM, TREE, add_child_hull, add_hull, choose_branch
from dynaopt.pool_value import count_vertices, value, value_floor, vertex_floor
from dynaopt.price_search import Workspace, priced


@pytest.fixture
def room() -> Workspace:
    """Return the value functions of pools of TP2 (1 request/s, 50 to 100 W) and TP8 (4, 100 to 320 W)."""
    group = only_group(two_size_problem({"SS": 9.0}))
    workspace = Workspace()
    workspace.fill(group, priced(group, np.zeros(1)))
    return workspace


def points(tree: np.void, number: int) -> list[tuple[float, float]]:
    """Return the points of a hull."""
    part = slice(tree["first_point"][number], tree["first_point"][number + 1])
    return list(zip(tree["point_rps"][part].tolist(), tree["point_cost"][part].tolist(), strict=True))


def test_hull_from_nothing(room: Workspace) -> None:
    """Tests [0, 9]: two full TP8 cost 80 W for each request/s, and a ninth request/s a TP2's 100 W."""
    tree = np.zeros(1, TREE)[0]
    add_hull(0, room.pools[AT["SS"]], 0.0, 0.0, 9.0, tree)
    assert points(tree, 0)[0] == (0.0, 0.0)
    assert (8.0, 640.0) in points(tree, 0)
    assert points(tree, 0)[-1] == (9.0, pytest.approx(740.0))


def test_an_empty_interval_is_a_point(room: Workspace) -> None:
    """Tests [0, 0]."""
    tree = np.zeros(1, TREE)[0]
    add_hull(0, room.pools[0], 0.0, 0.0, 0.0, tree)
    assert points(tree, 0) == [(0.0, 0.0)]


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.3), (0.5, 6.1), (2.2, 8.9), (4.0, 4.7)])
def test_hull_is_below_the_value_and_convex(room: Workspace, low: float, high: float) -> None:
    """Tests values along intervals, the ends of which the hull meets."""
    tree, pool = np.zeros(1, TREE)[0], room.pools[AT["SS"]]
    add_hull(0, pool, low, value(pool, low)[0], high, tree)
    rates, costs = np.array(points(tree, 0)).T
    assert (np.diff(np.diff(costs) / np.diff(rates)) >= -1e-9).all()
    for load in np.linspace(low, high, 41):
        assert np.interp(load, rates, costs) <= value(pool, load)[0] + 1e-9
    assert costs[[0, -1]] == pytest.approx([value(pool, low)[0], value(pool, high)[0]])


def test_beyond_the_table_the_hull_is_the_least_cost_per_request(room: Workspace) -> None:
    """Tests 80 W for each request/s at a load far beyond the vertices."""
    tree = np.zeros(1, TREE)[0]
    add_hull(0, room.pools[AT["SS"]], 0.0, 0.0, 400.0, tree)
    assert points(tree, 0)[-1] == (400.0, pytest.approx(32_000.0))


def test_opening_is_in_the_hull() -> None:
    """Tests that 30 W of opening lift every point but the first."""
    group, workspace, tree = only_group(two_size_problem({"SS": 9.0})), Workspace(), np.zeros(1, TREE)[0]
    workspace.fill(group, priced(group, np.zeros(1)), 30.0)
    add_hull(0, workspace.pools[AT["SS"]], 0.0, 0.0, 8.0, tree)
    assert points(tree, 0) == [(0.0, 0.0), (8.0, pytest.approx(670.0))]


@pytest.mark.parametrize(
    ("low", "high", "load", "branch", "is_closed"),
    [
        (0.0, 9.0, 0.4, 0.0, 0),  # between nothing and the first vertex: closed or open
        (0.0, 9.0, 4.6, 4.0, 0),  # above the vertex 4
        (4.2, 9.0, 4.6, 5.0, 0),  # no vertex below inside, the next above
        (4.2, 4.9, 4.6, 4.6, 1),  # no vertex inside: at the load, which belongs to both halves
    ],
)
def test_where_to_branch(room: Workspace, low: float, high: float, load: float, branch: float, is_closed: int) -> None:
    """Tests the last vertex below the load, else the next above, else the load."""
    tree, pool = np.zeros(1, TREE)[0], room.pools[AT["SS"]]
    add_hull(0, pool, low, value(pool, low)[0], high, tree)
    choose_branch(0, 0, pool, load, tree)
    assert (tree["branch_pool"][0], tree["branch_rps"][0], tree["is_closed"][0]) == (0, branch, is_closed)


def test_a_load_at_an_end_leaves_nothing_to_branch(room: Workspace) -> None:
    """Tests that a hull that meets the value at an end of an interval without vertices is final."""
    tree, pool = np.zeros(1, TREE)[0], room.pools[AT["SS"]]
    add_hull(0, pool, 4.2, value(pool, 4.2)[0], 4.9, tree)
    choose_branch(0, 0, pool, 4.9, tree)
    assert tree["branch_pool"][0] == -1


def test_halves(room: Workspace) -> None:
    """Tests branching at vertex 4: the left half ends there at 320 W, the right starts with one more TP2 at 370 W."""
    tree, pool = np.zeros(1, TREE)[0], room.pools[AT["SS"]]
    add_hull(0, pool, 0.0, 0.0, 9.0, tree)
    choose_branch(0, 0, pool, 4.6, tree)
    add_child_hull(1, 0, False, pool, tree)
    add_child_hull(2, 0, True, pool, tree)
    assert points(tree, 1) == [(0.0, 0.0), (4.0, pytest.approx(320.0))]
    assert points(tree, 2)[0] == (4.0, pytest.approx(370.0))
    assert points(tree, 2)[-1] == (9.0, pytest.approx(740.0))


@pytest.fixture(scope="module")
def cut_short() -> np.void:
    """Return a value function of three near sizes whose table holds about a tenth of 300 requests/s."""
    t = value_table(NEAR, wanted=300.0)
    assert t["first_repeated"] >= 0
    return t


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 299.0), (3.0, 60.0), (35.0, 36.5), (101.03, 101.04), (50.0, 290.0), (200.4, 203.0)],
)
def test_hull_beyond_a_full_table(cut_short: np.void, low: float, high: float) -> None:
    """Tests that the hull is convex, below what V does not go below, and hardly below it at its ends."""
    tree, pool = np.zeros(1, TREE)[0], cut_short
    add_hull(0, pool, low, value_floor(pool, low), high, tree)
    rates, costs = np.array(points(tree, 0)).T
    assert (np.diff(rates) > 0).all()
    assert (np.diff(np.diff(costs) / np.diff(rates)) >= -1e-6).all()
    assert costs[[0, -1]].tolist() == [value_floor(pool, low), value_floor(pool, high)]
    for load in np.linspace(low, high, 997):
        assert np.interp(load, rates, costs) <= value_floor(pool, load) * (1 + 1e-9)
    assert rates.size < HULL_ROOM


def test_a_hull_far_beyond_takes_two_periods_only(cut_short: np.void) -> None:
    """Tests that vertices between the first and the last period are not gone through, and would change nothing."""
    period = int(cut_short["num_vertices"] - cut_short["first_repeated"])
    first = float(cut_short["limit_rps"]) + 1e-3
    tree = np.zeros(1, TREE)[0]
    add_hull(0, cut_short, first, value_floor(cut_short, first), 280.0, tree)
    assert points(tree, 0)[-1][0] == 280.0
    count = count_vertices(cut_short, 280.0)
    assert count > 100 * period
    rates, costs = np.array(points(tree, 0)).T
    for j in range(count - 60 * period, count - 50 * period):
        rps, cost = vertex_floor(cut_short, j)
        assert np.interp(rps, rates, costs) <= cost * (1 + 1e-12)


@pytest.mark.parametrize("load", [33.333, 101.0321, 250.0])
def test_branching_beyond_a_full_table_closes_the_gap(cut_short: np.void, load: float) -> None:
    """Tests that some branches lead to an interval at whose end the hull is what V does not go below."""
    tree = np.zeros(1, TREE)[0]
    add_hull(0, cut_short, 0.0, 0.0, 300.0, tree)
    for number in range(1, 4):
        choose_branch(0, 0, cut_short, load, tree)
        if tree["branch_pool"][0] < 0:
            break
        add_child_hull(number, 0, bool(tree["branch_rps"][0] < load), cut_short, tree)
        tree["hull_of"][0, 0] = number
        rates, costs = np.array(points(tree, number)).T
        assert rates[0] - 1e-9 <= load <= rates[-1] + 1e-9
    assert np.interp(load, rates, costs) >= value_floor(cut_short, load) * (1 - 1e-5)
