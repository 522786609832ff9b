"""CP-SAT through OR-Tools, on a model scaled to whole numbers.

Every continuous variable becomes a whole number of steps, and every coefficient is rounded. Each row is loosened by
the most that the roundings can add up to, so that every answer of the original program, rounded to steps, is one of
the scaled program; and what the roundings can add to its objective is known. So the least objective of the scaled
program, less that, is a lower bound of the original one: the *scaling error* costs a little of the bound and makes no
claim false. Answers are made to hold exactly afterwards, as those of every other solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from dynaopt.errors import SolverError
from dynaopt.linear_model import LinearModel
from dynaopt.profile import FloatArray
from dynaopt.solvers.milp import MilpSolver, Outcome

STEPS = 2**16
MAX_ACTIVITY = 2**44
UNBOUNDED = 2**62


class CpSat(MilpSolver):
    """CP-SAT, one worker with a fixed seed."""

    name = "cp-sat"

    def run(self, model: LinearModel, time_limit_s: float | None, gap: float) -> Outcome:
        """Minimise a model; see `MilpSolver`."""
        scaled = scale_model(model)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        solver.parameters.relative_gap_limit = gap
        # OR-Tools 9.15 drops feasible answers when it looks for rows that others dominate: see the tests
        solver.parameters.presolve_inclusion_work_limit = 0
        if time_limit_s is not None:
            solver.parameters.max_time_in_seconds = time_limit_s
        status = solver.solve(scaled.model)
        if status == cp_model.INFEASIBLE:
            # The scaled rows are looser than the original ones, so this holds for those too.
            return Outcome(infeasible=True)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
            raise SolverError(f"cp-sat failed: {solver.status_name(status).lower()}")
        bound = (solver.best_objective_bound - scaled.objective_error) / scaled.objective_scale + model.offset
        stopped = status != cp_model.OPTIMAL
        reason = "the time limit was reached" if stopped else f"its scaling to whole numbers costs {scaled.error:.2g}"
        if status == cp_model.UNKNOWN:
            return Outcome(bound=bound, reason=reason)
        values = np.array([solver.value(v) for v in scaled.variables], dtype=float) * scaled.step
        return Outcome(values=values, bound=bound, reason=reason)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScaledModel:
    """A model in whole numbers.

    Parameters
    ----------
    model, variables
        For CP-SAT; the variables in the order of the original's columns.
    step
        What one unit of each variable stands for, shape (n,).
    objective_scale
        Units of the scaled objective in one of the original's.
    objective_error
        Most by which rounding can raise the scaled objective of an original answer, in scaled units.
    """

    model: cp_model.CpModel
    variables: list[cp_model.IntVar]
    step: FloatArray
    objective_scale: float
    objective_error: float

    @property
    def error(self) -> float:
        """The same error in units of the original objective."""
        return self.objective_error / self.objective_scale


def scale_model(model: LinearModel) -> ScaledModel:
    """Scale a model to whole numbers so that no answer is lost.

    Parameters
    ----------
    model
        All of whose variables have finite bounds.
    """
    largest = np.maximum(np.abs(model.lower), np.abs(model.upper))
    step = np.where(model.is_integer, 1.0, np.where(largest > 0, largest, 1.0) / STEPS)
    # An original value rounds to the nearest step, which may lie just outside a bound that is no multiple of it.
    lower = np.where(model.is_integer, np.ceil(model.lower), np.floor(model.lower / step))
    upper = np.where(model.is_integer, np.floor(model.upper), np.ceil(model.upper / step))
    scaled = cp_model.CpModel()
    variables = [scaled.new_int_var(int(a), int(b), "") for a, b in zip(lower, upper, strict=True)]
    most = np.maximum(np.abs(lower), np.abs(upper))
    rounded = ~model.is_integer
    for n, (row_lower, row_upper) in enumerate(zip(model.row_lower, model.row_upper, strict=True)):
        cells = slice(model.rows.indptr[n], model.rows.indptr[n + 1])
        columns = model.rows.indices[cells]
        exact = model.rows.data[cells] * step[columns]
        whole, factor, error = _round(exact, most[columns], rounded[columns])
        low = -UNBOUNDED if np.isinf(row_lower) else math.floor(row_lower * factor - error)
        high = UNBOUNDED if np.isinf(row_upper) else math.ceil(row_upper * factor + error)
        expression = cp_model.LinearExpr.weighted_sum([variables[j] for j in columns], whole)
        scaled.add_linear_constraint(expression, low, high)
    used = np.flatnonzero(model.objective)
    whole, factor, error = _round(model.objective[used] * step[used], most[used], rounded[used])
    scaled.minimize(cp_model.LinearExpr.weighted_sum([variables[j] for j in used], whole))
    return ScaledModel(model=scaled, variables=variables, step=step, objective_scale=factor, objective_error=error)


def _round(exact: FloatArray, most: FloatArray, rounded: np.ndarray) -> tuple[list[int], float, float]:
    """Scale coefficients to whole ones; return them, the factor, and the most that the roundings can add up to.

    A coefficient is off by at most 1/2 at each unit of its variable, and a variable that was rounded by at most 1/2 of
    its coefficient.
    """
    if not rounded.any() and (exact == np.round(exact)).all():
        return [int(a) for a in exact], 1.0, 0.0
    activity = float(np.abs(exact) @ most)
    factor = MAX_ACTIVITY / activity if activity > 0 else 1.0
    whole = np.round(exact * factor)
    error = float(np.abs(exact * factor - whole) @ most + 0.5 * np.abs(whole) @ rounded)
    return [int(a) for a in whole], factor, error
