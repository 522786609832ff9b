"""What one window may run of one model, and the cheapest of it when instances have prices.

A *mix* is how many instances of each tensor-parallel degree serve. Windows are tied together by these numbers alone:
giving an instance to another pool, or another clock, is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from dynaopt.allocation import Load
from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.group_answer import pools_of
from dynaopt.group_search import GroupAnswer, solve_group
from dynaopt.load_sets import NUM_CLASSES
from dynaopt.pool_value import IntArray
from dynaopt.price_search import PoolInstances, Workspace, pool_instances

Parts = tuple[tuple[int, int, float], ...]
"""Option of the group, number of instances, requests per second on each."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InstanceMix:
    """Instances that serve a model's arrivals in a window; plain, so that it can travel and be kept.

    Parameters
    ----------
    counts
        Instances of each degree, shape (degrees,).
    power_w
        What they draw, hosts included, beyond their GPUs when unused, in watts.
    pools
        Pools of the group that serve anything, with the load of each, in requests per second, and its instances.
    """

    counts: IntArray
    power_w: float
    pools: tuple[tuple[int, float, Parts], ...]

    def to_json(self) -> list[Any]:
        """Return it as lists and numbers, every digit kept."""
        return [self.counts.tolist(), self.power_w, self.pools]

    @classmethod
    def from_json(cls, kept: Sequence[Any]) -> InstanceMix:
        """Return what `to_json` kept."""
        counts, power_w, pools = kept
        own = tuple((p, load_rps, tuple((k, n, rate) for k, n, rate in parts)) for p, load_rps, parts in pools)
        return cls(counts=np.array(counts, dtype=np.int64), power_w=power_w, pools=own)


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
        return self._mix(answer, answer.cost_w - float(charged_w @ self._counts(answer))), lower_w

    def answer(self, mix: InstanceMix) -> GroupAnswer:
        """Return a mix as an answer for the group: where its instances are and what they serve."""
        loads_rps, chosen = np.zeros(len(self.group.pools)), [pool_instances(self.group, ())] * len(self.group.pools)
        for p, load_rps, parts in mix.pools:
            loads_rps[p], chosen[p] = load_rps, pool_instances(self.group, parts)
        return GroupAnswer(loads_rps, chosen, 0.0)

    def _mix(self, answer: GroupAnswer, power_w: float) -> InstanceMix:
        ways = enumerate(zip(answer.loads_rps.tolist(), answer.chosen or [], strict=True))
        pools = tuple((p, load, _plain(way.parts)) for p, (load, way) in ways if load > 0 or way.parts)
        return InstanceMix(counts=self._counts(answer), power_w=float(power_w), pools=pools)

    def _counts(self, answer: GroupAnswer) -> IntArray:
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
        return self._mix(part, self._power_w(part))

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


def _plain(parts: Parts) -> Parts:
    return tuple((int(k), int(n), float(rate)) for k, n, rate in parts)
