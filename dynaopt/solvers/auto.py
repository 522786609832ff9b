"""Greedy first, then, as far as its gap and the time left call for it, more of its tree and an integer program."""

from __future__ import annotations

import time
from dataclasses import replace

from dynaopt.hull import MAX_NODES
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.solvers.greedy import Greedy
from dynaopt.solvers.program import better, go_on, is_settled


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
        if not is_settled(best) and time.perf_counter() + 10 * runtime_s < deadline_s:
            more = Greedy(MAX_NODES).solve(
                problem, time_limit_s=deadline_s - time.perf_counter(), gap_tolerance=gap_tolerance
            )
            best = better(best, more)
        if not is_settled(best):
            best = go_on(problem, best, deadline_s=deadline_s, gap_tolerance=gap_tolerance)
        return replace(best, runtime_s=time.perf_counter() - started)
