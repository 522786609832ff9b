"""What is cheapest when every limit has a price: a bound on the optimum, and loads to build answers from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Family, Group
from dynaopt.hull import TREE
from dynaopt.jit import compiled
from dynaopt.load_sets import LOWER_SETS, NUM_CLASSES
from dynaopt.load_split import split_load
from dynaopt.pool_value import MAX_ITEMS, POOL, IntArray, decode_parts, fill_pools, value, value_floor


class Workspace:
    """Room for the value functions and the tree, used again from search to search."""

    def __init__(self) -> None:
        self.pools: npt.NDArray[np.void] = np.zeros(0, POOL)
        self.scratch: npt.NDArray[np.void] = np.zeros(2, POOL)
        self.tree: npt.NDArray[np.void] = np.zeros(1, TREE)
        self.counts = np.zeros(MAX_ITEMS, dtype=np.int64)
        self.parts = np.zeros(MAX_ITEMS + 1, np.int64), np.zeros(MAX_ITEMS + 1, np.int64), np.zeros(MAX_ITEMS + 1)

        self.filled_for: tuple[Group, FloatArray, float] | None = None

    def is_filled_for(self, group: Group, prices: FloatArray, power_weight: float) -> bool:
        """Return whether `filled_for` says that the value functions are those of a group at prices."""
        if self.filled_for is None:
            return False
        own, at, weight = self.filled_for
        return own is group and weight == power_weight and np.array_equal(at, prices)

    def fill(self, group: Group, cost_w: FloatArray, opening_w: FloatArray | float = 0.0) -> npt.NDArray[np.void]:
        """Compute the value functions of a group's pools.

        Parameters
        ----------
        group
            The pools and their options.
        cost_w
            Cost of an instance at each of `group.breaks_rps`.
        opening_w
            Cost of each pool that has any load, shape (pools,).
        """
        self.filled_for = None
        if self.pools.size != len(group.pools):
            self.pools = np.zeros(len(group.pools), POOL)
        self.pools["opening"] = opening_w
        # A little more than can be needed, so that no load lies beyond the tables for a rounding error.
        wanted = group.most_rps * (1 + 1e-6)
        fill_pools(group.first_option, group.first_point, group.breaks_rps, cost_w, wanted, self.scratch, self.pools)
        return self.pools


@dataclass(frozen=True, slots=True, eq=False)
class PoolInstances:
    """Instances of one pool.

    Parameters
    ----------
    parts
        Triples (option, number of instances, requests per second on each); options are indices into `Group.options`.
    cost_w
        What they cost without any price, in watts.
    usage
        How much of each limit they take up, shape (limits,).
    """

    parts: tuple[tuple[int, int, float], ...]
    cost_w: float
    usage: FloatArray

    def priced(self, prices: FloatArray, power_weight: float) -> float:
        """Return what they cost at prices, infinite where there are no such instances.

        Parameters
        ----------
        prices
            Of each limit, shape (limits,).
        power_weight
            How much power itself counts.
        """
        return np.inf if np.isinf(self.cost_w) else power_weight * self.cost_w + float(prices @ self.usage)


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """The outcome of a search.

    Parameters
    ----------
    loads_rps
        Load of each pool, shape (pools,).
    cost
        What they cost at the prices; infinite if nothing can serve the arrivals.
    lower
        No loads cost less.
    """

    loads_rps: FloatArray
    cost: float
    lower: float


def priced(group: Group, prices: FloatArray, power_weight: float = 1.0) -> FloatArray:
    """Return the cost of an instance at each of `group.breaks_rps` when every limit has a price, in watts.

    Parameters
    ----------
    group
        The options.
    prices
        Watts for what an instance takes up of each limit, shape (limits,).
    power_weight
        How much power itself counts; 0 to find what takes up least.
    """
    return power_weight * group.cost_w + np.repeat(prices @ group.usage, np.diff(group.first_point))


def search(group: Group, room: Workspace, *, max_nodes: int, gap: float) -> Relaxed:
    """Split the arrivals of every model of a group over pools whose value functions are in the workspace.

    For every family of mixed pools that may be open together, what it leaves goes to the pools of classes; the cheapest
    family is taken.

    Parameters
    ----------
    group
        What to serve.
    room
        Where `Workspace.fill` was called before.
    max_nodes
        Nodes of the tree for each model.
    gap
        Relative gap at which to stop.
    """
    loads, cost, lower = np.zeros(len(group.pools)), 0.0, 0.0
    for m, families in enumerate(group.families):
        classes = slice(m * NUM_CLASSES, (m + 1) * NUM_CLASSES)
        best = search_model(families, group.most_rps, room, classes, max_nodes, gap)
        loads[classes] = best.class_loads_rps
        loads[list(best.family.mixed)] = group.most_rps[list(best.family.mixed)]
        cost, lower = cost + best.cost, lower + best.lower
    return Relaxed(loads, cost, lower)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a family of mixed pools, and the pools of classes beside it, cost; `lower` bounds it."""

    family: Family
    cost: float
    lower: float
    class_loads_rps: FloatArray


def search_model(
    families: tuple[Family, ...],
    most_rps: FloatArray,
    room: Workspace,
    classes: slice,
    max_nodes: int,
    gap: float,
    beaten: float = np.inf,
) -> Trial:
    """Find the cheapest family of a model; its `lower` is that of all of them.

    A single node bounds each family, and often answers it. The tree goes on only where that bound is below the best
    answer, the lowest first.

    Parameters
    ----------
    families
        Those of the model.
    most_rps, room, max_nodes, gap
        As in `search`.
    classes
        Its pools of classes.
    beaten
        A cost that is known to be possible; what does not beat it is not looked for.
    """
    pools, tree = room.pools[classes], room.tree[0]
    mixed = {p for family in families for p in family.mixed}
    costs = {p: value(room.pools[p], most_rps[p])[0] for p in mixed}
    floors = {p: value_floor(room.pools[p], most_rps[p]) for p in mixed}

    def tried(family: Family, nodes: int, best_cost: float) -> Trial:
        """Search the pools of classes beside a family."""
        floor = sum((floors[p] for p in family.mixed), 0.0)
        cost, lower, loads = split_load(
            family.rates_rps, family.most_rps, LOWER_SETS, pools, tree, nodes, gap, floor, min(best_cost, beaten)
        )
        return Trial(family, cost + sum(costs[p] for p in family.mixed), lower + floor, loads)

    trials = sorted((tried(family, 1, np.inf) for family in families), key=lambda trial: trial.lower)
    best, lower = min(trials, key=lambda trial: trial.cost), np.inf
    for trial in trials:
        closer = trial
        if trial.lower < min(best.cost, beaten) * (1 - gap):
            closer = tried(trial.family, max_nodes, best.cost)
        if closer.cost < best.cost:
            best = closer
        lower = min(lower, closer.lower)
    return replace(best, lower=min(lower, best.cost))


def instances_at(group: Group, room: Workspace, p: int, load_rps: float) -> PoolInstances:
    """Return the instances that serve a load at least cost, at the prices in the workspace."""
    if load_rps <= 0:
        return PoolInstances((), 0.0, np.zeros(group.limits.size))
    options, numbers, rates = room.parts
    size = decode_parts(room.pools[p], load_rps, room.counts, options, numbers, rates)
    parts = zip(options[:size].tolist(), numbers[:size].tolist(), rates[:size].tolist(), strict=True)
    return pool_instances(group, list(parts))


def pool_instances(group: Group, parts: Sequence[tuple[int, int, float]]) -> PoolInstances:
    """Add up what instances cost and take."""
    if not parts:
        return PoolInstances((), 0.0, np.zeros(group.limits.size))
    columns = list(zip(*parts, strict=True))
    options, numbers, rates = np.array(columns[0]), np.array(columns[1]), np.array(columns[2])
    cost_w = _cost_of(group.first_point, group.breaks_rps, group.cost_w, options, numbers, rates)
    return PoolInstances(tuple(parts), cost_w, group.usage[:, options] @ numbers)


@compiled
def _cost_of(
    first_point: IntArray, breaks: FloatArray, cost: FloatArray, options: IntArray, numbers: IntArray, rates: FloatArray
) -> float:
    """Add up what so many instances of each option cost at so many requests per second each."""
    total = 0.0
    for i in range(options.size):
        first, last = first_point[options[i]], first_point[options[i] + 1] - 1
        while last - first > 1:
            middle = (first + last) // 2
            if breaks[middle] <= rates[i]:
                first = middle
            else:
                last = middle
        share = min((rates[i] - breaks[first]) / (breaks[last] - breaks[first]), 1.0)
        total += numbers[i] * (cost[first] + (cost[last] - cost[first]) * share)
    return total
