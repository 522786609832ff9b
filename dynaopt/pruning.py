"""Which loads of which configurations an optimal pool can need; nothing else reaches a solver.

Write Q_k(r) for the power that an instance of option k at load r adds to the cluster: its own, its GPUs' share of
the host, less what its GPUs would draw unused. The rules, proved in `docs/problem.md`:

1. *Points.* Load moved from one instance of a pool to another changes no count. Where both lie inside straight parts
   of their curves, or at breakpoints where the slope falls, some direction does not raise the power. So all instances
   of a pool but one lie at *points*: 0, capacity, or a breakpoint where the slope rises. The other one lies anywhere.
2. *Replacing.* Option k' may stand in for k if it takes no more GPUs (with a fixed mix, or a power cap where GPUs
   have a price: as many) and, where capacity beyond the load counts (reserve, n+1), has no less of it. A point of k at
   which a stand-in draws less, and a stretch of k on which one stand-in draws no more, are dropped.
3. *Splitting.* The same for two instances that stand in for one, the first at a point; not where as many GPUs are
   asked.
4. *Idling.* Where capacity beyond the load and the number of instances count for nothing, nor as many GPUs are asked,
   an instance without load is dropped unless it saves power.
5. *Load.* No instance of a pool carries more than all that may come to the pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dynaopt.pool import Pool, PoolOption
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray

BoolArray = npt.NDArray[np.bool_]
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Segment:
    """A straight part of an option's curve, or one of its points.

    Parameters
    ----------
    option
        The configuration.
    lower_rps, upper_rps
        Its ends, in requests per second; equal for a point.
    lower_power_w, upper_power_w
        Power that an instance at each end adds to the cluster, in watts: its own, its GPUs' share of the host, less
        what its GPUs would draw unused.
    """

    option: PoolOption
    lower_rps: float
    upper_rps: float
    lower_power_w: float
    upper_power_w: float

    @property
    def is_point(self) -> bool:
        """Whether it is a single load."""
        return self.lower_rps == self.upper_rps


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PrunedPool:
    """What of a pool reaches a solver.

    Parameters
    ----------
    pool
        Index into `Problem.pools`.
    points
        Loads that any number of instances may have.
    stretches
        Intervals of loads in which at most one instance of the pool need lie.
    max_load_rps
        All that may come to the pool: the arrivals of its own class and of those that can be promoted to it, or of all
        its members.
    """

    pool: int
    points: tuple[Segment, ...]
    stretches: tuple[Segment, ...]
    max_load_rps: float

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Points, then stretches."""
        return self.points + self.stretches


def gpu_price_w(problem: Problem, pool: Pool) -> float:
    """Return what a GPU in a pool adds to the objective, in watts.

    That is its share of the host and its price, where it has one, less what it draws unused.
    """
    return pool.gpu_power_w - problem.unused_gpu_power_w


def prune(problem: Problem, *, counts_matter: bool = False) -> tuple[PrunedPool, ...]:
    """Keep the points and stretches that an optimal allocation can need.

    Parameters
    ----------
    problem
        One window's input.
    counts_matter
        Whether it counts how many instances of each degree run, as where windows are coupled.

    Returns
    -------
    tuple of PrunedPool
        One for each pool that may get load or idle instances; in the order of `Problem.pools`.
    """
    max_load_rps = np.zeros(len(problem.pools))
    for c, p in problem.ways:
        max_load_rps[p] += problem.pools[c].rate_rps
    return tuple(
        _prune_pool(problem, at, float(max_load_rps[at]), counts_matter=counts_matter)
        for at, pool in enumerate(problem.pools)
        if pool.options
        and (max_load_rps[at] > 0 or pool.model in problem.cluster.fixed_mix or _idling_saves(problem, pool))
    )


def _idling_saves(problem: Problem, pool: Pool) -> bool:
    """Whether an instance without load draws less than its GPUs do unused, which may help to keep a power cap."""
    price_w = gpu_price_w(problem, pool) - (problem.gpu_price_w if problem.cluster.power_cap_w is not None else 0.0)
    return any(k.power_w[0] + k.tp * price_w < 0 for k in pool.options)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """All options of a pool on the union of their breakpoints; `cost_w` is infinite beyond a capacity."""

    options: tuple[PoolOption, ...]
    rate_rps: FloatArray
    cost_w: FloatArray
    is_point: BoolArray
    stands_in: BoolArray


def _prune_pool(problem: Problem, at: int, max_load_rps: float, *, counts_matter: bool) -> PrunedPool:
    pool = problem.pools[at]
    # Fewer GPUs at a lower objective may draw more, where GPUs have a price; under a power cap that is no stand-in.
    capped = problem.cluster.power_cap_w is not None and problem.gpu_price_w > 0
    fixed = counts_matter or capped or pool.model in problem.cluster.fixed_mix
    spare_counts = problem.cluster.reserve != 0
    grid = _grid(pool, gpu_price_w(problem, pool), fixed=fixed, spare_counts=spare_counts)
    points = grid.is_point & ~_replaced_points(grid)
    cells = np.isfinite(grid.cost_w[:, 1:]) & ~_replaced_cells(grid)
    if not (fixed or spare_counts):
        points[:, 0] &= grid.cost_w[:, 0] < 0
    points &= grid.rate_rps <= max_load_rps * (1 + ROUNDING)
    cells &= grid.rate_rps[:-1] < max_load_rps
    if not fixed:
        _split(grid, points, cells, spare_counts=spare_counts)
    return PrunedPool(
        pool=at,
        points=tuple(_point(grid, k, i) for k, i in np.argwhere(points)),
        stretches=tuple(_stretches(grid, cells, max_load_rps)),
        max_load_rps=max_load_rps,
    )


def _grid(pool: Pool, price_w: float, *, fixed: bool, spare_counts: bool) -> _Grid:
    options = pool.options
    rates = np.unique(np.concatenate([k.rate_rps for k in options]))
    cost = np.array([np.interp(rates, k.rate_rps, k.power_w, right=np.inf) + k.tp * price_w for k in options])
    is_point = np.zeros(cost.shape, dtype=bool)
    for k, option in enumerate(options):
        slopes = np.diff(option.power_w) / np.diff(option.rate_rps)
        rising = np.concatenate([[True], slopes[1:] > slopes[:-1], [True]])
        is_point[k, np.searchsorted(rates, option.rate_rps[rising])] = True
    tp = np.array([k.tp for k in options])
    stands_in = tp[:, None] == tp[None, :] if fixed else tp[:, None] <= tp[None, :]
    if spare_counts:
        capacity = np.array([k.capacity_rps for k in options])
        stands_in &= capacity[:, None] >= capacity[None, :]
    return _Grid(options, rates, cost, is_point, stands_in)


def _wins_ties(grid: _Grid) -> BoolArray:
    """Whether k' is kept, and not k, where both draw the same; never both ways."""
    earlier = np.triu(np.ones(grid.stands_in.shape, dtype=bool), 1)
    wins: BoolArray = grid.stands_in & (~grid.stands_in.T | earlier)
    return wins


def _replaced_points(grid: _Grid) -> BoolArray:
    cost = grid.cost_w
    less = cost[:, None, :] < cost[None, :, :]
    tie = (cost[:, None, :] == cost[None, :, :]) & grid.is_point[:, None, :] & _wins_ties(grid)[:, :, None]
    replaced: BoolArray = np.any((less & grid.stands_in[:, :, None]) | tie, axis=0)
    return replaced


def _replaced_cells(grid: _Grid) -> BoolArray:
    with np.errstate(invalid="ignore"):
        saving = grid.cost_w[None, :, :] - grid.cost_w[:, None, :]
    left, right = saving[:, :, :-1], saving[:, :, 1:]
    no_more = (left >= 0) & (right >= 0)
    less = no_more & ((left > 0) | (right > 0))
    replaced: BoolArray = np.any((less & grid.stands_in[:, :, None]) | (no_more & _wins_ties(grid)[:, :, None]), axis=0)
    return replaced


def _split(grid: _Grid, points: BoolArray, cells: BoolArray, *, spare_counts: bool) -> None:
    """Drop points and cells for which two instances stand in; in place, smaller degrees first.

    The two have together no more GPUs than the one, so each has fewer, and what replaces it in its turn is settled.
    """
    kept = [(k, i) for k, i in np.argwhere(points) if grid.rate_rps[i] > 0]
    for k, option in enumerate(grid.options):
        at = np.flatnonzero(points[k])
        ends = np.flatnonzero(cells[k])
        if at.size == 0 and ends.size == 0:
            continue
        lower = np.concatenate([grid.rate_rps[at], grid.rate_rps[ends]])
        upper = np.concatenate([grid.rate_rps[at], grid.rate_rps[ends + 1]])
        cost = np.array(
            [
                np.concatenate([grid.cost_w[k, at], grid.cost_w[k, ends]]),
                np.concatenate([grid.cost_w[k, at], grid.cost_w[k, ends + 1]]),
            ]
        )
        excess = np.full(lower.size, np.inf)
        for other, second in enumerate(grid.options):
            firsts = [
                (j, i)
                for j, i in kept
                if grid.options[j].tp + second.tp <= option.tp
                and (not spare_counts or grid.options[j].capacity_rps + second.capacity_rps >= option.capacity_rps)
            ]
            if firsts:
                np.minimum(excess, _excess(grid, other, firsts, lower, upper, cost), out=excess)
        points[k, at[excess[: at.size] < 0]] = False
        cells[k, ends[excess[at.size :] <= 0]] = False


def _excess(
    grid: _Grid, second: int, firsts: list[tuple[int, int]], lower: FloatArray, upper: FloatArray, cost: FloatArray
) -> FloatArray:
    """Most that the best first point with `second` beside it draws more than the one instance, over each interval."""
    option = grid.options[second]
    index = np.searchsorted(grid.rate_rps, option.rate_rps)
    power = grid.cost_w[second, index]
    j, i = np.array(firsts).T
    rate = grid.rate_rps[i][:, None, None]
    first_power = grid.cost_w[j, i][:, None, None]
    loads = np.clip(rate + option.rate_rps, lower[None, :, None], upper[None, :, None])
    share = np.divide(
        loads - lower[:, None], (upper - lower)[:, None], out=np.zeros(loads.shape), where=(upper > lower)[:, None]
    )
    one = cost[0][:, None] + share * (cost[1] - cost[0])[:, None]
    two = first_power + np.interp(loads - rate, option.rate_rps, power)
    covers = (rate[..., 0] <= lower) & (rate[..., 0] + option.capacity_rps >= upper)
    excess: FloatArray = np.where(covers, (two - one).max(axis=2), np.inf).min(axis=0)
    return excess


def _point(grid: _Grid, k: int, i: int) -> Segment:
    rate, cost = float(grid.rate_rps[i]), float(grid.cost_w[k, i])
    return Segment(option=grid.options[k], lower_rps=rate, upper_rps=rate, lower_power_w=cost, upper_power_w=cost)


def _stretches(grid: _Grid, cells: BoolArray, max_load_rps: float) -> list[Segment]:
    """Join neighbouring cells of one straight part, and cut at the most that the pool can get."""
    found = []
    for k, option in enumerate(grid.options):
        breaks = np.searchsorted(grid.rate_rps, option.rate_rps)
        for first, last in pairwise(breaks):
            runs = np.flatnonzero(np.diff(np.concatenate([[False], cells[k, first:last], [False]]).astype(int)))
            for begin, end in runs.reshape(-1, 2) + first:
                lower, upper = grid.rate_rps[begin], min(grid.rate_rps[end], max_load_rps)
                costs = np.interp([lower, upper], grid.rate_rps[[begin, end]], grid.cost_w[k, [begin, end]])
                found.append(
                    Segment(
                        option=option,
                        lower_rps=float(lower),
                        upper_rps=float(upper),
                        lower_power_w=float(costs[0]),
                        upper_power_w=float(costs[1]),
                    )
                )
    return found
