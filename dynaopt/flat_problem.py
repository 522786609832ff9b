"""A problem as plain arrays, and the parts that can be solved apart from each other.

A model with a fixed mix takes the same GPUs whatever it serves, so it shares nothing with the others. What is left are
groups of models, each with its own limits: a fixed mix limits the instances of every tensor-parallel degree, the rest
of the cluster limits the GPUs of all other models together. (Only a power cap couples the groups, and all it asks is
that each draws little.)

What runs or idles anyway is charged to no instance: a GPU costs what it takes beyond an unused one, an instance of a
fixed mix what it takes beyond the cheapest idle one of its degree. No cost is negative then.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.load_sets import LOWER_SETS, NUM_CLASSES
from dynaopt.pool import PoolOption
from dynaopt.pool_value import IntArray
from dynaopt.problem import Problem

Filler = tuple[int, PoolOption, float]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Mixed pools of one model that may be open together, and what they leave to its pools of classes.

    Parameters
    ----------
    mixed
        The pools, as indices into `Group.pools`; no class is a member of two.
    rates_rps
        Arrivals of each class that is a member of none, in requests per second, shape (9,).
    most_rps
        Most load that the pool of each class can be given, shape (9,).
    """

    mixed: tuple[int, ...]
    rates_rps: FloatArray
    most_rps: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Models that share limits, as arrays.

    Parameters
    ----------
    pools
        Indices into `Problem.pools`: nine for each model, then the mixed pools.
    options
        Options of all pools, end to end.
    first_option
        Where each pool's options start, shape (pools + 1,).
    first_point
        Where each option's breakpoints start, shape (options + 1,).
    breaks_rps
        Breakpoints of all options, end to end, in requests per second.
    cost_w
        Power there, beyond what runs or idles anyway, in watts. Does not fall with load.
    most_rps
        Most load that each pool can be given, shape (pools,).
    families
        For each model, the mixed pools that may be open together, none at all being the first.
    usage
        How much of each limit an instance takes up, shape (limits, options).
    limits
        Shape (limits,).
    base_w
        What runs or idles anyway, in watts.
    fillers
        For each limit, the pools and options of the idle instances that best fill what is left of it, and how much of
        the limit each takes up, in the order in which to fill; none where nothing need run.
    """

    pools: tuple[int, ...]
    options: tuple[PoolOption, ...]
    first_option: IntArray
    first_point: IntArray
    breaks_rps: FloatArray
    cost_w: FloatArray
    most_rps: FloatArray
    families: tuple[tuple[Family, ...], ...]
    usage: FloatArray
    limits: FloatArray
    base_w: float
    fillers: tuple[tuple[Filler, ...], ...]

    def pool_options(self, p: int) -> range:
        """Return the options of a pool, as indices into `options`."""
        return range(int(self.first_option[p]), int(self.first_option[p + 1]))

    def curve(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Return the breakpoints of an option and its cost there."""
        part = slice(int(self.first_point[k]), int(self.first_point[k + 1]))
        return self.breaks_rps[part], self.cost_w[part]

    def open_families(self, loads_rps: FloatArray) -> list[Family]:
        """Return the family of each model whose pools have the given loads, shape (pools,)."""
        return [
            max((f for f in own if (loads_rps[list(f.mixed)] > 0).all()), key=lambda f: len(f.mixed))
            for own in self.families
        ]


def groups_of(problem: Problem) -> list[Group]:
    """Take a problem apart into groups of models that share limits."""
    fixed = problem.cluster.fixed_mix
    models = list(problem.demand.rate_rps)
    taken = sum(tp * n for model in models if model in fixed for tp, n in fixed[model].items())
    groups = [_fixed_group(problem, m) for m, model in enumerate(models) if model in fixed]
    free = [m for m, model in enumerate(models) if model not in fixed]
    return [_shared_group(problem, free, problem.num_gpus - taken), *groups]


def model_group(problem: Problem, model: int, num_gpus: int) -> Group:
    """Return one model as a group by itself, which may take some number of GPUs.

    Parameters
    ----------
    problem
        One window's input.
    model
        Number of the model, one without a fixed mix.
    num_gpus
        GPUs that it may take.
    """
    return _shared_group(problem, [model], num_gpus)


def _pools_of(problem: Problem, models: list[int]) -> tuple[int, ...]:
    """Return the pools of models: those of classes, then the mixed ones."""
    own = tuple(p for m in models for p in range(NUM_CLASSES * m, NUM_CLASSES * (m + 1)))
    return own + tuple(p for p, pool in enumerate(problem.pools) if pool.members and pool.members[0] in own)


def _options_of(
    problem: Problem, pools: tuple[int, ...], tps: Container[int] | None
) -> tuple[IntArray, tuple[PoolOption, ...]]:
    """Return the pool of each option, and the options of those degrees, all if None."""
    kept = [[k for k in problem.pools[p].options if tps is None or k.tp in tps] for p in pools]
    return np.repeat(pools, [len(own) for own in kept]).astype(np.int64), tuple(k for own in kept for k in own)


def _shared_group(problem: Problem, models: list[int], num_gpus: int) -> Group:
    pools = _pools_of(problem, models)
    pool_of, options = _options_of(problem, pools, None)
    flat, asleep_w = _flat(options), problem.unused_gpu_power_w
    per_gpu_w = flat.least_w / flat.tp + _gpu_power_w(problem, pool_of)
    unused_w = min([asleep_w, *per_gpu_w.tolist()])
    saving = [int(k) for k in np.argsort(per_gpu_w, kind="stable") if per_gpu_w[k] < asleep_w]
    best = {options[k].tp: k for k in reversed(saving)}
    return _group(
        problem,
        pools,
        pool_of,
        options,
        usage=flat.tp.reshape(1, -1),
        limits=np.array([float(num_gpus)]),
        free_w=flat.tp * unused_w,
        base_w=num_gpus * unused_w,
        fillers=(tuple((int(pool_of[k]), options[k], flat.tp[k]) for k in sorted(best.values(), key=saving.index)),),
    )


def _fixed_group(problem: Problem, model: int) -> Group:
    pools = _pools_of(problem, [model])
    mix = {tp: n for tp, n in problem.cluster.fixed_mix[problem.pools[pools[0]].model].items() if n > 0}
    pool_of, options = _options_of(problem, pools, mix)
    flat = _flat(options)
    idle_w = flat.least_w + flat.tp * _gpu_power_w(problem, pool_of)
    cheapest = [_cheapest(idle_w, flat.tp == degree) for degree in mix]
    least_w = {degree: 0.0 if at is None else float(idle_w[at]) for degree, at in zip(mix, cheapest, strict=True)}
    return _group(
        problem,
        pools,
        pool_of,
        options,
        usage=np.array([flat.tp == degree for degree in mix], dtype=np.float64).reshape(len(mix), len(options)),
        limits=np.array(list(mix.values()), dtype=np.float64),
        free_w=np.array([least_w[k.tp] for k in options]),
        base_w=sum(n * least_w[degree] for degree, n in mix.items()),
        fillers=tuple(() if at is None else ((int(pool_of[at]), options[at], 1.0),) for at in cheapest),
    )


def _cheapest(idle_w: FloatArray, among: np.ndarray) -> int | None:
    return int(np.where(among, idle_w, np.inf).argmin()) if among.any() else None


def _gpu_power_w(problem: Problem, pool_of: IntArray) -> FloatArray:
    return np.array([pool.gpu_power_w for pool in problem.pools])[pool_of]


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """Options end to end: degrees as floats, where curves start, breakpoints, power that never falls, and the least."""

    tp: FloatArray
    first_point: IntArray
    breaks_rps: FloatArray
    power_w: FloatArray
    least_w: FloatArray


@lru_cache(maxsize=16)
def _flat(options: tuple[PoolOption, ...]) -> _Flat:
    """Lay options end to end. Windows of one peak factor share theirs, and so this."""
    first_point = np.array([0, *(k.rate_rps.size for k in options)], dtype=np.int64).cumsum()
    power_w = _rising(np.concatenate([*(k.power_w for k in options), np.empty(0)]), first_point)
    return _Flat(
        tp=np.array([float(k.tp) for k in options]),
        first_point=first_point,
        breaks_rps=np.concatenate([*(k.rate_rps for k in options), np.empty(0)]),
        power_w=power_w,
        least_w=power_w[first_point[:-1]],
    )


def _rising(power_w: FloatArray, first_point: IntArray) -> FloatArray:
    """Replace each power by the least at its load or a higher one: it never falls, and is never above the curve."""
    falls = np.diff(power_w, prepend=-np.inf) < 0
    falls[first_point[:-1]] = False
    for k in np.unique(np.searchsorted(first_point, np.flatnonzero(falls), side="right")) - 1:
        part = slice(first_point[k], first_point[k + 1])
        power_w[part] = np.minimum.accumulate(power_w[part][::-1])[::-1]
    return power_w


def _group(
    problem: Problem,
    pools: tuple[int, ...],
    pool_of: IntArray,
    options: tuple[PoolOption, ...],
    *,
    usage: FloatArray,
    limits: FloatArray,
    free_w: FloatArray,
    base_w: float,
    fillers: tuple[tuple[Filler, ...], ...],
) -> Group:
    flat, families = _flat(options), _families(problem, pools)
    mixed_rps = [problem.pools[p].rate_rps for p in pools if problem.pools[p].members]
    beyond_w = flat.tp * _gpu_power_w(problem, pool_of) - free_w
    return Group(
        pools=pools,
        options=options,
        first_option=np.searchsorted(pool_of, [*pools, len(problem.pools)]).astype(np.int64),
        first_point=flat.first_point,
        breaks_rps=flat.breaks_rps,
        cost_w=flat.power_w + np.repeat(beyond_w, np.diff(flat.first_point)),
        most_rps=np.concatenate([*(own[0].most_rps for own in families), mixed_rps]),
        families=families,
        usage=usage,
        limits=limits,
        base_w=base_w,
        fillers=fillers,
    )


def _families(problem: Problem, pools: tuple[int, ...]) -> tuple[tuple[Family, ...], ...]:
    """Return the families of each model, whose pools are given as indices into `Problem.pools`."""
    found = []
    for first in [p for p in pools if not problem.pools[p].members][::NUM_CLASSES]:
        rates = np.array([pool.rate_rps for pool in problem.pools[first : first + NUM_CLASSES]])
        numbers = {at: [c - first for c in problem.pools[p].members] for at, p in enumerate(pools)}
        own = {at: classes for at, classes in numbers.items() if classes and 0 <= classes[0] < NUM_CLASSES}
        found.append(_families_of(own, rates))
    return tuple(found)


def _disjoint(members: dict[int, list[int]]) -> list[tuple[int, ...]]:
    """Return every choice of sets that have nothing in common, the empty one first."""
    chosen: list[tuple[int, ...]] = [()]
    for at, own in members.items():
        chosen += [(*others, at) for others in chosen if not any(c in members[other] for other in others for c in own)]
    return chosen


def _families_of(members: dict[int, list[int]], rates_rps: FloatArray) -> tuple[Family, ...]:
    choices = _disjoint(members)
    left = np.tile(rates_rps, (len(choices), 1))
    for rates, mixed in zip(left, choices, strict=True):
        rates[[c for at in mixed for c in members[at]]] = 0.0
    coming = np.where(LOWER_SETS, (left @ LOWER_SETS.T.astype(np.float64))[:, :, None], np.inf).min(axis=1)
    return tuple(map(Family, choices, left, coming))
