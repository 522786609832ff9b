"""What a schedule says about each window, as a replay reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.profile import Profile
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, is_promotable
from dynaopt.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Group:
    """Identical instances of a pool; fields as in the table `allocations`."""

    pool: str
    tp: int
    frequency_mhz: int
    num_instances: int
    rate_rps: float
    power_w: float


@dataclass(frozen=True, slots=True)
class Flow:
    """How much of a class goes to a pool, in requests per second."""

    request_class: str
    pool: str
    rate_rps: float


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What one model's instances are and serve in a window."""

    groups: tuple[Group, ...]
    flows: tuple[Flow, ...]

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools with instances, in their order."""
        return tuple(sorted({g.pool for g in self.groups}, key=pool_order))


def pool_order(pool: str) -> tuple[int, str]:
    """Return what sorts pools: classes as in `REQUEST_CLASSES`, then mixes by name."""
    return (len(REQUEST_CLASSES) if pool.startswith(MIX_PREFIX) else REQUEST_CLASSES.index(pool), pool)


def read_plans(schedule: Schedule, model: str) -> list[WindowPlan]:
    """Return what a schedule says for one model.

    Parameters
    ----------
    schedule
        The schedule.
    model
        Name of the model.

    Returns
    -------
    list of WindowPlan
        One for each window. In one without an answer the instances of the last answered one go on running.
    """
    groups: dict[object, list[Group]] = {}
    flows: dict[object, list[Flow]] = {}
    a = schedule.allocations[schedule.allocations["model"] == model]
    columns = ("pool", "tp", "frequency_mhz", "num_instances", "rate_per_instance_rps", "power_per_instance_w")
    for start, pool, tp, frequency_mhz, count, rate, power in zip(
        a["window_start"], *(a[c] for c in columns), strict=True
    ):
        group = Group(pool, int(tp), int(frequency_mhz), int(count), float(rate), float(power))
        groups.setdefault(start, []).append(group)
    r = schedule.routes[schedule.routes["model"] == model]
    for start, request_class, pool, rate in zip(
        r["window_start"], r["request_class"], r["pool"], r["rate_rps"], strict=True
    ):
        flows.setdefault(start, []).append(Flow(request_class, pool, float(rate)))
    plans = [WindowPlan((), ())]
    for start, unsolved in zip(schedule.windows["window_start"], schedule.windows["power_w"].isna(), strict=True):
        plan = WindowPlan(tuple(groups.get(start, ())), tuple(flows.get(start, ())))
        plans.append(plans[-1] if unsolved else plan)
    return plans[1:]


def serves(profile: Profile, pool: str, request_class: str) -> bool:
    """Tell whether a pool may serve a class: a mix those in it, any other those that are no longer than its own."""
    if not pool.startswith(MIX_PREFIX):
        return is_promotable(request_class, pool)
    return any(m.name == pool and m.shares.get(request_class, 0) > 0 for m in profile.metadata.mixes)


def by_nearness(profile: Profile, pools: Sequence[str], request_class: str) -> tuple[list[str], list[str]]:
    """Return the pools that may serve a class, the nearest first, and those that may not.

    Parameters
    ----------
    profile
        Which classes a mix has.
    pools
        Names of pools.
    request_class
        The class. Its own pool is the nearest, then come the smallest of the larger pools, then mixes.
    """
    able = [p for p in pools if serves(profile, p, request_class)]
    return sorted(able, key=_size), [p for p in pools if p not in able]


def _size(pool: str) -> tuple[int, int, int, str]:
    if pool.startswith(MIX_PREFIX):
        return (1, 0, 0, pool)
    at = REQUEST_CLASSES.index(pool)
    return (0, at // 3 + at % 3, at, pool)


def energy_slope_j(profile: Profile, group: Group) -> float:
    """Return by how much an instance's energy grows with a request more, in joules, at its planned load.

    Parameters
    ----------
    profile
        Whose curve it is.
    group
        The instance, at the load that its group has.

    Raises
    ------
    InvalidInputError
        If the profile has no such curve.
    """
    key = (group.tp, group.frequency_mhz, group.pool)
    if key not in profile.curves:
        found = f"TP{group.tp} at {group.frequency_mhz} MHz in pool {group.pool}"
        raise InvalidInputError("schedule", expected=f"configurations that profile {profile.name} has", found=found)
    curve = profile.curves[key]
    at = int(np.clip(np.searchsorted(curve.rate_rps, group.rate_rps), 1, len(curve.rate_rps) - 1))
    rise_w, rise_rps = np.diff(curve.power_w[at - 1 : at + 1])[0], np.diff(curve.rate_rps[at - 1 : at + 1])[0]
    return float(rise_w / rise_rps)
