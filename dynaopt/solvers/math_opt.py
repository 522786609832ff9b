"""HiGHS and SCIP through OR-Tools' MathOpt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt
from ortools.math_opt.solvers import highs_pb2

from dynaopt.errors import SolverError
from dynaopt.linear_model import LinearModel
from dynaopt.solvers.milp import MilpSolver, Outcome
from dynaopt.solvers.quiet import silenced_stdout

_INFEASIBLE = (mathopt.TerminationReason.INFEASIBLE, mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED)
_ANSWERED = (
    mathopt.TerminationReason.OPTIMAL,
    mathopt.TerminationReason.FEASIBLE,
    mathopt.TerminationReason.NO_SOLUTION_FOUND,
)


class _MathOpt(MilpSolver):
    """A back end of MathOpt."""

    solver_type: mathopt.SolverType

    def parameters(self) -> dict[str, Any]:
        """Return what this back end needs beside limit and gap."""
        return {}

    def run(self, model: LinearModel, time_limit_s: float | None, gap: float) -> Outcome:
        """Minimise a model; see `MilpSolver`."""
        parameters = mathopt.SolveParameters(
            relative_gap_tolerance=gap,
            time_limit=None if time_limit_s is None else timedelta(seconds=time_limit_s),
            **self.parameters(),
        )
        try:
            with silenced_stdout():
                result = mathopt.solve(load_math_opt(model), self.solver_type, params=parameters)
        except (ValueError, RuntimeError, AttributeError) as error:
            # MathOpt turns some status codes into an AttributeError of its own.
            raise SolverError(f"{self.name} failed: {error}") from error
        termination = result.termination
        if termination.reason in _INFEASIBLE:
            return Outcome(infeasible=True)
        if termination.reason not in _ANSWERED:
            raise SolverError(f"{self.name} failed: {termination.reason.name.lower()}, {termination.detail}")
        stopped = termination.reason is not mathopt.TerminationReason.OPTIMAL
        return Outcome(
            values=_values(result, len(model.variable_names)),
            bound=termination.objective_bounds.dual_bound,
            reason="the time limit was reached" if stopped else "",
        )


class Highs(_MathOpt):
    """HiGHS."""

    name = "highs"
    solver_type = mathopt.SolverType.HIGHS

    def parameters(self) -> dict[str, Any]:
        """One thread, which MathOpt's common option does not reach, and no restarts, which cost more than they gain."""
        options = highs_pb2.HighsOptionsProto()
        options.int_options["threads"] = 1
        options.bool_options["mip_allow_restart"] = False
        return {"highs": options}


class Scip(_MathOpt):
    """SCIP."""

    name = "scip"
    solver_type = mathopt.SolverType.GSCIP

    def parameters(self) -> dict[str, Any]:
        """One thread."""
        return {"threads": 1}


def load_math_opt(model: LinearModel) -> mathopt.Model:
    """Load a model into MathOpt; variables keep their columns as ids."""
    proto = model_pb2.ModelProto()
    num_rows, num_columns = model.rows.shape
    variables, rows = proto.variables, proto.linear_constraints
    variables.ids.extend(range(num_columns))
    variables.lower_bounds.extend(model.lower.tolist())
    variables.upper_bounds.extend(model.upper.tolist())
    variables.integers.extend(model.is_integer.tolist())
    used = np.flatnonzero(model.objective)
    proto.objective.offset = model.offset
    proto.objective.linear_coefficients.ids.extend(used.tolist())
    proto.objective.linear_coefficients.values.extend(model.objective[used].tolist())
    rows.ids.extend(range(num_rows))
    rows.lower_bounds.extend(model.row_lower.tolist())
    rows.upper_bounds.extend(model.row_upper.tolist())
    cells = model.rows.tocoo()
    matrix = proto.linear_constraint_matrix
    matrix.row_ids.extend(cells.row.tolist())
    matrix.column_ids.extend(cells.col.tolist())
    matrix.coefficients.extend(cells.data.tolist())
    return mathopt.Model.from_model_proto(proto)


def _values(result: mathopt.SolveResult, num_columns: int) -> np.ndarray | None:
    if not result.has_primal_feasible_solution():
        return None
    values = np.zeros(num_columns)
    for variable, value in result.variable_values().items():
        values[variable.id] = value
    return values
