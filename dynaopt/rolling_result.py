"""What became of a rolling horizon: the schedule that ran, what was foretold, and what could not be served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from dynaopt.fleet import Served
from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case
from dynaopt.profile import FloatArray
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, Schedule

SOLVER_PREFIX = "rolling-"
"""Before the name of the forecaster, as a schedule names its solver."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WindowRecord:
    """A window that has ended.

    Parameters
    ----------
    served
        What ran and served.
    foretold_rps
        All requests per second that were foretold when it began, without a margin.
    margin, lead_margin
        What that forecast was multiplied by, and that of the last window that was planned.
    ordered_gpus
        GPUs on which instances began to start in it.
    """

    served: Served
    foretold_rps: float
    margin: float
    lead_margin: float
    ordered_gpus: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RollingTotals:
    """Sums over a run: energies in joules; shares of requests or windows between 0 and 1.

    `idle_energy_j` is the part of `serving_energy_j` that instances without any load take. `overload_share` are
    requests beyond what the instances can serve within the SLO at the busiest minute, `overloaded_windows` and
    `thin_windows` the windows with such, and those that served all but with less than the headroom. `wape` is the
    forecast error of the next window's requests.
    """

    energy_j: float
    serving_energy_j: float
    idle_energy_j: float
    transition_energy_j: float
    overload_share: float
    overloaded_windows: float
    thin_windows: float
    mean_gpus: float
    started_gpus: int
    mean_gap: float
    wape: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RollingResult:
    """A run of `roll`.

    Parameters
    ----------
    forecaster
        Its name.
    schedule
        What ran. Its cluster has no headroom, for that may be used up; `windows` tells what was left. Routes and loads
        are of what was served: in an overloaded window `dynaopt.check` finds demand that is not, and nowhere else.
    windows
        A row for each window: `window_start`, `arrived_rps`, `foretold_rps`, `margin`, `lead_margin`, `served_share`,
        `headroom`, `num_gpus`, `idle_gpus`, `idle_power_w`, `ordered_gpus`, `gap`.
    planned_headroom
        What was planned for.
    """

    forecaster: str
    schedule: Schedule
    windows: pd.DataFrame
    planned_headroom: float

    @property
    def overload_share(self) -> float:
        """Requests beyond what the instances could serve within the SLO, as a share of all."""
        return self.totals().overload_share

    def totals(self) -> RollingTotals:
        """Return the sums over all windows."""
        w = self.windows
        arrived = float(w["arrived_rps"].sum())
        length_s = self.schedule.metadata.window_s
        return RollingTotals(
            energy_j=self.schedule.energy_j,
            serving_energy_j=self.schedule.serving_energy_j,
            idle_energy_j=float(w["idle_power_w"].sum()) * length_s,
            transition_energy_j=self.schedule.transition_energy_j,
            overload_share=float((w["arrived_rps"] * (1 - w["served_share"])).sum()) / arrived if arrived > 0 else 0.0,
            overloaded_windows=float((w["served_share"] < 1).mean()),
            thin_windows=float(((w["served_share"] == 1) & (w["headroom"] < self.planned_headroom)).mean()),
            mean_gpus=float(w["num_gpus"].mean()),
            started_gpus=int(w["ordered_gpus"].sum()),
            mean_gap=float(w["gap"].mean()),
            wape=float((w["arrived_rps"] - w["foretold_rps"]).abs().sum()) / arrived if arrived > 0 else 0.0,
        )

    def summary(self) -> dict[str, float]:
        """Return the totals by name."""
        return asdict(self.totals())

    def __repr__(self) -> str:
        sums = self.totals()
        return (
            f"RollingResult({self.forecaster}, {len(self.windows)} windows: {sums.energy_j / 3.6e6:.1f} kWh, "
            f"overload {sums.overload_share:.2%} of the requests)"
        )


def make_result(case: Case, forecaster: str, records: Sequence[WindowRecord], runtime_s: float) -> RollingResult:
    """Make a result from the windows that ran.

    Parameters
    ----------
    case
        What was asked; its demand is that of the windows that ran.
    forecaster
        Its name.
    records
        One for each of them.
    runtime_s
        What the run took, in seconds.
    """
    groups, routes = _frames(records)
    cluster = case.cluster.model_copy(update={"headroom": 0.0, "reserve": 0.0})
    name = f"{SOLVER_PREFIX}{forecaster}"
    schedule = assemble(replace(case, cluster=cluster), name, [groups], [routes], runtime_s)
    reasons = ["" if r.served.share == 1 else f"overload: {r.served.share:.4f} of it is served" for r in records]
    schedule = replace(schedule, windows=schedule.windows.assign(reason=reasons))
    arrived = case.demand.total_rates_rps.sum(axis=1)
    return RollingResult(
        forecaster=forecaster,
        schedule=schedule,
        windows=_windows(case, records, arrived, groups),
        planned_headroom=case.cluster.headroom,
    )


def _frames(records: Sequence[WindowRecord]) -> tuple[pd.DataFrame, pd.DataFrame]:
    group_names, route_names = ([c.name for c in columns[1:]] for columns in (ALLOCATION_COLUMNS, ROUTE_COLUMNS))
    groups = [
        [n, *(getattr(g, name) for name in group_names)]
        for n, r in enumerate(records)
        for g in r.served.allocation.groups
    ]
    routes = [
        [n, *(getattr(x, name) for name in route_names)]
        for n, r in enumerate(records)
        for x in r.served.allocation.routes
    ]
    return pd.DataFrame(groups, columns=["window", *group_names]), pd.DataFrame(
        routes, columns=["window", *route_names]
    )


def _windows(
    case: Case, records: Sequence[WindowRecord], arrived_rps: FloatArray, groups: pd.DataFrame
) -> pd.DataFrame:
    idle = groups[groups["rate_per_instance_rps"] == 0]
    idle_gpus, idle_w = np.zeros(len(records)), np.zeros(len(records))
    np.add.at(idle_gpus, idle["window"].to_numpy(np.intp), (idle["tp"] * idle["num_instances"]).to_numpy(float))
    power_w = (idle["num_instances"] * idle["power_per_instance_w"]).to_numpy(float)
    np.add.at(idle_w, idle["window"].to_numpy(np.intp), power_w)
    values = {
        "window_start": case.demand.starts.as_unit("us"),
        "arrived_rps": arrived_rps,
        "foretold_rps": [r.foretold_rps for r in records],
        "margin": [r.margin for r in records],
        "lead_margin": [r.lead_margin for r in records],
        "served_share": [r.served.share for r in records],
        "headroom": [r.served.headroom for r in records],
        "num_gpus": [r.served.allocation.num_gpus for r in records],
        "idle_gpus": idle_gpus.astype(np.int64),
        "idle_power_w": idle_w,
        "ordered_gpus": [r.ordered_gpus for r in records],
        "gap": [r.served.gap for r in records],
    }
    return pd.DataFrame(values)
