"""Which loads of a model's pools can be served at all, and who then goes where."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from dynaopt.request_class import REQUEST_CLASSES, is_promotable

NUM_CLASSES = len(REQUEST_CLASSES)
CAN_SERVE = tuple(
    tuple(p for p, pool in enumerate(REQUEST_CLASSES) if is_promotable(request_class, pool))
    for request_class in REQUEST_CLASSES
)


def _lower_sets() -> npt.NDArray[np.bool_]:
    sets = []
    for bits in range(1, 2**NUM_CLASSES):
        inside = [bool(bits >> p & 1) for p in range(NUM_CLASSES)]
        if all(inside[c] for c, pools in enumerate(CAN_SERVE) if any(inside[p] for p in pools)):
            sets.append(inside)
    return np.array(sets)


LOWER_SETS = _lower_sets()
"""Sets of pools that contain every class that may be promoted into one of them, shape (19, 9).

Their pools get load from their own classes only, so loads L can be served if and only if they add up to all arrivals
and no set's load exceeds its arrivals (Hall's condition for the transport problem of the routes).
"""


def route(rates_rps: npt.NDArray[np.float64], loads_rps: npt.NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Find routes that give the pools of one model their loads, each class to its own pool as far as possible.

    Parameters
    ----------
    rates_rps
        Arrivals of each class, shape (9,).
    loads_rps
        Loads that can be served, shape (9,).

    Returns
    -------
    list of tuple
        Triples (class, pool, requests per second). Every class is routed whole; a pool's routes add up to its load
        but for rounding.
    """
    supply, demand = rates_rps.tolist(), loads_rps.tolist()
    flow: dict[tuple[int, int], float] = {}
    tiny = 1e-11 * sum(supply)
    for c in range(NUM_CLASSES):
        _push(flow, supply, demand, [c, c], min(supply[c], demand[c]))
    for c in range(NUM_CLASSES):
        while supply[c] > tiny:
            path = _augmenting_path(c, flow, demand, tiny)
            if path is None:
                break
            back = [flow[path[i + 1], path[i]] for i in range(1, len(path) - 1, 2)]
            _push(flow, supply, demand, path, min(supply[c], demand[path[-1]], *back))
        if supply[c] > 0:
            at = max((key for key in flow if key[0] == c), key=lambda key: flow[key], default=(c, c))
            flow[at] = flow.get(at, 0.0) + supply[c]
    return [(c, p, rate) for (c, p), rate in sorted(flow.items()) if rate > 0]


def _push(
    flow: dict[tuple[int, int], float], supply: list[float], demand: list[float], path: list[int], amount: float
) -> None:
    """Send an amount along classes and pools in turn: class, pool, class that leaves that pool, pool, ..."""
    for i in range(0, len(path) - 1, 2):
        key = (path[i], path[i + 1])
        flow[key] = flow.get(key, 0.0) + amount
    for i in range(1, len(path) - 1, 2):
        flow[path[i + 1], path[i]] -= amount
    supply[path[0]] -= amount
    demand[path[-1]] -= amount


def _augmenting_path(
    start: int, flow: dict[tuple[int, int], float], demand: list[float], tiny: float
) -> list[int] | None:
    queue, seen_pools = deque([[start]]), set()
    seen_classes = {start}
    while queue:
        path = queue.popleft()
        for p in CAN_SERVE[path[-1]]:
            if p in seen_pools:
                continue
            seen_pools.add(p)
            if demand[p] > tiny:
                return [*path, p]
            for c in range(NUM_CLASSES):
                if c not in seen_classes and flow.get((c, p), 0.0) > tiny:
                    seen_classes.add(c)
                    queue.append([*path, p, c])
    return None
