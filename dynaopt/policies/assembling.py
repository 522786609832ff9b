"""From instances and routes to a schedule: power, starts and sums, on the same terms for every policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dynaopt.policies.base import Case
from dynaopt.problem import host_power_w, unused_gpu_power_w
from dynaopt.result import Termination
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, WINDOW_COLUMNS, Schedule
from dynaopt.schedule_metadata import make_metadata
from dynaopt.transitions import find_transitions


def assemble(
    case: Case, name: str, groups: Sequence[pd.DataFrame], routes: Sequence[pd.DataFrame], runtime_s: float = 0.0
) -> Schedule:
    """Make the schedule of a rival.

    Parameters
    ----------
    case
        What it was for.
    name
        Of the policy.
    groups
        Instances, with `window` numbered from 0 and the columns of `allocations`.
    routes
        Routes, with `window` and the columns of `routes`.
    runtime_s
        What the policy took, in seconds.

    Returns
    -------
    Schedule
        Every window has an answer. It proves nothing: the lower bound is 0.
    """
    starts = case.demand.starts.as_unit("us")
    tables = {
        "allocations": _table(groups, starts, [c.name for c in ALLOCATION_COLUMNS], ["pool", "tp", "frequency_mhz"]),
        "routes": _table(routes, starts, [c.name for c in ROUTE_COLUMNS], ["request_class", "pool"]),
    }
    transitions = find_transitions(tables["allocations"], starts, case.by_model)
    started_j = transitions.groupby("window_start")["energy_j"].sum().reindex(starts, fill_value=0.0).to_numpy()
    cluster = case.cluster.with_any_mix()
    metadata = make_metadata(case.demand, case.profiles, slo=case.slo, cluster=cluster, solver=name, paths=case.paths)
    windows = _windows(case, name, tables["allocations"], started_j, runtime_s)
    schedule = Schedule(
        metadata=metadata,
        demand=case.demand,
        transitions=transitions,
        windows=windows,
        profiles=tuple(case.profiles),
        allocations=tables["allocations"],
        routes=tables["routes"],
    )
    return schedule.with_totals()


def _table(parts: Sequence[pd.DataFrame], starts: pd.DatetimeIndex, columns: list[str], by: list[str]) -> pd.DataFrame:
    rows = pd.concat(parts, ignore_index=True).sort_values(["window", "model", *by], kind="stable", ignore_index=True)
    return rows.assign(window_start=starts[rows["window"].to_numpy(dtype=np.intp)])[columns]


def _windows(case: Case, name: str, allocations: pd.DataFrame, started_j: np.ndarray, runtime_s: float) -> pd.DataFrame:
    starts = case.demand.starts.as_unit("us")
    gpus = allocations["tp"] * allocations["num_instances"]
    host_w = allocations["model"].map({m: host_power_w(p, case.cluster) for m, p in case.by_model.items()})
    drawn_w = allocations["num_instances"] * allocations["power_per_instance_w"] + gpus * host_w
    sums = pd.DataFrame({"gpus": gpus, "drawn_w": drawn_w}).groupby(allocations["window_start"]).sum()
    sums = sums.reindex(starts, fill_value=0)
    unused = np.maximum(case.cluster.num_gpus - sums["gpus"].to_numpy(float), 0.0)
    power_w = sums["drawn_w"].to_numpy(float) + unused * unused_gpu_power_w(case.profiles[0], case.cluster)
    serving_j = power_w * case.demand.window_s
    values = {
        "window_start": starts,
        "window_s": case.demand.window_s,
        "termination": Termination.FEASIBLE.value,
        "solver": name,
        "power_w": power_w,
        "serving_energy_j": serving_j,
        "transition_energy_j": started_j,
        "energy_j": serving_j + started_j,
        "lower_bound_j": 0.0,
        "gap": np.where(serving_j > 0, 1.0, 0.0),
        "num_gpus": pd.array(sums["gpus"].to_numpy(np.int64), dtype="Int64"),
        "runtime_s": runtime_s / len(starts),
        "reason": "",
    }
    return pd.DataFrame(values)[[c.name for c in WINDOW_COLUMNS]]
