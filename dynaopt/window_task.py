"""What all windows of a horizon have in common, and what it takes to pose and solve one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from dynaopt.problem import Cluster, Problem, WindowDemand
from dynaopt.profile import Profile
from dynaopt.result import Result
from dynaopt.slo import Slo
from dynaopt.solvers import solve

Window = tuple[int, Any]
"""The number of a window in its horizon, and what is asked of it: for a `Task`, what arrives."""


class Solves(Protocol):
    """Solves whatever it is asked about a window. Worker processes are sent one of these, pickled."""

    def solve(self, asked: Any, /) -> Result:
        """Solve it."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Task:
    """What all windows of a horizon have in common.

    Parameters
    ----------
    profiles
        The profile of each model.
    slo, cluster
        As in `Problem`.
    solver, time_limit_s, gap_tolerance
        As `dynaopt.solvers.solve` takes them.
    gpu_price_w
        What a GPU in use costs in the window of each start, in watts; a window that is not named: nothing.
    """

    profiles: Mapping[str, Profile]
    slo: Slo
    cluster: Cluster
    solver: str
    time_limit_s: float | None
    gap_tolerance: float
    gpu_price_w: Mapping[pd.Timestamp, float] = field(default_factory=dict)

    def problem(self, window: WindowDemand) -> Problem:
        """Pose the problem of a window."""
        price_w = self.gpu_price_w.get(window.start, 0.0)
        return Problem(demand=window, profiles=self.profiles, slo=self.slo, cluster=self.cluster, gpu_price_w=price_w)

    def solve(self, window: WindowDemand, /) -> Result:
        """Solve a window."""
        return self.solve_problem(self.problem(window))

    def solve_problem(self, problem: Problem) -> Result:
        """Solve a problem with what goes for all."""
        return solve(problem, solver=self.solver, time_limit_s=self.time_limit_s, gap_tolerance=self.gap_tolerance)
