"""Answers between two prices of a limit: what one price alone never yields.

At the price that just holds a limit, everything that changes there changes at once: at a little less a pool of a
hundred instances runs all of them one way, at a little more another way, and the models of a large cluster send their
requests elsewhere. The best answer lies between. Loads between two that can be served can be served too, for they form
a convex set, and a pool can run some of its instances one way and the rest the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.limit_price import Bracket, Tried
from dynaopt.load_sets import NUM_CLASSES
from dynaopt.pool_value import IntArray
from dynaopt.price_search import PoolInstances
from dynaopt.within_limits import pick

STEPS = 16
"""In how many steps a pool goes from one way to another."""
Part = tuple[int, int, float]


class BlendingPools(Protocol):
    """What blending asks of pools."""

    group: Group

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices, and how much power itself counts, those of the calls that follow."""

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load."""

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:
        """Return ways that keep shares of given instances and serve the rest at least cost."""


def blended_loads(group: Group, bracket: Bracket) -> list[FloatArray]:
    """Return loads, from those that keep the limit towards those that are cheaper, as far as the limit allows.

    Model after model goes over to the cheaper loads, first those that save most for what they take up; the one that no
    longer fits goes as large a part of the way as does.

    Parameters
    ----------
    group
        The models.
    bracket
        Where both loads come from.
    """
    low, high = bracket.low, bracket.high
    room, loads, changes = -float(high.excess[0]), high.loads_rps.copy(), []
    for own in _pools_of_models(group):
        if not np.array_equal(low.loads_rps[own], high.loads_rps[own]):
            saved = sum(high.chosen[p].cost_w - low.chosen[p].cost_w for p in own)
            taken = sum(float(low.chosen[p].usage[0] - high.chosen[p].usage[0]) for p in own)
            changes.append((saved / max(taken, 1e-9), taken, own))
    for _, taken, own in sorted(changes, key=lambda change: -change[0]):
        part = 1.0 if taken <= room else max(room / taken, 0.0) if taken > 0 else 0.0
        if part < 1 and not np.array_equal(low.loads_rps[own] > 0, high.loads_rps[own] > 0) and own.size > NUM_CLASSES:
            continue  # a mixed pool serves all of its classes or none
        loads[own] = (1 - part) * high.loads_rps[own] + part * low.loads_rps[own] if part < 1 else low.loads_rps[own]
        room -= part * taken
    found = [loads, high.loads_rps, low.loads_rps]
    return [one for n, one in enumerate(found) if not any(np.array_equal(one, other) for other in found[:n])]


def _pools_of_models(group: Group) -> list[IntArray]:
    """Return the pools of each model, those of classes first."""
    found = []
    for m, families in enumerate(group.families):
        mixed = sorted({p for family in families for p in family.mixed})
        found.append(np.array([*range(m * NUM_CLASSES, (m + 1) * NUM_CLASSES), *mixed], dtype=np.int64))
    return found


def blend(
    pools: BlendingPools, bracket: Bracket, tried: Sequence[Tried], loads_rps: FloatArray
) -> list[PoolInstances] | None:
    """Find the best answer at given loads among the ways of the prices tried, and those between two of them.

    Parameters
    ----------
    pools
        The pools; their prices are changed.
    bracket
        The two prices between which the limit begins to hold.
    tried
        What was found at these and at other prices.
    loads_rps
        Load of each pool, shape (pools,).

    Returns
    -------
    list of PoolInstances or None
        Instances of each pool within the limit; None if none were found.
    """
    pools.set_prices(bracket.low.prices)
    cheap = _ways(pools, bracket.low, loads_rps)
    pools.set_prices(bracket.high.prices)
    scarce = _ways(pools, bracket.high, loads_rps)
    found = [[a, b, *_known(tried, p, float(loads_rps[p]))] for p, (a, b) in enumerate(zip(cheap, scarce, strict=True))]
    room = float(pools.group.limits[0]) - sum(float(way.usage[0]) for way in scarce)
    shares = {p: _shares(room / more) for p, more in _more_taken(cheap, scarce) if more != 0}
    # The tables are those of the higher price now, and filling them is most of the work.
    for p, own in shares.items():
        found[p] += pools.keeping(p, float(loads_rps[p]), cheap[p], own)
    pools.set_prices(bracket.low.prices)
    for p, own in shares.items():
        found[p] += pools.keeping(p, float(loads_rps[p]), scarce[p], 1 - own)
    return pick(found, pools.group.limits)


def _ways(pools: BlendingPools, end: Tried, loads_rps: FloatArray) -> list[PoolInstances]:
    """Return the cheapest instances at the prices of one end, which the pools have; many are known."""
    return [
        end.chosen[p] if end.loads_rps[p] == load else pools.instances_of(p, load)
        for p, load in enumerate(loads_rps.tolist())
    ]


def _more_taken(cheap: Sequence[PoolInstances], scarce: Sequence[PoolInstances]) -> list[tuple[int, float]]:
    """Return how much more of the limit each pool takes the one way than the other."""
    return [(p, float(a.usage[0] - b.usage[0])) for p, (a, b) in enumerate(zip(cheap, scarce, strict=True))]


def _shares(last: float) -> FloatArray:
    """Return shares of a pool that go the cheap way: steps all over, and fine ones where it would fill the limit."""
    coarse = np.linspace(0.0, 1.0, STEPS + 1)
    fine = last + np.linspace(-1.0, 1.0, 2 * STEPS + 1) / STEPS
    both: FloatArray = np.unique(np.concatenate([coarse, fine]))
    return both[(both > 0) & (both < 1)]


def _known(tried: Sequence[Tried], p: int, load_rps: float) -> list[PoolInstances]:
    return [one.chosen[p] for one in tried if one.loads_rps[p] == load_rps]


def kept_parts(way: PoolInstances, load_rps: float, shares: FloatArray) -> list[tuple[list[Part], float]]:
    """Return shares of the instances of a way, and the load that each leaves; none twice.

    Parameters
    ----------
    way
        Instances of a pool.
    load_rps
        What they carry.
    shares
        Between 0 and 1.
    """
    found: dict[tuple[int, ...], tuple[list[Part], float]] = {}
    numbers = np.array([n for _, n, _ in way.parts])
    for counts in np.floor(np.multiply.outer(shares, numbers)).astype(int).tolist():
        parts = [(k, n, rate) for (k, _, rate), n in zip(way.parts, counts, strict=True) if n > 0]
        if parts and counts != numbers.tolist():
            found[tuple(counts)] = parts, load_rps - sum(n * rate for _, n, rate in parts)
    return list(found.values())
