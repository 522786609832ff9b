"""``dynaopt plan``: plan a demand, check the plan, and set it beside today's usual set-up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dynaopt.cli_baselines import find_baselines
from dynaopt.cli_check import check_answers, violations_json
from dynaopt.cli_coupling import Coupled, CouplingOptions, Initial, MaxStarts, MinUp, make_coupling
from dynaopt.cli_errors import INTERRUPTED, NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.cli_objective import (
    Carbon,
    GpuCarbon,
    GpuPrice,
    HostPower,
    Minimise,
    ObjectiveOptions,
    Price,
    Pue,
    Weights,
    make_objective,
)
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    DEFAULT_PROFILE,
    CutPointsText,
    FixedMix,
    From,
    Gap,
    Gpus,
    Headroom,
    Json,
    MixDistance,
    OutFolder,
    PowerCap,
    Profiles,
    Reserve,
    SloFile,
    SloScale,
    Source,
    TimeLimit,
    Until,
    UnusedGpus,
    Window,
    WindowSolver,
    Workers,
    make_slo,
    parse_fixed_mix,
    parse_reserve,
)
from dynaopt.cli_report import REPORT_FILE
from dynaopt.comparison import comparison_columns, comparison_rows, saving
from dynaopt.console import WindowProgress, make_table, render
from dynaopt.demand import Demand, demand_names
from dynaopt.horizon import plan
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.profile_io import list_profiles, read_profile
from dynaopt.report import write_report
from dynaopt.schedule import Schedule
from dynaopt.solvers import get_solver
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.solvers.quiet import silenced_stdout
from dynaopt.violations import Violation

_DEFAULT = Cluster()


def plan_command(
    source: Source = DEFAULT_DEMAND,
    profile: Profiles = [DEFAULT_PROFILE],  # noqa: B006 - Typer reads it and never changes it
    window: Window = None,
    cut_points: CutPointsText = None,
    start: From = None,
    end: Until = None,
    gpus: Gpus = _DEFAULT.num_gpus,
    slo: SloFile = None,
    slo_scale: SloScale = 1.0,
    headroom: Headroom = _DEFAULT.headroom,
    reserve: Reserve = str(_DEFAULT.reserve),
    mix_distance: MixDistance = _DEFAULT.max_mix_distance,
    power_cap: PowerCap = None,
    unused_gpus: UnusedGpus = _DEFAULT.unused_gpus,
    fixed_mix: FixedMix = [],  # noqa: B006
    solver: WindowSolver = None,
    time_limit: TimeLimit = None,
    gap: Gap = DEFAULT_GAP,
    workers: Workers = None,
    minimise: Minimise = None,
    weights: Weights = None,
    price: Price = None,
    gpu_price: GpuPrice = 0.0,
    carbon: Carbon = None,
    gpu_carbon: GpuCarbon = 0.0,
    pue: Pue = 1.0,
    host_power: HostPower = None,
    coupled: Coupled = None,
    min_up: MinUp = None,
    max_starts: MaxStarts = None,
    initial: Initial = None,
    out: OutFolder = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another plan in the folder.", show_default=False)
    ] = False,
    as_json: Json = False,
) -> None:
    """Plan every window for the least energy, money or carbon, check the plan, and write it with a page that shows it.

    Run again after it was stopped, it goes on where it was. Exit code 1 if a window has no answer.
    """
    cluster: dict[str, Any] = {"num_gpus": gpus, "headroom": headroom, "power_cap_w": power_cap}
    cluster |= {"reserve": parse_reserve(reserve), "max_mix_distance": mix_distance}
    cluster |= {"unused_gpus": unused_gpus, "fixed_mix": parse_fixed_mix(fixed_mix), "host_w": host_power}
    options: dict[str, Any] = {"slo": make_slo(slo, slo_scale), "solver": solver, "time_limit_s": time_limit}
    asked = ObjectiveOptions(minimise, weights, price, gpu_price, carbon, gpu_carbon, pue)
    options |= {"gap_tolerance": gap, "objective": make_objective(asked)}
    typed = CouplingOptions(coupled, min_up, max_starts, initial, solver=solver, time_limit_s=time_limit)
    options["coupled"] = make_coupling(typed) or False
    _check_options(cluster, solver)
    if out is not None:
        check_out_folder("--out", out)
    profiles = [read_profile(name) for name in profile]
    demand = load_demand(
        DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end), profiles
    )
    folder = Path(f"plan-{demand.name}") if out is None else out
    job = _Job(demand, profiles, folder, _paths(source, demand, profile, profiles))
    began_s = time.perf_counter()
    schedule = _plan(job, {**options, **cluster, "workers": workers, "overwrite": overwrite})
    outcome = _finish(job, schedule, time.perf_counter() - began_s)
    typer.echo(json.dumps(_as_json(outcome), indent=2) if as_json else _as_text(outcome))
    if outcome.violations or schedule.num_unsolved:
        raise typer.Exit(NO_SOLUTION)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is planned, and where it goes."""

    demand: Demand
    profiles: list[Profile]
    folder: Path
    paths: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """All that the end of a plan tells."""

    schedule: Schedule
    baselines: Mapping[str, Schedule]
    notes: Sequence[str]
    violations: Sequence[Violation]
    wall_s: float
    folder: Path


def _check_options(cluster: Mapping[str, Any], solver: str | None) -> None:
    # Before anything large is read: a typing error should not take seconds to be told.
    Cluster.of(**cluster)
    if solver is not None:
        get_solver(solver)


def _paths(source: str, demand: Demand, names: Sequence[str], profiles: Sequence[Profile]) -> dict[str, str]:
    """Return where the inputs that are files lie, by their names."""
    paths = {} if source in demand_names() else {demand.name: str(Path(source).resolve())}
    for name, profile in zip(names, profiles, strict=True):
        if name not in list_profiles():
            paths[profile.name] = str(Path(name).resolve())
    return paths


def _plan(job: _Job, options: dict[str, Any]) -> Schedule:
    # HiGHS may print lines of its own, and stdout is for the result.
    with WindowProgress(f"plan {job.demand.name}") as progress, silenced_stdout():
        try:
            watch: dict[str, Any] = {"progress": progress, "stage": progress.stage}
            return plan(job.demand, job.profiles, out=job.folder, paths=job.paths, **watch, **options)
        except KeyboardInterrupt:
            stopped = f"{progress.num_done:,} of {job.demand.num_windows:,} windows are kept"
            stopped = stopped if options["coupled"] is False else "what was found so far is kept"
            typer.echo(f"dynaopt: interrupted; {stopped} in {job.folder}, and the same command goes on there", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _finish(job: _Job, schedule: Schedule, wall_s: float) -> _Outcome:
    baselines, notes = find_baselines(schedule, job.profiles)
    violations = check_answers(schedule, job.profiles)
    path = job.folder / REPORT_FILE
    write_report(schedule, path, baselines=baselines, profiles=job.profiles, violations=violations, notes=notes)
    return _Outcome(
        schedule=schedule, baselines=baselines, notes=notes, violations=violations, wall_s=wall_s, folder=job.folder
    )


def _as_text(outcome: _Outcome) -> str:
    schedule, baselines = outcome.schedule, outcome.baselines
    rows = comparison_rows(schedule, baselines)
    first = f"{schedule.windows['window_start'].iloc[0]:%Y-%m-%d %H:%M}"
    title = f"{schedule.metadata.demand.name}: {schedule.num_windows:,} windows from {first} UTC"
    lines = [f"Wall time: {outcome.wall_s:.1f} s", *outcome.notes]
    unsolved = schedule.windows[schedule.windows["power_w"].isna()]
    if len(unsolved):
        first = f"{unsolved['window_start'].iloc[0]:%Y-%m-%d %H:%M}"
        lines.append(f"{len(unsolved):,} windows without an answer, first {first}: {unsolved['reason'].iloc[0]}")
    count = len(outcome.violations)
    lines.append(f"Check: {count} violations, first: {outcome.violations[0]}" if count else "Check: no violation")
    lines.append(f"Schedule: {outcome.folder}    Page: {outcome.folder / REPORT_FILE}")
    return render(make_table(_broken(comparison_columns(baselines)), rows, title=title), "", *lines)


def _broken(columns: Sequence[str]) -> list[str]:
    # Two short lines instead of a long one, so that the table fits a terminal of 80 columns.
    return [column.replace(", ", ",\n") for column in columns]


def _as_json(outcome: _Outcome) -> dict[str, object]:
    schedule = outcome.schedule
    baselines = [
        {"name": name, "saving": saving(schedule, baseline), **baseline.summary()}
        for name, baseline in outcome.baselines.items()
    ]
    return {
        "format_version": 1,
        "demand": schedule.metadata.demand.name,
        "profiles": [profile.name for profile in schedule.metadata.profiles],
        "solver": schedule.metadata.solver,
        "num_gpus": schedule.metadata.cluster.num_gpus,
        "window_s": schedule.metadata.window_s,
        "objective": _objective_json(schedule),
        "summary": schedule.summary(),
        "wall_s": outcome.wall_s,
        "baselines": baselines,
        "notes": list(outcome.notes),
        "violations": violations_json(outcome.violations),
        "schedule": str(outcome.folder),
        "report": str(outcome.folder / REPORT_FILE),
    }


def _objective_json(schedule: Schedule) -> dict[str, object] | None:
    objective = schedule.metadata.objective
    return None if objective is None else objective.model_dump(mode="json")
