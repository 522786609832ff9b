"""The package's heuristic: milliseconds, near-optimal, with a bound; `docs/greedy.md` explains it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.flat_problem import Group, groups_of
from dynaopt.group_answer import Flow, fillers_of, loads_and_flows, pools_of
from dynaopt.group_search import GroupAnswer, solve_group
from dynaopt.hull import MAX_NODES
from dynaopt.infeasibility import explain
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.base import DEFAULT_GAP

FEW_NODES = 600
ROUNDING = 1e-9
PRICE_STEPS = 8


class Greedy:
    """Splits loads over pools by a short branch and bound; limits that bind get a price.

    Parameters
    ----------
    max_nodes
        Nodes of the tree for each model, at most `hull.MAX_NODES`.
    search_gap
        Relative gap at which searches stop; None for the one that is asked for.
    exactly
        Whether to find what a reserve costs to the end.
    """

    name = "greedy"
    proves = False

    def __init__(self, max_nodes: int = FEW_NODES, search_gap: float | None = None, *, exactly: bool = False) -> None:
        self._max_nodes = max_nodes
        self._exactly = exactly
        self._search_gap = search_gap
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
        search_gap = gap_tolerance if self._search_gap is None else self._search_gap
        allocation, bound_w, least_power_w = self._within_cap(problem, search_gap, deadline_s)
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
        allocation, bound_w = search_groups(
            problem, groups_of(problem), self._room, max_nodes, gap, deadline_s, exactly=self._exactly
        )
        if allocation is None:
            return None, bound_w
        return allocation, min(bound_w * (1 - ROUNDING), allocation.objective_w)


def search_groups(
    problem: Problem,
    groups: list[Group],
    room: Workspace,
    max_nodes: int,
    gap: float,
    deadline_s: float,
    *,
    exactly: bool = False,
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
    exactly
        As in `pools_of`.

    Returns
    -------
    tuple
        The allocation or None; what no allocation's cost by the groups goes below, in watts, infinite where it is
        proved that there is none.
    """
    reserve = problem.cluster.reserve
    answers = [
        solve_group(pools_of(group, room, reserve, deadline_s, exactly=exactly), max_nodes, gap, deadline_s)
        for group in groups
    ]
    bound_w = max(0.0, sum(g.base_w + a.lower_w for g, a in zip(groups, answers, strict=True)))
    if any(answer.chosen is None for answer in answers):
        return None, bound_w
    return allocation_of(problem, groups, answers), bound_w


def allocation_of(problem: Problem, groups: list[Group], answers: list[GroupAnswer]) -> Allocation:
    """Write the answers of all groups as an allocation; what is left of a limit that must be used up idles.

    Parameters
    ----------
    problem
        What was solved.
    groups
        As `groups_of` gives them.
    answers
        One for each group, with instances.
    """
    loads: list[Load] = []
    flows: list[Flow] = []
    for group, answer in zip(groups, answers, strict=True):
        own_loads, own_flows = loads_and_flows(problem, group, answer)
        loads += [*own_loads, *fillers_of(group, answer)]
        flows += own_flows
    return make_allocation(problem, loads, flows)
