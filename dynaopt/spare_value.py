"""The least cost of a pool that must keep spare capacity, at one load.

Whatever the reserve, it asks that the instances of a pool have some capacity in all, beyond their load. Where curves
are concave, load is best packed: full instances, one part-filled, and idle ones that only lend their capacity. With
(S, W) the vertices of the full ones and (C, I) those of the idle ones,

    V(L) = min over vertices, k and x = L - S <= c_k  of  W + f_k(x) + I,   where S + c_k + C >= required capacity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dynaopt.envelope import TINY, FloatArray
from dynaopt.jit import compiled
from dynaopt.pool_value import IntArray, count_up_to


@compiled
def spare_value(
    used: Any, idle: Any, first_point: IntArray, rates: FloatArray, costs: FloatArray, load: float, required: float
) -> tuple[float, int, int, int]:
    """Find full, part-filled and idle instances of least cost.

    Parameters
    ----------
    used
        A record of `POOL`: what full instances cost.
    idle
        A record of `POOL`: its vertices are capacities of idle instances and what those cost, complete beyond
        `required`.
    first_point, rates, costs
        Where the curve of each option starts, and their breakpoints and costs, end to end.
    load
        Requests per second, at most `used.limit_rps`.
    required
        Capacity of all instances, in requests per second.

    Returns
    -------
    tuple
        The cost; the vertex of the full instances; the option of the part-filled one, -1 if there is none; the vertex
        of the idle ones. The cost is infinite when there are no options.
    """
    best, best_full, best_option, best_idle = np.inf, 0, -1, 0
    for j in range(count_up_to(used.vertex_rps, used.num_vertices, load * (1 + TINY)) - 1, -1, -1):
        x = max(load - used.vertex_rps[j], 0.0)
        reached = False
        for k in range(-1, first_point.size - 1):
            capacity, cost = 0.0, 0.0
            if k >= 0:
                capacity = rates[first_point[k + 1] - 1]
            if x > capacity + TINY * load:
                continue
            reached = True
            if k >= 0:
                cost = _interpolate(rates, costs, first_point[k], first_point[k + 1], x)
            lacking = (required - used.vertex_rps[j] - capacity) * (1 - TINY)
            i = first_at_least(idle, lacking)
            cost += used.vertex_cost[j] + idle.vertex_cost[i]
            if i < idle.num_vertices and cost < best:
                best, best_full, best_option, best_idle = cost, j, k, i
        if not reached:
            break
    return best, best_full, best_option, best_idle


@compiled
def first_at_least(t: Any, rps: float) -> int:
    """Return the first vertex of at least a capacity."""
    low, high = 0, t.num_vertices
    while low < high:
        middle = (low + high) // 2
        if t.vertex_rps[middle] < rps:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _interpolate(rates: FloatArray, costs: FloatArray, first: int, end: int, x: float) -> float:
    low, high = first, end - 1
    while high - low > 1:
        middle = (low + high) // 2
        if rates[middle] < x:
            low = middle
        else:
            high = middle
    return float(costs[low] + (costs[high] - costs[low]) * (x - rates[low]) / (rates[high] - rates[low]))
