"""Around the search of a group: how its pools cost, and what its answer means for the problem it was taken from."""

from __future__ import annotations

from typing import Literal

from dynaopt.allocation import Load
from dynaopt.flat_problem import Group
from dynaopt.group_search import GroupAnswer, Pools, usage_of
from dynaopt.load_sets import NUM_CLASSES, route
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.spare_pools import SparePools
from dynaopt.tabled_pools import TabledPools

Flow = tuple[int, int, float]
"""Class, pool (indices into `Problem.pools`), requests per second."""


def pools_of(
    group: Group, room: Workspace, reserve: float | Literal["n+1"], deadline_s: float, *, exactly: bool = False
) -> Pools:
    """Return how the pools of a group cost, with the spare capacity that is asked of them.

    Parameters
    ----------
    group
        The pools.
    room
        Where to compute.
    reserve
        As in `Cluster`.
    deadline_s
        When, on `time.perf_counter`, to stop improving an answer.
    exactly
        Whether to find what spare capacity costs to the end, which takes a second and not milliseconds.
    """
    if reserve == 0:
        return PlainPools(group, room)
    return (TabledPools if exactly else SparePools)(group, room, reserve, deadline_s)


def loads_and_flows(problem: Problem, group: Group, answer: GroupAnswer) -> tuple[list[Load], list[Flow]]:
    """Return the instances of a group's answer, and who is served where.

    Parameters
    ----------
    problem
        What the group was taken from.
    group
        The pools.
    answer
        Their loads and instances.
    """
    flows: list[Flow] = []
    for m, family in enumerate(group.open_families(answer.loads_rps)):
        part = slice(m * NUM_CLASSES, (m + 1) * NUM_CLASSES)
        first = group.pools[part.start]
        flows += [(first + c, first + p, rate) for c, p, rate in route(family.rates_rps, answer.loads_rps[part])]
        mixed = [group.pools[at] for at in family.mixed]
        flows += [(c, p, problem.pools[c].rate_rps) for p in mixed for c in problem.pools[p].members]
    loads = [
        Load(pool=p, option=group.options[k], num_instances=n, rate_rps=rate)
        for p, way in zip(group.pools, answer.chosen or [], strict=bool(answer.chosen))
        for k, n, rate in way.parts
    ]
    return loads, flows


def fillers_of(group: Group, answer: GroupAnswer) -> list[Load]:
    """Return the idle instances that fill what an answer leaves of the limits, where such run.

    Parameters
    ----------
    group
        The pools.
    answer
        Their instances.
    """
    loads = []
    left = group.limits - usage_of(answer.chosen or [], group.limits)
    for fillers, room in zip(group.fillers, left.tolist(), strict=True):
        for pool, option, size in fillers:
            count, room = int(room // size), room % size
            loads.append(Load(pool=pool, option=option, num_instances=count, rate_rps=0.0))
    return loads
