"""Pools whose instances are all alike: SinglePool, MultiPool, and with one knob ScaleInst and ScaleFreq.

DynamoLLM (HPCA 2025), section V: MultiPool separates the classes into pools, each sized for its own peak and never
changed; ScaleInst, ScaleShard and ScaleFreq are MultiPool with the number of instances, the tensor-parallel degree or
the clock adapted to the load. Here a knob is turned in every window, with the window's load known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case, Rival, Variant
from dynaopt.policies.served import Configuration, ServedPool, class_pools, mix_pools
from dynaopt.policies.sharing import IntArray, Shared, needed, share
from dynaopt.problem import unused_gpu_power_w
from dynaopt.profile import FloatArray
from dynaopt.schedule import Schedule

_MOST_LARGER = 2.0
"""How many times the fewest instances the best ScaleFreq may have: more of them can run at lower clocks."""


def usual(pool: ServedPool) -> Configuration:
    """Return the largest degree at the highest clock, which with eight GPUs to a server is the paper's TP8."""
    return pool.at(pool.largest_tp, max(c.frequency_mhz for c in pool.configurations))


class SinglePool(Rival):
    """One static pool for all classes, on the curves of a service's whole mix.

    Parameters
    ----------
    way
        ``usual`` is TP8 at the highest clock; ``best`` the degree and clock that take the least energy over the
        horizon; ``spread`` the usual one under a load balancer that gives all instances the same, as
        `dynaopt.single_pool` has it.
    """

    def __init__(self, way: Literal["spread", "usual", "best"]) -> None:
        names = {"spread": "spread-single-pool", "usual": "single-pool", "best": "best-single-pool"}
        titles = {"spread": "SinglePool, load spread", "usual": "SinglePool", "best": "best SinglePool"}
        self.name, self.title, self._way = names[way], titles[way], way

    def plan(self, case: Case) -> Schedule:
        """Size the pool for the busiest minute; see `Policy.plan`."""
        pools = mix_pools(case, by_input=False)
        return _schedule(case, self.name, pools, [[self._choose(case, pool)] for pool in pools])

    def _choose(self, case: Case, pool: ServedPool) -> Shared:
        configurations = pool.configurations if self._way == "best" else (usual(pool),)
        numbers = [_always(needed(pool, k, case.cluster)) for k in configurations]
        # One that the cluster has too few GPUs for is taken only where all are such.
        fits = [number.max() * k.tp <= case.cluster.num_gpus for k, number in zip(configurations, numbers, strict=True)]
        ways = [
            share(pool, k, number, spread=self._way == "spread")
            for k, number, fit in zip(configurations, numbers, fits, strict=True)
            if fit or not any(fits)
        ]
        return min(ways, key=lambda way: _cost_w(case, way))


class ScaleInst(Variant):
    """MultiPool with as many instances in each window as that window needs.

    Parameters
    ----------
    best
        Whether degree and clock of each pool, which never change, are those that take the least energy.
    """

    name, title = "scale-inst", "ScaleInst"

    def plan(self, case: Case) -> Schedule:
        """Size every pool; see `Policy.plan`."""
        pools = class_pools(case)
        return _schedule(case, self.name, pools, [[self._choose(case, pool)] for pool in pools])

    def _choose(self, case: Case, pool: ServedPool) -> Shared:
        configurations = pool.configurations if self._best else (usual(pool),)
        ways = (share(pool, k, self._number(needed(pool, k, case.cluster))) for k in configurations)
        return min(ways, key=lambda way: _cost_w(case, way))

    def _number(self, number: IntArray) -> IntArray:
        return number


class MultiPool(ScaleInst):
    """Static pools, one for each class: TP8 at the highest clock, or each at its best degree and clock.

    Each is sized for its own busiest minute.

    Parameters
    ----------
    best
        Whether degree and clock of each pool are those that take the least energy over the horizon.
    """

    name, title = "multi-pool", "MultiPool"

    def _number(self, number: IntArray) -> IntArray:
        return _always(number)


class ScaleFreq(Variant):
    """MultiPool with the clock that takes the least power in each window.

    Parameters
    ----------
    best
        Whether degree and number of instances of each pool, which never change, are those that take the least energy.
    """

    name, title = "scale-freq", "ScaleFreq"

    def plan(self, case: Case) -> Schedule:
        """Choose a clock for every pool and window; see `Policy.plan`."""
        pools = class_pools(case)
        return _schedule(case, self.name, pools, [self._choose(case, pool) for pool in pools])

    def _choose(self, case: Case, pool: ServedPool) -> list[Shared]:
        ways = (_at_best_clocks(case, pool, tp, number) for tp, number in self._sizes(case, pool))
        return min(ways, key=lambda parts: sum(float(part.power_w.sum()) for part in parts))

    def _sizes(self, case: Case, pool: ServedPool) -> Iterator[tuple[int, int]]:
        """Give degrees and numbers of instances that serve the busiest minute at the highest clock."""
        if not self._best:
            yield pool.largest_tp, int(needed(pool, usual(pool), case.cluster).max())
            return
        for tp in sorted({k.tp for k in pool.configurations}):
            fewest = min(int(needed(pool, k, case.cluster).max()) for k in pool.configurations if k.tp == tp)
            yield from ((tp, number) for number in range(fewest, int(fewest * _MOST_LARGER) + 1))


def _at_best_clocks(case: Case, pool: ServedPool, tp: int, number: int) -> list[Shared]:
    """Return `number` instances at the cheapest clock of each window: a part for each clock, zero where not taken."""
    clocks = [k for k in pool.configurations if k.tp == tp]
    count = np.full(len(pool.load_rps), number)
    ways = [share(pool, k, count) for k in clocks]
    enough = [needed(pool, k, case.cluster) <= number for k in clocks]
    power_w = np.array([np.where(can, way.power_w, np.inf) for can, way in zip(enough, ways, strict=True)])
    chosen = power_w.argmin(axis=0)
    return [
        replace(way, count=np.where(chosen == n, way.count, 0), power_w=np.where(chosen == n, way.power_w, 0.0))
        for n, way in enumerate(ways)
    ]


def _always(number: IntArray) -> IntArray:
    return np.full_like(number, number.max())


def _cost_w(case: Case, way: Shared) -> float:
    """Return the mean power of a pool, with what cold starts take when its instances grow in number, in watts."""
    power, start_up = case.profiles[0].metadata.power, case.profiles[0].metadata.start_up
    started: FloatArray = np.maximum(np.diff(way.number), 0) * way.configuration.tp
    start_j = float(started.sum()) * power.start_up_gpu_w * start_up.cold_s
    unused_w = unused_gpu_power_w(case.profiles[0], case.cluster)
    freed_w = float(way.number.mean()) * way.configuration.tp * unused_w
    return float(way.power_w.mean()) - freed_w + start_j / (case.demand.window_s * len(way.power_w))


def _schedule(case: Case, name: str, pools: list[ServedPool], chosen: list[list[Shared]]) -> Schedule:
    groups = [way.groups(pool) for pool, ways in zip(pools, chosen, strict=True) for way in ways]
    return assemble(case, name, groups, [pool.routes() for pool in pools])
