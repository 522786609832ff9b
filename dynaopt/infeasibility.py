"""Why a problem has no answer, and the cheapest change that gives it one."""

from __future__ import annotations

from dynaopt.problem import Problem


def explain(problem: Problem) -> str:
    """Say in the user's words why nothing is feasible."""
    return f"no allocation of window {problem.demand.start:%Y-%m-%d %H:%M} keeps every limit"
