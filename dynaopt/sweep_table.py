"""The table of a sweep: a row for each point, its inputs and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from dynaopt.check import check
from dynaopt.schedule import Schedule
from dynaopt.sweep_points import Point
from dynaopt.violations import ViolationKind

RESULTS = (
    "num_windows",
    "num_unsolved",
    "num_requests",
    "serving_energy_j",
    "transition_energy_j",
    "energy_j",
    "lower_bound_j",
    "gap",
    "mean_power_w",
    "gpus_min",
    "gpus_mean",
    "gpus_max",
    "wh_per_1000_requests",
    "cost",
    "carbon_g",
    "runtime_s",
)
"""Columns of numbers in the table of a sweep, beside the axes."""
_COUNTS = ("num_gpus", "num_windows", "num_unsolved", "gpus_min", "gpus_max", "num_violations")
_TEXTS: tuple[str, ...] = ("point", "service", "profiles", "reserve", "unused_gpus", "fixed_mix", "solver", "objective")
_TEXTS += ("reason", "digest")


def record_of(point: Point, schedule: Schedule) -> dict[str, Any]:
    """Return what the table tells of a point beside its inputs, checked.

    Parameters
    ----------
    point
        What was planned.
    schedule
        Its plan.
    """
    summary: dict[str, Any] = schedule.summary()
    if _is_sample(point):
        summary |= _without_starts(summary, schedule.metadata.window_s)
    if summary["gpus_max"] is None:  # sums over no window at all
        summary |= dict.fromkeys(("serving_energy_j", "transition_energy_j", "energy_j", "lower_bound_j"))
    objective = schedule.metadata.objective
    unsolved = schedule.windows[schedule.windows["power_w"].isna()]
    violations = check(schedule, profiles=point.horizon.profiles)
    return {
        "solver": schedule.metadata.solver,
        "objective": "energy" if objective is None else objective.kind,
        **{name: summary.get(name) for name in RESULTS},
        "num_violations": sum(v.kind is not ViolationKind.NO_ANSWER for v in violations),
        "reason": unsolved["reason"].iloc[0] if len(unsolved) else "",
    }


def _without_starts(summary: Mapping[str, Any], window_s: float) -> dict[str, Any]:
    """Return what to tell of a sample of windows: between two of them nobody knows what starts."""
    serving_j, requests = summary["serving_energy_j"], summary["num_requests"]
    answered = summary["num_windows"] - summary["num_unsolved"]
    return {
        "transition_energy_j": None,
        "energy_j": None,
        "cost": None,
        "carbon_g": None,
        "mean_power_w": serving_j / (answered * window_s) if answered else None,
        "wh_per_1000_requests": serving_j / 3600 / (requests / 1000) if requests else None,
    }


def _is_sample(point: Point) -> bool:
    demand = point.horizon.demand
    return bool((demand.starts[1:] - demand.starts[:-1] > pd.Timedelta(seconds=demand.window_s)).any())


def table_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the table of a sweep, each column of one kind of cell whatever is missing.

    Parameters
    ----------
    rows
        ``point``, `AXES`, what `record_of` returns, and ``digest``, for each point.
    """
    frame = pd.DataFrame(list(rows))
    kinds = dict.fromkeys(_COUNTS, "Int64") | dict.fromkeys(_TEXTS, "str")
    return frame.astype({str(name): kinds.get(str(name), "float64") for name in frame})
