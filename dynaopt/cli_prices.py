"""``dynaopt prices``: what things are worth in the windows of a schedule, and what those without an answer lack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.cli_check import Folder
from dynaopt.cli_options import Json, Workers, finite_number
from dynaopt.console import TitledTable, make_table, render
from dynaopt.errors import InvalidInputError
from dynaopt.prices import DEFAULT_TIME_LIMIT_S, prices
from dynaopt.profile_io import read_profile
from dynaopt.relaxations import relaxation_table
from dynaopt.schedule import Schedule
from dynaopt.schedule_inputs import WindowChoice, choose_windows, profiles_of
from dynaopt.schedule_io import read_schedule
from dynaopt.solvers.base import DEFAULT_SOLVER
from dynaopt.tables import write_table

_MS = {"ttft", "tbt"}
_ENDINGS = (".csv", ".parquet")


def prices_command(
    folder: Folder,
    window: Annotated[
        list[str],
        typer.Option(
            "--window",
            metavar="TIME|all|busiest",
            help="The window of this moment, again for each further one; 'all'; or 'busiest'.",
        ),
    ] = ["busiest"],  # noqa: B006 - Typer reads it and never changes it
    kind: Annotated[
        list[str],
        typer.Option(
            "--kind", metavar="KIND", help="request_class, gpu, ttft, tbt or power_cap; again for each. All by default."
        ),
    ] = [],  # noqa: B006
    each_slo: Annotated[
        bool, typer.Option("--each-slo", help="Move the bounds of each class by itself.", show_default=False)
    ] = False,
    profile: Annotated[
        list[str], typer.Option("--profile", metavar="NAME|DIR", help="Instead of those that the schedule names.")
    ] = [],  # noqa: B006
    solver: Annotated[
        str, typer.Option("--solver", metavar="NAME", help="Who solves each window without and with a change.")
    ] = DEFAULT_SOLVER,
    time_limit: Annotated[
        float, typer.Option("--time-limit", parser=finite_number, metavar="S", help="Seconds for each solve.")
    ] = DEFAULT_TIME_LIMIT_S,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the prices into a .csv or .parquet file too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what a request per second, a GPU, 10 ms of an objective or a watt of power cap is worth.

    Windows without an answer have no prices: for them the smallest single change of each kind that gives them one.
    """
    if out is not None and out.suffix not in _ENDINGS:
        raise InvalidInputError("option --out", expected=f"a file ending in {' or '.join(_ENDINGS)}", found=str(out))
    schedule = read_schedule_with(folder, profile)
    chosen = _windows(window)
    numbers = choose_windows(schedule, chosen)
    solving = {"solver": solver, "time_limit_s": time_limit}
    answered = schedule.windows["power_w"].notna().to_numpy()
    slo_of = "each" if each_slo else "all"
    priced = [n for n in numbers if answered[n]]
    table = prices(schedule, windows=priced, kinds=kind or None, slo_of=slo_of, workers=workers, **solving)  # type: ignore[arg-type]
    lacking = relaxation_table(schedule, windows=[n for n in numbers if not answered[n]], **solving)  # type: ignore[arg-type]
    if out is not None:
        write_table(table, out)
    typer.echo(_as_json(schedule, table, lacking) if as_json else _as_text(schedule, table, lacking))


def read_schedule_with(folder: Path, names: list[str]) -> Schedule:
    """Read a schedule and the profiles that it was planned with.

    Parameters
    ----------
    folder
        The folder of the schedule.
    names
        Names or folders of profiles instead of those that the schedule names; none for those.
    """
    schedule = read_schedule(folder)
    return replace(schedule, profiles=profiles_of(schedule, [read_profile(name) for name in names] or None))


def _windows(texts: list[str]) -> WindowChoice:
    if texts == ["all"]:
        return "all"
    return "busiest" if texts == ["busiest"] else texts


def _as_text(schedule: Schedule, table: pd.DataFrame, lacking: pd.DataFrame) -> str:
    name, parts = schedule.metadata.demand.name, list[TitledTable | str]()
    for start, rows in table.groupby("window_start"):
        parts.append(_price_table(f"{name}, window {start:%Y-%m-%d %H:%M} UTC: what things are worth", rows))
        parts.extend(_reasons(rows))
    for start, rows in lacking.groupby("window_start"):
        title = f"{name}, window {start:%Y-%m-%d %H:%M} UTC has no answer: the smallest single change that gives it one"
        parts.append(_relaxation_table(title, rows))
    if not parts:
        parts.append("These windows have no answer, and no single change gives them one.")
    if not table.empty:
        parts.append("Wh are those of one window; between the ends lies what the proofs of the two solves leave open.")
    return render(*parts)


def _price_table(title: str, table: pd.DataFrame) -> TitledTable:
    rows = [
        [
            row["kind"].replace("_", " "),
            " ".join(filter(None, (row["model"], row["item"]))),
            _step(row["kind"], row["step"], row["unit"]),
            "no answer" if pd.isna(row["energy_wh"]) else f"{row['energy_wh']:+,.3f}",
            None if pd.isna(row["lower_wh"]) else f"{row['lower_wh']:+,.3f} to {row['upper_wh']:+,.3f}",
        ]
        for row in table.to_dict(orient="records")
    ]
    return make_table(["of", "which", "change", "Wh", "proved"], rows, title=title, text_columns=3)


def _reasons(table: pd.DataFrame) -> list[str]:
    """Say once each why there is no answer with some of the changes; a text is too long for a cell."""
    rows = table[table["energy_wh"].isna()].to_dict(orient="records")
    return [f"No answer with {_step(r['kind'], r['step'], r['unit'])} of {r['item']}: {r['reason']}" for r in rows]


def _step(kind: str, step: float, unit: str) -> str:
    return f"{step * 1000:+g} ms" if kind in _MS else f"{step:+g} {unit}"


def _relaxation_table(title: str, table: pd.DataFrame) -> TitledTable:
    rows = [
        [
            row["kind"].replace("_", " "),
            " ".join(filter(None, (row["model"], row["item"]))),
            f"{row['from_value']:,.6g}",
            f"{row['to_value']:,.6g}",
            row["unit"],
            "yes" if row["is_proved"] else "no",
        ]
        for row in table.to_dict(orient="records")
    ]
    headings = ["what gives way", "which", "from", "to", "unit", "least, proved"]
    return make_table(headings, rows, title=title, text_columns=2)


def _as_json(schedule: Schedule, table: pd.DataFrame, lacking: pd.DataFrame) -> str:
    frames = {"prices": table, "relaxations": lacking}
    told = {
        key: json.loads(frame.to_json(orient="records", date_format="iso", double_precision=12))
        for key, frame in frames.items()
    }
    head = {"demand": schedule.metadata.demand.name, "window_s": schedule.metadata.window_s}
    return json.dumps({**head, **told}, indent=2)
