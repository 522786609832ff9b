"""What one window may run of one model, and the cheapest of it when instances have prices.

A *mix* is how many instances of each tensor-parallel degree serve. Windows are tied together by these numbers alone:
giving an instance to another pool, or another clock, is free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dynaopt.allocation import Load
from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.group_answer import pools_of
from dynaopt.group_search import GroupAnswer, solve_group
from dynaopt.load_sets import NUM_CLASSES
from dynaopt.pool_value import IntArray
from dynaopt.price_search import PoolInstances, Workspace, pool_instances


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InstanceMix:
    """Instances that serve a model's arrivals in a window.

    Parameters
    ----------
    counts
        Instances of each degree, shape (degrees,).
    power_w
        What they draw, hosts included, beyond their GPUs when unused, in watts.
    answer
        Where they are and what they serve.
    """

    counts: IntArray
    power_w: float
    answer: GroupAnswer


class ModelWindow:
    """One model in one window.

    Parameters
    ----------
    group
        Its pools; the limit is that of GPUs.
    degrees
        Tensor-parallel degrees, ascending, shape (degrees,).
    unused_w
        What a GPU draws that is under no instance, in watts.
    reserve
        As in `Cluster`.
    """

    def __init__(self, group: Group, degrees: IntArray, unused_w: float, reserve: float | Literal["n+1"]) -> None:
        self.group = group
        self.degrees = degrees
        self._reserve = reserve
        tp = np.array([k.tp for k in group.options], dtype=np.int64)
        self._degree_of = np.searchsorted(degrees, tp)
        # A group charges for GPUs beyond the cheapest way to leave them idle, which may be under an instance.
        self._sleep_w = tp * (group.base_w / max(float(group.limits[0]), 1.0) - unused_w)
        self._least_w = self.idle_w(len(group.pools))

    def cheapest(
        self, price_w: FloatArray, room: Workspace, *, max_nodes: int, gap: float
    ) -> tuple[InstanceMix | None, float]:
        """Find the mix of least power and price.

        Parameters
        ----------
        price_w
            Price of an instance of each degree, in watts, shape (degrees,); may be below 0.
        room
            Where to compute.
        max_nodes, gap
            As for `group_search.solve_group`.

        Returns
        -------
        tuple
            The mix, None if none was found; and what no mix goes below, its price included, in watts.
        """
        group = self.group
        # The search knows no negative costs. What an instance would earn beyond its idle power is left out, and taken
        # off the bound for as many as there can be.
        charged_w = np.maximum(price_w, -self._least_w)
        missed_w = float((price_w - charged_w) @ (group.limits[0] // self.degrees))
        extra_w = np.repeat(charged_w[self._degree_of] + self._sleep_w, np.diff(group.first_point))
        priced = replace(group, cost_w=np.maximum(group.cost_w + extra_w, 0.0))
        answer = solve_group(pools_of(priced, room, self._reserve, np.inf), max_nodes, gap, np.inf)
        lower_w = answer.lower_w + missed_w
        if answer.chosen is None:
            return None, lower_w
        counts = self.counts(answer)
        return InstanceMix(counts=counts, power_w=answer.cost_w - float(charged_w @ counts), answer=answer), lower_w

    def counts(self, answer: GroupAnswer) -> IntArray:
        """Return how many instances of each degree an answer has, shape (degrees,)."""
        counts = np.zeros(self.degrees.size, dtype=np.int64)
        for way in answer.chosen or []:
            for k, n, _ in way.parts:
                counts[self._degree_of[k]] += n
        return counts

    def part_of(self, joint: Group, answer: GroupAnswer) -> InstanceMix:
        """Return this model's part of an answer for several models together.

        Parameters
        ----------
        joint
            The group that it is part of.
        answer
            The group's answer.
        """
        at = [joint.pools.index(p) for p in self.group.pools]
        chosen = [(answer.chosen or [])[n] for n in at]
        part = GroupAnswer(answer.loads_rps[at], [self._anew(joint, way.parts) for way in chosen], 0.0)
        return InstanceMix(counts=self.counts(part), power_w=self._power_w(part), answer=part)

    def _anew(self, joint: Group, parts: tuple[tuple[int, int, float], ...]) -> PoolInstances:
        """Return instances of a joint group as instances of this one."""
        own = {id(option): k for k, option in enumerate(self.group.options)}
        return pool_instances(self.group, [(own[id(joint.options[k])], n, rate) for k, n, rate in parts])

    def _power_w(self, answer: GroupAnswer) -> float:
        sleep_w = sum(n * float(self._sleep_w[k]) for way in answer.chosen or [] for k, n, _ in way.parts)
        return answer.cost_w + sleep_w

    def _idlest(self, num_pools: int) -> list[int | None]:
        """Return the option of each degree, among those of the first pools, that draws least without load."""
        group, degrees = self.group, range(self.degrees.size)
        options = np.arange(int(group.first_option[num_pools]))
        power_w = group.cost_w[group.first_point[options]] + self._sleep_w[options]
        own = [options[self._degree_of[options] == d] for d in degrees]
        return [int(k[power_w[k].argmin()]) if k.size else None for k in own]

    def idle_w(self, num_pools: int = NUM_CLASSES) -> FloatArray:
        """Return what the cheapest instance of each degree draws that serves nothing, beyond its GPUs when unused.

        Parameters
        ----------
        num_pools
            How many of the pools, the first ones, may hold it; by default those of classes, for mixed ones come and go.

        Returns
        -------
        numpy.ndarray
            In watts, shape (degrees,); infinite where there is none.
        """
        first, cost_w = self.group.first_point, self.group.cost_w
        found = self._idlest(num_pools)
        return np.array([np.inf if k is None else float(cost_w[first[k]] + self._sleep_w[k]) for k in found])

    def idle_loads(self, counts: IntArray) -> list[Load]:
        """Return idle instances.

        Parameters
        ----------
        counts
            How many of each degree, shape (degrees,).
        """
        group, loads = self.group, []
        for count, k in zip(counts.tolist(), self._idlest(NUM_CLASSES), strict=True):
            if count > 0 and k is not None:
                pool = group.pools[int(np.searchsorted(group.first_option, k, side="right")) - 1]
                loads.append(Load(pool=pool, option=group.options[k], num_instances=count, rate_rps=0.0))
        return loads
