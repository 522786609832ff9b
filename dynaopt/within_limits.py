"""Picks an alternative for each pool so that the limits hold and the cost is least: a knapsack over the limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import starmap

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.price_search import PoolInstances

MAX_STATES = 300_000


def pick(alternatives: Sequence[Sequence[PoolInstances]], limits: FloatArray) -> list[PoolInstances] | None:
    """Pick one alternative for each pool.

    Parameters
    ----------
    alternatives
        For each pool, ways to serve its load. What they take up is whole-numbered.
    limits
        Shape (limits,), whole-numbered.

    Returns
    -------
    list of PoolInstances or None
        The cheapest combination within the limits; None when no combination keeps them, or there are more states of
        the limits than `MAX_STATES`.
    """
    kept = [_undominated(ways) for ways in alternatives]
    units = _units(kept, limits)
    shape = tuple(int(n) + 1 for n in limits // units)
    if np.prod(shape, dtype=float) > MAX_STATES:
        return None
    cost = np.full(shape, np.inf)
    cost[(0,) * len(shape)] = 0.0
    picks = []
    for ways in kept:
        cost, picked = _add_pool(cost, ways, units)
        picks.append(picked)
    if not np.isfinite(cost.min()):
        return None
    state = np.array(np.unravel_index(int(cost.argmin()), shape))
    chosen = []
    for ways, picked in zip(reversed(kept), reversed(picks), strict=True):
        way = ways[picked[tuple(state)]]
        chosen.append(way)
        state = state - (way.usage / units).round().astype(int)
    return chosen[::-1]


def _undominated(ways: Sequence[PoolInstances]) -> list[PoolInstances]:
    kept: list[PoolInstances] = []
    if ways and ways[0].usage.size == 1:
        least = np.inf
        for taken, way in sorted(((float(w.usage[0]), w) for w in ways), key=lambda pair: (pair[1].cost_w, pair[0])):
            if taken < least:
                kept.append(way)
                least = taken
        return kept
    for way in sorted(ways, key=lambda w: (w.cost_w, w.usage.sum())):
        if not any((other.usage <= way.usage).all() for other in kept):
            kept.append(way)
    return kept


def _units(alternatives: Sequence[Sequence[PoolInstances]], limits: FloatArray) -> FloatArray:
    """Return the greatest common divisor of all that is taken up of each limit."""
    usage = np.array([way.usage for ways in alternatives for way in ways]).reshape(-1, limits.size).round().astype(int)
    return np.array([float(max(reduce(np.gcd, column, 0), 1)) for column in usage.T])


def _add_pool(cost: FloatArray, ways: Sequence[PoolInstances], units: FloatArray) -> tuple[FloatArray, np.ndarray]:
    total = np.full(cost.shape, np.inf)
    picked = np.zeros(cost.shape, dtype=np.int64)
    for i, way in enumerate(ways):
        step = (way.usage / units).round().astype(int)
        if (step >= cost.shape).any():
            continue
        to = tuple(starmap(slice, ((int(s), None) for s in step)))
        source = cost[tuple(slice(0, size - int(s)) for s, size in zip(step, cost.shape, strict=True))] + way.cost_w
        better = source < total[to]
        total[to][better] = source[better]
        picked[to][better] = i
    return total, picked
