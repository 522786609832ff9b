"""Greedy first, then, as far as its gap and the time left call for it, more of its tree and an integer program."""

from __future__ import annotations

import time
from dataclasses import replace

from dynaopt.errors import SolverError
from dynaopt.hull import MAX_NODES
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.solvers.greedy import Greedy
from dynaopt.solvers.math_opt import Highs, Scip

MIN_PROGRAM_S = 1.0
"""Below this an integer program has, measured, nothing to add: building it takes 40 ms, its first answer 0.2 to 1 s."""
RESCUE_S = 2.0
"""What an integer program gets where greedy found nothing and proved nothing: an answer matters more than the limit."""
MARGIN_S = 0.03
"""By how much SCIP exceeds its limit, typically. HiGHS exceeded 0.5 s by 2 s, so it gets none."""
ROUNDING = 1e-6


class Auto:
    """Takes the best answer and the best bound of several solvers, and says whose answer it is."""

    name = "auto"
    proves = True

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem; see `Solver.solve`."""
        started = time.perf_counter()
        deadline_s = float("inf") if time_limit_s is None else started + time_limit_s
        best = Greedy().solve(problem, time_limit_s=time_limit_s, gap_tolerance=gap_tolerance)
        runtime_s = time.perf_counter() - started
        if not _is_settled(best) and time.perf_counter() + 10 * runtime_s < deadline_s:
            more = Greedy(MAX_NODES).solve(
                problem, time_limit_s=deadline_s - time.perf_counter(), gap_tolerance=gap_tolerance
            )
            best = _better(best, more)
        if not _is_settled(best):
            best = _program(problem, best, deadline_s, gap_tolerance)
        return replace(best, runtime_s=time.perf_counter() - started)


def _is_settled(result: Result) -> bool:
    return result.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)


def _program(problem: Problem, best: Result, deadline_s: float, gap_tolerance: float) -> Result:
    """Improve on a result with an integer program, if there is time."""
    left_s = deadline_s - time.perf_counter() - MARGIN_S
    if best.allocation is None:
        left_s = max(left_s, RESCUE_S)
    if left_s < MIN_PROGRAM_S:
        return replace(best, reason=best.reason or "the time limit left no time for an integer program")
    try:
        if left_s == float("inf"):
            found = Highs().solve(problem, gap_tolerance=gap_tolerance)
        else:
            found = Scip().solve(problem, time_limit_s=left_s, gap_tolerance=gap_tolerance)
    except SolverError as error:
        return replace(best, reason=str(error))
    return _better(best, found)


def _better(one: Result, other: Result) -> Result:
    """Combine two results for the same problem: the better answer, under the name of who found it, and both bounds."""
    answer = min((one, other), key=lambda result: float("inf") if result.allocation is None else result.objective_w)
    bound_w = max(one.lower_bound_w, other.lower_bound_w)
    if answer.allocation is None:
        return other if other.termination is Termination.INFEASIBLE else replace(other, lower_bound_w=bound_w)
    bound_w = min(bound_w, answer.objective_w)
    proved = answer.objective_w - bound_w <= (answer.gap_tolerance + ROUNDING) * answer.objective_w
    return replace(
        answer,
        termination=Termination.OPTIMAL if proved else Termination.FEASIBLE,
        lower_bound_w=bound_w,
        reason="" if proved else other.reason,
    )
