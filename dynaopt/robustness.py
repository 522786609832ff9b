"""What a schedule is worth when its profiles are off: energy beyond the best plan, and SLOs that break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.horizon import plan
from dynaopt.perturbation import Perturbation, perturbations, perturbed
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule
from dynaopt.slo import Slo
from dynaopt.slo_margin import margin_quantile, slo_margins
from dynaopt.solvers.base import DEFAULT_SOLVER

ProgressCallback = Callable[[int, int, str], None]
"""Called with how many ways to be off were tried, how many there are, and the last one's name."""
MARGIN_SHARES = (0.0, 0.01, 0.1, 0.5)
"""Shares of the instances at which margins are told."""
# Margins are found by bisection.
_MARGIN_TOLERANCE = 1e-9
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Robustness:
    """A schedule under other truths than its profiles.

    Parameters
    ----------
    size
        By what share profiles were off; 0.1 for 10 %.
    changes
        A row for each way to be off: `change`; `energy_j` (of the schedule, were it so), `best_energy_j` (of the plan
        made knowing it), `best_lower_bound_j` (serving energy that none can go below), `regret` (share by which the
        first exceeds the second; below 0 where the schedule breaks its SLO and so saves, or by the solver's gap),
        `num_unsolved` (windows without an answer in the plan made knowing it); and of the schedule `num_instances`
        (instances in a window, added up), `num_broken_instances` and `num_broken_windows` (that would break an SLO at
        the busiest minute).
    margins
        As `slo_margins` returns them.
    """

    size: float
    changes: pd.DataFrame
    margins: pd.DataFrame

    @property
    def worst_regret(self) -> float:
        """Largest regret of a change under which the schedule keeps its SLOs; NaN if there is none."""
        kept = self.changes[self.changes["num_broken_instances"] == 0]
        return float(kept["regret"].max())

    @property
    def latency_margin(self) -> float:
        """By what share all latencies may be longer before the first SLO of the schedule breaks."""
        return margin_quantile(self.margins, "latency_margin", 0.0)

    @property
    def duration_margin(self) -> float:
        """By what share every iteration may take longer before the first SLO of the schedule breaks."""
        return margin_quantile(self.margins, "duration_margin", 0.0)

    def margin_table(self) -> pd.DataFrame:
        """Return `share, latency_margin, duration_margin`: what some shares of the instances fall short of."""
        columns = ("latency_margin", "duration_margin")
        rows = [[share, *(margin_quantile(self.margins, c, share) for c in columns)] for share in MARGIN_SHARES]
        return pd.DataFrame(rows, columns=["share", *columns])

    def __repr__(self) -> str:
        broken = int((self.changes["num_broken_instances"] > 0).sum())
        return (
            f"Robustness(off by {self.size:.0%} in {len(self.changes)} ways: regret at most {self.worst_regret:.2%}, "
            f"SLOs broken in {broken}; the first breaks when iterations take {self.duration_margin:.1%} longer)"
        )


def perturb(
    schedule: Schedule,
    profiles: Profile | Sequence[Profile],
    *,
    size: float = 0.1,
    changes: Sequence[Perturbation] | None = None,
    replan: Callable[[Schedule, Sequence[Profile]], Schedule] | None = None,
    progress: ProgressCallback | None = None,
) -> Robustness:
    """Tell what a schedule is worth when its profiles are off.

    Parameters
    ----------
    schedule
        The plan.
    profiles
        The profiles that it was made with.
    size
        By what share they are off.
    changes
        The ways in which they are off; by default those of `perturbations`.
    replan
        Makes the plan that one would have made knowing the truth, from the schedule and the true profiles; by default
        the same solver under the same options.
    progress
        Called after each change.

    Raises
    ------
    InvalidInputError
        If `size` is not above 0 and below 1.
    """
    listed = [profiles] if isinstance(profiles, Profile) else list(profiles)
    chosen = perturbations(listed[0], size) if changes is None else tuple(changes)
    rows = []
    for done, change in enumerate(chosen, start=1):
        truth = [perturbed(profile, change) for profile in listed]
        rows.append(_row(schedule, change.name, truth, (replan or _replan)(schedule, truth)))
        if progress:
            progress(done, len(chosen), change.name)
    return Robustness(size=size, changes=pd.DataFrame(rows), margins=slo_margins(schedule, listed))


def perturb_busiest_day(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    size: float = 0.1,
    slo: Slo | None = None,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = None,
    progress: ProgressCallback | None = None,
    **cluster: Any,
) -> tuple[Schedule, Robustness]:
    """Plan the busiest day of a demand, and tell what that plan is worth when its profiles are off.

    Parameters
    ----------
    demand
        What arrives; of one that is longer than a day, the 24 hours in which most does.
    profiles, slo, solver, time_limit_s, **cluster
        As for `plan`.
    size, progress
        As for `perturb`.

    Raises
    ------
    InvalidInputError
        If `size` is not above 0 and below 1, or an option of `plan` is out of range.
    """
    schedule = plan(busiest_day(demand), profiles, slo=slo, solver=solver, time_limit_s=time_limit_s, **cluster)
    return schedule, perturb(schedule, profiles, size=size, progress=progress)


def busiest_day(demand: Demand) -> Demand:
    """Return the 24 hours in which most requests arrive; a shorter demand as it is."""
    length = round(_DAY_S / demand.window_s)
    if demand.num_windows <= length:
        return demand
    arrived = np.concatenate([[0.0], np.cumsum(demand.total_rates_rps.sum(axis=1))])
    first = int(np.argmax(arrived[length:] - arrived[:-length]))
    return demand.select(first, first + length)


def true_energy_j(schedule: Schedule, profiles: Sequence[Profile]) -> float:
    """Return the energy that a schedule would take under other profiles, in joules.

    The instances draw what their curves say; hosts, unused GPUs and starts stay as they are. A load beyond the end of a
    curve draws what stands there.

    Parameters
    ----------
    schedule
        The plan.
    profiles
        The truth.
    """
    by_model = {profile.model: profile for profile in profiles}
    groups = schedule.allocations.reset_index(drop=True)
    load_rps, true_w = groups["rate_per_instance_rps"].to_numpy(float), np.zeros(len(groups))
    for key, rows in groups.groupby(["model", "tp", "frequency_mhz", "pool"]).indices.items():
        model, tp, frequency_mhz, pool = cast("tuple[str, int, int, str]", key)
        curve = by_model[model].curve(tp, frequency_mhz, pool)
        true_w[rows] = np.interp(load_rps[rows], curve.rate_rps, curve.power_w)
    more_w = (groups["num_instances"] * (true_w - groups["power_per_instance_w"])).sum()
    return schedule.energy_j + float(more_w) * schedule.metadata.window_s


def _row(schedule: Schedule, name: str, truth: Sequence[Profile], best: Schedule) -> dict[str, object]:
    margins = slo_margins(schedule, truth)
    broken = margins[~(margins["latency_margin"] >= -_MARGIN_TOLERANCE)]
    energy_j = true_energy_j(schedule, truth)
    return {
        "change": name,
        "energy_j": energy_j,
        "best_energy_j": best.energy_j,
        "best_lower_bound_j": best.lower_bound_j,
        "regret": energy_j / best.energy_j - 1 if best.energy_j > 0 else np.nan,
        "num_unsolved": best.num_unsolved,
        "num_instances": int(margins["num_instances"].sum()),
        "num_broken_instances": int(broken["num_instances"].sum()),
        "num_broken_windows": int(broken["window_start"].nunique()),
    }


def _replan(schedule: Schedule, profiles: Sequence[Profile]) -> Schedule:
    metadata = schedule.metadata
    return plan(
        schedule.demand,
        profiles,
        slo=metadata.slo,
        solver=metadata.solver,
        time_limit_s=metadata.time_limit_s,
        gap_tolerance=metadata.gap_tolerance,
        **metadata.cluster.model_dump(),
    )
