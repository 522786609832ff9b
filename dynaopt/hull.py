"""Convex hulls of pools' value functions over intervals of load, and the room in which a tree search keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynaopt.jit import compiled
from dynaopt.pool_value import MAX_VERTICES, count_vertices, value_floor, vertex_floor
from dynaopt.value_table import MAX_TABLE

MAX_NODES = 4096
MAX_HULLS = 2 * MAX_NODES + 16
MAX_HULL_POINTS = 500_000
HULL_ROOM = max(3 * MAX_VERTICES, MAX_TABLE) + 4
"""More points than a hull can have: those of all vertices, and of two periods beyond them, or of a table's marks."""
NUM_POOLS = 9

TREE = np.dtype(
    [
        ("hull_of", np.int64, (MAX_NODES, NUM_POOLS)),
        ("lower", np.float64, (MAX_NODES,)),
        ("branch_pool", np.int64, (MAX_NODES,)),
        ("branch_rps", np.float64, (MAX_NODES,)),
        ("is_closed", np.int64, (MAX_NODES,)),
        ("open_nodes", np.int64, (MAX_NODES,)),
        ("first_point", np.int64, (MAX_HULLS + 1,)),
        ("point_rps", np.float64, (MAX_HULL_POINTS,)),
        ("point_cost", np.float64, (MAX_HULL_POINTS,)),
    ]
)
"""A node has a hull for each pool, a bound, and where it branches: the pool (-1 where the bound cannot be improved),
the load, and whether that load belongs to both halves (`is_closed`) or, V jumping up beyond it, to the left one only.
A hull is a run of points, the ends of its interval first and last."""


@compiled
def add_hull(number: int, t: Any, low: float, low_cost: float, high: float, tree: Any) -> None:
    """Append the lower convex hull of V over an interval.

    Parameters
    ----------
    number
        Of the hull; all before it are there.
    t
        The pool, a record of `POOL`.
    low, low_cost, high
        The interval, and what V is at its lower end or just beyond it.
    tree
        A record of `TREE`.
    """
    start = tree.first_point[number]
    n = _append(start, start, low, low_cost, tree)
    if high > low:
        n = _append_vertices(start, n, t, low, high, tree)
        n = _append(start, n, high, value_floor(t, high), tree)
    tree.first_point[number + 1] = n


@compiled
def _append_vertices(start: int, n: int, t: Any, low: float, high: float, tree: Any) -> int:
    """Add the vertices strictly inside an interval; return where the hull ends.

    Where they repeat, the first and the last period suffice: what lies between is not below the line between the
    same vertex of both, for each is as far above the least cost per request as in any other period.
    """
    j, end = count_vertices(t, low), t.num_vertices
    if t.first_repeated >= 0:
        end = count_vertices(t, high)
    period = t.num_vertices - t.first_repeated
    leap = max(j, t.num_vertices) + period
    inside = high if t.first_repeated >= 0 else min(high, t.limit_rps)
    while j < end:
        rps, cost = vertex_floor(t, j)
        if rps >= inside:
            break
        if rps > low:
            n = _append(start, n, rps, cost, tree)
        j += 1
        if j == leap and t.first_repeated >= 0:
            j = max(j, end - period - 1)
    if t.first_repeated < 0 and low < t.limit_rps < high:
        least = t.item_cost[0] / t.item_rps[0]
        n = _append(start, n, t.limit_rps, least * t.limit_rps + t.opening, tree)
    return n


@compiled
def _append(start: int, n: int, rps: float, cost: float, tree: Any) -> int:
    """Add a point to the right of a hull, dropping those that come to lie above it; return where the hull ends."""
    x, y = tree.point_rps, tree.point_cost
    while n - start >= 2 and (y[n - 1] - y[n - 2]) * (rps - x[n - 2]) >= (cost - y[n - 2]) * (x[n - 1] - x[n - 2]):
        n -= 1
    x[n], y[n] = rps, cost
    return n + 1


@compiled
def choose_branch(node: int, p: int, t: Any, load: float, tree: Any) -> None:
    """Branch at the last vertex below a load inside the interval, else at the first above it, else at the load."""
    h = tree.hull_of[node, p]
    first, last = tree.first_point[h], tree.first_point[h + 1] - 1
    low, high = tree.point_rps[first], tree.point_rps[last]
    tree.branch_pool[node], tree.is_closed[node] = p, 0
    if load <= t.limit_rps or t.first_repeated >= 0:
        j = count_vertices(t, load)
        before = vertex_floor(t, j - 1)[0]
        if low < before < high or (before == 0 and tree.point_cost[first] == 0):
            tree.branch_rps[node] = before
            return
        if j < t.num_vertices or t.first_repeated >= 0:
            after = vertex_floor(t, j)[0]
            if low < after < high:
                tree.branch_rps[node] = after
                return
    tree.branch_rps[node], tree.is_closed[node] = load, 1
    if not low + 1e-9 * high < load < high - 1e-9 * high:
        tree.branch_pool[node] = -1


@compiled
def add_child_hull(number: int, node: int, is_right: bool, t: Any, tree: Any) -> None:
    """Append the hull of the branching pool over the left or the right part of its interval."""
    h = tree.hull_of[node, tree.branch_pool[node]]
    first, last = tree.first_point[h], tree.first_point[h + 1] - 1
    middle = tree.branch_rps[node]
    if not is_right:
        add_hull(number, t, tree.point_rps[first], tree.point_cost[first], middle, tree)
        return
    # Just beyond a vertex another instance must start. Shifting a load by 1e-9 is within the tolerance of any answer.
    beyond = middle if tree.is_closed[node] == 1 else middle * (1 + 1e-9) + 1e-9
    add_hull(number, t, middle, value_floor(t, beyond), tree.point_rps[last], tree)
