"""Pools that must keep spare capacity: a share of it, or so much that their largest instance may fail.

The tree search knows no spare capacity, so it runs twice on altered costs. The first stays below what the reserve
costs, and gives the bound:

- A share rho: relaxing the pool's row (1 - rho) sum c >= L at a price nu per request/s makes an instance of capacity c
  at load x cost f(x) + nu (x - (1 - rho) c). With nu at most f(0) / ((1 - rho) c) no cost is negative.
- N+1, on curves that are concave: some instance of an open pool idles. (Packing load makes all but one full or idle,
  and what the part-filled one lacks is less than the largest capacity.) Without it the rest still serves the load, so
  a pool costs at least V(L) and the cheapest idle instance. A curve that is not concave is replaced by one below it.

The second comes near what the reserve costs. The loads that are cheaper with the reserve, `spare_value`, are taken, and
improved by moving load between pools, `load_moves`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.load_moves import improve
from dynaopt.pool_value import MAX_ITEMS, POOL, IntArray, count_items, fill_pools, find_vertices, repeats_beyond
from dynaopt.price_search import PoolInstances, Relaxed, Workspace, pool_instances, priced, search
from dynaopt.spare_value import spare_value

Part = tuple[int, int, float]


class SparePools:
    """Pools of a group whose reserve is not 0; see `group_search.Pools`."""

    def __init__(self, group: Group, room: Workspace, reserve: float | Literal["n+1"], deadline_s: float) -> None:
        self.group = group
        self._deadline_s = deadline_s
        self._room = room
        self._share = None if reserve == "n+1" else float(reserve)
        self._below, self._packs = group, np.zeros(len(group.pools), dtype=bool)
        if self._share is None:
            self._below, self._packs = _packable(group)
        self._near = group if self._share is None else _derated(group, self._share)
        self._one_pool = _OnePool(group)
        self.set_prices(np.zeros(group.limits.size))

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices, and how much power itself counts, those of the calls that follow."""
        self._prices, self._weight = prices, power_weight
        self._cost = priced(self.group, prices, power_weight)
        self._known: dict[tuple[int, float], PoolInstances] = {}

    def search(self, max_nodes: int, gap: float) -> Relaxed:
        """Split the arrivals over the pools."""
        self._fill_below()
        below = search(self.group, self._room, max_nodes=max_nodes, gap=gap)
        if not np.isfinite(below.cost):
            return below
        self._fill_near()
        near = search(self.group, self._room, max_nodes=max_nodes, gap=gap)
        starts = sorted((below.loads_rps, near.loads_rps), key=self._cost_at)
        loads_rps = improve(starts[0], self.group, self._pool_cost, self._deadline_s)
        return Relaxed(loads_rps, self._cost_at(loads_rps), below.lower)

    def instances(self, loads_rps: FloatArray) -> list[PoolInstances]:
        """Return the cheapest instances of each pool at its load."""
        return [self._pool(p, float(load)) for p, load in enumerate(loads_rps)]

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load."""
        return self._pool(p, load_rps)

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:  # noqa: ARG002
        """Return nothing: part of a pool and the rest of it need not have the capacity together."""
        return []

    def covers(self, p: int, load_rps: float) -> list[PoolInstances]:  # noqa: ARG002 - part of the protocol
        """Return nothing: instances without spare capacity would not do."""
        return []

    def _pool(self, p: int, load_rps: float) -> PoolInstances:
        if (p, load_rps) not in self._known:
            self._known[p, load_rps] = self._find_pool(p, load_rps)
        return self._known[p, load_rps]

    def _pool_cost(self, p: int, load_rps: float) -> float:
        return self._pool(p, load_rps).priced(self._prices, self._weight)

    def _cost_at(self, loads_rps: FloatArray) -> float:
        return sum(self._pool_cost(p, float(load)) for p, load in enumerate(loads_rps))

    def _fill_below(self) -> None:
        group, cost = self._below, priced(self._below, self._prices, self._weight)
        idle = cost[group.first_point[:-1]]
        if self._share is None:
            self._room.fill(group, cost, np.where(self._packs, _least(group, idle), 0.0))
            return
        usable = (1 - self._share) * group.breaks_rps[group.first_point[1:] - 1]
        price = np.repeat(_least(group, idle / usable), np.diff(group.first_option))
        points = np.diff(group.first_point)
        cost = cost + np.repeat(price, points) * (group.breaks_rps - np.repeat(usable, points))
        self._room.fill(group, cost)

    def _fill_near(self) -> None:
        group, cost = self._near, priced(self._near, self._prices, self._weight)
        if self._share is not None:
            self._room.fill(group, cost)
            return
        capacity, idle = group.breaks_rps[group.first_point[1:] - 1], cost[group.first_point[:-1]]
        opening = np.zeros(len(group.pools))
        for p in range(len(group.pools)):
            options = slice(*group.first_option[p : p + 2])
            if options.stop > options.start:
                per_request = cost[group.first_point[1:][options] - 1] / capacity[options]
                enough = capacity[options] >= capacity[options][per_request.argmin()]
                opening[p] = idle[options][enough].min()
        self._room.fill(group, cost, opening)

    def _find_pool(self, p: int, load_rps: float) -> PoolInstances:
        options = np.array(self.group.pool_options(p), dtype=np.int64)
        if load_rps <= 0:
            return pool_instances(self.group, [])
        if options.size == 0:
            return PoolInstances((), np.inf, np.zeros(self.group.limits.size))
        if self._share is not None:
            return pool_instances(
                self.group, self._one_pool.best(options, self._cost, load_rps, load_rps / (1 - self._share))[1]
            )
        capacity = self.group.breaks_rps[self.group.first_point[options + 1] - 1]
        largest = np.unique(capacity[self._one_pool.useful(options, self._cost, load_rps)])
        found = [
            self._one_pool.best(options[capacity <= most], self._cost, load_rps, load_rps + float(most))
            for most in largest
        ]
        return pool_instances(self.group, min(found, key=lambda way: way[0])[1])


class _OnePool:
    """Evaluates `spare_value` and reads its answer."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._used = np.zeros(1, POOL)
        self._idle = np.zeros(1, POOL)
        self._scratch = np.zeros(2, POOL)
        self._counts = np.zeros(MAX_ITEMS, dtype=np.int64)

    def best(
        self, options: IntArray, cost: FloatArray, load_rps: float, required_rps: float
    ) -> tuple[float, list[Part]]:
        """Return the cost and the parts of the cheapest instances with so much capacity."""
        first_point, rates, costs = self._fill(options, cost, load_rps, required_rps)
        used, idle = self._used[0], self._idle[0]
        # Of more instances than the tables go up to, as many as are too many are the best for their load or capacity.
        repeats, lent = self._repeats(load_rps, required_rps)
        fewer_rps = repeats * float(used["item_rps"][0])
        lent_rps = lent[1] * float(idle["item_rps"][lent[0]])
        total, full, part, spare = spare_value(
            used, idle, first_point, rates, costs, load_rps - fewer_rps, required_rps - fewer_rps - lent_rps
        )
        total += repeats * float(used["item_cost"][0]) + lent[1] * float(idle["item_cost"][lent[0]])
        parts = self._parts(options, used, full, (0, repeats))
        rest = load_rps - sum(n * rate for _, n, rate in parts)
        if part >= 0:
            parts.append((int(options[part]), 1, max(rest, 0.0)))
        lacking = required_rps - sum(n * self._capacity(k) for k, n, _ in parts)
        for k, n, _ in self._parts(options, idle, spare, lent):
            # Where curves turn convex, full instances have capacity beyond their load that makes idle ones needless.
            needed = min(n, int(np.ceil(max(lacking, 0.0) / self._capacity(k) * (1 - 1e-12))))
            total -= (n - needed) * float(cost[self._group.first_point[k]])
            lacking -= needed * self._capacity(k)
            parts += [(k, needed, 0.0)] * (needed > 0)
        return min((total, parts), self._spread(parts, cost, load_rps), key=lambda way: way[0])

    def _capacity(self, k: int) -> float:
        return float(self._group.breaks_rps[self._group.first_point[k + 1] - 1])

    def _spread(self, parts: list[Part], cost: FloatArray, load_rps: float) -> tuple[float, list[Part]]:
        """Return the cost and the loads when all instances are equally full: cheaper where curves are convex."""
        group, total = self._group, 0.0
        share = load_rps / max(sum(n * self._capacity(k) for k, n, _ in parts), load_rps)
        for k, n, _ in parts:
            points = slice(group.first_point[k], group.first_point[k + 1])
            total += n * float(np.interp(share * self._capacity(k), group.breaks_rps[points], cost[points]))
        return total if parts else np.inf, [(k, n, share * self._capacity(k)) for k, n, _ in parts]

    def useful(self, options: IntArray, cost: FloatArray, load_rps: float) -> IntArray:
        """Return the options, as indices into `options`, that full or idle instances may need."""
        self._fill(options, cost, load_rps, load_rps)
        used, idle = self._used[0], self._idle[0]
        return np.unique(np.concatenate([t["item_option"][: t["num_items"]] for t in (used, idle)]))

    def _repeats(self, load_rps: float, required_rps: float) -> tuple[int, tuple[int, int]]:
        """Return how many more of the first item there are than vertices tell, and the number of which idle item."""
        used, idle = self._used[0], self._idle[0]
        repeats = repeats_beyond(used, load_rps) if used["num_items"] > 0 else 0
        size = int(idle["num_items"])
        if size == 0:
            return repeats, (0, 0)
        best = int(np.argmin(idle["item_cost"][:size] / idle["item_rps"][:size]))
        beyond_rps = required_rps - load_rps + float(idle["item_rps"][0]) - float(idle["limit_rps"])
        return repeats, (best, max(0, int(np.ceil(beyond_rps / idle["item_rps"][best]))))

    def _parts(self, options: IntArray, t: np.void, vertex: int, more: tuple[int, int] = (0, 0)) -> list[Part]:
        """Return the instances of a vertex, and more of one item."""
        self._counts[:] = 0
        count_items(t, vertex, self._counts)
        self._counts[more[0]] += more[1]
        return [
            (int(options[t["item_option"][i]]), int(self._counts[i]), float(t["item_rps"][i]))
            for i in np.flatnonzero(self._counts)
        ]

    def _fill(
        self, options: IntArray, cost: FloatArray, load_rps: float, required_rps: float
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Compute the vertices of full and of idle instances; return the curves of the options."""
        first, end = self._group.first_point[options], self._group.first_point[options + 1]
        points = np.concatenate([np.arange(a, b) for a, b in zip(first, end, strict=True)])
        first_point = np.concatenate([[0], np.cumsum(end - first)])
        rates, costs = self._group.breaks_rps[points], cost[points]
        capacity = rates[first_point[1:] - 1]
        wanted = np.array([load_rps * (1 + 1e-6)])
        fill_pools(np.array([0, options.size]), first_point, rates, costs, wanted, self._scratch, self._used)
        idle, order = self._idle[0], np.argsort(-capacity)
        kept = [
            k for n, k in enumerate(order) if costs[first_point[k]] < costs[first_point[order[:n]]].min(initial=np.inf)
        ]
        idle["num_items"] = min(len(kept), MAX_ITEMS)
        for i, k in enumerate(kept[:MAX_ITEMS]):
            idle["item_rps"][i], idle["item_cost"][i], idle["item_option"][i] = capacity[k], costs[first_point[k]], k
        find_vertices(idle, max(required_rps - load_rps, 0.0) + float(capacity.max()), self._scratch)
        return first_point, rates, costs


def _least(group: Group, per_option: FloatArray) -> FloatArray:
    """Return the least value among every pool's options; infinite for a pool without."""
    ends = zip(group.first_option[:-1], group.first_option[1:], strict=True)
    return np.array([per_option[a:b].min(initial=np.inf) for a, b in ends])


def _packable(group: Group) -> tuple[Group, npt.NDArray[np.bool_]]:
    """Make the curves of pools concave where none becomes negative, which would pay for idling; tell where."""
    concave = _concave(group)
    packs: npt.NDArray[np.bool_] = _least(group, concave[group.first_point[:-1]]) >= 0
    points = np.diff(group.first_point)
    chosen = np.repeat(np.repeat(packs, np.diff(group.first_option)), points)
    return replace(group, cost_w=np.where(chosen, concave, group.cost_w)), packs


def _concave(group: Group) -> FloatArray:
    """Return, for every curve, one that is concave and nowhere above it: its concave hull, lowered."""
    cost = np.empty_like(group.cost_w)
    for k in range(len(group.options)):
        rates, own = group.curve(k)
        hull: list[int] = []
        for i in range(rates.size):
            while len(hull) > 1 and _lies_below(rates, own, hull[-2], hull[-1], i):
                hull.pop()
            hull.append(i)
        above = np.interp(rates, rates[hull], own[hull])
        cost[group.first_point[k] : group.first_point[k + 1]] = above - (above - own).max()
    return cost


def _lies_below(x: FloatArray, y: FloatArray, i: int, j: int, k: int) -> bool:
    return bool((y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]))


def _derated(group: Group, share: float) -> Group:
    """Shorten every curve by the share, its end costing a mix of a full and an idle instance that have that load."""
    breaks, cost, points = [], [], []
    for k in range(len(group.options)):
        rates, own = group.curve(k)
        usable = (1 - share) * rates[-1]
        inside = rates < usable * (1 - 1e-9)
        end = min(float(np.interp(usable, rates, own)), (1 - share) * own[-1] + share * own[0])
        values = np.append(own[inside], end)
        cost.append(np.minimum.accumulate(values[::-1])[::-1])
        breaks.append(np.append(rates[inside], usable))
        points.append(int(inside.sum()) + 1)
    return replace(
        group,
        first_point=np.cumsum([0, *points]),
        breaks_rps=np.concatenate([*breaks, np.empty(0)]),
        cost_w=np.concatenate([*cost, np.empty(0)]),
    )
