"""A problem as plain arrays, and its search at given prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynaopt.allocation import Load
from dynaopt.load_sets import LOWER_SETS, NUM_CLASSES, route
from dynaopt.load_split import Tree, empty_tree, split_load
from dynaopt.pool_value import MAX_ITEMS, Curves, FloatArray, IntArray, PoolTables, decode, empty_tables, fill_tables
from dynaopt.problem import PoolOption, Problem


@dataclass(frozen=True, slots=True, eq=False)
class FlatProblem:
    """The arrays of a problem.

    Parameters
    ----------
    options
        Options of all pools, end to end.
    curves
        Their curves; the cost is the power that an instance adds to the cluster, beyond what its GPUs draw unused.
    points
        Breakpoints of each option, shape (options,).
    tp
        GPUs of each option, shape (options,).
    rates_rps
        Arrivals by model and class, shape (models, 9).
    most_rps
        Most load that each pool can be given, shape (pools,).
    unused_gpu_w
        What a GPU that serves nobody draws at least, in watts.
    """

    options: tuple[PoolOption, ...]
    curves: Curves
    points: IntArray
    tp: IntArray
    rates_rps: FloatArray
    most_rps: FloatArray
    unused_gpu_w: float


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a search at given prices found.

    Parameters
    ----------
    loads
        The instances.
    flows
        The routes.
    num_gpus
        GPUs that the instances take.
    lower
        No allocation costs less at these prices.
    cost
        What this one costs at these prices; infinite if nothing was found.
    """

    loads: tuple[Load, ...]
    flows: tuple[tuple[int, int, float], ...]
    num_gpus: int
    lower: float
    cost: float


class Workspace:
    """Room for the tables and the tree, used again from problem to problem."""

    def __init__(self) -> None:
        self.tables: PoolTables = empty_tables(0)
        self.tree: Tree = empty_tree(NUM_CLASSES)

    def tables_for(self, num_pools: int) -> PoolTables:
        """Return tables with a row for each pool."""
        if self.tables.limit_rps.size != num_pools:
            self.tables = empty_tables(num_pools)
        return self.tables


def flatten(problem: Problem) -> FlatProblem:
    """Write a problem as plain arrays."""
    options = tuple(k for pool in problem.pools for k in pool.options)
    points = np.array([k.rate_rps.size for k in options], dtype=np.int64)
    tp = np.array([k.tp for k in options], dtype=np.int64)
    gpu_power_w = np.repeat([pool.gpu_power_w for pool in problem.pools], [len(pool.options) for pool in problem.pools])
    power = [np.minimum.accumulate(k.power_w[::-1])[::-1] for k in options]
    idle_w = np.array([p[0] for p in power]) / np.maximum(tp, 1) + gpu_power_w
    unused_gpu_w = min([problem.unused_gpu_power_w, *idle_w.tolist()])
    cost = np.concatenate([*power, np.empty(0)]) + np.repeat(tp * (gpu_power_w - unused_gpu_w), points)
    rates = np.array([pool.rate_rps for pool in problem.pools]).reshape(-1, NUM_CLASSES)
    curves = Curves(
        np.concatenate([[0], np.cumsum([len(pool.options) for pool in problem.pools])]).astype(np.int64),
        np.concatenate([[0], np.cumsum(points)]).astype(np.int64),
        np.concatenate([*(k.rate_rps for k in options), np.empty(0)]),
        cost,
    )
    return FlatProblem(options, curves, points, tp, rates, _most_rps(rates), unused_gpu_w)


def _most_rps(rates: FloatArray) -> FloatArray:
    sums = np.where(LOWER_SETS[None, :, :], (rates @ LOWER_SETS.T)[:, :, None], np.inf)
    least: FloatArray = sums.min(axis=1).ravel()
    return least


def search(flat: FlatProblem, price: FloatArray, room: Workspace, *, max_nodes: int, gap: float) -> Answer:
    """Find the allocation that is cheapest when every instance of an option also costs a price.

    Parameters
    ----------
    flat
        The problem; its limits on GPUs and power do not count.
    price
        For each option, shape (options,).
    room
        Room to work in.
    max_nodes
        Nodes of the tree for each model.
    gap
        Relative gap at which to stop.
    """
    curves = flat.curves._replace(cost=flat.curves.cost + np.repeat(price, flat.points))
    tables = room.tables_for(flat.most_rps.size)
    fill_tables(curves, flat.most_rps, tables)
    loads: list[Load] = []
    flows: list[tuple[int, int, float]] = []
    total = lower = 0.0
    for m, rates in enumerate(flat.rates_rps):
        offset = m * NUM_CLASSES
        cost, bound, split, _ = split_load(offset, rates, LOWER_SETS, tables, room.tree, max_nodes, gap)
        total, lower = total + cost, lower + bound
        if np.isfinite(total):
            routes = route(rates, split)
            flows += [(offset + c, offset + p, rate) for c, p, rate in routes]
            for p in range(NUM_CLASSES):
                loads += _pool_loads(flat, tables, offset + p, sum(rate for _, to, rate in routes if to == p))
    num_gpus = sum(n.num_instances * n.option.tp for n in loads)
    return Answer(tuple(loads), tuple(flows), num_gpus, lower, total)


def _pool_loads(flat: FlatProblem, tables: PoolTables, p: int, load_rps: float) -> list[Load]:
    """Return the instances that serve a load at least cost."""
    if load_rps <= 0:
        return []
    counts = np.zeros(MAX_ITEMS, dtype=np.int64)
    piece, rest = decode(p, load_rps, tables, counts)
    loads = [
        Load(
            pool=p,
            option=flat.options[tables.item_option[p, i]],
            num_instances=int(counts[i]),
            rate_rps=float(tables.item_rps[p, i]),
        )
        for i in np.flatnonzero(counts)
    ]
    if piece >= 0:
        loads.append(Load(pool=p, option=flat.options[tables.piece_option[p, piece]], num_instances=1, rate_rps=rest))
        return loads
    last = loads.pop()
    if last.num_instances > 1:
        loads.append(Load(pool=p, option=last.option, num_instances=last.num_instances - 1, rate_rps=last.rate_rps))
    loads.append(Load(pool=p, option=last.option, num_instances=1, rate_rps=last.rate_rps + rest))
    return loads
