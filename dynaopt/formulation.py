"""The window problem as a mixed-integer linear program; `docs/problem.md` explains every symbol.

minimise    sum_p,s power_lower[s] y[p,s] + (power_upper[s] - power_lower[s]) x[p,s]  +  num_gpus * unused_gpu_power_w
subject to  coverage[c]      sum_p z[c,p] = 1
            balance[p]       sum_s lower[s] y[p,s] + (upper[s] - lower[s]) x[p,s] = sum_c rate[c] z[c,p]
            segment[p,s]     x[p,s] <= y[p,s]                                   s a stretch
            inside[p]        sum_s y[p,s] <= o[p]                               over stretches s
            open[c,p]        z[c,p] <= o[p]                                     p the pool of a class
            started[p]       sum_s y[p,s] >= o[p]
            gpus             sum_p,s tp[s] y[p,s] <= num_gpus
            power_cap        the objective, less gpu_price_w for each GPU in use, <= power_cap_w
            reserve[p]       sum_c rate[c] z[c,p] <= (1 - reserve) sum_s capacity[s] y[p,s]
            uses[p,s]        y[p,s] <= most[p,s] u[p,k]                         k the option of s
            n_plus_one[p,k]  sum_c rate[c] z[c,p] <= sum_s capacity[s] y[p,s] - capacity[k] u[p,k]
            fixed_mix[m,t]   sum_p,s y[p,s] = mix[m,t]                          over pools of m, segments with tp = t

In a mixed pool z[c,p] is o[p], for all its members or none. Rows in requests/s are divided by the most that may come to
their pool, so that a solver's tolerance is relative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.problem import Problem
from dynaopt.pruning import ROUNDING, PrunedPool, Segment, prune

Terms = list[tuple[int, float]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoolColumns:
    """Columns of one pool.

    Parameters
    ----------
    pruned
        The pool.
    open
        Column of o[p].
    count
        Column of y[p,s] for each of `pruned.segments`.
    position
        Column of x[p,s] for each of `pruned.stretches`.
    share
        Pairs (class, column of z[class, p]), which in a mixed pool is that of o[p].
    """

    pruned: PrunedPool
    open: int
    count: tuple[int, ...]
    position: tuple[int, ...]
    share: tuple[tuple[int, int], ...]

    def counted(self) -> Iterator[tuple[Segment, int]]:
        """Iterate over the segments with the columns of their counts."""
        return zip(self.pruned.segments, self.count, strict=True)

    def placed(self) -> Iterator[tuple[Segment, int, int]]:
        """Iterate over the stretches with the columns of their counts and positions."""
        first = len(self.pruned.points)
        return zip(self.pruned.stretches, self.count[first:], self.position, strict=True)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Formulation:
    """A problem as a program, and where in the program its parts are."""

    problem: Problem
    model: LinearModel
    pools: tuple[PoolColumns, ...]


def formulate(problem: Problem) -> Formulation:
    """Write a problem as a mixed-integer linear program.

    Parameters
    ----------
    problem
        One window's input.

    Returns
    -------
    Formulation
        Its objective is the power of the cluster, in watts, and `Problem.gpu_price_w` for each GPU in use.
    """
    builder = ModelBuilder()
    pools = write_window(builder, problem, prune(problem))
    return Formulation(problem=problem, model=builder.build(offset=_offset_w(problem)), pools=pools)


def write_window(builder: ModelBuilder, problem: Problem, pruned: Iterable[PrunedPool]) -> tuple[PoolColumns, ...]:
    """Add the columns and rows of one window to a program, and return where its pools are.

    Parameters
    ----------
    builder
        The program.
    problem
        The window's input.
    pruned
        What of it reaches the program.
    """
    pools = tuple(_pool_columns(builder, problem, own) for own in pruned)
    _coverage(builder, problem, pools)
    for columns in pools:
        _pool_rows(builder, problem, columns)
    _cluster_rows(builder, problem, pools)
    return pools


def _offset_w(problem: Problem) -> float:
    return problem.num_gpus * problem.unused_gpu_power_w


def _pool_columns(builder: ModelBuilder, problem: Problem, pruned: PrunedPool) -> PoolColumns:
    p = pruned.pool
    names = [f"{p},{s.option.tp},{s.option.frequency_mhz},{n}" for n, s in enumerate(pruned.segments)]
    first = len(pruned.points)
    opened = builder.variable(f"o[{p}]", upper=1, integer=True)
    return PoolColumns(
        pruned=pruned,
        open=opened,
        count=tuple(
            builder.variable(
                f"y[{name}]", upper=_most_instances(problem, pruned, s), integer=True, cost=s.lower_power_w
            )
            for name, s in zip(names, pruned.segments, strict=True)
        ),
        position=tuple(
            builder.variable(f"x[{name}]", upper=1, cost=s.upper_power_w - s.lower_power_w)
            for name, s in zip(names[first:], pruned.stretches, strict=True)
        ),
        share=tuple(
            (c, opened if problem.pools[p].members else builder.variable(f"z[{c},{p}]", upper=1))
            for c, pool in problem.ways
            if pool == p and problem.pools[c].rate_rps > 0
        ),
    )


def _most_instances(problem: Problem, pruned: PrunedPool, segment: Segment) -> int:
    by_gpus = problem.num_gpus // segment.option.tp
    if not segment.is_point:
        return min(1, by_gpus)
    if segment.lower_rps == 0:
        return by_gpus
    return min(by_gpus, int(pruned.max_load_rps / segment.lower_rps * (1 + ROUNDING)))


def _coverage(builder: ModelBuilder, problem: Problem, pools: tuple[PoolColumns, ...]) -> None:
    for c, own in enumerate(problem.classes):
        if own.rate_rps > 0:
            terms = [(column, 1.0) for p in pools for k, column in p.share if k == c]
            builder.row(f"coverage[{c}]", terms, lower=1, upper=1)


def _pool_rows(builder: ModelBuilder, problem: Problem, columns: PoolColumns) -> None:
    pruned, p = columns.pruned, columns.pruned.pool
    scale = 1 / pruned.max_load_rps if pruned.max_load_rps > 0 else 1.0
    load = [(column, problem.pools[c].rate_rps * scale) for c, column in columns.share]
    stretches = list(columns.placed())
    served = [(y, s.lower_rps * scale) for s, y in columns.counted()]
    served += [(x, (s.upper_rps - s.lower_rps) * scale) for s, _, x in stretches]
    builder.row(f"balance[{p}]", served + _minus(load), lower=0, upper=0)
    for n, (_, y, x) in enumerate(stretches, start=len(pruned.points)):
        builder.row(f"segment[{p},{n}]", [(x, 1.0), (y, -1.0)], upper=0)
    builder.row(f"inside[{p}]", [*((y, 1.0) for _, y, _ in stretches), (columns.open, -1.0)], upper=0)
    for c, z in columns.share if not problem.pools[p].members else ():
        builder.row(f"open[{c},{p}]", [(z, 1.0), (columns.open, -1.0)], upper=0)
    builder.row(f"started[{p}]", [*((y, 1.0) for y in columns.count), (columns.open, -1.0)], lower=0)
    capacity = [(y, s.option.capacity_rps * scale) for s, y in columns.counted()]
    _spare_rows(builder, problem, columns, capacity, load)


def _minus(terms: Terms) -> Terms:
    return [(column, -coefficient) for column, coefficient in terms]


def _spare_rows(builder: ModelBuilder, problem: Problem, columns: PoolColumns, capacity: Terms, load: Terms) -> None:
    reserve, p = problem.cluster.reserve, columns.pruned.pool
    if reserve == "n+1":
        for k, counted in enumerate(_by_option(columns)):
            used = builder.variable(f"u[{p},{k}]", upper=1, integer=True)
            for s, y in counted:
                most = float(_most_instances(problem, columns.pruned, columns.pruned.segments[s]))
                builder.row(f"uses[{p},{s}]", [(y, 1.0), (used, -most)], upper=0)
            failing = next(rate for column, rate in capacity if column == counted[0][1])
            builder.row(f"n_plus_one[{p},{k}]", [*capacity, (used, -failing), *_minus(load)], lower=0)
    elif reserve > 0:
        kept = [(y, (1 - reserve) * rate) for y, rate in capacity]
        builder.row(f"reserve[{p}]", kept + _minus(load), lower=0)


def _by_option(columns: PoolColumns) -> list[list[tuple[int, int]]]:
    """Numbers and count columns of the segments of each option."""
    found: dict[int, list[tuple[int, int]]] = {}
    for n, (segment, y) in enumerate(columns.counted()):
        found.setdefault(id(segment.option), []).append((n, y))
    return list(found.values())


def _cluster_rows(builder: ModelBuilder, problem: Problem, pools: tuple[PoolColumns, ...]) -> None:
    gpus = [(y, float(s.option.tp)) for columns in pools for s, y in columns.counted()]
    builder.row("gpus", gpus, upper=problem.num_gpus)
    if problem.cluster.power_cap_w is not None:
        price_w = problem.gpu_price_w  # the objective's, which is no power
        power = [(y, s.lower_power_w - s.option.tp * price_w) for columns in pools for s, y in columns.counted()]
        power += [(x, s.upper_power_w - s.lower_power_w) for columns in pools for s, _, x in columns.placed()]
        builder.row("power_cap", power, upper=problem.cluster.power_cap_w - _offset_w(problem))
    for m, (model, mix) in enumerate(problem.cluster.fixed_mix.items()):
        for tp in problem.profiles[model].tps:
            terms = [
                (y, 1.0)
                for columns in pools
                for s, y in columns.counted()
                if problem.pools[columns.pruned.pool].model == model and s.option.tp == tp
            ]
            builder.row(f"fixed_mix[{m},{tp}]", terms, lower=mix.get(tp, 0), upper=mix.get(tp, 0))
