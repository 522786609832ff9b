"""The package's planner with pools of mixes to choose from: in every window the cheapest way to group the classes.

The window problem knows pools by class only. Where little arrives, nine pools of part-filled instances take more than
one that all classes share, and no promotion gets there: a promoted request counts as one of the longer class. So each
length of inputs may be served by the pool of its mix, and everything by that of the whole mix; of the nine groupings
the cheapest that fits is taken. Each is solved by itself, so that none of them alone serves with less. A pool of a mix
is passed over where what comes is too far from the mix that its curves were taken with: they would promise too much.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.allocation import Allocation
from dynaopt.errors import NoSolutionError
from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case
from dynaopt.policies.replanned import PoolsAnswer, PoolWindows
from dynaopt.policies.served import ServedPool, mix_pools
from dynaopt.policies.sharded_pools import Rows, rows_frame
from dynaopt.problem import WindowDemand
from dynaopt.request_class import LENGTHS, MIX_PREFIX, REQUEST_CLASSES
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, Schedule
from dynaopt.solvers import get_solver
from dynaopt.tables import Column

MOST_MIX_DISTANCE = 0.1
"""Most requests of a window, as a share, that the curves of a mix may take for another class, unless said otherwise."""


class Grouped:
    """Every window's cheapest grouping of classes into pools.

    Parameters
    ----------
    solver
        Who solves the pools by class; one of `dynaopt.solver_names`.
    most_mix_distance
        Most requests of a window, as a share, that the curves of a mix may take for another class.
    """

    name = "plan-grouped"
    title = "plan with mixed pools"

    def __init__(self, solver: str = "greedy", *, most_mix_distance: float = MOST_MIX_DISTANCE) -> None:
        self._solver = get_solver(solver)
        self._most_mix_distance = most_mix_distance

    def plan(self, case: Case) -> Schedule:
        """Solve every grouping of every window; see `Policy.plan`."""
        began_s = time.perf_counter()
        mixed = _mixed(case, self._most_mix_distance)
        answers = _Collected(mixed)
        for window in range(case.demand.num_windows):
            self._solve(case, mixed, window, answers)
        return assemble(case, self.name, answers.groups(), answers.routes(), time.perf_counter() - began_s)

    def _solve(self, case: Case, mixed: Sequence[_Mixed], window: int, answers: _Collected) -> None:
        found = [one.solve(window) for one in mixed]
        best, least_w = None, np.inf
        for chosen in _groupings(mixed):
            parts = [part for n in chosen if (part := found[n]) is not None]
            left = case.cluster.num_gpus - sum(part.num_gpus for part in parts)
            if len(parts) < len(chosen) or left < 0:
                continue
            rest, rest_w = self._by_class(case, window, {x for n in chosen for x in mixed[n].letters}, left)
            power_w = sum(part.power_w for part in parts) + rest_w
            if power_w < least_w:
                best, least_w = (chosen, rest), power_w
        if best is None:
            start, limit = case.demand.starts[window], case.cluster.num_gpus
            raise NoSolutionError(f"{limit} GPUs are too few for any grouping at {start:%Y-%m-%d %H:%M}")
        answers.add(window, {n: part for n in best[0] if (part := found[n]) is not None}, best[1])

    def _by_class(self, case: Case, window: int, without: set[str], num_gpus: int) -> tuple[Allocation | None, float]:
        """Return what serves the other inputs by class on the GPUs left, and its power beyond unused GPUs, in watts."""
        demand = _without(case.demand.window(window), without)
        if not any(rates.any() for rates in demand.rate_rps.values()):
            return None, 0.0
        if num_gpus == 0:
            return None, np.inf
        problem = demand.problem(case.profiles, slo=case.slo, **{**case.cluster.model_dump(), "num_gpus": num_gpus})
        found = self._solver.solve(problem).allocation
        return found, np.inf if found is None else found.power_w - num_gpus * problem.unused_gpu_power_w


@dataclass(frozen=True, slots=True, eq=False)
class _Mixed:
    """Pools of mixes that together serve all inputs of some lengths."""

    letters: tuple[str, ...]
    pools: list[ServedPool]
    windows: PoolWindows
    is_rough: npt.NDArray[np.bool_]

    def solve(self, window: int) -> PoolsAnswer | None:
        """Return the cheapest instances; None where GPUs do not suffice, or the curves are of too different a mix."""
        return None if self.is_rough[window] else self.windows.solve(window)


def _mixed(case: Case, most_distance: float) -> list[_Mixed]:
    whole = mix_pools(case, by_input=False)
    found = [_make_mixed(case, LENGTHS, whole, most_distance)]
    try:
        by_input = mix_pools(case, by_input=True)
    except NoSolutionError:  # a profile need not have mixes by input length
        return found
    for letter in LENGTHS:
        own = [pool for pool in by_input if _input_length(pool) == letter]
        if own:
            found.append(_make_mixed(case, (letter,), own, most_distance))
    return found


def _make_mixed(case: Case, letters: tuple[str, ...], pools: list[ServedPool], most_distance: float) -> _Mixed:
    is_rough = np.any([pool.mix_distance > most_distance for pool in pools], axis=0)
    return _Mixed(letters, pools, PoolWindows(case, pools), is_rough)


def _input_length(pool: ServedPool) -> str:
    return pool.name[-1] if pool.name.startswith(MIX_PREFIX) else pool.name[0]


def _groupings(mixed: Sequence[_Mixed]) -> Iterator[tuple[int, ...]]:
    """Give which of the mixed pools are used: every choice of single lengths, none among them, and the whole."""
    single = [n for n, one in enumerate(mixed) if len(one.letters) == 1]
    for size in range(len(single) + 1):
        yield from combinations(single, size)
    yield from ((n,) for n, one in enumerate(mixed) if len(one.letters) > 1)


def _without(demand: WindowDemand, letters: set[str]) -> WindowDemand:
    kept = np.array([c[0] not in letters for c in REQUEST_CLASSES])
    return replace(demand, rate_rps={model: np.where(kept, rates, 0.0) for model, rates in demand.rate_rps.items()})


class _Collected:
    """The answers of all windows, as rows."""

    def __init__(self, mixed: Sequence[_Mixed]) -> None:
        self._mixed = mixed
        self._rows: list[list[Rows]] = [[[] for _ in one.pools] for one in mixed]
        self._chosen: list[list[int]] = [[] for _ in mixed]
        self._groups: list[dict[str, object]] = []
        self._routes: list[dict[str, object]] = []

    def add(self, window: int, parts: dict[int, PoolsAnswer], rest: Allocation | None) -> None:
        """Take in a window: what each mixed pool runs, and what the pools by class do."""
        for n, part in parts.items():
            self._chosen[n].append(window)
            for own, rows in zip(self._rows[n], part.rows, strict=True):
                own += rows
        if rest is not None:
            self._groups += [{"window": window} | _cells(group, ALLOCATION_COLUMNS) for group in rest.groups]
            self._routes += [{"window": window} | _cells(route, ROUTE_COLUMNS) for route in rest.routes]

    def groups(self) -> list[pd.DataFrame]:
        """Return the rows of instances."""
        pairs = [
            (pool, rows)
            for one, all_rows in zip(self._mixed, self._rows, strict=True)
            for pool, rows in zip(one.pools, all_rows, strict=True)
        ]
        return [rows_frame(pool, rows) for pool, rows in pairs if rows] + [pd.DataFrame(self._groups)] * bool(
            self._groups
        )

    def routes(self) -> list[pd.DataFrame]:
        """Return the rows of routes."""
        frames = [pd.DataFrame(self._routes)]
        for one, chosen in zip(self._mixed, self._chosen, strict=True):
            for pool in one.pools:
                routes = pool.routes()
                frames.append(routes[routes["window"].isin(chosen)])
        return [frame for frame in frames if len(frame)]


def _cells(row: object, columns: Sequence[Column]) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in columns if column.name != "window_start"}
