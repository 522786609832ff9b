"""What all back ends of the integer program share: build, run, read the answer, and claim no more than was proved."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from dynaopt.errors import SolverError
from dynaopt.formulation import Formulation, formulate
from dynaopt.infeasibility import explain
from dynaopt.linear_model import LinearModel
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray
from dynaopt.result import Result, Termination
from dynaopt.solution import read_allocation
from dynaopt.solvers.base import DEFAULT_GAP

ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Outcome:
    """What a back end says.

    Parameters
    ----------
    values
        A value for each variable, or None when it found nothing.
    bound
        Least value that the objective can have, offset included; minus infinity when not known.
    infeasible
        Whether it proved that nothing is feasible.
    reason
        Which limit stopped it, or what else keeps its answer from being proved; empty when nothing does.
    """

    values: FloatArray | None = None
    bound: float = -np.inf
    infeasible: bool = False
    reason: str = ""


class MilpSolver(ABC):
    """A back end that solves the formulation."""

    name: str
    proves = True

    @abstractmethod
    def run(self, model: LinearModel, time_limit_s: float | None, gap: float) -> Outcome:
        """Minimise a model.

        Parameters
        ----------
        model
            What to minimise.
        time_limit_s
            Wall-clock seconds that are left; None for no limit.
        gap
            Relative gap at which to stop.

        Raises
        ------
        SolverError
            If the back end fails.
        """

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem; see `Solver`."""
        started = time.perf_counter()
        deadline_s = np.inf if time_limit_s is None else started + time_limit_s
        formulation = formulate(problem)
        left = None if time_limit_s is None else deadline_s - time.perf_counter()
        if _has_impossible_row(formulation.model):
            outcome = Outcome(infeasible=True)
        elif not formulation.model.variable_names:
            outcome = Outcome(values=np.zeros(0), bound=formulation.model.offset)
        elif left is not None and left <= 0:
            outcome = Outcome(reason="the time limit passed while the program was built")
        else:
            outcome = self.run(formulation.model, left, gap_tolerance)
        return self._conclude(formulation, outcome, gap_tolerance, started, deadline_s)

    def _conclude(
        self, formulation: Formulation, outcome: Outcome, gap_tolerance: float, started: float, deadline_s: float
    ) -> Result:
        bound_w = max(outcome.bound, 0.0)
        termination, allocation, reason = Termination.NO_SOLUTION_FOUND, None, outcome.reason
        if outcome.infeasible:
            termination, bound_w = Termination.INFEASIBLE, 0.0
            reason = explain(formulation.problem, deadline_s=deadline_s)
        elif outcome.values is not None:
            allocation = read_allocation(formulation, outcome.values)
            objective_w = allocation.objective_w
            if bound_w > objective_w * (1 + ROUNDING) + ROUNDING:
                raise SolverError(f"{self.name} claims a bound of {bound_w} W above its answer of {objective_w} W.")
            bound_w = min(bound_w, objective_w)
            proved = objective_w - bound_w <= (gap_tolerance + ROUNDING) * objective_w
            termination = Termination.OPTIMAL if proved else Termination.FEASIBLE
            if not proved and not reason:
                reason = "the answer lost a little when its floats were made to hold exactly"
        return Result(
            solver=self.name,
            termination=termination,
            allocation=allocation,
            lower_bound_w=bound_w,
            gap_tolerance=gap_tolerance,
            runtime_s=time.perf_counter() - started,
            reason="" if termination is Termination.OPTIMAL else reason,
        )


def _has_impossible_row(model: LinearModel) -> bool:
    """Tell whether a row without variables asks for something, which back ends treat in ways of their own."""
    empty = np.diff(model.rows.indptr) == 0
    return bool(np.any(empty & ((model.row_lower > 0) | (model.row_upper < 0))))
