"""The pools of a window: whom each may serve, and what may run in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dynaopt.profile import FloatArray, Profile, slo_rates_rps
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoolOption:
    """A configuration as one pool may run it: its power curve up to what an instance may be given.

    Parameters
    ----------
    tp
        Tensor-parallel degree: GPUs of an instance.
    frequency_mhz
        GPU clock, in MHz.
    rate_rps
        Breakpoints 0 = r_0 < r_1 < ... < r_m, in requests per second. The last is the instance's capacity: the load
        at which it just keeps its SLO, divided by (peak factor times (1 + headroom)).
    power_w
        Power of the instance at each breakpoint, in watts, shape (m + 1,).
    """

    tp: int
    frequency_mhz: int
    rate_rps: FloatArray
    power_w: FloatArray

    @property
    def capacity_rps(self) -> float:
        """Most load that an instance may be given, in requests per second."""
        return float(self.rate_rps[-1])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pool:
    """The instances of one model that serve a class and those promoted to it, or the classes of a mix together.

    Parameters
    ----------
    model
        Name of the model.
    request_class
        The class or the mix that the pool is named after, and whose curves hold in it.
    rate_rps
        What arrives of that class, or of all `members` together, in requests per second.
    gpu_power_w
        What a GPU in this pool adds to the objective beside its instance's own power, in watts: its share of the host,
        and `Problem.gpu_price_w`.
    options
        Configurations that keep the SLO here, by `tp` and then by clock. May be empty in the pool of a class.
    members
        For a mixed pool, the classes whose arrivals it serves, all of them or none, as indices into `Problem.pools`.
        Empty for the pool of a class.
    """

    model: str
    request_class: str
    rate_rps: float
    gpu_power_w: float
    options: tuple[PoolOption, ...]
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoolMaker:
    """Makes the pools of one model.

    Parameters
    ----------
    profile
        Of the model.
    slo
        Latency objectives.
    rate_rps
        Arrivals of each class, in requests per second, shape (9,).
    stretch
        How far above its mean load an instance must keep its SLO: peak factor times (1 + headroom).
    gpu_power_w
        As in `Pool`.
    """

    profile: Profile
    slo: Slo
    rate_rps: FloatArray
    stretch: float
    gpu_power_w: float

    def of_classes(self) -> Iterator[Pool]:
        """Give the pool of each class."""
        for name, rate_rps in zip(REQUEST_CLASSES, self.rate_rps.tolist(), strict=True):
            yield self._pool(name, rate_rps)

    def of_mixes(self, first: int, max_distance: float) -> Iterator[Pool]:
        """Give the mixed pools that are on offer.

        That takes two members at least, for with one the curves are but others of a class; a mix near enough to what
        arrives of them, for its curves promise too much to another; and a configuration that keeps the SLO. Of mixes
        with the same members the nearest is taken, and not the one whose curves flatter most.

        Parameters
        ----------
        first
            Index of the pool of the model's first class.
        max_distance
            Most `Mix.distance` that is allowed; 0 for no mixed pools.
        """
        nearest: dict[tuple[int, ...], tuple[float, str]] = {}
        for mix in self.profile.metadata.mixes if max_distance > 0 else ():
            came = np.where([mix.shares.get(name, 0.0) > 0 for name in REQUEST_CLASSES], self.rate_rps, 0.0)
            members, distance = tuple(np.flatnonzero(came).tolist()), mix.distance(came)
            if len(members) > 1 and distance <= max_distance:
                nearest[members] = min(nearest.get(members, (distance, mix.name)), (distance, mix.name))
        for members, (_, name) in nearest.items():
            rate_rps = float(self.rate_rps[list(members)].sum())
            pool = self._pool(name, rate_rps, tuple(first + c for c in members))
            if pool.options:
                yield pool

    def _pool(self, name: str, rate_rps: float, members: tuple[int, ...] = ()) -> Pool:
        return Pool(
            model=self.profile.model,
            request_class=name,
            rate_rps=rate_rps,
            gpu_power_w=self.gpu_power_w,
            options=_cut(self.profile, self.slo, self.stretch).of(name),
            members=members,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _CurveTable:
    """The curves that can keep the SLO, end to end, by class or mix, then by `tp` and by clock.

    They run on beyond the load at which they do. Of their levels only those at which the power bends are there.

    Parameters
    ----------
    keys
        `tp`, clock and class or mix of each.
    slo_rate_rps
        Up to which load each keeps the SLO, in requests per second, shape (curves,).
    first
        Where each starts, shape (curves + 1,).
    rate_rps, power_w
        Their levels, and the power there, in watts.
    start
        `first` as Python's numbers.
    curves_of
        Which curves are those of a class or mix.
    """

    keys: tuple[tuple[int, int, str], ...]
    slo_rate_rps: FloatArray
    first: npt.NDArray[np.int64]
    rate_rps: FloatArray
    power_w: FloatArray
    start: tuple[int, ...]
    curves_of: Mapping[str, range]

    def cut(self, stretch: float) -> _Cut:
        """Cut the curves at what an instance may be given."""
        capacity = self.slo_rate_rps / stretch
        size, start = np.diff(self.first), self.first[:-1]
        # A problem has 200 curves and a week 2,000 problems: cutting all at once is several times faster.
        below = self.rate_rps < np.repeat(capacity * (1 - 1e-9), size)
        last = start + np.add.reduceat(below, start, dtype=np.int64) if start.size else start
        rate_rps, power_w = self.rate_rps.copy(), self.power_w.copy()
        share = (capacity - rate_rps[last - 1]) / (rate_rps[last] - rate_rps[last - 1])
        power_w[last] = power_w[last - 1] + np.minimum(share, 1.0) * (power_w[last] - power_w[last - 1])
        rate_rps[last] = capacity
        for shared in (rate_rps, power_w):  # by problems of the same stretch
            shared.setflags(write=False)
        return _Cut(self, rate_rps, power_w, (last + 1).tolist())


class _Cut:
    """Curves cut at one stretch, of which options are made when they are asked for: most mixes are not on offer."""

    def __init__(self, table: _CurveTable, rate_rps: FloatArray, power_w: FloatArray, end: list[int]) -> None:
        self._table, self._rate_rps, self._power_w, self._end = table, rate_rps, power_w, end
        self._made: dict[str, tuple[PoolOption, ...]] = {}

    def of(self, name: str) -> tuple[PoolOption, ...]:
        """Return the options of a class or mix; the same objects each time."""
        if name not in self._made:
            self._made[name] = tuple(self._option(at) for at in self._table.curves_of.get(name, ()))
        return self._made[name]

    def _option(self, at: int) -> PoolOption:
        tp, mhz, _ = self._table.keys[at]
        part = slice(self._table.start[at], self._end[at])
        return PoolOption(tp=tp, frequency_mhz=mhz, rate_rps=self._rate_rps[part], power_w=self._power_w[part])


@lru_cache(maxsize=64)
def _table(profile: Profile, slo: Slo) -> _CurveTable:
    rates = slo_rates_rps(profile, slo)
    keys = tuple(sorted(rates, key=lambda key: (key[2], key[:2])))
    bends = [(profile.curves[key], profile.curves[key].power_bends()) for key in keys]
    first = np.cumsum([0, *(at.size for _, at in bends)])
    names = [key[2] for key in keys]
    return _CurveTable(
        keys=keys,
        slo_rate_rps=np.array([rates[key] for key in keys]),
        first=first,
        rate_rps=np.concatenate([*(curve.rate_rps[at] for curve, at in bends), np.empty(0)]),
        power_w=np.concatenate([*(curve.power_w[at] for curve, at in bends), np.empty(0)]),
        start=tuple(first.tolist()),
        curves_of={name: range(names.index(name), names.index(name) + names.count(name)) for name in set(names)},
    )


@lru_cache(maxsize=64)
def _cut(profile: Profile, slo: Slo, stretch: float) -> _Cut:
    """Return what may run in the pools of each class or mix; the same object for the same stretch."""
    return _table(profile, slo).cut(stretch)
