"""What one quantity costs in terms of another: plans of a whole horizon, none of which is better in both.

Between two quantities of `dynaopt.objective` the plans are those that minimise a weighted sum. Weights are found by
bisection of the front (Aneja and Nair, Management Science 25(1), 1979): between two neighbouring plans those under
which both are equally good, where any better plan lies furthest below the line through them. That finds all plans on
the convex hull of the attainable ones (*supported*), as far as `num_points` allow, and none of those behind it.
Against a scale of the latency objectives there is a plan for each of some scales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.horizon import plan
from dynaopt.objective import JOULES_PER_KWH, QUANTITIES, Objective, Quantity
from dynaopt.profile import FloatArray, Profile
from dynaopt.schedule import Schedule
from dynaopt.slo import Slo

SLO_SCALE = "slo-scale"
AXES = (*QUANTITIES, SLO_SCALE)
COLUMNS: Mapping[str, str] = {
    "energy": "facility_energy_j",
    "cost": "cost",
    "carbon": "carbon_g",
    SLO_SCALE: "slo_scale",
}
"""The column of `ParetoFront.points` that each axis is."""

_ROUNDING = 1e-9
_LEAST_STEP = 1e-6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ParetoFront:
    """Plans of one demand, and which of them are worth having.

    Parameters
    ----------
    x, y
        What the axes are, of `AXES`.
    points
        A row for each plan, by `x`: ``energy_j`` of the cluster, ``facility_energy_j`` (times PUE), ``cost``,
        ``carbon_g``, ``slo_scale``, ``gpu_hours``, ``weight_energy``, ``weight_cost`` and ``weight_carbon`` (what was
        minimised), ``gap`` (of that), ``num_unsolved`` and ``dominated`` (whether another is better in one of `x` and
        `y` and no worse in the other; where windows have no answer, always).
    schedules
        The plans, in the order of the rows.
    """

    x: str
    y: str
    points: pd.DataFrame
    schedules: tuple[Schedule, ...]

    @property
    def front(self) -> pd.DataFrame:
        """The rows that are not dominated."""
        return self.points[~self.points["dominated"]]

    @property
    def num_dominated(self) -> int:
        """Rows that are dominated, those with windows without an answer among them."""
        return int(self.points["dominated"].sum())


def pareto_front(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    objective: Objective,
    x: str,
    y: str,
    num_points: int = 7,
    slo: Slo | None = None,
    slo_range: tuple[float, float] = (1.0, 4.0),
    out: str | Path | None = None,
    **options: Any,
) -> ParetoFront:
    """Plan a horizon again and again to see what one quantity costs in terms of another.

    Parameters
    ----------
    demand, profiles
        As `plan` takes them.
    objective
        Prices of energy, money and carbon; what it minimises is replaced.
    x
        ``energy``, ``cost`` or ``carbon``.
    y
        Another of them, or ``slo-scale``.
    num_points
        Plans to make at most, at least 2. The front may have fewer.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default.
    slo_range
        Least and largest scale of them, where `y` is ``slo-scale``; the scales between are spaced evenly by ratio.
    out
        Folder for the plans, ``point-01`` and so on, which resume as `plan` does; None to keep none.
    **options
        Of `plan`, for example ``num_gpus=320`` or ``solver="greedy"``. Windows are planned by themselves here, unless
        ``coupled=True`` is among them.

    Raises
    ------
    InvalidInputError
        If an axis is unknown, both are the same, one has no price, or an option is out of range.
    """
    _check_axes(x, y, num_points, slo_range)
    for axis in (x, y):
        if axis in QUANTITIES:
            objective.replace(minimise=axis)  # refuses what has no price before any work is done
    planner = _Planner(demand, profiles, objective, slo or Slo.table_iv(), None if out is None else Path(out), options)
    if y == SLO_SCALE:
        for scale in np.geomspace(*slo_range, num_points):
            planner.plan({x: 1.0}, float(f"{scale:.4g}"))  # type: ignore[dict-item]
    else:
        _bisect(planner, x, y, num_points)  # type: ignore[arg-type]
    return planner.front(x, y)


@dataclass(slots=True)
class _Planner:
    """Makes the plans and remembers them."""

    demand: Demand
    profiles: Profile | Sequence[Profile]
    objective: Objective
    slo: Slo
    out: Path | None
    options: Mapping[str, Any]
    rows: list[dict[str, float | bool]] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)

    def plan(self, weights: Mapping[Quantity, float], slo_scale: float = 1.0) -> Schedule:
        number = len(self.schedules) + 1
        alone = next(iter(weights)) if len(weights) == 1 else None
        schedule = plan(
            self.demand,
            self.profiles,
            slo=self.slo.scaled(slo_scale),
            objective=self.objective.replace(minimise=alone or weights),
            out=None if self.out is None else self.out / f"point-{number:02d}",
            **{"coupled": False, **self.options},
        )
        self.schedules.append(schedule)
        self.rows.append(_row(schedule, weights, slo_scale))
        return schedule

    def front(self, x: str, y: str) -> ParetoFront:
        points = pd.DataFrame(self.rows)
        values = points[[COLUMNS[x], COLUMNS[y]]].to_numpy(dtype=np.float64, copy=True)
        # What serves less than all takes less, and is compared with nothing.
        values[points["num_unsolved"] > 0] = np.inf
        points["dominated"] = dominated(values) | (points["num_unsolved"] > 0)
        order = points.sort_values([COLUMNS[x], COLUMNS[y]], kind="stable").index
        schedules = tuple(self.schedules[n] for n in order)
        return ParetoFront(x=x, y=y, points=points.loc[order].reset_index(drop=True), schedules=schedules)


def dominated(points: FloatArray) -> np.ndarray:
    """Tell which points another is better than in one quantity and no worse in the other.

    Parameters
    ----------
    points
        Shape (n, 2); less is better. Of equal points the first is kept.
    """
    slack = np.where(np.isfinite(points), _ROUNDING * np.abs(points), 0.0)
    no_worse = (points[:, None, :] <= points[None, :, :] + slack).all(axis=2)
    better = (points[:, None, :] < points[None, :, :] - slack).any(axis=2)
    earlier = np.triu(np.ones(no_worse.shape, dtype=bool), 1)
    return np.asarray((no_worse & (better | earlier)).any(axis=0))


def _bisect(planner: _Planner, x: Quantity, y: Quantity, num_points: int) -> None:
    """Make the plan of least x and that of least y, then plans between neighbours while any lies below their line."""
    first, last = (_serving(planner.plan({axis: 1.0}), planner.objective, x, y) for axis in (x, y))
    spread = np.abs(last - first)
    scale = np.where(spread > 0, spread, 1.0)
    segments = [(first, last)]
    while segments and len(planner.schedules) < num_points:
        segments.sort(key=lambda ends: float(np.linalg.norm((ends[1] - ends[0]) / scale)))
        left, right = segments.pop()
        normal = np.array([left[1] - right[1], right[0] - left[0]])
        if (normal <= _LEAST_STEP * np.abs(left[::-1])).any():
            continue  # one end is no worse in both, or the ends are the same
        # Six digits, so that a plan that is resumed asks for the very same weights.
        weights: dict[Quantity, float] = {
            axis: float(f"{part:.6g}") for axis, part in zip((x, y), normal / normal.max(), strict=True)
        }
        middle = _serving(planner.plan(weights), planner.objective, x, y)
        if normal @ middle < (normal @ left) * (1 - _LEAST_STEP):
            segments += [(left, middle), (middle, right)]


def _serving(schedule: Schedule, objective: Objective, x: Quantity, y: Quantity) -> FloatArray:
    """Return x and y of serving alone, which is what windows are solved for, in the units of weights."""
    answered = schedule.windows[schedule.windows["power_w"].notna()]
    prices = objective.over(pd.DatetimeIndex(answered["window_start"]), schedule.metadata.window_s)
    serving_j, num_gpus = (answered[c].to_numpy(dtype=np.float64) for c in ("serving_energy_j", "num_gpus"))
    amounts = {
        "energy": prices.pue * serving_j / JOULES_PER_KWH,
        "cost": prices.cost(serving_j, num_gpus),
        "carbon": prices.carbon_g(serving_j, num_gpus),
    }
    return np.array([amounts[x].sum(), amounts[y].sum()])


def _row(schedule: Schedule, weights: Mapping[Quantity, float], slo_scale: float) -> dict[str, float | bool]:
    summary = schedule.summary()
    numbers = {name: summary[name] for name in ("energy_j", "facility_energy_j", "cost", "carbon_g", "gap")}
    row: dict[str, float | bool] = {name: np.nan if v is None else float(v) for name, v in numbers.items()}
    used = schedule.windows["num_gpus"].fillna(0).sum()
    return {
        **row,
        "slo_scale": slo_scale,
        "gpu_hours": float(used * schedule.metadata.window_s / 3600),
        **{f"weight_{name}": weights.get(name, 0.0) for name in QUANTITIES},
        "num_unsolved": schedule.num_unsolved,
    }


def _check_axes(x: str, y: str, num_points: int, slo_range: tuple[float, float]) -> None:
    for name, axis, known in (("x", x, QUANTITIES), ("y", y, AXES)):
        if axis not in known:
            raise InvalidInputError(f"option {name}", expected=f"one of {', '.join(known)}", found=f"'{axis}'")
    if x == y:
        raise InvalidInputError("option y", expected="another quantity than x", found=f"'{y}'")
    if num_points < 2:
        raise InvalidInputError("option points", expected="at least 2", found=str(num_points))
    if not 0 < slo_range[0] < slo_range[1] < float("inf"):
        raise InvalidInputError(
            "option slo_range", expected="two ascending numbers above 0", found=f"{slo_range[0]:g}, {slo_range[1]:g}"
        )
