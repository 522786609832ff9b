"""``dynaopt pareto``: what energy, money, carbon or the latency objectives cost in terms of another of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dynaopt import figures_pareto
from dynaopt.cli_check import check_answers
from dynaopt.cli_errors import INTERRUPTED, NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.cli_objective import Carbon, GpuCarbon, GpuPrice, HostPower, ObjectiveOptions, Price, Pue, make_objective
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    DEFAULT_PROFILE,
    CutPointsText,
    From,
    Gpus,
    Headroom,
    Json,
    MixDistance,
    OutFolder,
    Profiles,
    Reserve,
    SloFile,
    SolverName,
    Source,
    TimeLimit,
    Until,
    UnusedGpus,
    Window,
    Workers,
    make_slo,
    parse_reserve,
    whole_number,
)
from dynaopt.console import StepProgress, make_table, render
from dynaopt.errors import InvalidInputError
from dynaopt.objective import JOULES_PER_KWH, Objective
from dynaopt.pareto import SLO_SCALE, ParetoFront, pareto_front
from dynaopt.problem import Cluster
from dynaopt.profile_io import read_profile
from dynaopt.solvers.base import DEFAULT_SOLVER
from dynaopt.tables import atomic_path, write_table

_DEFAULT = Cluster()
_PANEL = "Front"
FRONT_FILE, FIGURE_FILE = "front.csv", "front.html"

X = Annotated[str, typer.Option("--x", metavar="energy|cost|carbon", help="What is minimised.", rich_help_panel=_PANEL)]
Y = Annotated[
    str,
    typer.Option(
        "--y", metavar="energy|cost|carbon|slo-scale", help="What it is weighed against.", rich_help_panel=_PANEL
    ),
]
Points = Annotated[
    int,
    typer.Option("--points", parser=whole_number, metavar="N", help="Plans to make at most.", rich_help_panel=_PANEL),
]
SloRange = Annotated[
    str,
    typer.Option(
        "--slo-range",
        metavar="LOW,HIGH",
        help="Scales of the latency objectives, for slo-scale.",
        rich_help_panel=_PANEL,
    ),
]


def pareto_command(
    source: Source = DEFAULT_DEMAND,
    profile: Profiles = [DEFAULT_PROFILE],  # noqa: B006 - Typer reads it and never changes it
    x: X = "cost",
    y: Y = "carbon",
    points: Points = 7,
    slo_range: SloRange = "1,4",
    window: Window = None,
    cut_points: CutPointsText = None,
    start: From = None,
    end: Until = None,
    gpus: Gpus = _DEFAULT.num_gpus,
    slo: SloFile = None,
    headroom: Headroom = _DEFAULT.headroom,
    reserve: Reserve = str(_DEFAULT.reserve),
    mix_distance: MixDistance = _DEFAULT.max_mix_distance,
    unused_gpus: UnusedGpus = _DEFAULT.unused_gpus,
    price: Price = None,
    gpu_price: GpuPrice = 0.0,
    carbon: Carbon = None,
    gpu_carbon: GpuCarbon = 0.0,
    pue: Pue = 1.0,
    host_power: HostPower = None,
    solver: SolverName = DEFAULT_SOLVER,
    time_limit: TimeLimit = None,
    workers: Workers = None,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Plan a demand several times to see what one quantity costs in terms of another, and draw the front.

    Every plan is kept in the folder and checked; run again after it was stopped, it goes on where it was. Exit code 1
    if a plan is wrong.
    """
    typed = ObjectiveOptions(price=price, gpu_price=gpu_price, carbon=carbon, gpu_carbon=gpu_carbon, pue=pue)
    options: dict[str, Any] = {"num_gpus": gpus, "headroom": headroom, "reserve": parse_reserve(reserve)}
    options |= {"unused_gpus": unused_gpus, "host_w": host_power, "max_mix_distance": mix_distance}
    Cluster.of(**options)
    options |= {"solver": solver, "time_limit_s": time_limit, "workers": workers}
    options |= {"slo": make_slo(slo, 1.0), "x": x, "y": y, "num_points": points, "slo_range": _parse_range(slo_range)}
    options["objective"] = make_objective(typed) or Objective()
    if out is not None:
        check_out_folder("--out", out)
    profiles = [read_profile(name) for name in profile]
    demand = load_demand(
        DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end), profiles
    )
    folder = Path(f"pareto-{demand.name}-{x}-{y}") if out is None else out
    front = _plan(folder, demand, profiles, options)
    wrong = sum(len(check_answers(schedule, profiles)) for schedule in front.schedules)
    _write(folder, front)
    typer.echo(json.dumps(_as_json(front, wrong, folder), indent=2) if as_json else _as_text(front, wrong, folder))
    if wrong:
        raise typer.Exit(NO_SOLUTION)


def _plan(folder: Path, demand: Any, profiles: Sequence[Any], options: dict[str, Any]) -> ParetoFront:
    with StepProgress(f"pareto {demand.name}") as progress:
        done = 0

        def report(_done: int, num_windows: int, _energy_j: float) -> None:
            nonlocal done
            done += _done == num_windows
            progress(done, options["num_points"], "plans")

        try:
            return pareto_front(demand, profiles, out=folder, progress=report, **options)
        except KeyboardInterrupt:
            typer.echo(f"dynaopt: interrupted; what is planned is kept in {folder}, and the same command goes on there")
            raise typer.Exit(INTERRUPTED) from None


def _parse_range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInputError("option --slo-range", expected="two numbers such as 1,4", found=f"'{text}'") from None
    return low, high


def _write(folder: Path, front: ParetoFront) -> None:
    write_table(front.points, folder / FRONT_FILE)
    with atomic_path(folder / FIGURE_FILE) as partial:
        figures_pareto.pareto(front).write_html(partial, include_plotlyjs=True)


def _as_text(front: ParetoFront, wrong: int, folder: Path) -> str:
    columns = ["Energy (kWh)", "Cost", "Carbon (kg)", "SLO scale", "GPU-hours", "Gap", "Front"]
    rows = [_cells(row) for _, row in front.points.iterrows()]
    shown = [n for n, _ in enumerate(columns) if any(row[n] is not None for row in rows)]
    if front.y != SLO_SCALE:
        shown.remove(columns.index("SLO scale"))
    table = make_table(
        [columns[n] for n in shown],
        [[row[n] for n in shown] for row in rows],
        title=f"{front.y} against {front.x}",
        text_columns=0,
    )
    unsolved = int((front.points["num_unsolved"] > 0).sum())
    count = f"{len(front.points)} plans, {len(front.front)} on the front, {front.num_dominated - unsolved} dominated"
    lines = [f"{count}, {unsolved} with windows unanswered"]
    if len(front.front) == 1 and len(front.points) > 1:
        lines.append(f"One plan is best in both: there is nothing to trade between {front.x} and {front.y}.")
    lines.append(f"Check: {wrong} violations" if wrong else "Check: no violation")
    lines.append(f"Table: {folder / FRONT_FILE}    Picture: {folder / FIGURE_FILE}")
    return render(table, "", *lines)


def _cells(row: pd.Series) -> list[str | None]:
    def text(name: str, divisor: float = 1.0, form: str = ",.1f") -> str | None:
        return None if pd.isna(row[name]) else format(row[name] / divisor, form)

    return [
        text("facility_energy_j", JOULES_PER_KWH),
        text("cost", form=",.2f"),
        text("carbon_g", 1000.0),
        text("slo_scale", form=".3g"),
        text("gpu_hours"),
        text("gap", form=".3%"),
        "no" if row["dominated"] else "yes",
    ]


def _as_json(front: ParetoFront, wrong: int, folder: Path) -> dict[str, object]:
    points = json.loads(front.points.to_json(orient="records"))
    return {
        "format_version": 1,
        "x": front.x,
        "y": front.y,
        "points": points,
        "num_dominated": front.num_dominated,
        "num_violations": wrong,
        "table": str(folder / FRONT_FILE),
        "picture": str(folder / FIGURE_FILE),
    }
