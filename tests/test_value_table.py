"""Tests tables of the least cost of a pool."""

import numpy as np
import pytest

from dynaopt.envelope import ENVELOPE
from dynaopt.hull import add_hull
from dynaopt.pool_value import POOL, count_vertices, floor_below, value, value_floor, vertex_floor
from dynaopt.price_search import Workspace
from dynaopt.value_table import append_range, clear_table, table_value

Piece = tuple[float, float, float, int]
"""Where it ends, its cost at both ends, and its option; -1 for a floor."""
FIRST: list[Piece] = [(1.0, 100.0, 100.0, 0), (2.0, 150.0, 170.0, 0)]
SECOND: list[Piece] = [(1.0, 160.0, 190.0, -1), (3.0, 190.0, 290.0, 0)]


def pool(*ranges: list[Piece]) -> np.ndarray:
    """Return a pool whose table has these ranges, each counted from where the last one ended."""
    pools, low = np.zeros(1, POOL), 0.0
    clear_table(pools[0]["table"])
    for pieces in ranges:
        envelope = np.zeros(1, ENVELOPE)
        envelope[0]["num_pieces"] = len(pieces)
        for i, (end, left, right, option) in enumerate(pieces):
            envelope[0]["break_rps"][i + 1] = end
            envelope[0]["left"][i], envelope[0]["right"][i], envelope[0]["option"][i] = left, right, option
        append_range(envelope[0], low, pools[0]["table"])
        low += pieces[-1][0]
    pools[0]["num_items"], pools[0]["num_vertices"] = 1, pools[0]["table"]["num_marks"]
    pools[0]["limit_rps"], pools[0]["first_repeated"] = np.inf, -1
    return pools


@pytest.mark.parametrize(
    ("load", "cost", "is_known"),
    [(0.5, 100.0, True), (1.0, 100.0, True), (1.5, 160.0, True), (2.5, 175.0, False), (4.0, 240.0, True)],
)
def test_costs_are_read_from_the_pieces(load: float, cost: float, *, is_known: bool) -> None:
    """Tests loads in every piece and at a jump, which belongs to the cheaper side."""
    own = pool(FIRST, SECOND)[0]
    assert table_value(own["table"], load) == (pytest.approx(cost), is_known)
    assert value_floor(own, load) == pytest.approx(cost)
    assert value(own, load)[0] == (pytest.approx(cost) if is_known else np.inf)
    assert floor_below(own, load, 1e6) == pytest.approx(cost)


def test_nothing_costs_nothing_and_beyond_the_table_nothing_is_possible() -> None:
    """Tests both ends."""
    own = pool(FIRST)[0]
    assert (value(own, 0.0)[0], value_floor(own, 0.0)) == (0.0, 0.0)
    assert value(own, 2.1)[0] == np.inf


def test_marks_are_jumps_convex_bends_and_ends_of_ranges() -> None:
    """Tests a jump at 1, the end of a range at 2 with the lower of both costs, and a bend at 3."""
    own = pool(FIRST, SECOND)[0]
    marks = [vertex_floor(own, j) for j in range(int(own["num_vertices"]))]
    assert marks == [(0.0, 0.0), (1.0, 100.0), (2.0, 160.0), (3.0, 190.0)]
    assert [count_vertices(own, load) for load in (0.5, 1.0, 2.5, 9.0)] == [1, 2, 3, 4]


def test_a_concave_bend_is_no_mark() -> None:
    """Tests a slope that falls from 50 to 10 W."""
    own = pool([(1.0, 100.0, 150.0, 0), (2.0, 150.0, 160.0, 0)])[0]
    assert int(own["num_vertices"]) == 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (0.0, 2.5), (1.2, 4.4)])
def test_the_hull_is_below_and_touches(low: float, high: float) -> None:
    """Tests the hull over an interval against the convex hull of 2,000 points of the table."""
    own, tree = pool(FIRST, SECOND)[0], Workspace().tree[0]
    tree["first_point"][0] = 0
    add_hull(0, own, low, value_floor(own, low + 1e-9) if low else 0.0, high, tree)
    n = int(tree["first_point"][1])
    loads = np.linspace(low, high, 2001)[1:]
    costs = np.array([value_floor(own, float(load)) for load in loads])
    drawn = np.interp(loads, tree["point_rps"][:n], tree["point_cost"][:n])
    assert (drawn <= costs + 1e-6).all()
    for load, cost in zip(tree["point_rps"][1:n], tree["point_cost"][1:n], strict=True):  # the cheaper side of a jump
        assert cost == pytest.approx(min(value_floor(own, float(load)), value_floor(own, float(load) + 1e-9)))
