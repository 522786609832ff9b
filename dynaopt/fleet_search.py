"""Serves arrivals with at most so many instances of each degree, in few searches that start from known prices.

The Lagrangian search of `group_search` for limits that change little from window to window: the prices of the last
window are nearly those of the next, so that a dozen searches do what otherwise takes forty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynaopt.group_search import GroupAnswer, Pools, usage_of
from dynaopt.price_search import PoolInstances
from dynaopt.profile import FloatArray
from dynaopt.within_limits import pick

_STEPS = 10
_FEW_LOADS, _MANY_LOADS = 3, 12
_FIRST_STEP = 0.05
_SHRINK = 0.7


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FleetAnswer(GroupAnswer):
    """What was found for a group, and at which prices.

    Parameters
    ----------
    prices
        Of the limits, to start from in the next window, shape (limits,).
    """

    prices: FloatArray


def solve_within(pools: Pools, prices: FloatArray, *, max_nodes: int, gap_w: float) -> FleetAnswer:
    """Find cheap instances within the limits of a group.

    Parameters
    ----------
    pools
        The pools of the group.
    prices
        Prices of the limits to start from, shape (limits,); zeros where nothing is known.
    max_nodes
        Nodes of each tree search.
    gap_w
        How far above the bound an answer may lie for the search to stop, in watts.
    """
    search = _Search(pools, max_nodes)
    excess = search.at(np.zeros(pools.group.limits.size))
    if (excess > 0).any():
        search.climb(prices, excess, gap_w)
    return search.finish(gap_w)


class _Search:
    """Tries prices; keeps the best answer, the best bound, and loads from which others can be put together."""

    def __init__(self, pools: Pools, max_nodes: int) -> None:
        self._pools, self._limits, self._max_nodes = pools, pools.group.limits, max_nodes
        self._tried: list[tuple[FloatArray, FloatArray, float]] = []
        self._best: tuple[FloatArray, list[PoolInstances]] | None = None
        self._lower_w, self._prices = -np.inf, np.zeros(self._limits.size)

    @property
    def _cost_w(self) -> float:
        return np.inf if self._best is None else sum(way.cost_w for way in self._best[1])

    def at(self, prices: FloatArray) -> FloatArray:
        """Search at prices; return how far what was found exceeds the limits."""
        self._pools.set_prices(prices)
        found = self._pools.search(self._max_nodes, 1e-4)
        if not np.isfinite(found.cost):
            return np.zeros(self._limits.size)
        bound_w = found.lower - float(prices @ self._limits)
        if bound_w > self._lower_w:
            self._lower_w, self._prices = bound_w, prices
        chosen = self._pools.instances(found.loads_rps)
        excess: FloatArray = usage_of(chosen, self._limits) - self._limits
        self._tried.append((prices, found.loads_rps, float(np.abs(excess).sum())))
        self._keep(found.loads_rps, chosen)
        return excess

    def climb(self, prices: FloatArray, excess: FloatArray, gap_w: float) -> None:
        """Raise the bound along how far the limits are exceeded, from the given prices on."""
        if prices.any():
            excess = self.at(prices)
        ambition = _FIRST_STEP
        scale_w = max(self._lower_w, 1.0)
        for _ in range(_STEPS):
            ascent = np.where(prices > 0, excess, np.maximum(excess, 0.0))
            norm = float(ascent @ ascent)
            if norm == 0 or self._cost_w - self._lower_w <= gap_w:
                return
            target_w = self._cost_w - self._lower_w if self._best is not None else ambition * scale_w
            prices = np.maximum(0.0, prices + min(target_w, ambition * scale_w) / norm * ascent)
            before_w = self._lower_w
            excess = self.at(prices)
            ambition *= 1.0 if self._lower_w > before_w else _SHRINK

    def finish(self, gap_w: float) -> FleetAnswer:
        """Combine what pools do at all prices, at the loads that come nearest to the limits."""
        if self._cost_w - self._lower_w > gap_w and self._tried:
            self._combine(_FEW_LOADS)
            if self._best is None:
                self._combine(_MANY_LOADS)
        loads, chosen = (np.zeros(len(self._pools.group.pools)), None) if self._best is None else self._best
        return FleetAnswer(loads_rps=loads, chosen=chosen, lower_w=self._lower_w, prices=self._prices)

    def _keep(self, loads_rps: FloatArray, chosen: list[PoolInstances]) -> None:
        fits = bool((usage_of(chosen, self._limits) <= self._limits).all())
        if fits and sum(way.cost_w for way in chosen) < self._cost_w:
            self._best = loads_rps, chosen

    def _combine(self, most: int) -> None:
        nearest = [loads for _, loads, _ in sorted(self._tried, key=lambda entry: entry[2])]
        listed = ([] if self._best is None else [self._best[0]]) + nearest
        candidates = list({loads.round(9).tobytes(): loads for loads in listed}.values())[:most]
        ways: list[list[list[PoolInstances]]] = [[[] for _ in self._pools.group.pools] for _ in candidates]
        for prices, _, _ in self._tried:
            self._pools.set_prices(prices)
            for loads, own in zip(candidates, ways, strict=True):
                for alternatives, way in zip(own, self._pools.instances(loads), strict=True):
                    alternatives.append(way)
        for loads, own in zip(candidates, ways, strict=True):
            for p, alternatives in enumerate(own):
                alternatives += self._pools.covers(p, float(loads[p]))
            chosen = pick(own, self._limits)
            if chosen is not None:
                self._keep(loads, chosen)
