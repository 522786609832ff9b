"""Solvers of the window problem, by name. Adding one takes its own file and one line in `_SOLVERS`."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.objective import Objective
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers.base import DEFAULT_GAP, DEFAULT_SOLVER, Solver

_SOLVERS = {
    "exact": "dynaopt.solvers.exact:Exact",
    "cbc": "dynaopt.solvers.cbc:Cbc",
    "highs": "dynaopt.solvers.math_opt:Highs",
    "scip": "dynaopt.solvers.math_opt:Scip",
    "cp-sat": "dynaopt.solvers.cp_sat:CpSat",
    "greedy": "dynaopt.solvers.greedy:Greedy",
    "exhaustive": "dynaopt.solvers.exhaustive:Exhaustive",
}

_ALIASES = {"auto": "exact"}
"""Other names: `exact` is what "whichever is best under the time limit" comes to."""


def solver_names() -> tuple[str, ...]:
    """Return the names of all solvers."""
    return tuple(_SOLVERS)


def get_solver(name: str) -> Solver:
    """Return a solver by name; ``"auto"`` is another of `exact`.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    name = _ALIASES.get(name, name)
    if name not in _SOLVERS:
        raise UnknownNameError("option solver", expected=f"one of {', '.join(_SOLVERS)}", found=f"'{name}'")
    module, _, attribute = _SOLVERS[name].partition(":")
    # Loaded on demand: OR-Tools and PuLP take a second that a run need not spend where no program is asked.
    return cast("Solver", getattr(import_module(module), attribute)())


def solve(
    problem: Problem,
    *,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = None,
    gap_tolerance: float = DEFAULT_GAP,
    objective: Objective | None = None,
) -> Result:
    """Solve one window.

    Parameters
    ----------
    problem
        What to solve.
    solver
        One of `solver_names`.
    time_limit_s
        Wall-clock seconds after which to stop with the best answer so far; None for no limit, but that `exact` gives
        an integer program a minute at most.
    gap_tolerance
        Relative gap at which an answer counts as optimal.
    objective
        What to minimise; None, the default, for the problem's own: energy, unless its GPUs have a price.

    Returns
    -------
    Result
        The answer, or that there is none and why.

    Raises
    ------
    UnknownNameError
        If there is no solver of that name.
    InvalidInputError
        If the time limit or the gap is negative, or a series of the objective does not cover the window.
    """
    if time_limit_s is not None and not time_limit_s > 0:
        raise InvalidInputError("option time_limit_s", expected="a number above 0", found=str(time_limit_s))
    if not gap_tolerance >= 0:
        raise InvalidInputError("option gap_tolerance", expected="a number of at least 0", found=str(gap_tolerance))
    asked = problem if objective is None else objective.applied(problem)
    return get_solver(solver).solve(asked, time_limit_s=time_limit_s, gap_tolerance=gap_tolerance)
