"""Goes on from an answer with an integer program, and combines what two solvers say of one problem."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from dynaopt.errors import SolverError
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.math_opt import Highs, Scip

MIN_PROGRAM_S = 1.0
"""Below this an integer program has, measured, nothing to add: building it takes 40 ms, its first answer 0.2 to 1 s."""
RESCUE_S = 2.0
"""What an integer program gets where nothing was found and nothing proved: an answer matters more than the limit."""
MARGIN_S = 0.03
"""By how much SCIP exceeds its limit, typically."""
LONG_S, LONG_MARGIN_S = 10.0, 2.0
"""From when on HiGHS is asked, which proves sooner, and by how much it exceeded a limit of 0.5 s."""
PROGRAM_S = 60.0
"""What an integer program gets where no limit is given. One that has proved nothing by then seldom does in an hour."""
PROGRAM_GAP = 1e-6
"""What a program closes its gap to, if it has the time: a coarse tolerance must not leave an answer worse than others'.
"""
ROUNDING = 1e-6
_LOG = logging.getLogger(__name__)


def is_settled(result: Result) -> bool:
    """Whether nothing is left to prove."""
    return result.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)


def go_on(problem: Problem, best: Result, *, deadline_s: float, gap_tolerance: float) -> Result:
    """Improve on a result with an integer program, if there is time.

    Parameters
    ----------
    problem
        What to solve.
    best
        The result so far.
    deadline_s
        When, on `time.perf_counter`, to stop; infinite for `PROGRAM_S` from now. HiGHS is asked where there is much
        time, else SCIP, which keeps to its limit.
    gap_tolerance
        Relative gap at which an answer counts as optimal.

    Returns
    -------
    Result
        The better answer, under the name of who found it, and the better bound.
    """
    left_s = deadline_s - time.perf_counter() - MARGIN_S
    if best.allocation is None:
        left_s = max(left_s, RESCUE_S)
    if left_s < MIN_PROGRAM_S:
        return replace(best, reason=best.reason or "the time limit left no time for an integer program")
    program: Highs | Scip = Scip()
    if left_s >= LONG_S:
        program, left_s = Highs(), min(left_s - LONG_MARGIN_S, PROGRAM_S)
    _LOG.info("%s goes on with the integer program, for %.0f s at most.", program.name, left_s)
    try:
        found = program.solve(problem, time_limit_s=left_s, gap_tolerance=min(gap_tolerance, PROGRAM_GAP))
    except SolverError as error:
        return replace(best, reason=str(error))
    return better(best, replace(found, gap_tolerance=gap_tolerance))


def better(one: Result, other: Result) -> Result:
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
