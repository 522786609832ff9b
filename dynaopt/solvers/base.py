"""What a solver is."""

from __future__ import annotations

from typing import Protocol

from dynaopt.problem import Problem
from dynaopt.result import Result

DEFAULT_GAP = 1e-4
DEFAULT_SOLVER = "exact"
"""Who solves windows by themselves where nobody is named."""
WINDOW_LIMIT_S = 2.0
"""What `exact` gets for each window of a horizon where no limit is asked for, so that a week ends in any case."""


class Solver(Protocol):
    """Solves one window.

    Attributes
    ----------
    name
        The name that it is registered under.
    proves
        Whether it can prove an answer optimal, given time.
    """

    name: str
    proves: bool

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem.

        Parameters
        ----------
        problem
            What to solve; it is left unchanged.
        time_limit_s
            Wall-clock seconds after which to stop with the best answer so far; None for no limit.
        gap_tolerance
            Relative gap at which an answer counts as optimal.

        Returns
        -------
        Result
            Honest about what was proved. Infeasible is an outcome and not an exception.
        """
        ...
