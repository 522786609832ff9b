"""Answers between two prices of a limit: what one price alone never yields.

At the price that just holds a limit, everything that changes there changes at once: at a little less a pool of a
hundred instances runs all of them one way, at a little more another way, and the models of a large cluster send their
requests elsewhere. The best answer lies between. Loads between two that can be served can be served too, for they form
a convex set, and a pool can run some of its instances one way and the rest the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
MOST_RAISE = 64.0
"""How many times the price of a limit is raised, or lowered, to keep it at loads that another price led to."""
HALVINGS, WIDE = 3, 1.25
"""How often two prices are halved that are further apart than by this factor."""
_SAME = 1e-6
"""Loads that differ by no more than this share of all are not tried apart."""
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


def blended_loads(group: Group, bracket: Bracket, tried: Sequence[Tried]) -> list[FloatArray]:
    """Return loads at which the limit may be kept at little cost, different ones, the most promising first.

    Parameters
    ----------
    group
        The models.
    bracket
        The two prices between which the limit begins to hold.
    tried
        What was found at these and at other prices.
    """
    models = _pools_of_models(group)
    found = [
        *_picked_loads(models, tried, group.limits),
        _part_of_the_way(models, bracket),
        bracket.high.loads_rps,
        bracket.low.loads_rps,
    ]
    near = _SAME * float(bracket.high.loads_rps.sum())
    return [one for n, one in enumerate(found) if not any(np.abs(one - other).sum() <= near for other in found[:n])]


def _picked_loads(models: Sequence[IntArray], tried: Sequence[Tried], limits: FloatArray) -> list[FloatArray]:
    """Return the loads when each model does as at one of the prices, that which suits the others; if it is possible."""
    ways = [
        [
            PoolInstances(
                ((number, 1, 0.0),),
                sum(one.chosen[p].cost_w for p in own),
                np.array([sum(float(one.chosen[p].usage[0]) for p in own)]),
            )
            for number, one in enumerate(tried)
        ]
        for own in models
    ]
    chosen = pick(ways, limits) if len(models) > 1 else None
    if chosen is None:
        return []
    loads = np.zeros_like(tried[0].loads_rps)
    for own, way in zip(models, chosen, strict=True):
        loads[own] = tried[way.parts[0][0]].loads_rps[own]
    return [loads]


def _part_of_the_way(models: Sequence[IntArray], bracket: Bracket) -> FloatArray:
    """Return loads from those that keep the limit towards those that are cheaper, as far as the limit allows.

    Model after model goes over to the cheaper loads, first those that save most for what they take up; the one that no
    longer fits goes as large a part of the way as does.
    """
    low, high = bracket.low, bracket.high
    room, loads, changes = -float(high.excess[0]), high.loads_rps.copy(), []
    for own in models:
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
    return loads


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
    """Find the best answer at given loads among the ways of some prices, and those between two of them.

    Parameters
    ----------
    pools
        The pools; their prices are changed.
    bracket
        The two prices between which the limit begins to hold, each at its own loads.
    tried
        What was found at these and at other prices.
    loads_rps
        Load of each pool, shape (pools,).

    Returns
    -------
    list of PoolInstances or None
        Instances of each pool within the limit; None if none were found.
    """
    fixed = _FixedLoads(pools, [bracket.low, bracket.high, *tried], loads_rps)
    prices = fixed.straddle(float(bracket.low.prices[0]), float(bracket.high.prices[0]))
    if prices is None:
        return None
    low_w, high_w = prices
    cheap, scarce = fixed.ways_at[low_w], fixed.ways_at[high_w]
    found = [[*ways, *_known(tried, p, float(loads_rps[p]))] for p, ways in enumerate(fixed.ways_of_pools())]
    room = fixed.limit - fixed.taken(high_w)
    more = {p: float(a.usage[0] - b.usage[0]) for p, (a, b) in enumerate(zip(cheap, scarce, strict=True))}
    shares = {p: _shares(room / extra) for p, extra in more.items() if extra != 0}
    for price_w, kept, own_shares in ((high_w, cheap, shares), (low_w, scarce, {p: 1 - s for p, s in shares.items()})):
        pools.set_prices(np.array([price_w]))
        for p, own in own_shares.items():
            found[p] += pools.keeping(p, float(loads_rps[p]), kept[p], own)
    return pick(found, pools.group.limits)


class _FixedLoads:
    """What pools do at given loads when a single limit has one price or another."""

    def __init__(self, pools: BlendingPools, tried: Sequence[Tried], loads_rps: FloatArray) -> None:
        self.limit = float(pools.group.limits[0])
        self.ways_at: dict[float, list[PoolInstances]] = {}
        self._pools, self._loads = pools, loads_rps.tolist()
        self._tried = {float(one.prices[0]): one for one in reversed(tried)}

    def taken(self, price_w: float) -> float:
        """Return how much of the limit is taken up at a price."""
        if price_w not in self.ways_at:
            one = self._tried.get(price_w)
            known = {p: one.chosen[p] for p, load in enumerate(self._loads) if one and one.loads_rps[p] == load}
            if len(known) < len(self._loads):
                self._pools.set_prices(np.array([price_w]))
            self.ways_at[price_w] = [
                known[p] if p in known else self._pools.instances_of(p, load) for p, load in enumerate(self._loads)
            ]
        return sum(float(way.usage[0]) for way in self.ways_at[price_w])

    def ways_of_pools(self) -> Iterator[tuple[PoolInstances, ...]]:
        """Give the ways of each pool, at all prices so far."""
        return zip(*self.ways_at.values(), strict=True)

    def straddle(self, low_w: float, high_w: float) -> tuple[float, float] | None:
        """Return two prices at the lower of which the limit is exceeded, or which is 0, and at the higher of which not.

        Loads that no search at these prices found may take more or less; then the prices are moved, and halved a few
        times. None where the limit is exceeded at any price.
        """
        start_w = high_w
        while self.taken(high_w) > self.limit:
            low_w, high_w = high_w, 2 * high_w
            if high_w > MOST_RAISE * start_w:
                return None
        while self.taken(low_w) <= self.limit and low_w > 0:
            low_w, high_w = low_w / 2 if low_w > start_w / MOST_RAISE else 0.0, low_w
        for _ in range(HALVINGS if high_w > WIDE * low_w > 0 else 0):
            middle_w = (low_w + high_w) / 2
            low_w, high_w = (middle_w, high_w) if self.taken(middle_w) > self.limit else (low_w, middle_w)
        return low_w, high_w


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
