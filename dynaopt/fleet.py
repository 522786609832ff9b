"""The instances that run, as numbers of each tensor-parallel degree, and how they serve what really arrives.

While a window lasts, instances neither start nor stop. Which pool an instance serves, its clock and the routes follow
what arrives. Where the instances are too few for the arrivals with the whole headroom, the headroom is used up first;
what does not fit without any is overload.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.capacity_program import capacities, solve_program
from dynaopt.flat_problem import groups_of
from dynaopt.fleet_search import solve_within
from dynaopt.group_search import GroupAnswer, solve_group
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace
from dynaopt.problem import Cluster, Problem, WindowDemand
from dynaopt.profile import FloatArray, Profile
from dynaopt.slo import Slo
from dynaopt.solvers import solve
from dynaopt.solvers.greedy import allocation_of
from dynaopt.solvers.quiet import silenced_stdout

IntArray = npt.NDArray[np.int64]

_NODES = 200
_GAP = 2e-4
_PROGRAM_SECONDS = 1.0
_MILP_SECONDS, _MILP_GAP = 10.0, 1e-3
# The capacity program tells how much fits at most; the price search may need a little slack to find an answer.
_LADDER = (0.9999, 0.995, 0.985, 0.97, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Served:
    """How a fleet serves a window.

    Parameters
    ----------
    allocation
        All instances of the fleet, those that only idle among them. Rates are of what is served.
    share
        Of the arrivals that is served within the SLO at the busiest minute, 1 for all.
    headroom
        Share that every instance has left over at the busiest minute.
    gap
        By what share the power may exceed the least with these instances.
    """

    allocation: Allocation
    share: float
    headroom: float
    gap: float


class Fleet:
    """Serves windows of one model with given instances.

    Parameters
    ----------
    profile
        The model's.
    slo
        Latency objectives.
    cluster
        GPUs, headroom, reserve (planned for, and used where it is needed), unused GPUs, hosts.
    """

    def __init__(self, profile: Profile, slo: Slo, cluster: Cluster) -> None:
        self.profile, self.slo, self.cluster = profile, slo, cluster
        self.tps: IntArray = np.array(profile.tps, dtype=np.int64)
        self._room = Workspace()
        self._prices: dict[tuple[int, ...], FloatArray] = {}

    def num_gpus(self, counts: IntArray) -> int:
        """Return the GPUs under instances, whose numbers by degree have shape (tps,)."""
        return int(counts @ self.tps)

    def needed(self, window: WindowDemand) -> IntArray:
        """Return the instances of each degree that serve a window at least power, shape (tps,).

        Parameters
        ----------
        window
            What is expected. Where the cluster is too small for it, all of its GPUs are needed.
        """
        found = self._freely(window)
        if found is None:
            return self.filled(np.zeros(self.tps.size, dtype=np.int64), self.cluster.num_gpus)
        return self._counts(found.allocation)

    def _counts(self, allocation: Allocation) -> IntArray:
        counts = np.zeros(self.tps.size, dtype=np.int64)
        for group in allocation.groups:
            counts[np.searchsorted(self.tps, group.tp)] += group.num_instances
        return counts

    def _freely(self, window: WindowDemand) -> Served | None:
        """Serve a window with whatever instances take the least power."""
        problem = Problem(
            demand=window, profiles={self.profile.model: self.profile}, slo=self.slo, cluster=self.cluster
        )
        groups = groups_of(problem)
        answer = solve_group(PlainPools(groups[0], self._room), _NODES, 1e-4, np.inf)
        if answer.chosen is None:
            return None
        return _served(allocation_of(problem, groups, [answer]), answer.cost_w - answer.lower_w, 1.0, problem)

    def filled(self, counts: IntArray, num_gpus: int) -> IntArray:
        """Return as many of these instances as GPUs hold, the largest first, and idle ones of the largest that fit.

        Parameters
        ----------
        counts
            Instances of each degree that are wanted, shape (tps,).
        num_gpus
            GPUs to put instances on.
        """
        kept, left = np.zeros_like(counts), num_gpus
        for wanted in (counts, np.full_like(counts, num_gpus)):
            for at in range(self.tps.size - 1, -1, -1):
                number = min(int(wanted[at] - kept[at] if wanted is counts else wanted[at]), left // int(self.tps[at]))
                kept[at] += number
                left -= number * int(self.tps[at])
        return kept

    def serve(self, window: WindowDemand, counts: IntArray) -> Served | None:
        """Serve what arrives with the instances there are.

        Parameters
        ----------
        window
            What arrives.
        counts
            Instances of each degree, shape (tps,).

        Returns
        -------
        Served or None
            None where they can serve nothing of it.
        """
        free = self._freely(window)
        needed = None if free is None else self._counts(free.allocation)
        if free is not None and needed is not None and np.array_equal(needed, counts):
            return free
        found = self._try(window, counts, 1.0, self.cluster.headroom)
        if free is not None and needed is not None and (needed <= counts).all():
            idling = self._with_idle(free, window, counts - needed)
            if found is None or idling.allocation.power_w < found.allocation.power_w:
                gap = idling.gap if found is None else min(found.gap, idling.gap)
                found = replace(idling, gap=gap)
        if found is not None:
            return found
        problem = self._problem(window, counts, self.cluster.headroom)
        with silenced_stdout():
            most = solve_program(capacities(problem, wanted="share"), _PROGRAM_SECONDS)
        if most is None or not most.value < 0:
            return None
        # Capacities go with 1 / (1 + headroom), so that this much fits without any.
        whole = -most.value * (1 + self.cluster.headroom)
        if -most.value > 1 - _TINY and (found := self._proved(problem)) is not None:
            return found
        for slack in _LADDER:
            share = min(1.0, whole * slack)
            found = self._try(window, counts, share, max(0.0, min(whole * slack - 1, self.cluster.headroom)))
            if found is not None:
                return found
        return None

    def _with_idle(self, free: Served, window: WindowDemand, spare: IntArray) -> Served:
        """Return the same with more instances, which idle where they take least.

        Without a better bound, its gap is what the idle ones take.
        """
        problem = self._problem(window, spare, self.cluster.headroom)
        group = groups_of(problem)[1]
        left = zip((int(n) for n in spare if n > 0), group.fillers, strict=True)
        idle = [
            Load(pool=pool, option=option, num_instances=number, rate_rps=0.0)
            for number, fillers in left
            for pool, option, _ in fillers[:1]
        ]
        alone = make_allocation(problem, idle, [])
        unused_w = problem.num_gpus * problem.unused_gpu_power_w
        merged = replace(
            free.allocation,
            groups=free.allocation.groups + alone.groups,
            power_w=free.allocation.power_w + alone.power_w - unused_w,
        )
        more_w = merged.power_w - free.allocation.power_w * (1 - free.gap)
        return replace(free, allocation=merged, gap=more_w / merged.power_w)

    def _try(self, window: WindowDemand, counts: IntArray, share: float, headroom: float) -> Served | None:
        scaled = window if share == 1 else _scaled(window, share)
        problem = self._problem(scaled, counts, headroom)
        groups = groups_of(problem)
        answers = [GroupAnswer(np.zeros(0), [], 0.0)]
        key = tuple((counts > 0).tolist())
        group = groups[1]
        start = self._prices.get(key, np.zeros(group.limits.size))
        gap_w = _GAP * group.base_w
        found = solve_within(PlainPools(group, self._room), start, max_nodes=_NODES, gap_w=gap_w)
        self._prices[key] = found.prices
        if found.chosen is None:
            return None
        answers.append(GroupAnswer(found.loads_rps, found.chosen, found.lower_w))
        allocation = allocation_of(problem, groups, answers)
        return _served(allocation, found.cost_w - found.lower_w, share, problem)

    def _proved(self, problem: Problem) -> Served | None:
        """Serve with instances that just suffice: there is an answer, though the price search finds none."""
        found = solve(problem, solver="highs", time_limit_s=_MILP_SECONDS, gap_tolerance=_MILP_GAP)
        if found.allocation is None:
            return None
        return _served(found.allocation, found.allocation.power_w - found.lower_bound_w, 1.0, problem)

    def _problem(self, window: WindowDemand, counts: IntArray, headroom: float) -> Problem:
        mix = {int(tp): int(n) for tp, n in zip(self.tps, counts, strict=True)}
        cluster = self.cluster.model_copy(
            update={"fixed_mix": {self.profile.model: mix}, "headroom": headroom, "reserve": 0.0}
        )
        return Problem(demand=window, profiles={self.profile.model: self.profile}, slo=self.slo, cluster=cluster)


def _served(allocation: Allocation, excess_w: float, share: float, problem: Problem) -> Served:
    gap = max(0.0, excess_w) / max(allocation.power_w, _TINY)
    return Served(allocation=allocation, share=share, headroom=problem.cluster.headroom, gap=gap)


def _scaled(window: WindowDemand, share: float) -> WindowDemand:
    rates = {model: rate * share for model, rate in window.rate_rps.items()}
    return replace(window, rate_rps=rates)
