"""Solves one group of models: prices for its limits, loads for its pools, and alternatives within the limits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from dynaopt.blends import blend, blended_loads
from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.hull import MAX_NODES
from dynaopt.limit_price import Bracket, Tried, close_in, find_bracket
from dynaopt.price_search import PoolInstances, Relaxed
from dynaopt.within_limits import pick

MAX_STEPS = 20
MAX_WIGGLES = 16
FORBIDDING = 50.0
MORE_EFFORT = 4
FINE_GAP = 1e-4
"""Where limits bind, the gaps of the searches and that of the price add up, so none may take all that was asked for."""
BLENDING = 3
"""How many times as long as a search at a price blending two takes, at most."""
FEW_POOLS = 40
"""Above, what combining could gain is less than the share of one instance, and takes tables for all prices anew."""
FEW_LOADS, SOME_LOADS, MANY_LOADS = 3, 6, 24


class Pools(Protocol):
    """How pools cost and are filled at given prices of the limits; with or without spare capacity."""

    group: Group

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices, and how much power itself counts, those of the calls that follow."""

    def search(self, max_nodes: int, gap: float) -> Relaxed:
        """Split the arrivals over the pools."""

    def instances(self, loads_rps: FloatArray) -> list[PoolInstances]:
        """Return the cheapest instances of each pool at its load."""

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load."""

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:
        """Return ways that keep shares of given instances and serve the rest at least cost."""

    def covers(self, p: int, load_rps: float) -> list[PoolInstances]:
        """Return ways to serve a load that take up little of several limits, which no prices yield."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupAnswer:
    """What was found for a group.

    Parameters
    ----------
    loads_rps
        Load of each pool, shape (pools,).
    chosen
        Its instances; None when nothing within the limits was found.
    lower_w
        No answer costs less; infinite when it is proved that there is none.
    """

    loads_rps: FloatArray
    chosen: list[PoolInstances] | None
    lower_w: float

    @property
    def cost_w(self) -> float:
        """Cost of the instances; infinite when there are none."""
        return np.inf if self.chosen is None else sum(way.cost_w for way in self.chosen)


def solve_group(pools: Pools, max_nodes: int, gap: float, deadline_s: float) -> GroupAnswer:
    """Find instances for the pools of a group.

    Parameters
    ----------
    pools
        The pools.
    max_nodes
        Nodes of a tree search.
    gap
        Relative gap at which to stop.
    deadline_s
        When, on `time.perf_counter`, to stop improving an answer.
    """
    limits = pools.group.limits
    if (limits < 0).any():  # the fixed mixes of other models take more GPUs than there are
        return GroupAnswer(np.zeros(len(pools.group.pools)), None, np.inf)
    pools.set_prices(np.zeros(limits.size))
    found = pools.search(max_nodes, gap)
    if not np.isfinite(found.cost):
        return GroupAnswer(found.loads_rps, None, np.inf)
    chosen = pools.instances(found.loads_rps)
    if _keeps(chosen, limits):
        return GroupAnswer(found.loads_rps, chosen, found.lower)
    search = _PriceSearch(pools, max_nodes, gap, deadline_s, lower_w=found.lower)
    search.note(np.zeros(limits.size), found, chosen, found.lower)
    if limits.size == 1:
        search.price(_scale(chosen))
    else:
        search.climb(_scale(chosen))
    return search.finish()


def _keeps(chosen: list[PoolInstances], limits: FloatArray) -> bool:
    return bool((usage_of(chosen, limits) <= limits).all())


def usage_of(chosen: list[PoolInstances], limits: FloatArray) -> FloatArray:
    """Add up how much of each limit instances take."""
    usage: FloatArray = sum((way.usage for way in chosen), np.zeros(limits.size))
    return usage


def _scale(chosen: list[PoolInstances]) -> float:
    """Cost of what takes up one unit of the limits, on average."""
    taken = sum(float(way.usage.sum()) for way in chosen)
    return max(1.0, sum(way.cost_w for way in chosen) / max(taken, 1.0))


class _PriceSearch:
    """Tries prices; keeps the best bound, the best answer and the loads to build further answers from."""

    def __init__(self, pools: Pools, max_nodes: int, gap: float, deadline_s: float, lower_w: float) -> None:
        self.pools = pools
        self.limits = pools.group.limits
        self.max_nodes = max_nodes
        self.gap = gap
        self.deadline_s = deadline_s
        self.lower_w = lower_w
        self.best = GroupAnswer(np.empty(0), None, lower_w)
        self.tried: list[Tried] = []
        self.bracket: Bracket | None = None
        self._step_s = 0.0
        self.bounds: list[tuple[float, FloatArray]] = [(lower_w, np.zeros(self.limits.size))]
        self.extra: list[FloatArray] = []

    @property
    def is_over(self) -> bool:
        """Whether there is an answer and no time left."""
        return self.best.chosen is not None and time.perf_counter() > self.deadline_s

    def note(self, prices: FloatArray, found: Relaxed, chosen: list[PoolInstances], bound_w: float) -> Tried:
        """Remember what was found at prices; keep it if it is the best answer so far."""
        excess = usage_of(chosen, self.limits) - self.limits
        dual_w = found.cost - float(prices @ self.limits)
        tried = Tried(prices, found.loads_rps, chosen, excess, dual_w, bound_w)
        self.tried.append(tried)
        if (excess <= 0).all() and sum(way.cost_w for way in chosen) < self.best.cost_w:
            self.best = GroupAnswer(found.loads_rps, chosen, self.lower_w)
        return tried

    def at(self, prices: FloatArray, power_weight: float = 1.0, effort: int = 1) -> Tried:
        """Search at prices; with more effort, in more nodes and to a smaller gap."""
        started_s = time.perf_counter()
        self.pools.set_prices(prices, power_weight)
        worth = float(prices @ self.limits)
        if power_weight > 0:
            # The price of the limits is no part of the objective, of which the gap is a share.
            gap = self._search_gap / effort * self._share_of_objective(worth)
            found = self.pools.search(effort * self.max_nodes // 3, gap)
        else:  # where what is taken up is whole-numbered, a coarse gap proves as much
            is_whole = bool((prices == prices.round()).all())
            found = self.pools.search(MAX_NODES, 0.9 / (worth + 1.0) if is_whole else self.gap)
        bound = found.lower - worth
        if power_weight > 0:
            self.lower_w = max(self.lower_w, bound)
            self.bounds.append((bound, prices))
        elif bound > 1e-6 * worth + 1e-9:
            self.lower_w = np.inf  # whatever it costs, the limits are exceeded
        tried = self.note(prices, found, self.pools.instances(found.loads_rps), bound)
        self._step_s = time.perf_counter() - started_s
        return tried

    @property
    def _search_gap(self) -> float:
        """The gap at which a search at prices stops: with one limit neither coarse nor closed, for prices leave one."""
        return min(max(self.gap, FINE_GAP / 10), FINE_GAP) if self.limits.size == 1 else self.gap

    @property
    def _is_late(self) -> bool:
        """Whether there is an answer, and no more time left than blending two prices takes."""
        return self.best.chosen is not None and time.perf_counter() + BLENDING * self._step_s > self.deadline_s

    def _share_of_objective(self, worth: float) -> float:
        """Return what share of a cost at prices is objective; all of it where several limits have prices."""
        base_w, low_w = self.pools.group.base_w, max(self.lower_w, 0.0)
        return (base_w + low_w) / (low_w + worth) if self.limits.size == 1 and worth > 0 else 1.0

    def price(self, scale_w: float) -> None:
        """Find the price of a single limit."""

        def at(price_w: float) -> Tried:
            """Try a price."""
            return self.at(np.array([price_w]))

        bracket = find_bracket(self.tried[0], scale_w / 4, at)
        if isinstance(bracket, Tried):
            self.at(np.ones(1), power_weight=0.0)
            if np.isinf(self.lower_w):
                return
            dear = at(100 * float(bracket.prices[0]))
            if dear.excess[0] > 0:
                return
            bracket = Bracket(bracket, dear)
        self.bracket = close_in(bracket, at, tolerance=self._search_gap / 4, is_over=lambda: self._is_late)

    def climb(self, scale_w: float) -> None:
        """Raise the bound by steps along how far the limits are exceeded: Polyak's rule with a falling target."""
        prices, excess, ambition = np.zeros(self.limits.size), self.tried[0].excess, 0.05
        for _ in range(MAX_STEPS):
            ascent = np.where(prices > 0, excess, np.maximum(excess, 0.0))
            norm = float(ascent @ ascent)
            if norm == 0 or self.is_over:
                break
            prices = np.maximum(0.0, prices + ambition * max(self.lower_w, scale_w) / norm * ascent)
            before = self.lower_w
            excess = self.at(prices).excess
            ambition *= 1.0 if self.lower_w > before else 0.7
        self._look_around(scale_w)
        if self.best.chosen is None:
            for weights in (prices, *np.eye(self.limits.size), *self._capacities()):
                if np.isfinite(self.lower_w) and weights.any():
                    self.at(weights, power_weight=0.0)

    def _capacities(self) -> list[FloatArray]:
        """Return, for every pool, the capacity of what takes up each limit; as prices they show what is too little."""
        group = self.pools.group
        capacity = group.breaks_rps[group.first_point[1:] - 1]
        ranges = (group.pool_options(p) for p in range(len(group.pools)))
        return [(group.usage[:, k.start : k.stop] * capacity[k.start : k.stop]).max(axis=1) for k in ranges if len(k)]

    def _look_around(self, scale_w: float) -> None:
        """Try prices around the best, and such that pools keep to some limits only, for answers no price yields."""
        best = max(self.bounds, key=lambda entry: entry[0])[1]
        wiggle = np.random.default_rng(0).lognormal(0.0, 0.5, (MAX_WIGGLES, best.size))
        for prices in (best + 0.1 * scale_w) * wiggle:
            if self.is_over:
                return
            self.at(prices)
        for kept in product((False, True), repeat=best.size):
            if any(kept) and not all(kept):
                self.extra.append(best + np.where(kept, 0.0, FORBIDDING * scale_w))

    def finish(self) -> GroupAnswer:
        """Combine, at the most promising loads, what pools do at all prices tried."""
        if self.bracket is not None and not self.is_over:
            self._blend(self.bracket)
            if not self._is_close and not self.is_over:
                self.at(max(self.bounds, key=lambda entry: entry[0])[1], effort=MORE_EFFORT)
            if self.best.chosen is not None and len(self.pools.group.pools) > FEW_POOLS:
                return GroupAnswer(self.best.loads_rps, self.best.chosen, self.lower_w)
        if np.isfinite(self.lower_w) and not self.is_over and not self._is_close:
            self._combine(self._candidates(FEW_LOADS if self.limits.size == 1 else SOME_LOADS))
            if self.best.chosen is None:
                self._combine(self._candidates(MANY_LOADS))
        return GroupAnswer(self.best.loads_rps, self.best.chosen, self.lower_w)

    @property
    def _is_close(self) -> bool:
        """Whether the best answer is as near to the bound as was asked for."""
        asked_w = self.gap * (self.best.cost_w + self.pools.group.base_w)
        return self.best.chosen is not None and self.best.cost_w - self.lower_w <= asked_w

    def _blend(self, bracket: Bracket) -> None:
        """Look for answers between the two prices at which a single limit begins to hold."""
        for loads_rps in blended_loads(self.pools.group, bracket, self.tried):
            chosen = blend(self.pools, bracket, self.tried, loads_rps)
            if chosen is not None and sum(way.cost_w for way in chosen) < self.best.cost_w:
                self.best = GroupAnswer(loads_rps, chosen, self.lower_w)
            if self._is_close or self.is_over:
                break

    def _candidates(self, most: int) -> list[FloatArray]:
        """Return the loads of the best answer, and those that come nearest to the limits."""
        nearest = sorted(self.tried, key=lambda tried: float(np.abs(tried.excess).sum()))
        loads = [self.best.loads_rps] * (self.best.chosen is not None) + [tried.loads_rps for tried in nearest]
        return list({one.round(9).tobytes(): one for one in loads}.values())[:most]

    def _combine(self, candidates: list[FloatArray]) -> None:
        alternatives: list[list[list[PoolInstances]]] = [[[] for _ in self.pools.group.pools] for _ in candidates]
        for prices in [*(tried.prices for tried in self.tried), *self.extra]:
            self.pools.set_prices(prices)
            for loads_rps, ways in zip(candidates, alternatives, strict=True):
                for own, way in zip(ways, self.pools.instances(loads_rps), strict=True):
                    own.append(way)
        for loads_rps, ways in zip(candidates, alternatives, strict=True):
            if self.limits.size > 1:
                for p, own in enumerate(ways):
                    own += self.pools.covers(p, float(loads_rps[p]))
            chosen = pick(ways, self.limits)
            if chosen is not None and sum(way.cost_w for way in chosen) < self.best.cost_w:
                self.best = GroupAnswer(loads_rps, chosen, self.lower_w)
