"""The package's heuristic: milliseconds, near-optimal, with a bound; `docs/greedy.md` explains it."""

from __future__ import annotations

import time

import numpy as np

from dynaopt.allocation import make_allocation
from dynaopt.flat_problem import Answer, FlatProblem, Workspace, flatten, search
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
        flat = flatten(problem)
        base = problem.num_gpus * flat.unused_gpu_w
        best, bound = _price_gpus(problem, flat, self._room, gap_tolerance)
        runtime_s = time.perf_counter() - started
        if best is None:
            return Result(
                solver=self.name,
                termination=Termination.NO_SOLUTION_FOUND,
                lower_bound_w=max(0.0, bound + base),
                gap_tolerance=gap_tolerance,
                runtime_s=runtime_s,
                reason="no allocation was found",
            )
        allocation = make_allocation(problem, best.loads, best.flows)
        lower = min(max(0.0, (bound + base) * (1 - 1e-9)), allocation.power_w)
        optimal = allocation.power_w - lower <= gap_tolerance * allocation.power_w
        return Result(
            solver=self.name,
            termination=Termination.OPTIMAL if optimal else Termination.FEASIBLE,
            allocation=allocation,
            lower_bound_w=lower,
            gap_tolerance=gap_tolerance,
            runtime_s=runtime_s,
        )


def _price_gpus(problem: Problem, flat: FlatProblem, room: Workspace, gap: float) -> tuple[Answer | None, float]:
    """Search with the least price of a GPU at which their limit holds; return the best answer and the best bound."""
    limit = problem.num_gpus
    answer = search(flat, np.zeros(flat.tp.size), room, max_nodes=MAX_NODES, gap=gap)
    bound = answer.lower
    if not np.isfinite(answer.cost):
        return None, bound
    if answer.num_gpus <= limit:
        return answer, bound
    best, best_cost = None, np.inf
    low, high = 0.0, max(1.0, answer.cost / max(answer.num_gpus, 1))
    for _ in range(12):
        middle = high if best is None else (low + high) / 2
        answer = search(flat, middle * flat.tp, room, max_nodes=MAX_NODES // 3, gap=gap)
        bound = max(bound, answer.lower - middle * limit)
        if answer.num_gpus > limit:
            low, high = middle, high if best is not None else 2 * high
            continue
        power = answer.cost - middle * answer.num_gpus
        if power < best_cost:
            best, best_cost = answer, power
        high = middle
    return best, bound
