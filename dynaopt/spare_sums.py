"""Sums of instances that a pool with spare capacity may consist of, as far as a price says that they may be cheap.

An instance at a *point* of its curve (0, a breakpoint at which it turns convex, or its end) adds load s, capacity c and
cost w. In some cheapest pool all instances but one sit at points. Let prices of load, capacity and instances be such
that nothing earns more than it costs: w - pi s - nu c - kappa >= 0, the *reduced cost*, for every point. A pool that
carries L with capacity R on at least m instances then costs at least pi L + nu R + kappa m, and as much more as its
reduced costs come to. So those that cost at most a *budget* more are found among the sums of small reduced cost, of
which few are undominated.
"""

from __future__ import annotations

import numpy as np

from dynaopt.envelope import TINY, FloatArray
from dynaopt.jit import compiled
from dynaopt.pool_value import IntArray

NODES = 4
"""For each sum that there is room for: those that turned out dominated keep theirs."""
STEPS = 32
"""Of a search that narrows down where a concave function is highest, each by a third."""


@compiled
def dual_prices(
    s: FloatArray, c: FloatArray, w: FloatArray, load: float, capacity: float, number: float
) -> tuple[float, float, float]:
    """Find the prices of load, capacity and instances under which a pool costs most at least.

    Parameters
    ----------
    s, c, w
        Load, capacity and cost of each point, in requests/s and watts, all of one shape.
    load, capacity, number
        What the pool carries, the capacity it must have, and the instances it has at least.

    Returns
    -------
    tuple
        The prices, none of them negative. The bound is concave in the first two, so that thirds find its top.
    """
    low, high = 0.0, np.inf
    for i in range(s.size):
        high = min(high, w[i] / c[i])
    for _ in range(STEPS):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        if (
            _best_load_price(s, c, w, first, load, capacity, number)[1]
            < (_best_load_price(s, c, w, second, load, capacity, number)[1])
        ):
            low = first
        else:
            high = second
    price = low
    load_price = _best_load_price(s, c, w, price, load, capacity, number)[0]
    return load_price, price, max(_instance_price(s, c, w, load_price, price), 0.0)


@compiled
def _best_load_price(
    s: FloatArray, c: FloatArray, w: FloatArray, capacity_price: float, load: float, capacity: float, number: float
) -> tuple[float, float]:
    """Return the best price of load beside one of capacity, and the bound with both."""
    low, high = 0.0, np.inf
    for i in range(s.size):
        if s[i] > 0:
            high = min(high, (w[i] - capacity_price * c[i]) / s[i])
    high = max(high, 0.0)
    for _ in range(STEPS):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        at_first = first * load + number * _instance_price(s, c, w, first, capacity_price)
        if at_first < second * load + number * _instance_price(s, c, w, second, capacity_price):
            low = first
        else:
            high = second
    bound = low * load + capacity_price * capacity + number * _instance_price(s, c, w, low, capacity_price)
    return low, bound


@compiled
def _instance_price(s: FloatArray, c: FloatArray, w: FloatArray, load_price: float, capacity_price: float) -> float:
    least = np.inf
    for i in range(s.size):
        least = min(least, w[i] - load_price * s[i] - capacity_price * c[i])
    return least


@compiled
def undominated_sums(
    s: FloatArray,
    c: FloatArray,
    w: FloatArray,
    prices: tuple[float, float, float],
    most: tuple[float, float, int],
    budget: float,
    room: int,
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, IntArray, IntArray]:
    """Find the undominated sums of points whose reduced cost is within a budget.

    Parameters
    ----------
    s, c, w
        Load, capacity and cost of each point.
    prices
        Of load, capacity and instances, as `dual_prices` finds them.
    most
        Load and capacity beyond which more is worth nothing, and the instances that there are in any case.
    budget
        Most reduced cost, in watts.
    room
        Most sums, those that turn out dominated included.

    Returns
    -------
    tuple
        Load, capacity and cost of the sums, the first two cut at `most`; the node of each; and for every node the one
        before it and the point that was added. There are no sums where they did not fit in the room.
    """
    load, spare, cost = np.zeros(room), np.zeros(room), np.zeros(room)
    count, node = np.zeros(room, np.int64), np.zeros(room, np.int64)
    before, added = np.full(NODES * room, -1), np.full(NODES * room, -1)
    n, nodes = 1, 1
    for i in range(s.size):
        at, end = 0, n
        while at < end:
            new_load, new_spare = min(load[at] + s[i], most[0]), min(spare[at] + c[i], most[1])
            new_cost, number = cost[at] + w[i], min(count[at] + 1, most[2])
            reduced = new_cost - prices[0] * new_load - prices[1] * new_spare - prices[2] * number
            if reduced <= budget and (new_load > load[at] or new_spare > spare[at]):
                if end == room or nodes == NODES * room:
                    return load[:0], spare[:0], cost[:0], node[:0], before, added
                load[end], spare[end], cost[end], count[end], node[end] = new_load, new_spare, new_cost, number, nodes
                before[nodes], added[nodes] = node[at], i
                end += 1
                nodes += 1
            at += 1
        if end == n:
            continue
        kept = _undominated(load[:end], spare[:end], cost[:end])
        n = 0
        for j in range(end):
            if kept[j]:
                load[n], spare[n], cost[n], count[n], node[n] = load[j], spare[j], cost[j], count[j], node[j]
                n += 1
    return load[:n], spare[:n], cost[:n], node[:n], before[:nodes], added[:nodes]


@compiled
def _undominated(load: FloatArray, spare: FloatArray, cost: FloatArray) -> np.ndarray:
    """Tell which sums no other has as much of both for as little; the staircase of those so far is sorted by load."""
    size = 0
    stair_load, stair_spare = np.empty(load.size), np.empty(load.size)
    kept = np.zeros(load.size, np.bool_)
    for at in np.argsort(cost, kind="mergesort"):
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            if stair_load[middle] >= load[at] * (1 - TINY):
                high = middle
            else:
                low = middle + 1
        if low < size and stair_spare[low] >= spare[at] * (1 - TINY):
            continue
        kept[at] = True
        first = low
        while first > 0 and stair_spare[first - 1] <= spare[at]:
            first -= 1
        shift = 1 - (low - first)
        if shift > 0:
            for i in range(size, low, -1):
                stair_load[i], stair_spare[i] = stair_load[i - 1], stair_spare[i - 1]
        elif shift < 0:
            for i in range(low, size):
                stair_load[i + shift], stair_spare[i + shift] = stair_load[i], stair_spare[i]
        size += shift
        stair_load[first], stair_spare[first] = load[at], spare[at]
    return kept
