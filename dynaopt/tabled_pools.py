"""Pools with spare capacity whose least cost is made a table, as exactly as the answer needs.

`SparePools` gives a first answer. Tables (`spare_range`) know V as far as it lies within a budget above a line, and the
tree search on them gives a better answer and a bound. While the two are apart the budget is doubled: where it reaches
what the answer is above the least that is possible with such a load, nothing is left to know.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Family, Group
from dynaopt.load_sets import CAN_SERVE, NUM_CLASSES
from dynaopt.pool_value import POOL
from dynaopt.price_search import PoolInstances, Relaxed, Trial, Workspace, pool_instances, priced, search_model
from dynaopt.spare_points import Points, points_of
from dynaopt.spare_pools import SparePools
from dynaopt.spare_range import SpareRange
from dynaopt.spare_sums import dual_prices
from dynaopt.value_table import MAX_RANGES, append_range, clear_table

RATIO = 1.6
"""Of the ends of a range."""
FIRST_BUDGET = 0.125
"""As a share of the cheapest full instance."""
LEAST_GAP = 1e-6
MARGIN = 1e-6
"""By how much tables go beyond what can be needed, so that no load lies beyond them for a rounding error."""


class TabledPools:
    """Pools of a group whose reserve is not 0; see `group_search.Pools`."""

    def __init__(self, group: Group, room: Workspace, reserve: float | Literal["n+1"], deadline_s: float) -> None:
        self.group = group
        self._reserve, self._deadline_s = reserve, deadline_s
        self._spare = SparePools(group, room, reserve, deadline_s)
        self._tables = Workspace()
        self._tables.pools, self._tables.tree = np.zeros(len(group.pools), POOL), room.tree
        self.set_prices(np.zeros(group.limits.size))

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices, and how much power itself counts, those of the calls that follow."""
        self._spare.set_prices(prices, power_weight)
        self._prices, self._weight = prices, power_weight
        self._points = [
            points_of(self.group, priced(self.group, prices, power_weight), p) for p in range(len(self.group.pools))
        ]
        self._known: dict[tuple[int, float], PoolInstances] = {}

    def search(self, max_nodes: int, gap: float) -> Relaxed:
        """Split the arrivals over the pools."""
        first = self._spare.search(max_nodes, gap)
        if not np.isfinite(first.cost):
            return first
        loads, lower = first.loads_rps.copy(), 0.0
        for m, families in enumerate(self.group.families):
            model = _Model.of(self.group, m, families)
            lower += self._deepen(model, loads, max_nodes, max(gap, LEAST_GAP))
        cost = sum(self._cost_of(self.instances_of(p, float(load))) for p, load in enumerate(loads))
        return Relaxed(loads, cost, max(min(lower, cost), first.lower))

    def instances(self, loads_rps: FloatArray) -> list[PoolInstances]:
        """Return the cheapest instances of each pool at its load that are known."""
        return [self.instances_of(p, float(load)) for p, load in enumerate(loads_rps)]

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load that are known."""
        if (p, load_rps) not in self._known:
            self._known[p, load_rps] = self._spare.instances_of(p, load_rps)
        return self._known[p, load_rps]

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:
        """Return nothing: part of a pool and the rest of it need not have the capacity together."""
        return self._spare.keeping(p, load_rps, way, shares)

    def covers(self, p: int, load_rps: float) -> list[PoolInstances]:
        """Return nothing: instances without spare capacity would not do."""
        return self._spare.covers(p, load_rps)

    def _cost_of(self, way: PoolInstances) -> float:
        if np.isinf(way.cost_w):
            return np.inf
        return self._weight * way.cost_w + float(self._prices @ way.usage)

    def _deepen(self, model: _Model, loads: FloatArray, max_nodes: int, gap: float) -> float:
        """Improve the loads of a model's pools in place; return what none cost less than."""
        best = sum(self._cost_of(self.instances_of(p, float(loads[p]))) for p in model.pools)
        tables = _Tables(self._points, self._reserve, model, best)
        lower, budget = 0.0, FIRST_BUDGET * tables.unit
        while True:
            rises = tables.raise_to(budget, best, self._deadline_s)
            tables.write(self._tables.pools)
            found = search_model(
                model.families_up_to(tables.most_rps),
                model.group.most_rps,
                self._tables,
                model.classes,
                max_nodes,
                gap,
                best,
            )
            lower = max(lower, min(found.lower, best))
            cost = self._take(model, tables, found, loads, best)
            best = min(best, cost)
            if lower >= best * (1 - gap) or not rises or time.perf_counter() > self._deadline_s:
                return lower
            budget *= 2

    def _take(self, model: _Model, tables: _Tables, found: Trial, loads: FloatArray, best: float) -> float:
        """Take what a search found if it is better; return its cost."""
        if found.cost >= best:
            return best
        new = np.zeros(loads.size)
        new[model.classes] = found.class_loads_rps
        new[list(found.family.mixed)] = model.group.most_rps[list(found.family.mixed)]
        ways = {p: tables.instances(model.group, p, float(new[p])) for p in model.pools if new[p] > 0}
        cost = sum(map(self._cost_of, ways.values()))
        if cost < best:
            loads[model.pools] = new[model.pools]
            self._known |= {(p, float(new[p])): way for p, way in ways.items()}
        return cost


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A model of a group: its pools, and who may serve each class."""

    group: Group
    classes: slice
    pools: list[int]
    families: tuple[Family, ...]
    serving: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, group: Group, m: int, families: tuple[Family, ...]) -> _Model:
        """Take a model from a group."""
        first, all_rps = m * NUM_CLASSES, families[0].rates_rps
        mixed = {p for family in families for p in family.mixed}
        members = {
            f.mixed[0]: np.flatnonzero((all_rps > 0) & (f.rates_rps == 0)) for f in families if len(f.mixed) == 1
        }
        serving = tuple(
            (*(first + p for p in CAN_SERVE[c]), *(p for p, own in members.items() if c in own))
            for c in range(NUM_CLASSES)
        )
        classes = slice(first, first + NUM_CLASSES)
        return cls(group, classes, [*range(first, first + NUM_CLASSES), *sorted(mixed)], families, serving)

    def families_up_to(self, most_rps: FloatArray) -> tuple[Family, ...]:
        """Return the families with no more load of a pool than its table goes up to, shape (pools,)."""
        most = most_rps[self.classes]
        return tuple(replace(f, most_rps=np.minimum(f.most_rps, most)) for f in self.families)


class _Tables:
    """The tables of a model's pools."""

    def __init__(self, points: list[Points], reserve: float | Literal["n+1"], model: _Model, beaten: float) -> None:
        self._model = model
        slope = 1.0 if reserve == "n+1" else 1 / (1 - reserve)
        able = [p for p in model.pools if points[p].point.size]
        full = [float(points[p].point[points[p].point[:, 0] > 0, 2].min()) for p in able]
        self.unit = max(min(full), 1e-9 * beaten, 1e-9)
        self._least = {p: _least_per_request(points[p], slope) for p in able}
        rates = model.families[0].rates_rps
        self._worth = [min((self._least[p] for p in own if p in self._least), default=0.0) for own in model.serving]
        self._all_w = sum(worth * rate for worth, rate in zip(self._worth, rates.tolist(), strict=True))
        self.most_rps = np.zeros(model.group.most_rps.size)
        self._ranges: dict[int, list[SpareRange]] = {}
        for p in able:
            most = self._most(p, beaten)
            if most > 0:
                self.most_rps[p] = most
                size = float(points[p].point[:, 1].min())
                ends = _ends(most * (1 + MARGIN), size, is_mixed=p not in range(*model.classes.indices(1 << 30)))
                self._ranges[p] = [SpareRange(points[p], reserve, a, b) for a, b in pairwise(ends)]

    def raise_to(self, budget: float, best: float, deadline_s: float) -> bool:
        """Raise the budgets of all ranges, none higher than is of use; return whether more of any would be of use."""
        rises = False
        for p, own in self._ranges.items():
            for one in own:
                useful = best - min(self._beside(p, x, one.line) for x in (one.low_rps, one.high_rps))
                wanted = min(budget, useful)
                if time.perf_counter() > deadline_s:
                    return False
                if useful > 0 and wanted > one.budget and not one.is_full and one.raise_to(wanted):
                    rises |= wanted < useful
        return rises

    def write(self, pools: np.ndarray) -> None:
        """Write the tables into records of `POOL`."""
        for p in self._model.pools:
            pools[p]["num_items"] = int(p in self._ranges)
            clear_table(pools[p]["table"])
            for one in self._ranges.get(p, []):
                append_range(one.envelope[0], one.low_rps, pools[p]["table"])
            pools[p]["num_vertices"] = pools[p]["table"]["num_marks"]
            pools[p]["limit_rps"], pools[p]["first_repeated"] = np.inf, -1

    def instances(self, group: Group, p: int, load_rps: float) -> PoolInstances:
        """Return the instances that attain V at a load at which it is known."""
        own = next(one for one in self._ranges[p] if load_rps <= one.high_rps)
        return pool_instances(group, own.cheapest(load_rps))

    def _beside(self, p: int, load_rps: float, line: tuple[float, float]) -> float:
        """Return what all pools cost at least when one has a load and costs a line of it."""
        rates = self._model.families[0].rates_rps.tolist()
        own = sorted((c for c in range(NUM_CLASSES) if p in self._model.serving[c]), key=lambda c: -self._worth[c])
        total, left = self._all_w + line[0] + line[1] * load_rps, load_rps
        for c in own:
            total -= self._worth[c] * min(left, rates[c])
            left -= min(left, rates[c])
        return total

    def _most(self, p: int, beaten: float) -> float:
        """Return the highest load at which a pool may be part of a better answer."""
        most, line = float(self._model.group.most_rps[p]), (0.0, self._least[p])
        if p >= self._model.classes.stop or self._beside(p, most, line) <= beaten:
            return most
        low, high = 0.0, most
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._beside(p, middle, line) <= beaten else (low, middle)
        return high


def _least_per_request(points: Points, slope: float) -> float:
    """Return what a request/s costs at least, with the capacity for it."""
    load, capacity, cost = (np.ascontiguousarray(column) for column in points.point.T)
    load_price, capacity_price, _ = dual_prices(load, capacity, cost, 1.0, slope, 0.0)
    return float(load_price + slope * capacity_price)


def _ends(most_rps: float, size_rps: float, *, is_mixed: bool) -> list[float]:
    """Return the ends of the ranges of a table; a mixed pool is asked for one load only."""
    if is_mixed:
        return [0.0, most_rps * (1 - 1e-3), most_rps]
    ends = [most_rps]
    while ends[0] > size_rps / 2 and len(ends) < MAX_RANGES:
        ends.insert(0, ends[0] / RATIO)
    return [0.0, *ends]
