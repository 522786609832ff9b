"""What things are worth: the energy that one request per second, one GPU, 10 ms or one watt of power cap more takes.

A price is the difference of two solves, not a dual: instances are whole, so that the next request per second may be
free or take a whole new instance. Each comes with the ends between which the proofs of both solves leave it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from dynaopt.price_changes import Change, PriceKind, make_changes
from dynaopt.price_worker import Asked, PriceTask, Solved, difference_of, solve_all
from dynaopt.problem import Problem, WindowDemand
from dynaopt.profile import Profile
from dynaopt.schedule import ANALYSES, Schedule
from dynaopt.schedule_inputs import WindowChoice, charges_of, choose_windows, profiles_of, window_of
from dynaopt.solvers.base import DEFAULT_SOLVER
from dynaopt.window_task import Task

PRICE_COLUMNS = ("window_start", "kind", "model", "item", "step", "unit", "energy_wh", "lower_wh", "upper_wh")
OBJECTIVE_COLUMNS = ("objective", "objective_lower", "objective_upper")
REASON_COLUMNS = ("termination", "reason")
DEFAULT_TIME_LIMIT_S = 20.0
"""Enough for `exact` to have HiGHS prove a window whose GPUs bind, which takes seconds; others take milliseconds."""
_JOULES_PER_WH = 3600.0


def prices(
    schedule: Schedule,
    *,
    windows: WindowChoice = None,
    kinds: Sequence[PriceKind] | None = None,
    steps: Mapping[PriceKind, Sequence[float]] | None = None,
    slo_of: Literal["all", "each"] = "all",
    profiles: Profile | Sequence[Profile] | None = None,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = DEFAULT_TIME_LIMIT_S,
    gap_tolerance: float = 0.0,
    workers: int | None = None,
) -> pd.DataFrame:
    """Return what things are worth in the windows of a schedule.

    Prices are those of each window's problem, under the schedule's inputs and options and solved anew; starts of
    instances between windows are not in them.

    Parameters
    ----------
    schedule
        Just planned, or read from its folder.
    windows
        ``"all"``, ``"busiest"``, or a list of numbers and moments; by default the busiest and 23 others.
    kinds
        Of ``"request_class"``, ``"gpu"``, ``"ttft"``, ``"tbt"`` and ``"power_cap"``; all by default, the last only
        where the schedule has a cap.
    steps
        Steps of some kinds instead of those of `DEFAULT_STEPS`, for example ``{"gpu": (4, -4)}``.
    slo_of
        Whether the bounds of ``"all"`` classes move together (the default), or those of ``"each"`` by itself.
    profiles
        Those that it was planned with; by default those it has, or else read again as it names them.
    solver, time_limit_s, gap_tolerance
        As for `dynaopt.solve`, for each of the two solves; by default to the optimum, 2 s at most.
    workers
        Processes, as for `dynaopt.plan`.

    Returns
    -------
    pandas.DataFrame
        A row for each window and change: `window_start`, `kind`, `model`, `item`, `step` with its `unit`; `energy_wh`,
        what the change adds to the energy of serving the window, below 0 where it saves; `lower_wh` and `upper_wh`,
        between which the proofs of the two solves put it; `termination` of the changed problem and `reason`, in words,
        where there is no price: those four are NaN or None then. Where the schedule has an objective, `objective`,
        `objective_lower` and `objective_upper` say the same of it, in its unit; where that charges for GPUs nothing is
        proved of energy alone, and `lower_wh` and `upper_wh` are NaN.

    Raises
    ------
    InputError
        If a window, a kind or a profile is not what it should be.
    """
    given = [profiles] if isinstance(profiles, Profile) else profiles
    used = profiles_of(schedule, given)
    charges = charges_of(schedule)
    starts = schedule.demand.starts
    task = Task(
        profiles={profile.model: profile for profile in used},
        slo=schedule.metadata.slo,
        cluster=schedule.metadata.cluster,
        solver=solver,
        time_limit_s=time_limit_s,
        gap_tolerance=gap_tolerance,
        gpu_price_w={} if charges is None else dict(zip(starts, charges.gpu_price_w.tolist(), strict=True)),
    )
    chosen = [window_of(schedule, used, number) for number in choose_windows(schedule, windows)]
    models = list(chosen[0].rate_rps) if chosen else []
    changes = make_changes(models, task.cluster, kinds=kinds, steps=steps, slo_of=slo_of)
    table = _table(PriceTask(task), chosen, changes, workers)
    if charges is None:
        return table.drop(columns=list(OBJECTIVE_COLUMNS))
    per_wh = pd.Series(charges.factor_per_kwh / 1000, index=starts).reindex(table["window_start"]).to_numpy()
    return table.assign(**{name: table[name] * per_wh for name in OBJECTIVE_COLUMNS})


def problem_prices(
    problem: Problem,
    *,
    kinds: Sequence[PriceKind] | None = None,
    steps: Mapping[PriceKind, Sequence[float]] | None = None,
    slo_of: Literal["all", "each"] = "all",
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = DEFAULT_TIME_LIMIT_S,
    gap_tolerance: float = 0.0,
) -> pd.DataFrame:
    """Return what things are worth in one window's problem; parameters and columns as for `prices`.

    Parameters
    ----------
    problem
        One window's input. Where its GPUs have a price, `lower_wh` and `upper_wh` are NaN.
    kinds, steps, slo_of, solver, time_limit_s, gap_tolerance
        As for `prices`.
    """
    task = Task(
        profiles=problem.profiles,
        slo=problem.slo,
        cluster=problem.cluster,
        solver=solver,
        time_limit_s=time_limit_s,
        gap_tolerance=gap_tolerance,
        gpu_price_w={problem.demand.start: problem.gpu_price_w},
    )
    models = list(problem.demand.rate_rps)
    changes = make_changes(models, problem.cluster, kinds=kinds, steps=steps, slo_of=slo_of)
    return _table(PriceTask(task), [problem.demand], changes, 1).drop(columns=list(OBJECTIVE_COLUMNS))


def _table(
    task: PriceTask, windows: Sequence[WindowDemand], changes: Sequence[Change], workers: int | None
) -> pd.DataFrame:
    """Solve windows without and with every change; objectives are in watt-hours of `Allocation.objective_w`."""
    before = solve_all(task, [Asked(window, None) for window in windows], workers)
    asked = [Asked(w, c) for w, known in zip(windows, before, strict=True) if known.proved for c in changes]
    after = iter(solve_all(task, asked, workers))
    rows: list[dict[str, object]] = []
    for window, known in zip(windows, before, strict=True):
        for change in changes:
            changed = next(after) if known.proved else replace(known, reason=f"nothing to compare with: {known.reason}")
            rows.append(_row(task, window, change, known, changed))
    return pd.DataFrame(rows, columns=[*PRICE_COLUMNS, *OBJECTIVE_COLUMNS, *REASON_COLUMNS])


def _row(task: PriceTask, window: WindowDemand, change: Change, before: Solved, after: Solved) -> dict[str, object]:
    """Write a row of the table."""
    told = (window.start, change.kind, change.model, change.item, change.step, change.unit)
    head: dict[str, object] = dict(zip(PRICE_COLUMNS, told, strict=False))
    tail: dict[str, object] = {"termination": after.termination, "reason": after.reason}
    if before.proved is None or after.proved is None:
        names = ("energy_wh", "lower_wh", "upper_wh", *OBJECTIVE_COLUMNS)
        return {**head, **dict.fromkeys(names, np.nan), **tail}
    found = difference_of(task, window, change, before, after)
    wh = window.window_s / _JOULES_PER_WH
    unproved = task.base.gpu_price_w.get(window.start, 0.0) > 0
    values = {
        "energy_wh": found.power_w * wh,
        "lower_wh": np.nan if unproved else found.lower_w * wh,
        "upper_wh": np.nan if unproved else found.upper_w * wh,
        "objective": found.objective_w * wh,
        "objective_lower": found.lower_w * wh,
        "objective_upper": found.upper_w * wh,
    }
    return {**head, **{name: value + 0.0 for name, value in values.items()}, **tail}  # no -0.0


ANALYSES["prices"] = prices
