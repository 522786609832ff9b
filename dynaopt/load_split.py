"""Splits the arrivals of one model over its pools at least cost: a branch and bound over the pools' loads.

Because routes are continuous and promotion goes up a partial order, routes need not be variables. Loads L can be served
if and only if they add up to all arrivals and, for every lower set D of pools (`load_sets`),

    sum over D of L_p <= sum over D of rate_c.

These loads form the base polytope of a polymatroid, and there a sum of convex functions is minimised by a greedy that
always raises the load whose next piece is flattest (Federgruen and Groenevelt, Operations Research 34, 1986). Each node
of the tree gives every pool an interval and takes the convex hull of V over it, so its bound costs microseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import FloatArray
from dynaopt.hull import HULL_ROOM, MAX_HULL_POINTS, MAX_NODES, add_child_hull, add_hull, choose_branch
from dynaopt.jit import compiled
from dynaopt.pool_value import IntArray, floor_below, value

BoolArray = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]


@compiled
def split_load(
    rates: FloatArray,
    most: FloatArray,
    sets: BoolArray,
    pools: Records,
    tree: Any,
    max_nodes: int,
    gap: float,
    besides: float = 0.0,
    beaten: float = np.inf,
) -> tuple[float, float, FloatArray]:
    """Find loads of least cost.

    Parameters
    ----------
    rates
        Arrivals of each class, in requests per second, shape (9,).
    most
        Most load that each pool can be given, shape (9,).
    sets
        Which pools each of the sets D contains, shape (sets, 9).
    pools
        The value functions, records of `POOL`, shape (9,).
    tree
        Room to work in, a record of `TREE`.
    max_nodes
        Nodes after which to stop.
    gap
        Relative gap at which to stop, of the cost with what comes `besides`.
    besides
        Cost of what else is there, whatever the loads.
    beaten
        Cost, with that, which loads must beat to be of use.

    Returns
    -------
    tuple
        The cost of the best loads, infinite when there are none; a lower bound on the cost of any loads; the loads,
        shape (9,).
    """
    tree.first_point[0] = 0
    for p in range(rates.size):
        add_hull(p, pools[p], 0.0, 0.0, most[p] if pools[p].num_items > 0 else 0.0, tree)
        tree.hull_of[0, p] = p
    # As NumPy integers they are no constants to Numba, which would compile what follows once for each.
    root: Any = np.int64(0)
    num_hulls: Any = np.int64(rates.size)
    num_nodes: Any = np.int64(1)
    load, relaxed, best_load = np.zeros(rates.size), np.zeros(rates.size), np.zeros(rates.size)
    best = _evaluate(root, rates, sets, pools, tree, load, relaxed)
    best_load[:] = load
    enough = min(best + besides, beaten) * (1 - gap) - besides  # a node of this bound is not worth branching
    tree.open_nodes[0] = 0
    num_open = 1 if tree.branch_pool[0] >= 0 else 0
    settled = np.inf if num_open == 1 else tree.lower[0]  # the least bound of a node that is not branched
    while num_open > 0 and num_nodes + 2 <= min(max_nodes, MAX_NODES):
        node = _pop_least(num_open, tree)
        if tree.lower[node] >= enough or tree.first_point[num_hulls] + 2 * HULL_ROOM > MAX_HULL_POINTS:
            break
        num_open -= 1
        p = tree.branch_pool[node]
        for side in range(2):
            add_child_hull(num_hulls, node, side == 1, pools[p], tree)
            tree.hull_of[num_nodes] = tree.hull_of[node]
            tree.hull_of[num_nodes, p] = num_hulls
            num_hulls += 1
            cost = _evaluate(num_nodes, rates, sets, pools, tree, load, relaxed)
            tree.lower[num_nodes] = max(tree.lower[num_nodes], tree.lower[node])
            if cost < best:
                best = cost
                best_load[:] = load
                enough = min(enough, (best + besides) * (1 - gap) - besides)
            if tree.branch_pool[num_nodes] < 0 or tree.lower[num_nodes] >= enough:
                settled = min(settled, tree.lower[num_nodes])
            else:
                tree.open_nodes[num_open] = num_nodes
                num_open += 1
                num_nodes += 1
    lower = min(settled, best)
    for i in range(num_open):
        lower = min(lower, tree.lower[tree.open_nodes[i]])
    return best, lower, best_load


@compiled
def _pop_least(num_open: int, tree: Any) -> Any:
    """Move the open node of the least bound to the end of the list and return it."""
    at = 0
    for i in range(num_open):
        if tree.lower[tree.open_nodes[i]] < tree.lower[tree.open_nodes[at]]:
            at = i
    node = tree.open_nodes[at]
    tree.open_nodes[at] = tree.open_nodes[num_open - 1]
    tree.open_nodes[num_open - 1] = node
    return node


@compiled
def _evaluate(
    node: int, rates: FloatArray, sets: BoolArray, pools: Records, tree: Any, load: FloatArray, relaxed: FloatArray
) -> float:
    """Bound a node, choose where it branches, and return what the loads that attain the bound really cost."""
    tree.branch_pool[node] = -1
    tree.lower[node] = _relax(node, rates, sets, tree, load, relaxed)
    if tree.lower[node] == np.inf:
        return np.inf
    cost, widest = 0.0, 0.0
    widest_pool: Any = np.int64(-1)
    for p in range(rates.size):
        real = value(pools[p], load[p])[0]
        cost += real
        gap = floor_below(pools[p], load[p], real) - relaxed[p]  # where V is not known, no branch closes the rest
        if gap > widest:
            widest, widest_pool = gap, p
    if widest_pool >= 0:
        choose_branch(node, widest_pool, pools[widest_pool], load[widest_pool], tree)
    return cost


@compiled
def _relax(node: int, rates: FloatArray, sets: BoolArray, tree: Any, load: FloatArray, relaxed: FloatArray) -> float:
    """Minimise the sum of the hulls over the loads that can be served; `relaxed` receives the hulls' values."""
    at, last, slack = np.zeros(rates.size, np.int64), np.zeros(rates.size, np.int64), np.zeros(sets.shape[0])
    tolerance = 1e-10 * rates.sum()
    for p in range(rates.size):
        h = tree.hull_of[node, p]
        at[p], last[p] = tree.first_point[h], tree.first_point[h + 1] - 1
        load[p], relaxed[p] = tree.point_rps[at[p]], tree.point_cost[at[p]]
    for d in range(sets.shape[0]):
        for p in range(rates.size):
            slack[d] += rates[p] - load[p] if sets[d, p] else 0.0
        if slack[d] < -tolerance:
            return np.inf
    p, slope = _flattest(at, last, tree)
    while p >= 0:
        step = _raise(p, sets, slack, tree.point_rps[at[p] + 1] - load[p], tolerance)
        load[p] += step
        relaxed[p] += slope * step
        if load[p] >= tree.point_rps[at[p] + 1] - 1e-3 * tolerance:
            at[p] += 1
            load[p], relaxed[p] = tree.point_rps[at[p]], tree.point_cost[at[p]]
        else:
            last[p] = at[p]
        p, slope = _flattest(at, last, tree)
    return relaxed.sum() if rates.sum() - load.sum() <= 10 * tolerance else np.inf


@compiled
def _flattest(at: IntArray, last: IntArray, tree: Any) -> tuple[Any, float]:
    """Return the pool whose hull goes on most gently, and its slope there; -1 when every hull has ended."""
    flattest, pool = np.inf, np.int64(-1)
    for p in range(at.size):
        if at[p] < last[p]:
            rise = tree.point_cost[at[p] + 1] - tree.point_cost[at[p]]
            slope = rise / (tree.point_rps[at[p] + 1] - tree.point_rps[at[p]])
            if slope < flattest:
                flattest, pool = slope, np.int64(p)
    return pool, flattest


@compiled
def _raise(p: int, sets: BoolArray, slack: FloatArray, wish: float, tolerance: float) -> float:
    """Take from the slack of every set that contains a pool as much of a wish as the least of them allows."""
    step = wish
    for d in range(slack.size):
        if sets[d, p] and slack[d] < step - 1e-3 * tolerance:
            step = slack[d]
    step = max(step, 0.0)
    for d in range(slack.size):
        if sets[d, p]:
            slack[d] -= step
    return step
