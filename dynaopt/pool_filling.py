"""Ways to hand a pool's load to instances that are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.pool import PoolOption

Filling = list[tuple[PoolOption, int, float]]
"""Triples (option, number of instances, requests per second on each)."""

MAX_SUMS = 4096
ROUNDING = 1e-9
DUST = 1e-12


def with_power(filling: Filling) -> tuple[float, Filling]:
    """Return the power of instances, in watts, hosts excluded, beside them."""
    power_w = sum(n * float(np.interp(rate, option.rate_rps, option.power_w)) for option, n, rate in filling)
    return power_w, filling


def scaled(filling: Filling, load_rps: float) -> Filling | None:
    """Change all loads in proportion; None where that takes one beyond its capacity, or none had any.

    Parameters
    ----------
    filling
        The instances, at other loads.
    load_rps
        What they are to carry together, in requests per second.
    """
    before = sum(n * rate for _, n, rate in filling)
    if before <= 0:
        return [(option, n, 0.0) for option, n, _ in filling] if load_rps <= 0 else None
    # A load that differs by rounding only is the same: answers must not drift where nothing changes.
    factor = 1.0 if abs(load_rps - before) <= DUST * before else load_rps / before
    if any(rate * factor > option.capacity_rps * (1 + ROUNDING) for option, _, rate in filling):
        return None
    return [(option, n, min(rate * factor, option.capacity_rps)) for option, n, rate in filling]


def equally_full(instances: Sequence[tuple[PoolOption, int]], load_rps: float) -> Filling:
    """Give every instance the same share of its capacity: cheapest where curves are convex.

    Parameters
    ----------
    instances
        Options and how many instances of each; together they can carry the load.
    load_rps
        In requests per second.
    """
    share = min(load_rps / sum(n * option.capacity_rps for option, n in instances), 1.0)
    return [(option, n, share * option.capacity_rps) for option, n in instances]


def one_after_the_other(instances: Sequence[tuple[PoolOption, int]], load_rps: float) -> Filling:
    """Fill instances up but for one, those beyond idling: cheapest where curves are concave.

    Parameters
    ----------
    instances
        Options, each named once, and how many instances of each; together they can carry the load.
    load_rps
        In requests per second.

    Returns
    -------
    list
        The cheapest such filling; where there are more than `MAX_SUMS` ways, the one that fills those first whose load
        adds least power per request.
    """
    capacity = np.array([option.capacity_rps for option, _ in instances])
    added_w = np.array([option.power_w[-1] - option.power_w[0] for option, _ in instances])
    counts = np.array([n for _, n in instances])
    if np.prod(counts + 1.0) <= MAX_SUMS:
        full, part = _cheapest(instances, counts, capacity, added_w, load_rps)
    else:
        full, part = _in_order(counts, capacity, added_w, load_rps)
    filling: Filling = []
    rest = load_rps - float(full @ capacity)
    for k, (option, n) in enumerate(instances):
        idle = n - int(full[k]) - (k == part)
        filling += [(option, int(full[k]), option.capacity_rps)] if full[k] else []
        filling += [(option, 1, min(max(rest, 0.0), option.capacity_rps))] if k == part else []
        filling += [(option, idle, 0.0)] if idle else []
    return filling


def _cheapest(
    instances: Sequence[tuple[PoolOption, int]],
    counts: np.ndarray,
    capacity: FloatArray,
    added_w: FloatArray,
    load_rps: float,
) -> tuple[np.ndarray, int]:
    """Return how many of each option are full, and which has the part-filled one, of all ways the cheapest."""
    full = np.indices(tuple((counts + 1).tolist())).reshape(counts.size, -1)
    rest = load_rps - capacity @ full
    best_w, best = np.inf, (counts, -1)
    for k, (option, n) in enumerate(instances):
        slack = ROUNDING * capacity[k]
        at = np.flatnonzero((full[k] < n) & (rest >= -slack) & (rest <= capacity[k] + slack))
        if at.size:
            part_w = np.interp(rest[at], option.rate_rps, option.power_w) - option.power_w[0]
            total_w = added_w @ full[:, at] + part_w
            least = int(total_w.argmin())
            if total_w[least] < best_w:
                best_w, best = float(total_w[least]), (full[:, at[least]], k)
    return best


def _in_order(counts: np.ndarray, capacity: FloatArray, added_w: FloatArray, load_rps: float) -> tuple[np.ndarray, int]:
    full = np.zeros_like(counts)
    for k in np.argsort(added_w / capacity, kind="stable").tolist():
        full[k] = min(counts[k], int((load_rps - full @ capacity) / capacity[k]))
        if full[k] < counts[k]:
            return full, k
    return full, -1
