"""Ways to serve a pool's load that take as few instances of each tensor-parallel degree as possible.

No price of the degrees yields the ways between two that it yields; where a fixed mix is tight, one of these is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.price_search import PoolInstances, pool_instances

MAX_COVERS = 200
Part = tuple[int, int, float]


def covers(group: Group, p: int, load_rps: float) -> list[PoolInstances]:
    """Return ways to serve a load, each with numbers of instances of which none can be spared.

    Parameters
    ----------
    group
        A group whose limits are numbers of instances of each degree.
    p
        The pool.
    load_rps
        Its load, in requests per second.
    """
    options = np.array(group.pool_options(p), dtype=np.int64)
    if load_rps <= 0 or options.size == 0:
        return []
    capacity = group.breaks_rps[group.first_point[options + 1] - 1]
    by_degree = [options[group.usage[i, options] > 0] for i in range(group.limits.size)]
    most = np.array([capacity[group.usage[i, options] > 0].max(initial=0.0) for i in range(group.limits.size)])
    found = []
    for numbers in _minimal(most, group.limits, load_rps):
        ways = (_parts(group, by_degree, loads) for loads in _fillings(numbers, most, load_rps))
        found.append(min((pool_instances(group, parts) for parts in ways), key=lambda way: way.cost_w))
    return found


def _minimal(most: FloatArray, limits: FloatArray, load_rps: float) -> list[FloatArray]:
    """Return numbers of instances that have the capacity, and would not have it with one fewer of any degree."""
    needed = load_rps * (1 - 1e-12)
    found: list[FloatArray] = []
    degrees = [i for i in np.argsort(most) if most[i] > 0]
    if not degrees:
        return found
    first, others = degrees[0], degrees[1:]
    for counts in product(*(range(int(min(limits[i], np.ceil(needed / most[i]))) + 1) for i in others)):
        numbers = np.zeros(most.size)
        numbers[others] = counts
        numbers[first] = max(0.0, np.ceil((needed - float(numbers @ most)) / most[first]))
        spare = float(numbers @ most) - needed
        if numbers[first] <= limits[first] and (spare < most[numbers > 0]).all():
            found.append(numbers)
        if len(found) == MAX_COVERS:
            break
    return found


def _fillings(numbers: FloatArray, most: FloatArray, load_rps: float) -> Iterator[list[tuple[int, int, float]]]:
    """Give (degree, number, load of each) when all are equally full, and when each degree in turn is filled last."""
    share = min(1.0, load_rps / float(numbers @ most))
    used = [int(i) for i in np.flatnonzero(numbers)]
    yield [(i, int(numbers[i]), share * float(most[i])) for i in used]
    spare = float(numbers @ most) - load_rps
    for last in used:
        loads = [(i, int(numbers[i]) - (i == last), float(most[i])) for i in used]
        yield [*((i, n, x) for i, n, x in loads if n > 0), (last, 1, max(0.0, float(most[last]) - spare))]


def _parts(group: Group, by_degree: list[np.ndarray], loads: list[tuple[int, int, float]]) -> list[Part]:
    """Choose for every degree and load the cheapest option that carries it."""
    parts = []
    for degree, number, load in loads:
        costs = [_cost(group, int(k), load) for k in by_degree[degree]]
        parts.append((int(by_degree[degree][int(np.argmin(costs))]), number, load))
    return parts


def _cost(group: Group, k: int, load: float) -> float:
    rates, cost = group.curve(k)
    return float(np.interp(load, rates, cost)) if load <= rates[-1] * (1 + 1e-12) else np.inf
