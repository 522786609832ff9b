"""The answer to one window: which instances run at which load, and who serves whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dynaopt.pool import Pool, PoolOption
from dynaopt.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceGroup:
    """Identical instances: one pool, one configuration, one load.

    `rate_per_instance_rps` is the load on each, in requests per second; `power_per_instance_w` the power of each, in
    watts, host excluded.
    """

    model: str
    pool: str
    tp: int
    frequency_mhz: int
    num_instances: int
    rate_per_instance_rps: float
    power_per_instance_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How much of a class goes to a pool, in requests per second."""

    model: str
    request_class: str
    pool: str
    rate_rps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What runs in a window.

    Parameters
    ----------
    groups
        The instances.
    routes
        Where each class is served.
    power_w
        Mean power of the cluster in the window, in watts: instances, their share of hosts, and unused GPUs.
    gpu_price_w
        What the objective charges for each GPU in use beside its power, in watts; 0, the default, when it is energy.
    """

    groups: tuple[InstanceGroup, ...]
    routes: tuple[Route, ...]
    power_w: float
    gpu_price_w: float = 0.0

    @property
    def objective_w(self) -> float:
        """What is minimised, in watts: the power, and the price of the GPUs in use."""
        return self.power_w + self.gpu_price_w * self.num_gpus

    @property
    def num_gpus(self) -> int:
        """GPUs in use."""
        return sum(g.tp * g.num_instances for g in self.groups)

    @property
    def num_instances(self) -> int:
        """Instances that run."""
        return sum(g.num_instances for g in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Instances as a solver found them: `num_instances` of an option of a pool, each at `rate_rps`."""

    pool: int
    option: PoolOption
    num_instances: int
    rate_rps: float


def make_allocation(problem: Problem, loads: Iterable[Load], flows: Iterable[tuple[int, int, float]]) -> Allocation:
    """Write an answer in the user's words, its power computed from integer counts and the curves.

    Parameters
    ----------
    problem
        What was solved.
    loads
        The instances. Those of zero count are left out; those alike in all, load included, become one group.
    flows
        Triples (class, pool, requests per second) of indices into `problem.pools`. Zero flows are left out.

    Returns
    -------
    Allocation
        With its groups and routes in the order of the pools.
    """
    alike: dict[tuple[int, int, int, float], Load] = {}
    for load in loads:
        key = (load.pool, load.option.tp, load.option.frequency_mhz, load.rate_rps)
        before = alike[key].num_instances if key in alike else 0
        alike[key] = replace(load, num_instances=load.num_instances + before)
    kept = [alike[key] for key in sorted(alike) if alike[key].num_instances > 0]
    groups = tuple(_group(problem.pools[n.pool], n) for n in kept)
    routes = tuple(
        Route(
            model=problem.pools[c].model,
            request_class=problem.pools[c].request_class,
            pool=problem.pools[p].request_class,
            rate_rps=rate,
        )
        for c, p, rate in sorted(flows)
        if rate > 0
    )
    used = sum(n.num_instances * n.option.tp for n in kept)
    power_w = sum(g.num_instances * g.power_per_instance_w for g in groups)
    price_w = problem.gpu_price_w
    power_w += sum(n.num_instances * n.option.tp * (problem.pools[n.pool].gpu_power_w - price_w) for n in kept)
    power_w += (problem.num_gpus - used) * problem.unused_gpu_power_w
    return Allocation(groups=groups, routes=routes, power_w=power_w, gpu_price_w=price_w)


def _group(pool: Pool, load: Load) -> InstanceGroup:
    option = load.option
    rate_rps = min(max(load.rate_rps, 0.0), option.capacity_rps)
    return InstanceGroup(
        model=pool.model,
        pool=pool.request_class,
        tp=option.tp,
        frequency_mhz=option.frequency_mhz,
        num_instances=load.num_instances,
        rate_per_instance_rps=rate_rps,
        power_per_instance_w=float(np.interp(rate_rps, option.rate_rps, option.power_w)),
    )
