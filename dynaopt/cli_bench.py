"""``dynaopt bench``: solvers side by side on a library of cases."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.bench import DEFAULT_SOLVERS, run_bench
from dynaopt.bench_cases import find_cases
from dynaopt.bench_run import DEFAULT_GAP_TOLERANCE, DEFAULT_TIME_LIMIT_S, BenchOptions
from dynaopt.bench_summary import BenchReport
from dynaopt.best_known import find_best_known, read_best_known, write_best_known
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_files import check_out_file, check_out_folder
from dynaopt.cli_options import Json, finite_number, whole_number
from dynaopt.console import StepProgress, render, table_of_frame
from dynaopt.errors import InvalidInputError
from dynaopt.solvers import get_solver

_MOST_DEFECTS_SHOWN = 20
# Columns of the summary as a person reads them: gaps in percent, times in milliseconds.
_SHARES = ("mean_gap", "max_gap", "mean_gap_to_best", "max_gap_to_best")
_TIMES = ("time_p50_s", "time_p99_s")


def bench_command(
    solver: Annotated[
        list[str], typer.Option("--solver", metavar="NAME", help="Solver; again for each further one.")
    ] = list(DEFAULT_SOLVERS),  # noqa: B006 - Typer reads it and never changes it
    family: Annotated[
        list[str], typer.Option("--family", metavar="NAME", help="Family of cases; all by default.")
    ] = [],  # noqa: B006
    full: Annotated[
        bool, typer.Option("--full", help="All cases, not only the few of a quick run.", show_default=False)
    ] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", parser=finite_number, metavar="S", help="Seconds for each case.")
    ] = DEFAULT_TIME_LIMIT_S,
    gap: Annotated[
        float, typer.Option("--gap", parser=finite_number, metavar="X", help="Relative gap that counts as optimal.")
    ] = DEFAULT_GAP_TOLERANCE,
    repeats: Annotated[
        int, typer.Option("--repeats", parser=whole_number, metavar="N", help="How often each case is solved.")
    ] = 1,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="DIR", help="Keep what was run there, and run only what is not there yet."),
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Run what is stored again.", show_default=False)] = False,
    best_known: Annotated[
        Path | None,
        typer.Option("--best-known", metavar="FILE", help="Best answers known; the package's own by default."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write better answers and bounds into that file.", show_default=False)
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare solvers: gap to the best known, time, and what they leave unsolved; every answer is checked.

    Exit code 1 if an answer breaks the check or a claim cannot be true.
    """
    options = _options(time_limit, gap, repeats, store, rerun=rerun)
    for name in solver:
        get_solver(name)
    cases = find_cases(family, full=full)
    path = find_best_known() if best_known is None else best_known
    if update:
        check_out_file("--best-known", path, (".csv",))
    known = read_best_known(path) if best_known is not None or path.is_file() else {}
    total, counter = len(cases) * len(solver), count(1)
    with StepProgress("bench") as bar:
        report = run_bench(
            cases,
            solver,
            options=options,
            best_known=known,
            progress=lambda run: bar(next(counter), total, f"{run.solver} {run.case}"),
        )
    if update:
        write_best_known(report.best_known, path)
    print(json.dumps({"format_version": 1, **report.to_dict()}, indent=2) if as_json else _as_text(report))
    if report.defects:
        raise typer.Exit(NO_SOLUTION)


def _options(time_limit_s: float, gap: float, repeats: int, store: Path | None, *, rerun: bool) -> BenchOptions:
    if not time_limit_s > 0:
        raise InvalidInputError("option --time-limit", expected="a number above 0", found=f"{time_limit_s:g}")
    if not gap >= 0:
        raise InvalidInputError("option --gap", expected="a number of at least 0", found=f"{gap:g}")
    if store is not None:
        check_out_folder("--store", store)
    return BenchOptions(time_limit_s=time_limit_s, gap_tolerance=gap, repeats=repeats, store=store, rerun=rerun)


def _as_text(report: BenchReport) -> str:
    machine = f"{report.meta['processor']}, {report.meta['cores']} cores"
    defects = [f"  {defect}" for defect in report.defects[:_MOST_DEFECTS_SHOWN]]
    verdict = f"{len(report.defects)} defects:" if report.defects else "Every answer passes the check; no false claim."
    return render(
        table_of_frame(_readable(report.summary), title=f"Solvers over {report.runs['case'].nunique()} cases"),
        table_of_frame(_readable(report.by_family()), title="By family", text_columns=2),
        f"Gaps are to the best bound known; a feasible case without a right answer counts as 100 %. {machine}",
        verdict,
        *defects,
    )


def _readable(summary: pd.DataFrame) -> pd.DataFrame:
    """Put gaps into percent and times into milliseconds, and leave out what --json has for those who want it."""
    shown = summary.drop(columns=["median_gap", *(c for c in ("wrong", "failed") if not summary[c].any())])
    for name in _SHARES:
        shown[name] = [None if pd.isna(value) else f"{value:.3%}" for value in shown[name]]
    for name in _TIMES:
        shown[name] = [f"{1000 * value:,.2f}" for value in shown[name]]
    titles = {name: name.replace("time_", "").replace("_s", "\nms") for name in _TIMES}
    titles |= {name: name.replace("_gap", "\ngap").replace("_to_best", "\nto best") for name in _SHARES}
    return shown.rename(columns=titles)
