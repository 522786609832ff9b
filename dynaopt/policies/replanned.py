"""Pools of mixes re-planned in every window with degree, clock and number free: the strongest simple rivals.

One pool takes a whole service on the curves of its mix; three pools take its short, medium and long inputs. What comes
to a pool is known, so that each window is one `pool_value` for each pool, and a price for GPUs where they are short.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from dynaopt.errors import NoSolutionError
from dynaopt.flat_problem import Group
from dynaopt.group_search import Pools, solve_group
from dynaopt.plain_pools import PlainPools
from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case, Rival
from dynaopt.policies.served import Configuration, ServedPool, mix_pools
from dynaopt.policies.sharded_pools import Rows, rows_frame
from dynaopt.pool import PoolOption
from dynaopt.price_search import PoolInstances, Relaxed, Workspace
from dynaopt.problem import unused_gpu_power_w
from dynaopt.profile import FloatArray
from dynaopt.schedule import Schedule
from dynaopt.spare_pools import SparePools

_NODES = 1


class Replanned(Rival):
    """Pools of mixes, each window for itself.

    Parameters
    ----------
    by_input
        Whether there is a pool for each length of inputs, instead of one for all.
    """

    def __init__(self, *, by_input: bool) -> None:
        self.name = "input-pools" if by_input else "one-mixed-pool"
        self.title = "pools by input length" if by_input else "one mixed pool"
        self._by_input = by_input

    def plan(self, case: Case) -> Schedule:
        """Solve every window; see `Policy.plan`."""
        began_s = time.perf_counter()
        pools = mix_pools(case, by_input=self._by_input)
        rows: list[Rows] = [[] for _ in pools]
        solver = PoolWindows(case, pools)
        for window in range(case.demand.num_windows):
            answer = solver.solve(window)
            if answer is None:
                start, limit = case.demand.starts[window], case.cluster.num_gpus
                raise NoSolutionError(f"{limit} GPUs are too few for these pools at {start:%Y-%m-%d %H:%M}")
            for own, parts in zip(rows, answer.rows, strict=True):
                own += parts
        groups = [rows_frame(pool, own) for pool, own in zip(pools, rows, strict=True) if own]
        routes = [pool.routes() for pool in pools]
        return assemble(case, self.name, groups, routes, time.perf_counter() - began_s)


@dataclass(frozen=True, slots=True, eq=False)
class PoolsAnswer:
    """What some pools run in a window.

    Parameters
    ----------
    rows
        The instances of each pool.
    power_w
        What they add to the cluster's power: with hosts, less what their GPUs would draw unused, in watts.
    num_gpus
        GPUs under them.
    """

    rows: list[Rows]
    power_w: float
    num_gpus: int


class PoolWindows:
    """Solves the windows of pools whose arrivals are known.

    Parameters
    ----------
    case
        Its cluster's GPUs, reserve and unused GPUs count.
    pools
        The pools.
    """

    def __init__(self, case: Case, pools: list[ServedPool]) -> None:
        self._case, self._pools, self._room = case, pools, Workspace()
        self._unused_w = unused_gpu_power_w(case.profiles[0], case.cluster)

    def solve(self, window: int) -> PoolsAnswer | None:
        """Return the cheapest instances for a window; None if the cluster has too few GPUs for any.

        Parameters
        ----------
        window
            Its number.
        """
        group = self._group(window)
        chosen = solve_group(_FixedLoads(self._inner(group), group), _NODES, 0.0, np.inf).chosen
        if chosen is None:
            return None
        rows = [
            [(window, k - int(group.first_option[p]), n, rate) for k, n, rate in way.parts]
            for p, way in enumerate(chosen)
        ]
        used = sum(float(way.usage.sum()) for way in chosen)
        return PoolsAnswer(rows, sum(way.cost_w for way in chosen), round(used))

    def _inner(self, group: Group) -> Pools:
        reserve = self._case.cluster.reserve
        return PlainPools(group, self._room) if reserve == 0 else SparePools(group, self._room, reserve, np.inf)

    def _group(self, window: int) -> Group:
        cut = [[_cut(k, float(pool.stretch[window])) for k in pool.configurations] for pool in self._pools]
        options = tuple(option for own in cut for option in own)
        hosts = [pool.host_w - self._unused_w for pool, own in zip(self._pools, cut, strict=True) for _ in own]
        costs = [_rising(k.power_w + k.tp * host) for k, host in zip(options, hosts, strict=True)]
        loads = np.array([pool.load_rps[window] for pool in self._pools])
        return Group(
            pools=tuple(range(len(cut))),
            options=options,
            first_option=np.cumsum([0, *map(len, cut)]).astype(np.int64),
            first_point=np.cumsum([0, *(k.rate_rps.size for k in options)]).astype(np.int64),
            breaks_rps=np.concatenate([k.rate_rps for k in options]),
            cost_w=np.concatenate(costs),
            most_rps=loads,
            families=(),
            usage=np.array([[float(k.tp) for k in options]]),
            limits=np.array([float(self._case.cluster.num_gpus)]),
            base_w=0.0,
            fillers=((),),
        )


class _FixedLoads:
    """Pools of which each has its own arrivals, so that there is nothing to split; see `group_search.Pools`."""

    def __init__(self, pools: Pools, group: Group) -> None:
        self.group = group
        self._pools, self._loads = pools, group.most_rps
        self.set_prices(np.zeros(group.limits.size))

    def set_prices(self, prices: FloatArray, power_weight: float = 1.0) -> None:
        """Make the prices those of the calls that follow."""
        self._prices, self._weight = prices, power_weight
        self._pools.set_prices(prices, power_weight)

    def search(self, max_nodes: int, gap: float) -> Relaxed:  # noqa: ARG002 - part of the protocol
        """Return the loads as they are."""
        ways = self._pools.instances(self._loads)
        cost = sum(way.priced(self._prices, self._weight) for way in ways)
        return Relaxed(self._loads, cost, cost)

    def instances(self, loads_rps: FloatArray) -> list[PoolInstances]:
        """Return the cheapest instances of each pool at its load."""
        return self._pools.instances(loads_rps)

    def instances_of(self, p: int, load_rps: float) -> PoolInstances:
        """Return the cheapest instances of a pool at a load."""
        return self._pools.instances_of(p, load_rps)

    def keeping(self, p: int, load_rps: float, way: PoolInstances, shares: FloatArray) -> list[PoolInstances]:
        """Return ways that keep shares of given instances and serve the rest at least cost."""
        return self._pools.keeping(p, load_rps, way, shares)

    def covers(self, p: int, load_rps: float) -> list[PoolInstances]:
        """Return ways to serve a load that no prices yield."""
        return self._pools.covers(p, load_rps)


def _cut(configuration: Configuration, stretch: float) -> PoolOption:
    curve, capacity = configuration.curve, configuration.slo_rate_rps / stretch
    inside = curve.rate_rps < capacity * (1 - 1e-9)
    rates = np.append(curve.rate_rps[inside], capacity)
    return PoolOption(
        tp=curve.tp, frequency_mhz=curve.frequency_mhz, rate_rps=rates, power_w=configuration.power_w(rates)
    )


def _rising(cost_w: FloatArray) -> FloatArray:
    """Return the least cost at each load or a higher one, for `pool_value` takes no curve that falls."""
    rising: FloatArray = np.minimum.accumulate(cost_w[::-1])[::-1]
    return rising
