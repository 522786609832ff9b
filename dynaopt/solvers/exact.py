"""The package's own exact solver: `greedy`'s tree carried on to the optimum, then a program; `docs/exact.md`."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from dynaopt.hull import MAX_NODES
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.solvers.greedy import FEW_NODES, Greedy
from dynaopt.solvers.program import better, go_on, is_settled

LONGER = 10
"""How many times as long as the short search the long one may take, as far as is known before."""

_LOG = logging.getLogger(__name__)


class Exact:
    """Searches loads of pools until nothing is left; where prices leave a gap, asks an integer program."""

    name = "exact"
    proves = True

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem; see `Solver.solve`. Where the answer is a program's, `Result.solver` is that program."""
        started = time.perf_counter()
        deadline_s = float("inf") if time_limit_s is None else started + time_limit_s
        is_short = time_limit_s is not None
        best = self._search(problem, FEW_NODES if is_short else MAX_NODES, time_limit_s, gap_tolerance)
        if is_short and not is_settled(best) and self._has_time(problem, started, deadline_s):
            more = self._search(problem, MAX_NODES, deadline_s - time.perf_counter(), gap_tolerance)
            best = better(best, more)
        if not is_settled(best):
            gap = "no answer" if best.allocation is None else f"a gap of {best.gap:.1e}"
            _LOG.info("The search ends with %s after %.2f s.", gap, time.perf_counter() - started)
            best = go_on(problem, best, deadline_s=deadline_s, gap_tolerance=gap_tolerance)
        return replace(best, runtime_s=time.perf_counter() - started)

    def _has_time(self, problem: Problem, started: float, deadline_s: float) -> bool:
        """Whether the long search has time; with a reserve it can be stopped in between."""
        now_s = time.perf_counter()
        return now_s + (LONGER if problem.cluster.reserve == 0 else 1) * (now_s - started) < deadline_s

    def _search(self, problem: Problem, nodes: int, time_limit_s: float | None, gap_tolerance: float) -> Result:
        """Search to the end, or for so many nodes, however wide the gap that is asked for."""
        greedy = Greedy(nodes, search_gap=0.0, exactly=nodes > FEW_NODES)
        found = greedy.solve(problem, time_limit_s=time_limit_s, gap_tolerance=gap_tolerance)
        return replace(found, solver=self.name)
