"""The package's heuristic: milliseconds, near-optimal, with a bound; `docs/greedy.md` explains it."""

from __future__ import annotations

import time

import numpy as np

from dynaopt.allocation import Load, make_allocation
from dynaopt.flat_problem import Group, groups_of
from dynaopt.load_sets import NUM_CLASSES, route
from dynaopt.price_search import PoolInstances, Workspace, instances_at, priced, search
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.base import DEFAULT_GAP

MAX_NODES = 600


class Greedy:
    """Splits loads over pools by a short branch and bound; GPUs get a price when their limit binds."""

    name = "greedy"
    proves = False

    def __init__(self) -> None:
        self._room = Workspace()

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem; see `Solver.solve`."""
        started = time.perf_counter()
        bound, loads, flows, found = 0.0, [], [], True
        for group in groups_of(problem):
            answer, lower = _price_gpus(group, self._room, gap_tolerance)
            bound += lower + group.base_w
            if answer is None:
                found = False
                continue
            split, chosen = answer
            flows += _flows(group, split)
            loads += [
                Load(pool=p, option=group.options[k], num_instances=n, rate_rps=rate)
                for p, pool in zip(group.pools, chosen, strict=True)
                for k, n, rate in pool.parts
            ]
        runtime_s = time.perf_counter() - started
        if not found:
            return Result(
                solver=self.name,
                termination=Termination.NO_SOLUTION_FOUND,
                lower_bound_w=max(0.0, bound),
                gap_tolerance=gap_tolerance,
                runtime_s=runtime_s,
                reason="no allocation was found",
            )
        allocation = make_allocation(problem, loads, flows)
        lower = min(max(0.0, bound * (1 - 1e-9)), allocation.power_w)
        optimal = allocation.power_w - lower <= gap_tolerance * allocation.power_w
        return Result(
            solver=self.name,
            termination=Termination.OPTIMAL if optimal else Termination.FEASIBLE,
            allocation=allocation,
            lower_bound_w=lower,
            gap_tolerance=gap_tolerance,
            runtime_s=runtime_s,
        )


def _flows(group, split):
    flows = []
    for m, rates in enumerate(group.rates_rps):
        part = slice(m * NUM_CLASSES, (m + 1) * NUM_CLASSES)
        first = group.pools[m * NUM_CLASSES]
        flows += [(first + c, first + p, rate) for c, p, rate in route(rates, split[part])]
    return flows


def _price_gpus(group: Group, room: Workspace, gap: float):
    zero = np.zeros(group.limits.size)
    room.fill(group, priced(group, zero))
    found = search(group, room, max_nodes=MAX_NODES, gap=gap)
    bound = found.lower
    if not np.isfinite(found.cost):
        return None, bound

    def decoded(found):
        chosen = [instances_at(group, room, p, load) for p, load in enumerate(found.loads_rps)]
        return chosen, sum((c.usage for c in chosen), zero), sum(c.cost_w for c in chosen)

    chosen, usage, cost = decoded(found)
    if (usage <= group.limits).all():
        return (found.loads_rps, chosen), bound
    best, best_cost = None, np.inf
    low, high = 0.0, max(1.0, cost / usage.sum())
    for _ in range(12):
        middle = high if best is None else (low + high) / 2
        room.fill(group, priced(group, zero + middle))
        found = search(group, room, max_nodes=MAX_NODES // 3, gap=gap)
        chosen, usage, cost = decoded(found)
        bound = max(bound, found.lower - middle * group.limits.sum())
        if (usage > group.limits).any():
            low, high = middle, high if best is not None else 2 * high
            continue
        if cost < best_cost:
            best, best_cost = (found.loads_rps, chosen), cost
        high = middle
    return best, bound
