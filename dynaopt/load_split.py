"""Splits the arrivals of one model over its pools at least cost: a branch and bound over the pools' loads.

Because routes are continuous and promotion goes up a partial order, routes need not be variables. Loads L can be served
if and only if they add up to all arrivals and, for every set D of pools that contains every pool below any of its own
(there are 20 such sets of the 3 x 3 classes),

    sum over D of L_p <= sum over D of rate_c.

These loads form the base polytope of a polymatroid, and there a sum of convex functions is minimised by a greedy that
always raises the load whose next piece is flattest (Federgruen and Groenevelt, Operations Research 34, 1986). Each node
of the tree gives every pool an interval and takes the convex hull of V over it, so its bound costs microseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynaopt.jit import compiled
from dynaopt.pool_value import FloatArray, IntArray, PoolTables, value

MAX_NODES = 4096
MAX_HULL_POINTS = 400_000


class Tree(NamedTuple):
    """Room for a branch and bound, used again for every search.

    A node has, for each pool, the number of a hull. A hull is a run of points in `point_rps` and `point_cost`, the
    ends of its pool's interval first and last.
    """

    hull_of: IntArray
    lower: FloatArray
    branch_pool: IntArray
    branch_rps: FloatArray
    is_closed: IntArray
    first_point: IntArray
    point_rps: FloatArray
    point_cost: FloatArray


def empty_tree(num_pools: int) -> Tree:
    """Make room for a search over so many pools."""
    return Tree(
        np.empty((MAX_NODES, num_pools), dtype=np.int64),
        np.empty(MAX_NODES),
        np.empty(MAX_NODES, dtype=np.int64),
        np.empty(MAX_NODES),
        np.empty(MAX_NODES, dtype=np.int64),
        np.empty(2 * MAX_NODES + num_pools + 1, dtype=np.int64),
        np.empty(MAX_HULL_POINTS),
        np.empty(MAX_HULL_POINTS),
    )


@compiled
def split_load(
    offset: int, rates: FloatArray, sets: npt.NDArray[np.bool_], t: PoolTables, tree: Tree, max_nodes: int, gap: float
) -> tuple[float, float, FloatArray, int]:
    """Find loads of least cost.

    Parameters
    ----------
    offset
        Index of the model's first pool in the tables.
    rates
        Arrivals of each class, in requests per second, shape (pools,).
    sets
        Which pools each of the sets D contains, shape (sets, pools).
    t
        The value functions.
    tree
        Room to work in.
    max_nodes
        Nodes after which to stop.
    gap
        Relative gap at which to stop.

    Returns
    -------
    tuple
        The cost of the best loads, infinite when there are none; a lower bound on the cost of any loads; the loads,
        shape (pools,); the number of nodes.
    """
    num_pools = rates.size
    most = _most_loads(rates, sets)
    tree.first_point[0] = 0
    for p in range(num_pools):
        _hull(offset + p, p, 0.0, 0.0, most[p] if t.num_items[offset + p] else 0.0, t, tree)
        tree.hull_of[0, p] = p
    num_hulls, num_nodes = num_pools, 1
    best_load, load, gaps = np.zeros(num_pools), np.zeros(num_pools), np.zeros(num_pools)
    best = _evaluate(0, offset, rates, sets, t, tree, load, gaps)
    best_load[:] = load
    open_nodes = np.empty(MAX_NODES, dtype=np.int64)
    open_nodes[0], num_open, lower = 0, 1, tree.lower[0]
    while num_open > 0:
        at = np.argmin(tree.lower[open_nodes[:num_open]])
        node = open_nodes[at]
        lower = tree.lower[node]
        full = tree.first_point[num_hulls] + 4096 > MAX_HULL_POINTS
        if lower >= best * (1 - gap) or num_nodes + 2 > min(max_nodes, MAX_NODES) or full:
            break
        num_open -= 1
        open_nodes[at] = open_nodes[num_open]
        lower = best
        for side in range(2):
            p = tree.branch_pool[node]
            _child_hull(node, side, offset, num_hulls, t, tree)
            tree.hull_of[num_nodes] = tree.hull_of[node]
            tree.hull_of[num_nodes, p] = num_hulls
            num_hulls += 1
            cost = _evaluate(num_nodes, offset, rates, sets, t, tree, load, gaps)
            if cost < best:
                best = cost
                best_load[:] = load
            if tree.lower[num_nodes] < best * (1 - gap):
                tree.lower[num_nodes] = max(tree.lower[num_nodes], tree.lower[node])
                open_nodes[num_open] = num_nodes
                num_open += 1
                num_nodes += 1
    return best, min(lower, best), best_load, num_nodes


@compiled
def _most_loads(rates: FloatArray, sets: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the most load that each pool can be given: the least total of a set that contains it."""
    most = np.full(rates.size, np.inf)
    for d in range(sets.shape[0]):
        total = 0.0
        for p in range(rates.size):
            if sets[d, p]:
                total += rates[p]
        for p in range(rates.size):
            if sets[d, p]:
                most[p] = min(most[p], total)
    return most


@compiled
def _hull(q: int, number: int, low: float, low_cost: float, high: float, t: PoolTables, tree: Tree) -> None:
    """Append the lower convex hull of V of pool `q` over an interval."""
    n = tree.first_point[number]
    start = n
    tree.point_rps[n], tree.point_cost[n] = low, low_cost
    n += 1
    if high > low:
        j = np.searchsorted(t.vertex_rps[q, : t.num_vertices[q]], low, side="right")
        inside = min(high, t.limit_rps[q])
        while j < t.num_vertices[q] and t.vertex_rps[q, j] < inside:
            n = _append(start, n, t.vertex_rps[q, j], t.vertex_cost[q, j], tree)
            j += 1
        if high > t.limit_rps[q]:
            least = t.item_cost[q, 0] / t.item_rps[q, 0]
            if t.limit_rps[q] > low:
                n = _append(start, n, t.limit_rps[q], least * t.limit_rps[q], tree)
            n = _append(start, n, high, least * high, tree)
        else:
            n = _append(start, n, high, value(q, high, t)[0], tree)
    tree.first_point[number + 1] = n


@compiled
def _append(start: int, n: int, rps: float, cost: float, tree: Tree) -> int:
    """Add a point to the right of a hull, dropping those that come to lie above it."""
    x, y = tree.point_rps, tree.point_cost
    while n - start >= 2 and (y[n - 1] - y[n - 2]) * (rps - x[n - 2]) >= (cost - y[n - 2]) * (x[n - 1] - x[n - 2]):
        n -= 1
    x[n], y[n] = rps, cost
    return n + 1


@compiled
def _evaluate(
    node: int,
    offset: int,
    rates: FloatArray,
    sets: npt.NDArray[np.bool_],
    t: PoolTables,
    tree: Tree,
    load: FloatArray,
    gaps: FloatArray,
) -> float:
    """Bound a node, choose where to branch, and return what the loads that attain the bound really cost."""
    tree.lower[node] = _relax(node, rates, sets, tree, load, gaps)
    if tree.lower[node] == np.inf:
        return np.inf
    cost, widest, tree.branch_pool[node] = 0.0, -1.0, -1
    for p in range(rates.size):
        exact = gaps[p] < 0 and load[p] <= t.limit_rps[offset + p]
        real = -gaps[p] - 1.0 if exact else value(offset + p, load[p], t)[0]
        cost += real
        if not exact and real - gaps[p] > widest:
            widest, tree.branch_pool[node] = real - gaps[p], p
    p = tree.branch_pool[node]
    if p >= 0:
        _choose_branch(node, offset + p, p, load[p], t, tree)
    else:
        tree.lower[node] = cost
    return cost


@compiled
def _relax(
    node: int, rates: FloatArray, sets: npt.NDArray[np.bool_], tree: Tree, load: FloatArray, gaps: FloatArray
) -> float:
    """Minimise the sum of the hulls over the loads that can be served; the greedy of the module's description.

    `gaps` receives the hull's value, or minus 1 minus it where the load is a point of the hull.
    """
    num_pools, num_sets = rates.size, sets.shape[0]
    slack, at = np.zeros(num_sets), np.empty(num_pools, dtype=np.int64)
    last = np.empty(num_pools, dtype=np.int64)
    for p in range(num_pools):
        h = tree.hull_of[node, p]
        at[p], last[p] = tree.first_point[h], tree.first_point[h + 1] - 1
        load[p], gaps[p] = tree.point_rps[at[p]], -1.0 - tree.point_cost[at[p]]
    tolerance = 1e-10 * rates.sum()
    for d in range(num_sets):
        for p in range(num_pools):
            if sets[d, p]:
                slack[d] += rates[p] - load[p]
        if slack[d] < -tolerance:
            return np.inf
    while True:
        flattest, p = np.inf, -1
        for q in range(num_pools):
            if at[q] < last[q]:
                rise = tree.point_cost[at[q] + 1] - tree.point_cost[at[q]]
                slope = rise / (tree.point_rps[at[q] + 1] - tree.point_rps[at[q]])
                if slope < flattest:
                    flattest, p = slope, q
        if p < 0:
            break
        _raise(p, flattest, sets, slack, at, last, tree, load, gaps, tolerance)
    total = 0.0
    for p in range(num_pools):
        total += gaps[p] if gaps[p] >= 0 else -1.0 - gaps[p]
    return total if rates.sum() - load.sum() <= 10 * tolerance else np.inf


@compiled
def _raise(
    p: int,
    slope: float,
    sets: npt.NDArray[np.bool_],
    slack: FloatArray,
    at: IntArray,
    last: IntArray,
    tree: Tree,
    load: FloatArray,
    gaps: FloatArray,
    tolerance: float,
) -> None:
    """Raise a load to the end of its piece, or as far as the sets that contain it allow."""
    room = np.inf
    for d in range(slack.size):
        if sets[d, p]:
            room = min(room, slack[d])
    step = tree.point_rps[at[p] + 1] - load[p]
    if room >= step - tolerance * 1e-3:
        at[p] += 1
        load[p], gaps[p] = tree.point_rps[at[p]], -1.0 - tree.point_cost[at[p]]
    else:
        step = max(room, 0.0)
        if step > 0:
            load[p] += step
            gaps[p] = tree.point_cost[at[p]] + slope * step
        last[p] = at[p]
    for d in range(slack.size):
        if sets[d, p]:
            slack[d] -= step


@compiled
def _choose_branch(node: int, q: int, p: int, load: float, t: PoolTables, tree: Tree) -> None:
    """Branch at a vertex inside the interval, below the load if there is one, else above it, else at the load."""
    h = tree.hull_of[node, p]
    low, high = tree.point_rps[tree.first_point[h]], tree.point_rps[tree.first_point[h + 1] - 1]
    n = t.num_vertices[q]
    j = np.searchsorted(t.vertex_rps[q, :n], load, side="right")
    tree.is_closed[node] = 0
    if (
        j > 0
        and (t.vertex_rps[q, j - 1] > low or (low == 0 and t.vertex_cost[q, j - 1] == 0))
        and load <= t.limit_rps[q]
    ):
        tree.branch_rps[node] = t.vertex_rps[q, j - 1]
        if not (low == 0 and tree.branch_rps[node] == 0 and tree.point_cost[tree.first_point[h]] > 0):
            return
    if j < n and t.vertex_rps[q, j] < high and load <= t.limit_rps[q]:
        tree.branch_rps[node] = t.vertex_rps[q, j]
        return
    tree.branch_rps[node], tree.is_closed[node] = load, 1


@compiled
def _child_hull(node: int, side: int, offset: int, number: int, t: PoolTables, tree: Tree) -> None:
    """Append the hull of the branching pool over the left (0) or the right (1) part of its interval."""
    p = tree.branch_pool[node]
    h = tree.hull_of[node, p]
    first, last = tree.first_point[h], tree.first_point[h + 1] - 1
    middle = tree.branch_rps[node]
    if side == 0:
        _hull(offset + p, number, tree.point_rps[first], tree.point_cost[first], middle, t, tree)
        return
    # V jumps up just beyond a vertex: another instance must start. (A shift of 1e-9 of a load is within tolerance.)
    beyond = middle if tree.is_closed[node] else middle * (1 + 1e-9) + 1e-9
    _hull(offset + p, number, middle, value(offset + p, beyond, t)[0], tree.point_rps[last], t, tree)
