"""Pools with spare capacity whose least cost is made a table, as exactly as the answer needs.

`SparePools` gives a first answer. Tables (`spare_range`) know V as far as it lies within a budget above a line, and the
tree search on them gives a better answer and a bound. While the two are apart the budget is doubled: where it reaches
what the answer is above the least that is possible with such a load, nothing is left to know.
"""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.pool_value import POOL
from dynaopt.price_search import PoolInstances, Relaxed, Trial, Workspace, priced, search_model
from dynaopt.request_worth import ModelPools
from dynaopt.spare_points import points_of
from dynaopt.spare_pools import SparePools
from dynaopt.spare_tables import SpareTables

FIRST_BUDGET = 0.125
"""As a share of the cheapest full instance."""
LEAST_GAP = 1e-6
MOST_ROUNDS = 24
"""Of doubling the budget; what is of use then creeps up by less than it is worth, where curves fall."""


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
        for m in range(len(self.group.families)):
            model = ModelPools.of(self.group, m)
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
        return way.priced(self._prices, self._weight)

    def _deepen(self, model: ModelPools, loads: FloatArray, max_nodes: int, gap: float) -> float:
        """Improve the loads of a model's pools in place; return what none cost less than."""
        best = sum(self._cost_of(self.instances_of(p, float(loads[p]))) for p in model.pools)
        tables = SpareTables(self._points, self._reserve, model, best)
        lower, budget = 0.0, FIRST_BUDGET * tables.unit
        for _ in range(MOST_ROUNDS):
            rises = tables.raise_to(budget, best, self._deadline_s)
            tables.write(self._tables)
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
                break
            budget *= 2
        return lower

    def _take(self, model: ModelPools, tables: SpareTables, found: Trial, loads: FloatArray, best: float) -> float:
        """Take what a search found if it is better; return its cost."""
        if found.cost >= best:
            return best
        new = np.zeros(loads.size)
        new[model.classes] = found.class_loads_rps
        new[list(found.family.mixed)] = model.group.most_rps[list(found.family.mixed)]
        ways = {p: tables.instances(p, float(new[p])) for p in model.pools if new[p] > 0}
        cost = sum(map(self._cost_of, ways.values()))
        if cost < best:
            loads[model.pools] = new[model.pools]
            self._known |= {(p, float(new[p])): way for p, way in ways.items()}
        return cost
