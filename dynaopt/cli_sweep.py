"""``dynaopt sweep``: services by profiles by objectives by clusters, planned and set side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import plotly.graph_objects as go
import typer
from plotly.io import to_html

from dynaopt.cli_errors import INTERRUPTED, NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_options import Json, Workers
from dynaopt.console import SweepProgress, make_table, render
from dynaopt.figures_sweep import figures_of
from dynaopt.objective import JOULES_PER_KWH
from dynaopt.sweep import Sweep, sweep
from dynaopt.sweep_store import SCHEDULES_FOLDER, TABLE_FILES
from dynaopt.tables import atomic_path

FIGURE_FILE = "sweep.html"

Spec = Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to sweep.")]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster to plan on instead of this machine, such as tcp://10.0.0.1:8786, or its "
        "scheduler file (.json).",
        rich_help_panel="Solving",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where to write; 'sweep-<name of the file>' here by default.",
        rich_help_panel="Output",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace schedules of other plans under the name of a point.",
        show_default=False,
        rich_help_panel="Output",
    ),
]


def sweep_command(
    spec: Spec,
    workers: Workers = None,
    dask: Dask = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Plan every combination of the lists in a TOML file, check each plan, and write a table with a row for each.

    Run again after it was stopped, or with a longer list, it plans only what is missing. Exit code 1 if a window of a
    point has no answer, which its row tells, or the check finds a violation.
    """
    folder = Path(f"sweep-{spec.stem}") if out is None else out
    check_out_folder("--out", folder)
    result = _sweep(spec, folder, workers, dask, overwrite=overwrite)
    figures = figures_of(result.points)
    _write_page(folder, spec.stem, figures)
    typer.echo(
        json.dumps(_as_json(result, folder, figures), indent=2) if as_json else _as_text(result, folder, figures)
    )
    if result.num_unsolved_points or result.num_violations:
        raise typer.Exit(NO_SOLUTION)


def _sweep(spec: Path, folder: Path, workers: int | None, dask: str | None, *, overwrite: bool) -> Sweep:
    with SweepProgress(f"sweep {spec.stem}") as progress:
        try:
            return sweep(spec, out=folder, workers=workers, dask=dask, overwrite=overwrite, progress=progress)
        except KeyboardInterrupt:
            kept = f"{progress.note} kept in {folder}"
            typer.echo(f"dynaopt: interrupted; {kept}, and the same command goes on there", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _write_page(folder: Path, name: str, figures: list[go.Figure]) -> None:
    parts = [to_html(figure, full_html=False, include_plotlyjs=n == 0) for n, figure in enumerate(figures)]
    if parts:
        head = f'<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8"><title>{name} – dynaopt</title></head>'
        with atomic_path(folder / FIGURE_FILE) as partial:
            partial.write_text(f"{head}\n<body>\n" + "\n".join(parts) + "\n</body></html>\n", encoding="utf-8")


def _as_text(result: Sweep, folder: Path, figures: list[go.Figure]) -> str:
    swept = result.swept or ["service"]
    heads = [axis.replace("_", " ").capitalize() for axis in swept]
    columns = [
        *heads,
        "Energy\n(kWh)",
        "Serving\n(kWh)",
        "Starts\n(kWh)",
        "Gap",
        "Most\nGPUs",
        "Wh per\n1,000 req.",
        "Un-\nsolved",
    ]
    rows = [[*(_input(row[axis]) for axis in swept), *_results(row)] for _, row in result.points.iterrows()]
    texts = sum(axis in ("service", "profiles") for axis in swept)
    windows = int(result.points["num_windows"].sum())
    table = make_table(columns, rows, title=f"{len(rows):,} points, {windows:,} windows", text_columns=texts)
    return render(table, "", *_notes(result), f"Table: {folder / TABLE_FILES[0]}", *_places(result, folder, figures))


def _notes(result: Sweep) -> list[str]:
    points = result.points
    unsolved = points[points["num_unsolved"] > 0]
    notes = []
    if len(unsolved):
        first = unsolved.iloc[0]
        count = "1 point has" if len(unsolved) == 1 else f"{len(unsolved):,} points have"
        notes.append(f"{count} windows without an answer, first {first['point']}: {first['reason']}")
    if result.num_violations:
        first = points[points["num_violations"] > 0].iloc[0]
        notes.append(f"Check: {result.num_violations:,} violations, first in {first['point']}")
    else:
        notes.append("Check: no violation")
    return notes


def _places(result: Sweep, folder: Path, figures: list[go.Figure]) -> list[str]:
    places = [f"Picture: {folder / FIGURE_FILE}"] if figures else []
    return [*places, f"Schedules: {folder / SCHEDULES_FOLDER}"] if result.spec.schedules else places


def _input(value: object) -> str | None:
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _results(row: pd.Series) -> list[str | None]:
    def text(name: str, divisor: float = 1.0, form: str = ",.1f") -> str | None:
        return None if pd.isna(row[name]) else format(row[name] / divisor, form)

    return [
        text("energy_j", JOULES_PER_KWH),
        text("serving_energy_j", JOULES_PER_KWH),
        text("transition_energy_j", JOULES_PER_KWH),
        text("gap", form=".3%"),
        text("gpus_max", form=",.0f"),
        text("wh_per_1000_requests"),
        text("num_unsolved", form=",.0f"),
    ]


def _as_json(result: Sweep, folder: Path, figures: list[go.Figure]) -> dict[str, object]:
    return {
        "format_version": 1,
        "swept": result.swept,
        "points": json.loads(result.points.to_json(orient="records", double_precision=15)),
        "num_unsolved_points": result.num_unsolved_points,
        "num_violations": result.num_violations,
        "table": str(folder / TABLE_FILES[0]),
        "picture": str(folder / FIGURE_FILE) if figures else None,
        "schedules": str(folder / SCHEDULES_FOLDER) if result.spec.schedules else None,
    }
