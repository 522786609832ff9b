"""The package's heuristic: milliseconds, near-optimal, with a bound; `docs/greedy.md` explains it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import numpy as np

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.flat_problem import Group, groups_of
from dynaopt.group_search import GroupAnswer, Pools, solve_group, usage_of
from dynaopt.hull import MAX_NODES
from dynaopt.infeasibility import explain
from dynaopt.load_sets import NUM_CLASSES, route
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.spare_pools import SparePools

FEW_NODES = 600
ROUNDING = 1e-9
PRICE_STEPS = 8


class Greedy:
    """Splits loads over pools by a short branch and bound; limits that bind get a price.

    Parameters
    ----------
    max_nodes
        Nodes of the tree for each model, at most `hull.MAX_NODES`.
    """

    name = "greedy"
    proves = False

    def __init__(self, max_nodes: int = FEW_NODES) -> None:
        self._max_nodes = max_nodes
        self._room = Workspace()

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float | None = None,
        gap_tolerance: float = DEFAULT_GAP,
    ) -> Result:
        """Solve a problem; see `Solver.solve`. A time limit stops it only once there is an answer."""
        started = time.perf_counter()
        deadline_s = np.inf if time_limit_s is None else started + time_limit_s
        cap_w = problem.cluster.power_cap_w or np.inf
        allocation, bound_w, least_power_w = self._within_cap(problem, gap_tolerance, deadline_s)
        termination, reason = Termination.NO_SOLUTION_FOUND, "no allocation was found, nor a proof that there is none"
        if np.isinf(bound_w) or least_power_w > cap_w * (1 + ROUNDING):
            allocation, termination, reason = None, Termination.INFEASIBLE, explain(problem, deadline_s=deadline_s)
        elif allocation is not None and allocation.power_w <= cap_w * (1 + ROUNDING):
            objective_w = allocation.objective_w
            proved = objective_w - bound_w <= (gap_tolerance + 2 * ROUNDING) * objective_w
            termination, reason = Termination.OPTIMAL if proved else Termination.FEASIBLE, ""
        else:
            allocation = None
        return Result(
            solver=self.name,
            termination=termination,
            allocation=allocation,
            lower_bound_w=bound_w if np.isfinite(bound_w) else 0.0,
            gap_tolerance=gap_tolerance,
            runtime_s=time.perf_counter() - started,
            reason=reason,
        )

    def _within_cap(self, problem: Problem, gap: float, deadline_s: float) -> tuple[Allocation | None, float, float]:
        """Return the best allocation, within the power cap if one was found.

        Beside it stand what no allocation's objective and what no allocation's power can go below, in watts.
        """
        cap_w, price_w = problem.cluster.power_cap_w or np.inf, problem.gpu_price_w
        allocation, bound_w = self._search(problem, self._max_nodes, gap, deadline_s)
        if np.isinf(cap_w) or (allocation is not None and allocation.power_w <= cap_w):
            return allocation, bound_w, 0.0 if price_w > 0 else bound_w
        if price_w == 0:
            if bound_w <= cap_w:
                allocation, bound_w = self._search(problem, MAX_NODES, 0.0, deadline_s)
            return allocation, bound_w, bound_w
        # The cheaper the GPUs, the less power: look for the highest price whose answer keeps the cap.
        allocation, least_power_w = self._search(problem.replace(gpu_price_w=0.0), MAX_NODES, 0.0, deadline_s)
        low_w, high_w = 0.0, price_w
        for _ in range(PRICE_STEPS if allocation is not None and allocation.power_w <= cap_w else 0):
            middle_w = (low_w + high_w) / 2
            found, _ = self._search(problem.replace(gpu_price_w=middle_w), self._max_nodes, gap, deadline_s)
            if found is not None and found.power_w <= cap_w:
                allocation, low_w = found, middle_w
            else:
                high_w = middle_w
        return allocation and replace(allocation, gpu_price_w=price_w), bound_w, least_power_w

    def _search(
        self, problem: Problem, max_nodes: int, gap: float, deadline_s: float
    ) -> tuple[Allocation | None, float]:
        """Return the best allocation without regard to the power cap, and what no objective can go below, in watts."""
        allocation, bound_w = search_groups(problem, groups_of(problem), self._room, max_nodes, gap, deadline_s)
        if allocation is None:
            return None, bound_w
        return allocation, min(bound_w * (1 - ROUNDING), allocation.objective_w)


def search_groups(
    problem: Problem, groups: list[Group], room: Workspace, max_nodes: int, gap: float, deadline_s: float
) -> tuple[Allocation | None, float]:
    """Find the best allocation without regard to the power cap.

    Parameters
    ----------
    problem
        What to solve.
    groups
        Those of `groups_of`; their costs may be others than the problem's.
    room
        To work in.
    max_nodes, gap, deadline_s
        As in `solve_group`.

    Returns
    -------
    tuple
        The allocation or None; what no allocation's cost by the groups goes below, in watts, infinite where it is
        proved that there is none.
    """
    reserve = problem.cluster.reserve
    answers = [solve_group(_pools(group, room, reserve, deadline_s), max_nodes, gap, deadline_s) for group in groups]
    bound_w = max(0.0, sum(g.base_w + a.lower_w for g, a in zip(groups, answers, strict=True)))
    if any(answer.chosen is None for answer in answers):
        return None, bound_w
    return _allocation(problem, groups, answers), bound_w


def _pools(group: Group, room: Workspace, reserve: float | Literal["n+1"], deadline_s: float) -> Pools:
    return PlainPools(group, room) if reserve == 0 else SparePools(group, room, reserve, deadline_s)


def _allocation(problem: Problem, groups: list[Group], answers: list[GroupAnswer]) -> Allocation:
    loads: list[Load] = []
    flows: list[tuple[int, int, float]] = []
    for group, answer in zip(groups, answers, strict=True):
        chosen = answer.chosen or []
        for m, family in enumerate(group.open_families(answer.loads_rps)):
            part = slice(m * NUM_CLASSES, (m + 1) * NUM_CLASSES)
            first = group.pools[part.start]
            flows += [(first + c, first + p, rate) for c, p, rate in route(family.rates_rps, answer.loads_rps[part])]
            mixed = [group.pools[at] for at in family.mixed]
            flows += [(c, p, problem.pools[c].rate_rps) for p in mixed for c in problem.pools[p].members]
        loads += [
            Load(pool=p, option=group.options[k], num_instances=n, rate_rps=rate)
            for p, way in zip(group.pools, chosen, strict=True)
            for k, n, rate in way.parts
        ]
        left = group.limits - usage_of(chosen, group.limits)
        for fillers, room in zip(group.fillers, left.tolist(), strict=True):
            for pool, option, size in fillers:
                count, room = int(room // size), room % size
                loads.append(Load(pool=pool, option=option, num_instances=count, rate_rps=0.0))
    return make_allocation(problem, loads, flows)
