"""CBC through PuLP."""

from __future__ import annotations

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import cbcbox
import numpy as np
import pulp

from dynaopt.errors import SolverError
from dynaopt.linear_model import LinearModel
from dynaopt.profile import FloatArray
from dynaopt.solvers.milp import MilpSolver, Outcome

_BOUND = re.compile(r"\b[Bb]ound:\s+(-?[0-9][0-9.eE+-]*)")
_PROOFS = (
    "Row reductions: infeasible",
    "Bound tightening: INFEASIBLE",
    "Problem is infeasible",
    "Result - Problem proven infeasible",
    "Result - Linear relaxation infeasible",
    "Pre-processing says infeasible or unbounded",  # no column of a window's program is unbounded
)
_INFEASIBLE = re.compile(rf"^ *({'|'.join(_PROOFS)})", re.MULTILINE)


class Cbc(MilpSolver):
    """CBC, run as a program of its own on one thread."""

    name = "cbc"

    def run(self, model: LinearModel, time_limit_s: float | None, gap: float) -> Outcome:
        """Minimise a model; see `MilpSolver`."""
        program, variables = load_pulp(model)
        with TemporaryDirectory() as folder:
            log_path = Path(folder, "cbc.log")
            command = pulp.COIN_CMD(
                path=cbcbox.cbc_bin_path(),
                msg=False,
                timeLimit=time_limit_s,
                gapRel=gap,
                gapAbs=0,
                threads=1,
                logPath=str(log_path),
            )
            command.tmpDir = folder
            try:
                program.solve(command)
            except pulp.PulpSolverError as error:
                raise SolverError(f"cbc failed: {error}") from error
            log = log_path.read_text()
        return _outcome(program, np.array([v.value() for v in variables], dtype=float), gap, log)


def load_pulp(model: LinearModel) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """Load a model into PuLP.

    Returns
    -------
    problem, variables
        The variables in the order of the model's columns. The offset is the cost of one more, which is fixed at 1,
        since the sign of a constant in an MPS file is read in two ways.
    """
    program = pulp.LpProblem("window", pulp.LpMinimize)
    variables = [
        program.add_variable(f"v{n}", _finite(lower), _finite(upper), "Integer" if integer else "Continuous")
        for n, (lower, upper, integer) in enumerate(zip(model.lower, model.upper, model.is_integer, strict=True))
    ]
    one = program.add_variable("one", 1, 1)
    used = np.flatnonzero(model.objective)
    costs = [(variables[n], float(model.objective[n])) for n in used]
    program.setObjective(pulp.LpAffineExpression([*costs, (one, model.offset)]))
    for n, (lower, upper) in enumerate(zip(model.row_lower, model.row_upper, strict=True)):
        cells = slice(model.rows.indptr[n], model.rows.indptr[n + 1])
        columns, coefficients = model.rows.indices[cells], model.rows.data[cells]
        row = pulp.LpAffineExpression([(variables[j], float(a)) for j, a in zip(columns, coefficients, strict=True)])
        if lower == upper:
            program += row == lower
        else:
            if np.isfinite(lower):
                program += row >= lower
            if np.isfinite(upper):
                program += row <= upper
    return program, variables


def _finite(bound: float) -> float | None:
    return float(bound) if math.isfinite(bound) else None


def _outcome(program: pulp.LpProblem, values: FloatArray, gap: float, log: str) -> Outcome:
    """Read the outcome from what PuLP says of the answer and what CBC says of the bound.

    PuLP's `status` is Optimal too when a limit stopped CBC with an answer; only `sol_status` tells the two apart.
    """
    if program.sol_status == pulp.LpSolutionInfeasible or _INFEASIBLE.search(log):
        return Outcome(infeasible=True)
    if program.sol_status == pulp.LpSolutionOptimal:
        return Outcome(values=values, bound=max(_bound(log), (1 - gap) * program.objective.value()))
    if program.sol_status == pulp.LpSolutionIntegerFeasible:
        return Outcome(values=values, bound=_bound(log), reason="the time limit was reached")
    if "Stopped" in log:
        return Outcome(bound=_bound(log), reason="the time limit was reached")
    raise SolverError(f"cbc failed: {pulp.LpSolution[program.sol_status].lower()}; its log ends: {log[-300:]}")


def _bound(log: str) -> float:
    """Return the last bound that CBC printed, less what it may have been rounded up by."""
    printed = [text.rstrip(",") for text in _BOUND.findall(log)]
    if not printed:
        return -math.inf
    bound = float(printed[-1])
    return bound - 0.5 * 10.0 ** (math.floor(math.log10(abs(bound))) - 5) if bound else bound
