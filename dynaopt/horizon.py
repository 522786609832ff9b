"""Planning a horizon: every window solved, the starts between them charged for, and nothing finished ever lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.accounts import make_accounts, record_of
from dynaopt.answers import Answers, join_answers, total_power_w, window_numbers
from dynaopt.coupled_plan import solve_horizon
from dynaopt.coupling import Coupling, initial_frame
from dynaopt.demand import Demand
from dynaopt.errors import DynaoptError, InvalidInputError
from dynaopt.journal import Journal, different_plan
from dynaopt.objective import Objective, WindowPrices
from dynaopt.problem import Cluster, WindowDemand
from dynaopt.profile import Profile
from dynaopt.schedule import (
    ALLOCATION_COLUMNS,
    ROUTE_COLUMNS,
    WINDOW_COLUMNS,
    Schedule,
    ScheduleMetadata,
)
from dynaopt.schedule_io import (
    METADATA_FILE,
    PARTIAL_FOLDER,
    read_schedule,
    read_schedule_metadata,
    write_schedule,
)
from dynaopt.schedule_metadata import describe, make_metadata
from dynaopt.slo import Slo
from dynaopt.solvers import get_solver
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.transitions import find_transitions
from dynaopt.window_worker import Task, solve_windows

ProgressCallback = Callable[[int, int, float], None]
"""Called with the windows done, the windows in all, and the serving energy of those done, in joules."""

_LOG = logging.getLogger(__name__)


def plan(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    solver: str = "greedy",
    time_limit_s: float | None = None,
    gap_tolerance: float = DEFAULT_GAP,
    objective: Objective | None = None,
    coupled: bool | Coupling = False,
    workers: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    paths: Mapping[str, str | Path] | None = None,
    **cluster: Any,
) -> Schedule:
    """Plan every window of a demand, by itself or coupled, and charge for the instances that start between them.

    Parameters
    ----------
    demand
        What arrives.
    profiles
        A profile for each model in the demand. A demand that names no model is that of the only profile.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default.
    solver
        One of `dynaopt.solver_names`.
    time_limit_s
        Wall-clock seconds for each window; None for no limit.
    gap_tolerance
        Relative gap at which a window counts as optimal.
    objective
        What to minimise, and what energy and GPUs cost; None, the default, for energy alone.
    coupled
        Whether to plan all windows together, serving and starts (`docs/coupling.md`); a `Coupling` says what else is
        asked of starts. By default each window is planned by itself. Coupled, `solver` and `time_limit_s` are only for
        windows that cannot be served.
    workers
        Processes for windows by themselves. By default as many as there are cores, or this one alone where others would
        take longer to start than it takes to the end. The answers do not depend on it.
    out
        Folder to write the schedule into; None to write nothing. Finished windows are kept there as they come, so
        that the same call resumes after it was stopped at any moment; a finished schedule of the same call is read
        and not planned again.
    overwrite
        Whether to plan anew where `out` holds the schedule of other inputs or options, or this one finished.
    progress
        Called as windows finish: windows done, windows in all, their serving energy so far in joules.
    paths
        Where inputs lie, by the names of demand and profiles; kept in the schedule for the record.
    **cluster
        Fields of `Cluster`, for example ``num_gpus=320``.

    Returns
    -------
    Schedule
        With a row for every window, those without an answer included: they say why and have no power.

    Raises
    ------
    InvalidInputError
        If an option is out of range, a model has no profile, a series of the objective does not cover the demand, or
        `out` holds another plan.
    UnknownNameError
        If there is no solver of that name.
    """
    _check_options(solver, time_limit_s, gap_tolerance, workers)
    prices = None if objective is None else objective.over(demand.starts, demand.window_s)
    coupling = Coupling() if coupled is True else coupled or None
    task = _make_task(profiles, slo, solver, time_limit_s, gap_tolerance, Cluster.of(**cluster))
    task = task if prices is None else replace(task, gpu_price_w=_by_start(demand.starts, prices))
    windows = _named_windows(demand, task.profiles)
    task.problem(windows[0][1])  # refuses profiles and options that do not fit before any work is done
    metadata = make_metadata(
        demand,
        tuple(task.profiles.values()),
        slo=task.slo,
        cluster=task.cluster,
        solver=solver,
        time_limit_s=time_limit_s,
        gap_tolerance=gap_tolerance,
        paths=paths,
        objective=None if objective is None or prices is None else record_of(objective, prices),
        coupling=coupling,
    )
    report = progress or (lambda *_: None)
    if out is None:
        parts, bound = _answers(task, windows, coupling, prices, workers, report, None)
        return _assemble(demand, metadata, task, prices, parts, bound)
    return _plan_into(Path(out), demand, metadata, task, prices, windows, workers, report, overwrite=overwrite)


def _plan_into(
    folder: Path,
    demand: Demand,
    metadata: ScheduleMetadata,
    task: Task,
    prices: WindowPrices | None,
    windows: Sequence[tuple[int, WindowDemand]],
    workers: int | None,
    progress: ProgressCallback,
    *,
    overwrite: bool,
) -> Schedule:
    options = describe(metadata)
    if not overwrite:
        finished = _read_finished(folder, metadata, options)
        if finished is not None:
            _LOG.info("%s holds this very plan, finished.", folder)
            progress(finished.num_windows, finished.num_windows, finished.serving_energy_j)
            return replace(finished, profiles=tuple(task.profiles.values()))
    with Journal(folder / PARTIAL_FOLDER, digest=metadata.digest, options=options, overwrite=overwrite) as journal:
        coupling = None if metadata.coupling is None else metadata.coupling.asked
        parts, bound = _answers(task, windows, coupling, prices, workers, progress, journal)
        schedule = _assemble(demand, metadata, task, prices, parts, bound)
        write_schedule(schedule, folder)
        journal.remove()
    return schedule


def _answers(
    task: Task,
    windows: Sequence[tuple[int, WindowDemand]],
    coupling: Coupling | None,
    prices: WindowPrices | None,
    workers: int | None,
    progress: ProgressCallback,
    journal: Journal | None,
) -> tuple[list[Answers], float | None]:
    """Return the answers of all windows and, where they are coupled, the bound on them together."""
    if coupling is None:
        return _solve(task, windows, workers, progress, journal), None
    window_s = windows[0][1].window_s

    def ready(done: int, power_w: float) -> None:
        """Tell of the first pass over the windows, which takes as long as several later ones."""
        progress(done, len(windows), power_w * window_s)

    found = solve_horizon(task, windows, coupling, prices=prices, ready=ready)
    progress(len(windows), len(windows), total_power_w(found.answers) * window_s)
    return [found.answers], found.lower_bound


def _solve(
    task: Task,
    windows: Sequence[tuple[int, WindowDemand]],
    workers: int | None,
    progress: ProgressCallback,
    journal: Journal | None,
) -> list[Answers]:
    """Solve the windows that no journal has, and return the answers of all."""
    parts = list(journal.read()) if journal else []
    done = {number for part in parts for number in window_numbers(part)}
    power_w = sum(total_power_w(part) for part in parts)
    window_s = windows[0][1].window_s
    if done:
        _LOG.info("Resuming: %d of %d windows are finished.", len(done), len(windows))
    progress(len(done), len(windows), power_w * window_s)

    def keep(part: Answers) -> None:
        """Take in a finished chunk, on disk first."""
        nonlocal power_w
        if journal:
            journal.write(part)
        parts.append(part)
        done.update(window_numbers(part))
        power_w += total_power_w(part)
        progress(len(done), len(windows), power_w * window_s)

    solve_windows(task, [w for w in windows if w[0] not in done], workers=workers, keep=keep)
    return parts


def _by_start(starts: pd.DatetimeIndex, prices: WindowPrices) -> dict[pd.Timestamp, float]:
    return dict(zip(starts, prices.gpu_price_w.tolist(), strict=True))


def _assemble(
    demand: Demand,
    metadata: ScheduleMetadata,
    task: Task,
    prices: WindowPrices | None,
    parts: Sequence[Answers],
    bound: float | None,
) -> Schedule:
    """Make the tables of a schedule from the answers of its windows."""
    frames = join_answers(parts)
    tables = {}
    for name, columns in (("allocations", ALLOCATION_COLUMNS), ("routes", ROUTE_COLUMNS)):
        starts = demand.starts[frames[name]["window"].to_numpy(dtype=np.intp)]
        tables[name] = frames[name].assign(window_start=_utc(starts))[[c.name for c in columns]]
    windows = frames["windows"].astype({"power_w": float, "lower_bound_w": float, "gap": float, "num_gpus": "Int64"})
    answered = demand.starts[windows["power_w"].notna().to_numpy()]
    coupling = metadata.coupling
    if coupling is not None:
        metadata = metadata.model_copy(update={"coupling": coupling.model_copy(update={"lower_bound": bound})})
    initial = None if coupling is None else initial_frame(coupling.asked)
    transitions = find_transitions(tables["allocations"], answered, task.profiles, initial)
    started_j = transitions.groupby("window_start")["energy_j"].sum().reindex(demand.starts, fill_value=0.0).to_numpy()
    serving_j = windows["power_w"] * demand.window_s
    bound_w = windows["lower_bound_w"].to_numpy(dtype=np.float64)
    # Where GPUs have a price the bound is one of power and price together, which says nothing of power alone.
    unpriced = np.array([task.gpu_price_w.get(start, 0.0) == 0 for start in demand.starts])
    windows = windows.assign(
        window_start=_utc(demand.starts),
        window_s=demand.window_s,
        serving_energy_j=serving_j,
        transition_energy_j=np.where(serving_j.notna(), started_j, np.nan),
        energy_j=serving_j + started_j,
        lower_bound_j=np.where(unpriced, bound_w, np.nan) * demand.window_s,
    )[[c.name for c in WINDOW_COLUMNS]]
    tables |= {} if prices is None else {"accounts": make_accounts(prices, windows, bound_w)}
    profiles = tuple(task.profiles.values())
    schedule = Schedule(
        metadata=metadata, demand=demand, windows=windows, transitions=transitions, profiles=profiles, **tables
    )
    return schedule.with_totals()


def _utc(starts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return starts.as_unit("us")


def _check_options(solver: str, time_limit_s: float | None, gap_tolerance: float, workers: int | None) -> None:
    get_solver(solver)
    if workers is not None and workers < 1:
        raise InvalidInputError("option workers", expected="at least 1", found=str(workers))
    if time_limit_s is not None and not time_limit_s > 0:
        raise InvalidInputError("option time_limit_s", expected="a number above 0", found=str(time_limit_s))
    if not gap_tolerance >= 0:
        raise InvalidInputError("option gap_tolerance", expected="a number of at least 0", found=str(gap_tolerance))


def _make_task(
    profiles: Profile | Sequence[Profile],
    slo: Slo | None,
    solver: str,
    time_limit_s: float | None,
    gap_tolerance: float,
    cluster: Cluster,
) -> Task:
    listed = [profiles] if isinstance(profiles, Profile) else list(profiles)
    by_model = {profile.model: profile for profile in listed}
    if len(by_model) < len(listed):
        names = ", ".join(f"{profile.name} of {profile.model}" for profile in listed)
        raise InvalidInputError("profiles", expected="one for each model", found=names)
    return Task(
        profiles=by_model,
        slo=slo or Slo.table_iv(),
        cluster=cluster,
        solver=solver,
        time_limit_s=time_limit_s,
        gap_tolerance=gap_tolerance,
    )


def _named_windows(demand: Demand, profiles: Mapping[str, Profile]) -> list[tuple[int, WindowDemand]]:
    """Return the windows of a demand; where it names no model they are those of the only profile's."""
    windows = [demand.window(number) for number in range(demand.num_windows)]
    if demand.models == ("",) and len(profiles) == 1:
        (name,) = profiles
        windows = [replace(w, rate_rps={name: w.rate_rps[""]}, peak_factor={name: w.peak_factor[""]}) for w in windows]
    return list(enumerate(windows))


def _read_finished(folder: Path, metadata: ScheduleMetadata, options: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule in a folder if it is of this very plan, None if there is none; refuse that of another."""
    if not (folder / METADATA_FILE).is_file():
        return None
    try:
        found = read_schedule_metadata(folder)
    except DynaoptError as error:
        raise different_plan(folder, f"a {METADATA_FILE} that cannot be read ({error})", None, options) from error
    if found.digest != metadata.digest:
        raise different_plan(folder, "the schedule", {"options": describe(found)}, options)
    return read_schedule(folder)
