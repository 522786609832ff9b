"""Comparison of solvers on the library of cases: every answer checked, every claim held against what is known.

`docs/benchmarks.md` describes the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from dynaopt.bench_cases import SEED, Case, find_cases
from dynaopt.bench_run import RUN_COLUMNS, BenchOptions, Run, expected_fields, run_case, warm_up
from dynaopt.bench_store import read_runs, write_runs
from dynaopt.bench_summary import BenchReport, describe_machine, judge
from dynaopt.best_known import BestKnown
from dynaopt.solvers import get_solver

DEFAULT_SOLVERS = ("greedy", "exact", "highs")


def run_bench(
    cases: Iterable[Case] | None = None,
    solvers: Sequence[str] = DEFAULT_SOLVERS,
    *,
    options: BenchOptions | None = None,
    best_known: Mapping[str, BestKnown] | None = None,
    progress: Callable[[Run], None] | None = None,
) -> BenchReport:
    """Run solvers on cases, check every answer, and hold every claim against what is known.

    Parameters
    ----------
    cases
        Problems; those of a quick run by default.
    solvers
        Names of solvers.
    options
        How to run them.
    best_known
        What is known of the cases, by name; what this run finds is taken in before anyone is judged.
    progress
        Called after each run, for example to show it.

    Returns
    -------
    BenchReport
        Runs, summary by solver, defects, and what is now known.

    Raises
    ------
    UnknownNameError
        If there is no solver of a name.
    """
    chosen = list(find_cases() if cases is None else cases)
    options = options or BenchOptions()
    runs: list[Run] = []
    for solver in solvers:
        get_solver(solver)
        runs += _run_solver(chosen, solver, options, progress or (lambda _: None))
    frame = pd.DataFrame([asdict(run) for run in runs], columns=list(RUN_COLUMNS)).astype(
        {"power_w": float, "num_gpus": float}
    )
    meta = describe_machine() | {"options": _plain(options), "seed": SEED}
    return judge(frame, best_known or {}, meta)


def _run_solver(
    cases: Sequence[Case], solver: str, options: BenchOptions, progress: Callable[[Run], None]
) -> list[Run]:
    path = None if options.store is None else options.store / f"{solver}.csv"
    stored = {} if path is None or not path.is_file() else {_key(row): row for row in read_runs(path, RUN_COLUMNS)}
    runs: list[Run] = []
    warm = False
    for case in cases:
        problem = case.build()
        wanted = expected_fields(case, problem, options)
        run = None if options.rerun else _stored_run(stored.get((case.name, solver)), wanted)
        if run is None:
            if not warm:
                warm_up(problem, solver)
                warm = True
            run = run_case(case, problem, solver, options, wanted)
            stored[case.name, solver] = asdict(run)
            if path is not None:
                write_runs(list(stored.values()), path, RUN_COLUMNS)
        runs.append(run)
        progress(run)
    return runs


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["case"], row["solver"]


def _stored_run(row: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Run | None:
    if row is None or any(row[name] != value for name, value in wanted.items()):
        return None
    return Run(**row)


def _plain(options: BenchOptions) -> dict[str, Any]:
    return {**asdict(options), "store": None if options.store is None else str(options.store)}
