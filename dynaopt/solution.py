"""From the numbers of a solver to an allocation that holds exactly.

Solvers keep rows to about 1e-6. Here counts become whole, flows add up to the arrivals, and the loads of a pool's
instances add up to its flow within their capacities, so that nothing is served on paper only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.errors import SolverError
from dynaopt.formulation import Formulation, PoolColumns
from dynaopt.pool import PoolOption
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray

SLACK = 1e-9
DUST = 1e-12
Flows = dict[tuple[int, int], float]


@dataclass(slots=True)
class Instances:
    """The instances of one pool while their loads are being settled; `free` is the one that takes the remainder."""

    options: list[PoolOption] = field(default_factory=list)
    loads_rps: list[float] = field(default_factory=list)
    free: int | None = None

    @property
    def capacity_rps(self) -> float:
        """Most load of all together, in requests per second."""
        return sum(option.capacity_rps for option in self.options)

    @property
    def largest_rps(self) -> float:
        """Most load of the largest one, in requests per second."""
        return max((option.capacity_rps for option in self.options), default=0.0)

    def add(self, option: PoolOption, count: int, load_rps: float, *, is_point: bool) -> None:
        """Add instances at one load; the first that is not at a point becomes the free one."""
        self.options += [option] * count
        self.loads_rps += [load_rps] * count
        if not is_point and count and self.free is None:
            self.free = len(self.options) - 1

    def settle(self, load_rps: float) -> None:
        """Change loads until they add up: first that of the free instance, then the others' as far as needed."""
        order = list(range(len(self.options)))
        if self.free is not None:
            order.remove(self.free)
            order.insert(0, self.free)
        missing = load_rps - sum(self.loads_rps)
        for n in order:
            changed = min(max(self.loads_rps[n] + missing, 0.0), self.options[n].capacity_rps)
            missing -= changed - self.loads_rps[n]
            self.loads_rps[n] = changed


def read_allocation(formulation: Formulation, values: FloatArray) -> Allocation:
    """Turn the values of the variables into an allocation.

    Parameters
    ----------
    formulation
        What was solved.
    values
        A value for each variable of its model, feasible within a solver's tolerances.

    Returns
    -------
    Allocation
        Flows add up to the arrivals, and loads to the flows, to rounding; its power is computed from the curves.

    Raises
    ------
    SolverError
        If the values are too far from feasible to be repaired.
    """
    instances = {columns.pruned.pool: _instances(columns, values) for columns in formulation.pools}
    return settle(formulation.problem, instances, _flows(formulation.problem, formulation.pools, values))


def settle(problem: Problem, instances: dict[int, Instances], flows: Flows) -> Allocation:
    """Make flows and loads agree to rounding.

    Parameters
    ----------
    problem
        What was solved.
    instances
        The instances of each pool, by its index.
    flows
        Requests per second of each class that each pool serves, by the indices of both; changed in place.

    Raises
    ------
    SolverError
        If flows and capacities are too far from each other.
    """
    spare = problem.cluster.spare_instances
    _fit(problem, flows, {p: held.capacity_rps - spare * held.largest_rps for p, held in instances.items()})
    _drop_dust(flows)
    arriving = _arriving(flows)
    loads = []
    for p, held in instances.items():
        held.settle(arriving[p])
        same = Counter(zip(map(id, held.options), held.loads_rps, strict=True))
        by_id = {id(option): option for option in held.options}
        loads += [
            Load(pool=p, option=by_id[at], num_instances=count, rate_rps=rate) for (at, rate), count in same.items()
        ]
    return make_allocation(problem, loads, ((c, p, rate) for (c, p), rate in flows.items()))


def _flows(problem: Problem, pools: tuple[PoolColumns, ...], values: FloatArray) -> Flows:
    shares: dict[int, dict[int, float]] = defaultdict(dict)
    for columns in pools:
        for c, column in columns.share:
            if values[column] > SLACK:
                shares[c][columns.pruned.pool] = float(values[column])
    flows = {}
    for c, by_pool in shares.items():
        kept = _settled(problem, by_pool)
        total = sum(kept.values())
        for p, share in kept.items():
            flows[c, p] = problem.pools[c].rate_rps * (share / total)
    return flows


def _settled(problem: Problem, shares: dict[int, float]) -> dict[int, float]:
    """Leave of the shares of a class in pools that of the mixed pool which serves it whole, or those beside such."""
    mixed = {p: share for p, share in shares.items() if problem.pools[p].members}
    whole = {p: share for p, share in mixed.items() if share > 0.5}
    return whole or {p: share for p, share in shares.items() if p not in mixed}


def _instances(columns: PoolColumns, values: FloatArray) -> Instances:
    held = Instances()
    for segment, column in columns.counted():
        held.add(segment.option, round(values[column]), segment.lower_rps, is_point=segment.is_point)
    return held


def _arriving(flows: Flows) -> dict[int, float]:
    arriving: dict[int, float] = defaultdict(float)
    for (_, p), rate in flows.items():
        arriving[p] += rate
    return arriving


def _fit(problem: Problem, flows: Flows, capacity_rps: dict[int, float]) -> None:
    """Move what a pool cannot carry, a tolerance's worth, to other pools that may serve it; in place.

    A mixed pool gets all of its classes or nothing, so nothing moves out of it or into it.
    """
    share = 1 - problem.cluster.reserve_share
    arriving = _arriving(flows)
    room = {p: share * capacity - arriving[p] for p, capacity in capacity_rps.items()}
    for p in [p for p in room if room[p] < 0]:
        for c, other in _ways_out(problem, flows, room, p):
            moved = min(-room[p], max(room[other], 0.0), flows.get((c, p), 0.0))
            flows[c, other] = flows.get((c, other), 0.0) + moved
            flows[c, p] -= moved
            room[p] += moved
            room[other] -= moved
        if -room[p] > SLACK * max(share * capacity_rps[p], *(own.rate_rps for own in problem.classes)):
            raise SolverError(
                f"Pool {problem.pools[p].request_class} got {-room[p]:.3g} requests/s beyond its capacity."
            )


def _ways_out(problem: Problem, flows: Flows, room: dict[int, float], p: int) -> list[tuple[int, int]]:
    """Pairs (class served by pool p, other pool with room that may serve it), most room first."""
    classes = {c for c, to in flows if to == p and not problem.pools[p].members}
    ways = [(c, to) for c, to in problem.promotions if c in classes and to != p and room.get(to, 0.0) > 0]
    return sorted(ways, key=lambda way: -room[way[1]])


def _drop_dust(flows: Flows) -> None:
    """Join flows that only roundings leave over to the largest of their class; in place."""
    for c in {c for c, _ in flows}:
        own = {p: rate for (frm, p), rate in flows.items() if frm == c}
        largest = max(own, key=lambda p: own[p])
        for p, rate in own.items():
            if p != largest and rate <= DUST * own[largest]:
                flows[c, largest] += flows.pop((c, p))
