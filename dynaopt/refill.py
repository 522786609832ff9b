"""What the instances that run serve of another demand, and at what power.

Instances stay what and where they are. Classes stay on their routes, in the same shares, where the pools can carry
that; otherwise each goes to its own pool as far as that can carry it, and on from there as far as need be. Within a
pool, instances get the loads that draw least of three: as before in proportion, as full as they get one after the
other, or all equally full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.load_sets import NUM_CLASSES, route
from dynaopt.pool import PoolOption
from dynaopt.pool_filling import DUST, Filling, equally_full, one_after_the_other, scaled, with_power
from dynaopt.problem import Problem

ROUNDING = 1e-9
Flows = dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refilled:
    """What became of instances under another demand.

    Parameters
    ----------
    allocation
        Their loads and routes; None where they do not serve it.
    reason
        Why not, in words.
    """

    allocation: Allocation | None = None
    reason: str = ""


def refill(problem: Problem, before: Allocation) -> Refilled:
    """Serve a problem's demand with the instances of an allocation.

    Parameters
    ----------
    problem
        What is to be served.
    before
        What runs, and where classes went.

    Returns
    -------
    Refilled
        An allocation wherever these instances, as they are, can serve the demand within every limit of the problem.
    """
    held, reason = _held(problem, before)
    if reason:
        return Refilled(reason=reason)
    usable = {p: _usable_rps(problem, own) for p, own in held.items()}
    flows = _as_before(problem, before, usable)
    if flows is None:
        flows = next(_as_possible(problem, usable), None)
    if flows is None:
        return Refilled(reason=_shortfall(problem, usable))
    allocation = _filled(problem, held, flows)
    cap_w = problem.cluster.power_cap_w
    if cap_w is not None and allocation.power_w > cap_w * (1 + ROUNDING):
        return Refilled(reason=f"it would draw {allocation.power_w:.0f} W of {cap_w:.0f} W allowed")
    return Refilled(allocation=allocation)


def _held(problem: Problem, before: Allocation) -> tuple[dict[int, Filling], str]:
    """Return the instances of each pool at their loads, or why there cannot be such instances."""
    index = {(pool.model, pool.request_class): p for p, pool in enumerate(problem.pools)}
    options = {(p, k.tp, k.frequency_mhz): k for p, pool in enumerate(problem.pools) for k in pool.options}
    held: dict[int, Filling] = defaultdict(list)
    for group in before.groups:
        p = index.get((group.model, group.pool))
        option = None if p is None else options.get((p, group.tp, group.frequency_mhz))
        if p is None or option is None:
            what = f"TP{group.tp} at {group.frequency_mhz} MHz" if p is not None else "what arrives is too far from it"
            return {}, f"pool {group.pool} is not on offer with it: {what}"
        held[p].append((option, group.num_instances, group.rate_per_instance_rps))
    if before.num_gpus > problem.num_gpus:
        return {}, f"it takes {before.num_gpus} GPUs of {problem.num_gpus}"
    for model, mix in problem.cluster.fixed_mix.items():
        runs: dict[int, int] = defaultdict(int)
        for group in before.groups:
            runs[group.tp] += group.num_instances if group.model == model else 0
        if any(runs[tp] != mix.get(tp, 0) for tp in {*runs, *mix}):
            return {}, f"it is not the fixed mix of {model}"
    return held, ""


def _usable_rps(problem: Problem, own: Filling) -> float:
    """Return the most load that a pool may be given, its reserve kept free."""
    capacity = sum(n * option.capacity_rps for option, n, _ in own)
    if problem.cluster.spare_instances:
        return capacity - max(option.capacity_rps for option, _, _ in own)
    return (1 - problem.cluster.reserve_share) * capacity


def _as_before(problem: Problem, before: Allocation, usable: dict[int, float]) -> Flows | None:
    """Give every pool the same shares of the same classes, if the pools can carry that."""
    index = {(pool.model, pool.request_class): p for p, pool in enumerate(problem.pools)}
    routed: dict[int, dict[int, float]] = defaultdict(dict)
    for r in before.routes:
        p = index.get((r.model, r.pool))
        if p is None:
            return None
        routed[index[r.model, r.request_class]][p] = r.rate_rps
    flows: Flows = {}
    for c, pool in enumerate(problem.classes):
        total = sum(routed[c].values())
        if pool.rate_rps > 0 and total <= 0:
            return None
        same = abs(total - pool.rate_rps) <= DUST * total
        for p, rate in routed[c].items() if pool.rate_rps > 0 else ():
            flows[c, p] = rate if same else pool.rate_rps * (rate / total)
    return flows if _is_carried(problem, flows, usable) else None


def _is_carried(problem: Problem, flows: Flows, usable: dict[int, float]) -> bool:
    loads: dict[int, float] = defaultdict(float)
    for (_, p), rate in flows.items():
        loads[p] += rate
    for p, load in loads.items():
        if load > usable.get(p, 0.0) * (1 + ROUNDING):
            return False
        # A mixed pool has all that arrives of all its classes: what it gets is what it was made for.
        members = problem.pools[p].members
        if members and abs(load - problem.pools[p].rate_rps) > ROUNDING * load:
            return False
    return True


def _as_possible(problem: Problem, usable: dict[int, float]) -> Iterator[Flows]:
    """Give each class to its own pool as far as that can carry it, beside mixed pools that can carry all of theirs."""
    able = [
        p
        for p, pool in enumerate(problem.pools)
        if pool.members and pool.rate_rps <= usable.get(p, 0.0) * (1 + ROUNDING)
    ]
    for number in range(len(able), -1, -1):
        for opened in combinations(able, number):
            members = [c for p in opened for c in problem.pools[p].members]
            if len(members) == len(set(members)):
                flows = {(c, p): problem.pools[c].rate_rps for p in opened for c in problem.pools[p].members}
                flows |= _routed(problem, usable, set(members))
                if _is_carried(problem, flows, usable):
                    yield flows


def _routed(problem: Problem, usable: dict[int, float], elsewhere: set[int]) -> Flows:
    flows: Flows = {}
    for first in range(0, len(problem.classes), NUM_CLASSES):
        own = range(first, first + NUM_CLASSES)
        rates = np.array([0.0 if c in elsewhere else problem.pools[c].rate_rps for c in own])
        room = np.array([usable.get(p, 0.0) for p in own])
        flows |= {(first + c, first + p): rate for c, p, rate in route(rates, room)}
    return flows


def _shortfall(problem: Problem, usable: dict[int, float]) -> str:
    """Say which pool, as the routes would be, gets most beyond what it can carry."""
    loads: dict[int, float] = defaultdict(float)
    for (_, p), rate in _routed(problem, usable, set()).items():
        loads[p] += rate
    p = max(loads, key=lambda at: loads[at] - usable.get(at, 0.0))
    mixed = [at for at in usable if problem.pools[at].members and problem.pools[at].rate_rps > usable[at]]
    if mixed:
        p = max(mixed, key=lambda at: problem.pools[at].rate_rps)
        loads[p] = problem.pools[p].rate_rps
    pool = problem.pools[p]
    return f"pool {pool.request_class} would get {loads[p]:.3g} requests/s and can carry {usable.get(p, 0.0):.3g}"


def _filled(problem: Problem, held: dict[int, Filling], flows: Flows) -> Allocation:
    arriving: dict[int, float] = defaultdict(float)
    for (_, p), rate in flows.items():
        arriving[p] += rate
    loads = []
    for p, own in held.items():
        loads += [Load(pool=p, option=k, num_instances=n, rate_rps=rate) for k, n, rate in _least(own, arriving[p])]
    return make_allocation(problem, loads, ((c, p, rate) for (c, p), rate in flows.items()))


def _least(own: Filling, load_rps: float) -> Filling:
    """Return the loads that draw least power; those in proportion to the loads before, where others draw as much."""
    counts: dict[PoolOption, int] = defaultdict(int)
    for option, n, _ in own:
        counts[option] += n
    alike = list(counts.items())
    found = [scaled(own, load_rps), one_after_the_other(alike, load_rps), equally_full(alike, load_rps)]
    ways = [with_power(way) for way in found if way is not None]
    least_w = min(power_w for power_w, _ in ways)
    return next(way for power_w, way in ways if power_w <= least_w * (1 + ROUNDING))
