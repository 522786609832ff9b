"""One solver on one case: timed, checked, and written down."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dynaopt.bench_cases import Case, problem_digest
from dynaopt.check import check_allocation
from dynaopt.errors import InvalidInputError
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers import solve

DEFAULT_TIME_LIMIT_S = 2.0
DEFAULT_GAP_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one solver said of one case.

    Parameters
    ----------
    case, family, level
        The case.
    problem_sha256
        Digest of its problem.
    solver
        Who was asked.
    answered_by
        Who answered, where that is another.
    termination
        What was claimed; ``error`` when the solver failed.
    power_w
        Power of the answer, in watts; None without one.
    lower_bound_w
        The bound that was claimed, in watts.
    num_gpus
        GPUs under instances; None without an answer.
    num_violations, violation
        How many violations the independent check found in the answer, and the first of them.
    reason
        Why there is no answer, or which limit stopped the solver.
    num_repeats
        How often it was solved; what is said of the answer is said of the first time.
    runtime_p50_s, runtime_p99_s
        Wall-clock seconds, over the repeats.
    cpu_p50_s
        Seconds of processor time of this process, over the repeats.
    time_limit_s, gap_tolerance
        What the solver was given.
    version
        Of dynaopt.
    """

    case: str
    family: str
    level: str
    problem_sha256: str
    solver: str
    answered_by: str
    termination: str
    power_w: float | None
    lower_bound_w: float
    num_gpus: int | None
    num_violations: int
    violation: str
    reason: str
    num_repeats: int
    runtime_p50_s: float
    runtime_p99_s: float
    cpu_p50_s: float
    time_limit_s: float
    gap_tolerance: float
    version: str


RUN_COLUMNS = tuple(f.name for f in fields(Run))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How solvers are run.

    Parameters
    ----------
    time_limit_s
        Limit for each solve, in seconds.
    gap_tolerance
        Relative gap at which an answer counts as optimal.
    repeats
        How often each case is solved; more than once to tell how times scatter.
    store
        Folder in which what was run is kept, a file for each solver; what is there already is not run again. None to
        keep nothing.
    rerun
        Whether to run again what is stored.
    """

    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    gap_tolerance: float = DEFAULT_GAP_TOLERANCE
    repeats: int = 1
    store: Path | None = None
    rerun: bool = False

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InvalidInputError("option repeats", expected="at least 1", found=str(self.repeats))


def expected_fields(case: Case, problem: Problem, options: BenchOptions) -> dict[str, Any]:
    """Return the fields of a run that are known beforehand; a stored run must agree in them to stand for a new one."""
    return {
        "case": case.name,
        "problem_sha256": problem_digest(problem),
        "time_limit_s": options.time_limit_s,
        "gap_tolerance": options.gap_tolerance,
        "num_repeats": options.repeats,
        "version": version("dynaopt"),
    }


def warm_up(problem: Problem, solver: str) -> None:
    """Solve a problem once without looking at the answer."""
    # The first solve of a process loads libraries and compiles; that is not what is compared.
    try:
        solve(problem, solver=solver, time_limit_s=0.1, gap_tolerance=1.0)
    except Exception:  # the timed solve will meet it again, and tell
        return


def run_case(case: Case, problem: Problem, solver: str, options: BenchOptions, wanted: Mapping[str, Any]) -> Run:
    """Solve a case as often as the options say, and check the first answer.

    Parameters
    ----------
    case, problem
        The case, and its problem.
    solver
        Name of the solver.
    options
        How to run it.
    wanted
        Fields of `Run` that are known beforehand; see `expected_fields`.
    """
    walls, cpus, outcomes = [], [], []
    for _ in range(options.repeats):
        gc.collect()  # or this solver pays for what the one before has left
        wall, cpu = time.perf_counter(), time.process_time()
        outcomes.append(_solve(problem, solver, options))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Run(
        family=case.family,
        level=case.level,
        solver=solver,
        runtime_p50_s=float(np.quantile(walls, 0.5)),
        runtime_p99_s=float(np.quantile(walls, 0.99)),
        cpu_p50_s=float(np.quantile(cpus, 0.5)),
        **_describe(problem, solver, outcomes[0]),
        **wanted,
    )


def _solve(problem: Problem, solver: str, options: BenchOptions) -> Result | Exception:
    try:
        return solve(problem, solver=solver, time_limit_s=options.time_limit_s, gap_tolerance=options.gap_tolerance)
    except Exception as error:  # whatever goes wrong in a solver is a finding, and must not end the benchmark
        return error


def _describe(problem: Problem, solver: str, outcome: Result | Exception) -> dict[str, Any]:
    allocation = None if isinstance(outcome, Exception) else outcome.allocation
    violations = [] if allocation is None else check_allocation(problem, allocation)
    return {
        "answered_by": solver if isinstance(outcome, Exception) else outcome.solver,
        "termination": "error" if isinstance(outcome, Exception) else str(outcome.termination),
        "power_w": None if allocation is None else allocation.power_w,
        "lower_bound_w": 0.0 if isinstance(outcome, Exception) else outcome.lower_bound_w,
        "num_gpus": None if allocation is None else allocation.num_gpus,
        "num_violations": len(violations),
        "violation": str(violations[0]) if violations else "",
        "reason": f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else outcome.reason,
    }
