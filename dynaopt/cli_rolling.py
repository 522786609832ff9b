"""``dynaopt rolling``: run a week as a controller would, knowing only what has happened, with lead times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dynaopt import figures_rolling
from dynaopt.cli_check import check_answers
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    DEFAULT_PROFILE,
    CutPointsText,
    From,
    Gpus,
    Headroom,
    Json,
    MixDistance,
    SloFile,
    SloScale,
    Source,
    Until,
    UnusedGpus,
    Window,
    finite_number,
    make_slo,
    whole_number,
)
from dynaopt.console import StepProgress, make_table, render
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.forecast_margin import DEFAULT_QUANTILE
from dynaopt.forecasters import ORACLE, forecaster_names
from dynaopt.look_ahead import LookAhead
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.rolling import roll
from dynaopt.rolling_result import RollingResult
from dynaopt.schedule_io import write_schedule
from dynaopt.tables import write_table
from dynaopt.violations import ViolationKind

_DEFAULT = Cluster()
_PANEL = "Forecast"
WINDOWS_FILE, FIGURE_FILE = "rolling.csv", "rolling.html"

Forecasts = Annotated[
    list[str],
    typer.Option(
        "--forecast",
        metavar="NAME",
        help=f"Of {', '.join(forecaster_names())}; again for others.",
        rich_help_panel=_PANEL,
    ),
]
Quantile = Annotated[
    float,
    typer.Option(
        "--quantile",
        parser=finite_number,
        metavar="Q",
        help="Forecasts get the margin that would have sufficed in this share of the past; 0 for no margin.",
        rich_help_panel=_PANEL,
    ),
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        parser=whole_number,
        metavar="N",
        help="Windows for which an instance goes on that is not needed; by default those that idle away a start.",
        rich_help_panel=_PANEL,
    ),
]
Look = Annotated[
    int,
    typer.Option(
        "--look-ahead",
        parser=whole_number,
        metavar="N",
        help="Windows that are planned together, starts weighed against running on; 0 for each by itself.",
        rich_help_panel=_PANEL,
    ),
]
History = Annotated[
    int,
    typer.Option(
        "--history",
        parser=whole_number,
        metavar="N",
        help="Windows at the beginning that are only learnt from.",
        rich_help_panel=_PANEL,
    ),
]


def rolling_command(
    source: Source = DEFAULT_DEMAND,
    profile: Annotated[str, typer.Option("--profile", metavar="NAME|DIR", help="Profile.")] = DEFAULT_PROFILE,
    window: Window = None,
    cut_points: CutPointsText = None,
    start: From = None,
    end: Until = None,
    gpus: Gpus = _DEFAULT.num_gpus,
    slo: SloFile = None,
    slo_scale: SloScale = 1.0,
    headroom: Headroom = _DEFAULT.headroom,
    mix_distance: MixDistance = _DEFAULT.max_mix_distance,
    unused_gpus: UnusedGpus = _DEFAULT.unused_gpus,
    forecast: Forecasts = [ORACLE, "last", "scaled-template"],  # noqa: B006 - Typer reads it and never changes it
    quantile: Quantile = DEFAULT_QUANTILE,
    keep: Keep = None,
    look_ahead: Look = 0,
    history: History = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A folder for each forecast's schedule; none by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a demand window by window with forecasts, margins and lead times, and tell what not knowing it costs.

    Exit code 1 if `check` finds anything but the demand of overloaded windows.
    """
    if out is not None:
        check_out_folder("--out", out)
    if look_ahead and keep is not None:
        raise InvalidInputError("option --keep", expected="none beside --look-ahead", found=str(keep))
    chosen = read_profile(profile)
    demand = load_demand(
        DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end), [chosen]
    )
    cluster: dict[str, Any] = {
        "num_gpus": gpus,
        "headroom": headroom,
        "max_mix_distance": mix_distance,
        "unused_gpus": unused_gpus,
    }
    options: dict[str, Any] = {
        "quantile": quantile or None,
        "planner": (lambda fleet: LookAhead(fleet, look_ahead)) if look_ahead else None,
        "keep_windows": keep,
        "first": history,
        "slo": make_slo(slo, slo_scale),
    }
    results = [_run(demand, chosen, name, {**options, **cluster}) for name in dict.fromkeys(forecast)]
    wrong = sum(_num_wrong(result, chosen) for result in results)
    if out is not None:
        _write(results, out)
    typer.echo(json.dumps(_as_json(demand, results, wrong), indent=2) if as_json else _as_text(demand, results, wrong))
    if wrong:
        raise typer.Exit(NO_SOLUTION)


def _run(demand: Demand, profile: Profile, forecaster: str, options: dict[str, Any]) -> RollingResult:
    with StepProgress(f"rolling {demand.name}, {forecaster}") as progress:

        def show(num_done: int, num_windows: int, energy_j: float) -> None:
            progress(num_done, num_windows, f"{energy_j / 3.6e6:,.1f} kWh so far")

        return roll(demand, profile, forecaster=forecaster, progress=show, **options)


def _num_wrong(result: RollingResult, profile: Profile) -> int:
    """Return how many violations there are beside the unserved demand of overloaded windows."""
    overloaded = set(result.windows.loc[result.windows["served_share"] < 1, "window_start"])
    found = check_answers(result.schedule, [profile])
    return sum(v.kind is not ViolationKind.UNSERVED_DEMAND or v.window_start not in overloaded for v in found)


def _write(results: Sequence[RollingResult], folder: Path) -> None:
    for result in results:
        own = folder / result.forecaster
        write_schedule(result.schedule, own)
        write_table(result.windows, own / WINDOWS_FILE)
        figures_rolling.rolling_windows(result).write_html(own / FIGURE_FILE, include_plotlyjs=True)


def rolling_rows(results: Sequence[RollingResult]) -> list[list[str]]:
    """Return what a table shows of each run, the regret against the oracle where that ran too.

    Parameters
    ----------
    results
        The runs.
    """
    energy_j = {result.forecaster: result.schedule.energy_j for result in results}
    rows = []
    for result in results:
        sums = result.totals()
        regret = [
            f"{sums.energy_j / energy_j[name] - 1:+.1%}" if name in energy_j else "–" for name in (ORACLE, "last")
        ]
        kwh = [
            f"{value / 3.6e6:,.1f}"
            for value in (sums.energy_j, sums.serving_energy_j, sums.idle_energy_j, sums.transition_energy_j)
        ]
        shares = [f"{x:.2%}" for x in (sums.overload_share, sums.overloaded_windows, sums.thin_windows)]
        rows.append([result.forecaster, f"{sums.wape:.1%}", *kwh, *regret, *shares, f"{sums.mean_gpus:.0f}"])
    return rows


def _as_text(demand: Demand, results: Sequence[RollingResult], wrong: int) -> str:
    columns = ["forecast", "error", "kWh", "serving", "of it\nidle", "starts", "beyond\noracle", "beyond\nlast"]
    columns += ["overload,\nrequests", "overload,\nwindows", "headroom\nused", "GPUs"]
    count = len(results[0].windows)
    first = f"{results[0].windows['window_start'].iloc[0]:%Y-%m-%d %H:%M}"
    title = f"{demand.name}: {count:,} windows from {first} UTC, without knowing them"
    note = f"Check: {wrong} violations" if wrong else "Check: no violation beside the demand of overloaded windows"
    return render(make_table(columns, rolling_rows(results), title=title), "", note)


def _as_json(demand: Demand, results: Sequence[RollingResult], wrong: int) -> dict[str, object]:
    runs = [{"forecast": result.forecaster, **result.summary()} for result in results]
    return {"format_version": 1, "demand": demand.name, "runs": runs, "num_violations": wrong}
