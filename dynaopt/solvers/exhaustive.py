"""The oracle: every way to place instances, one after the other. Small problems only.

Written from the problem, without `formulation` and `pruning`, so that agreement with the other solvers means something.
For a given number of instances of every option in every pool, each instance has its own straight parts to choose from,
and a small integer program finds the loads and routes of least power, and which mixed pools are open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from dynaopt.allocation import Allocation
from dynaopt.errors import InvalidInputError, SolverError
from dynaopt.infeasibility import explain
from dynaopt.pool import PoolOption
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solution import Instances, settle
from dynaopt.solvers.base import DEFAULT_GAP

MAX_WAYS = 20_000
SLACK = 1e-9
Placement = tuple[tuple[int, PoolOption], ...]


class Exhaustive:
    """Tries every number of instances of every option in every pool."""

    name = "exhaustive"
    proves = True

    def solve(
        self, problem: Problem, *, time_limit_s: float | None = None, gap_tolerance: float = DEFAULT_GAP
    ) -> Result:
        """Solve a problem; see `Solver`.

        Raises
        ------
        InvalidInputError
            If there are more than `MAX_WAYS` ways to place instances.
        """
        started = time.perf_counter()
        ways = _ways(problem)
        best: Allocation | None = None
        reason = ""
        for placement, least_w in ways:
            if time_limit_s is not None and time.perf_counter() - started > time_limit_s:
                reason = "the time limit was reached"
                break
            if best is not None and least_w >= best.objective_w:
                break
            found = _best_loads(problem, placement)
            if found is not None and (best is None or found.objective_w < best.objective_w):
                best = found
        return _result(problem, best, gap_tolerance, started, reason)


def _result(problem: Problem, best: Allocation | None, gap_tolerance: float, started: float, reason: str) -> Result:
    bound_w = 0.0
    if best is not None:
        termination = Termination.FEASIBLE if reason else Termination.OPTIMAL
        bound_w = 0.0 if reason else best.objective_w
    elif reason:
        termination = Termination.NO_SOLUTION_FOUND
    else:
        termination, reason = Termination.INFEASIBLE, explain(problem)
    return Result(
        solver=Exhaustive.name,
        termination=termination,
        allocation=best,
        lower_bound_w=bound_w,
        gap_tolerance=gap_tolerance,
        runtime_s=time.perf_counter() - started,
        reason=reason,
    )


def _ways(problem: Problem) -> list[tuple[Placement, float]]:
    """Every placement within the GPUs and the fixed mix, with the least objective that it can have, least first."""
    places = [(p, option) for p, pool in enumerate(problem.pools) for option in pool.options]
    found = list(islice(_extend(problem, places, 0, problem.num_gpus, {}), MAX_WAYS + 1))
    if len(found) > MAX_WAYS:
        raise InvalidInputError(
            "option solver",
            expected=f"for exhaustive at most {MAX_WAYS:,} ways to place instances",
            found="more",
            hint="use 'highs'",
        )
    return sorted(((placement, _least_w(problem, placement)) for placement in found), key=lambda way: way[1])


def _extend(
    problem: Problem, places: list[tuple[int, PoolOption]], at: int, gpus: int, held: dict[tuple[str, int], int]
) -> Iterator[Placement]:
    if at == len(places):
        if all(
            held.get((model, tp), 0) == mix.get(tp, 0)
            for model, mix in problem.cluster.fixed_mix.items()
            for tp in problem.profiles[model].tps
        ):
            yield ()
        return
    if _owed(problem, held) > gpus:
        return
    pool, option = places[at]
    key = problem.pools[pool].model, option.tp
    for count in range(_most(problem, key, gpus, held, pool) + 1):
        more = {**held, key: held.get(key, 0) + count}
        for rest in _extend(problem, places, at + 1, gpus - count * option.tp, more):
            yield ((pool, option),) * count + rest


def _owed(problem: Problem, held: dict[tuple[str, int], int]) -> int:
    """GPUs that the fixed mix still wants."""
    mixes = problem.cluster.fixed_mix.items()
    return sum(tp * (count - held.get((model, tp), 0)) for model, mix in mixes for tp, count in mix.items())


def _most(problem: Problem, key: tuple[str, int], gpus: int, held: dict[tuple[str, int], int], pool: int) -> int:
    model, tp = key
    mix = problem.cluster.fixed_mix.get(model)
    if mix is not None:
        return min(gpus // tp, mix.get(tp, 0) - held.get(key, 0))
    used = any(p == pool and problem.pools[c].rate_rps > 0 for c, p in problem.ways)
    saves = problem.unused_gpu_power_w > 0
    return gpus // tp if used or saves else 0


def _least_w(problem: Problem, placement: Placement) -> float:
    gpus = sum(option.tp for _, option in placement)
    own_w = sum(option.power_w.min() + option.tp * problem.pools[p].gpu_power_w for p, option in placement)
    return float(own_w + (problem.num_gpus - gpus) * problem.unused_gpu_power_w)


@dataclass(slots=True)
class _Program:
    """A small integer program that is being written."""

    cost: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[int] = field(default_factory=list)
    cells: list[tuple[int, int, float]] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)

    def variable(self, *, cost: float = 0.0, upper: float = 1.0, integer: bool = False) -> int:
        """Add a variable from 0 to `upper` and return its column."""
        self.cost.append(cost)
        self.upper.append(upper)
        self.integer.append(int(integer))
        return len(self.cost) - 1

    def row(self, terms: list[tuple[int, float]], lower: float, upper: float) -> None:
        """Add a row of pairs of a column and its coefficient."""
        self.cells += [(len(self.row_lower), column, value) for column, value in terms]
        self.row_lower.append(lower)
        self.row_upper.append(upper)

    def solve(self) -> np.ndarray | None:
        """Return the values of the optimum; None when there is none."""
        row, column, value = zip(*self.cells, strict=True)
        matrix = coo_array((value, (row, column)), shape=(len(self.row_lower), len(self.cost))).tocsr()
        answer = milp(
            np.array(self.cost),
            integrality=np.array(self.integer),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(matrix, np.array(self.row_lower), np.array(self.row_upper)),
            options={"mip_rel_gap": 0.0},
        )
        if answer.status not in (0, 2):
            raise SolverError(f"exhaustive: no loads found, {answer.message}")
        return None if answer.x is None else np.asarray(answer.x)


def _best_loads(problem: Problem, placement: Placement) -> Allocation | None:
    """Find the loads and routes of least power for given instances; None if there are none."""
    room = _room_rps(problem, placement)
    if sum(pool.rate_rps for pool in problem.classes) > sum(room.values()) * (1 + SLACK):
        return None
    program = _Program()
    weights = [_curve(program, option) for _, option in placement]
    flows = {
        (c, p): program.variable(upper=problem.pools[c].rate_rps)
        for c, p in problem.promotions
        if p in room and problem.pools[c].rate_rps > 0
    }
    opened = {p: program.variable(integer=True) for p in room if problem.pools[p].members}
    for c, pool in enumerate(problem.classes):
        if pool.rate_rps > 0:
            own = [(column, 1 / pool.rate_rps) for (frm, _), column in flows.items() if frm == c]
            own += [(column, 1.0) for p, column in opened.items() if c in problem.pools[p].members]
            program.row(own or [(0, 0.0)], 1, 1)
    for p, room_rps in room.items():
        arriving = [(column, 1.0) for (_, to), column in flows.items() if to == p]
        arriving += [(column, problem.pools[p].rate_rps) for to, column in opened.items() if to == p]
        carried = [
            (column, -rate)
            for (at, option), columns in zip(placement, weights, strict=True)
            if at == p
            for column, rate in zip(columns, option.rate_rps, strict=True)
        ]
        program.row(arriving + carried, 0, 0)
        program.row(arriving or [(0, 0.0)], -np.inf, room_rps)
    values = program.solve() if program.cost else np.zeros(0)
    if values is None:
        return None
    rates = _rates(problem, values, flows, [p for p, column in opened.items() if values[column] > 0.5])
    loads = [float(values[columns] @ k.rate_rps) for (_, k), columns in zip(placement, weights, strict=True)]
    return _allocation(problem, placement, loads, rates)


def _rates(
    problem: Problem, values: np.ndarray, flows: dict[tuple[int, int], int], mixed: list[int]
) -> dict[tuple[int, int], float]:
    """Return what goes where: the members of open mixed pools there, and the rest as the program has it."""
    whole = {c: p for p in mixed for c in problem.pools[p].members}
    rates = {way: float(values[column]) for way, column in flows.items() if values[column] > 0 and way[0] not in whole}
    for c, pool in enumerate(problem.classes):
        total = sum(rate for (frm, _), rate in rates.items() if frm == c)
        rates.update({way: rate * pool.rate_rps / total for way, rate in rates.items() if way[0] == c})
    return rates | {(c, p): problem.pools[c].rate_rps for c, p in whole.items()}


def _room_rps(problem: Problem, placement: Placement) -> dict[int, float]:
    """Load that each pool may carry: its capacity less what is held in reserve."""
    reserve = problem.cluster.reserve
    room = {}
    for p in {p for p, _ in placement}:
        capacities = [option.capacity_rps for at, option in placement if at == p]
        room[p] = sum(capacities) - max(capacities) if reserve == "n+1" else sum(capacities) * (1 - float(reserve))
    return room


def _curve(program: _Program, option: PoolOption) -> list[int]:
    """Add an instance: a weight for each breakpoint, of which only two neighbours may be above 0."""
    weights = [program.variable(cost=power) for power in option.power_w]
    parts = [program.variable(integer=True) for _ in option.rate_rps[1:]]
    program.row([(w, 1.0) for w in weights], 1, 1)
    program.row([(s, 1.0) for s in parts], 1, 1)
    for n, weight in enumerate(weights):
        program.row([(weight, 1.0), *((s, -1.0) for s in parts[max(n - 1, 0) : n + 1])], -np.inf, 0)
    return weights


def _allocation(
    problem: Problem, placement: Placement, loads_rps: list[float], rates: dict[tuple[int, int], float]
) -> Allocation | None:
    instances: dict[int, Instances] = {}
    for (p, option), load_rps in zip(placement, loads_rps, strict=True):
        instances.setdefault(p, Instances()).add(option, 1, load_rps, is_point=False)
    allocation = settle(problem, instances, rates)
    cap_w = problem.cluster.power_cap_w
    return None if cap_w is not None and allocation.power_w > cap_w * (1 + SLACK) else allocation
