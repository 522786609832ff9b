"""Planning a horizon: every window solved, the starts between them charged for, and nothing finished ever lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.accounts import make_accounts, record_of
from dynaopt.answers import Answers, join_answers, total_power_w, window_numbers
from dynaopt.coupled_plan import Told, solve_horizon
from dynaopt.coupled_shard import COUPLED
from dynaopt.coupling import Coupling, coupling_of, initial_frame
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.journal import Journal, is_finished
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
    PARTIAL_FOLDER,
    read_schedule,
    write_schedule,
)
from dynaopt.schedule_metadata import describe, make_metadata
from dynaopt.slo import Slo
from dynaopt.solvers import get_solver
from dynaopt.solvers.base import DEFAULT_GAP, DEFAULT_SOLVER, WINDOW_LIMIT_S
from dynaopt.stores import NOWHERE
from dynaopt.transitions import find_transitions
from dynaopt.window_task import Task
from dynaopt.window_worker import Job, solve_jobs
from dynaopt.workers import check_workers

ProgressCallback = Callable[[int, int, float], None]
"""Called with the windows done, the windows in all, and the serving energy of those done, in joules."""

StageCallback = Callable[[str, bool], None]
"""Called with what a coupled plan is at, in words, and whether that should be told at all costs."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Whom to tell how far a plan is."""

    progress: ProgressCallback
    stage: StageCallback


def plan(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    solver: str | None = None,
    time_limit_s: float | None = None,
    gap_tolerance: float = DEFAULT_GAP,
    objective: Objective | None = None,
    coupled: bool | Coupling | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    stage: StageCallback | None = None,
    paths: Mapping[str, str | Path] | None = None,
    **cluster: Any,
) -> Schedule:
    """Plan every window of a demand, together or each by itself, and charge for the instances that start between them.

    Parameters
    ----------
    demand
        What arrives.
    profiles
        A profile for each model in the demand. A demand that names no model is that of the only profile.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default.
    solver
        One of `dynaopt.solver_names`, to plan each window by itself with it. None, the default, for `DEFAULT_SOLVER`
        where windows are planned by themselves.
    time_limit_s
        Wall-clock seconds for each window by itself; None, the default, for `WINDOW_LIMIT_S` with `exact` and else for
        no limit.
    gap_tolerance
        Relative gap at which a window, or the coupled whole, counts as optimal.
    objective
        What to minimise, and what energy and GPUs cost; None, the default, for energy alone.
    coupled
        Whether to plan all windows together, serving and starts (`docs/coupling.md`); a `Coupling` says what else is
        asked of starts. None, the default, means that they are, unless `solver` or `time_limit_s` is given.
    workers
        Processes. By default as many as there are cores, or this one alone where others would take longer to start than
        it takes to the end. The answers do not depend on it.
    out
        Folder to write the schedule into; None to write nothing. What is finished is kept there as it comes, so that
        the same call resumes after it was stopped at any moment; a finished schedule of the same call is read and not
        planned again.
    overwrite
        Whether to plan anew where `out` holds the schedule of other inputs or options, or this one finished.
    progress
        Called as windows finish: windows done, windows in all, their serving energy so far in joules.
    stage
        Called with what a coupled plan is at, in words, and whether that should be told at all costs: it passes over
        all windows several times before any finishes.
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
        If an option is out of range, a model has no profile, a series of the objective does not cover the demand, a
        solver is given for coupled windows, or `out` holds another plan.
    UnknownNameError
        If there is no solver of that name.
    """
    check_workers(workers)
    options: dict[str, Any] = {
        "slo": slo,
        "solver": solver or DEFAULT_SOLVER,
        "time_limit_s": time_limit_s,
        "gap_tolerance": gap_tolerance,
    }
    coupling = coupling_of(coupled, solver=solver, time_limit_s=time_limit_s)
    horizon = prepare(demand, profiles, objective=objective, coupling=coupling, paths=paths, **options, **cluster)
    watch = _Watch(progress or (lambda *_: None), stage or (lambda *_: None))
    if out is None:
        return _planned(horizon, workers, watch, None)
    return _plan_into(Path(out), horizon, workers, watch, overwrite=overwrite)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Horizon:
    """A horizon that is ready to be solved, window by window.

    Parameters
    ----------
    demand
        What arrives.
    metadata
        What names the plan, its totals still empty.
    task
        What its windows have in common.
    prices
        What the objective charges in each window; None without one.
    """

    demand: Demand
    metadata: ScheduleMetadata
    task: Task
    prices: WindowPrices | None = None

    @property
    def profiles(self) -> list[Profile]:
        """The profile of each model."""
        return list(self.task.profiles.values())

    def window(self, number: int) -> WindowDemand:
        """Return what arrives in a window; where the demand names no model it is that of the only profile's."""
        return self.demand.window(number).named(list(self.task.profiles))


def prepare(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = None,
    gap_tolerance: float = DEFAULT_GAP,
    objective: Objective | None = None,
    coupling: Coupling | None = None,
    paths: Mapping[str, str | Path] | None = None,
    **cluster: Any,
) -> Horizon:
    """Check what a horizon is planned for and with, and make it ready to be solved.

    Parameters
    ----------
    demand, profiles, slo, solver, time_limit_s, gap_tolerance, objective, paths, **cluster
        As `plan` takes them.
    coupling
        How windows are planned together; None for each by itself. Coupled, `solver` looks for the reasons of windows
        that cannot be served.

    Raises
    ------
    InvalidInputError, UnknownNameError
        As `plan` does, and before any work is done.
    """
    _check_options(solver, time_limit_s, gap_tolerance)
    time_limit_s = WINDOW_LIMIT_S if time_limit_s is None and solver == DEFAULT_SOLVER else time_limit_s
    prices = None if objective is None else objective.over(demand.starts, demand.window_s)
    task = _make_task(profiles, slo, solver, time_limit_s, gap_tolerance, Cluster.of(**cluster))
    task = task if prices is None else replace(task, gpu_price_w=_by_start(demand.starts, prices))
    metadata = make_metadata(
        demand,
        tuple(task.profiles.values()),
        slo=task.slo,
        cluster=task.cluster,
        solver=solver if coupling is None else COUPLED,
        time_limit_s=time_limit_s if coupling is None else None,
        gap_tolerance=gap_tolerance,
        paths=paths,
        objective=None if objective is None or prices is None else record_of(objective, prices),
        coupling=coupling,
    )
    horizon = Horizon(demand=demand, metadata=metadata, task=task, prices=prices)
    task.problem(horizon.window(0))  # refuses profiles and options that do not fit
    return horizon


def _plan_into(folder: Path, horizon: Horizon, workers: int | None, watch: _Watch, *, overwrite: bool) -> Schedule:
    metadata, options = horizon.metadata, describe(horizon.metadata)
    if not overwrite and is_finished(folder, metadata):
        _LOG.info("%s holds this very plan, finished.", folder)
        finished = read_schedule(folder)
        watch.progress(finished.num_windows, finished.num_windows, finished.serving_energy_j)
        return replace(finished, profiles=tuple(horizon.profiles))
    with Journal(folder / PARTIAL_FOLDER, digest=metadata.digest, options=options, overwrite=overwrite) as journal:
        schedule = _planned(horizon, workers, watch, journal)
        write_schedule(schedule, folder)
        journal.remove()
    return schedule


def _planned(horizon: Horizon, workers: int | None, watch: _Watch, journal: Journal | None) -> Schedule:
    """Solve the windows, together or by themselves."""
    if horizon.metadata.coupling is None:
        return assemble(horizon, _solve(horizon, workers, watch.progress, journal))
    num_windows, window_s = horizon.demand.num_windows, horizon.demand.window_s
    found = solve_horizon(
        horizon.task,
        [(number, horizon.window(number)) for number in range(num_windows)],
        horizon.metadata.coupling.asked,
        prices=horizon.prices,
        workers=workers,
        store=journal or NOWHERE,
        told=Told(stage=watch.stage, settled=lambda n, power_w: watch.progress(n, num_windows, power_w * window_s)),
    )
    watch.progress(num_windows, num_windows, sum(map(total_power_w, found.parts)) * window_s)
    return assemble(horizon, found.parts, found.lower_bound)


def _solve(horizon: Horizon, workers: int | None, progress: ProgressCallback, journal: Journal | None) -> list[Answers]:
    """Solve the windows that no journal has, and return the answers of all."""
    parts = list(journal.read()) if journal else []
    done = {number for part in parts for number in window_numbers(part)}
    power_w = sum(total_power_w(part) for part in parts)
    num_windows, window_s = horizon.demand.num_windows, horizon.demand.window_s
    if done:
        _LOG.info("Resuming: %d of %d windows are finished.", len(done), num_windows)
    progress(len(done), num_windows, power_w * window_s)

    def keep(part: Answers) -> None:
        """Take in a finished chunk, on disk first."""
        nonlocal power_w
        if journal:
            journal.write(part)
        parts.append(part)
        done.update(window_numbers(part))
        power_w += total_power_w(part)
        progress(len(done), num_windows, power_w * window_s)

    missing = [number for number in range(num_windows) if number not in done]
    job = Job(task=horizon.task, numbers=missing, window=horizon.window)
    solve_jobs([job], workers=workers, keep=lambda _, part: keep(part))
    return parts


def _by_start(starts: pd.DatetimeIndex, prices: WindowPrices) -> dict[pd.Timestamp, float]:
    return dict(zip(starts, prices.gpu_price_w.tolist(), strict=True))


def assemble(horizon: Horizon, parts: Sequence[Answers], lower_bound: float | None = None) -> Schedule:
    """Make a schedule from the answers of its windows.

    Parameters
    ----------
    horizon
        What was solved.
    parts
        The answers of all its windows, each once, in any order.
    lower_bound
        What the objective of coupled windows cannot go below together, starts included; None where none was proved.
    """
    demand, task, prices, metadata = horizon.demand, horizon.task, horizon.prices, horizon.metadata
    frames = join_answers(parts)
    tables = {}
    for name, columns in (("allocations", ALLOCATION_COLUMNS), ("routes", ROUTE_COLUMNS)):
        starts = demand.starts[frames[name]["window"].to_numpy(dtype=np.intp)]
        tables[name] = frames[name].assign(window_start=_utc(starts))[[c.name for c in columns]]
    windows = frames["windows"].astype({"power_w": float, "lower_bound_w": float, "gap": float, "num_gpus": "Int64"})
    answered = demand.starts[windows["power_w"].notna().to_numpy()]
    coupling, initial = metadata.coupling, None
    if coupling is not None:
        metadata = metadata.model_copy(update={"coupling": coupling.model_copy(update={"lower_bound": lower_bound})})
        initial = initial_frame(coupling.asked)
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
    profiles = tuple(horizon.profiles)
    schedule = Schedule(
        metadata=metadata, demand=demand, windows=windows, transitions=transitions, profiles=profiles, **tables
    )
    return schedule.with_totals()


def _utc(starts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return starts.as_unit("us")


def _check_options(solver: str, time_limit_s: float | None, gap_tolerance: float) -> None:
    get_solver(solver)
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
