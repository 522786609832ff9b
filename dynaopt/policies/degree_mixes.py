"""Mixes of tensor-parallel degrees that serve a load, found by trying all numbers of instances; compiled.

This is the pool manager's integer program of DynamoLLM (HPCA 2025), equation 1, and the clock that its instance
manager then gives every instance. Degrees are numbered 0 … T-1, ascending; each runs at its highest clock until
`settle` is asked to lower it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynaopt.jit import compiled
from dynaopt.policies.served import ServedPool
from dynaopt.problem import Cluster
from dynaopt.profile import FloatArray

IntArray = npt.NDArray[np.int64]
_TINY = 1e-9


class Laid(NamedTuple):
    """A pool's configurations end to end, by degree and then by clock.

    Parameters
    ----------
    tp
        GPUs of an instance of each degree, shape (T,).
    first
        Where each degree's configurations start, shape (T + 1,).
    top
        Of each degree, its configuration at the highest clock, shape (T,).
    point
        Where each configuration's curve starts, shape (K + 1,).
    rate_rps, power_w
        The curves, end to end; power includes the share of hosts.
    slo_rps
        Load up to which each configuration keeps the SLO, shape (K,).
    """

    tp: IntArray
    first: IntArray
    top: IntArray
    point: IntArray
    rate_rps: FloatArray
    power_w: FloatArray
    slo_rps: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Degrees:
    """What a pool can run.

    Parameters
    ----------
    laid
        Its configurations.
    share, plus_one
        The reserve: a share of capacity, and whether the largest instance may fail.
    """

    laid: Laid
    share: float
    plus_one: bool

    @property
    def tp(self) -> IntArray:
        """GPUs of an instance of each degree, ascending, shape (T,)."""
        return self.laid.tp

    def capacity_rps(self, stretch: float) -> FloatArray:
        """Return the most mean load of an instance of each degree at its highest clock, shape (T,)."""
        capacity: FloatArray = self.laid.slo_rps[self.laid.top] / stretch
        return capacity

    def cheapest(self, load_rps: float, stretch: float, num_gpus: int, *, exact: bool) -> IntArray | None:
        """Find the numbers of instances at the highest clock that serve a load with the least power.

        Parameters
        ----------
        load_rps
            Mean load, in requests per second.
        stretch
            How far above it the SLO must hold.
        num_gpus
            GPUs that there are.
        exact
            Whether all of them must hold an instance.

        Returns
        -------
        numpy.ndarray or None
            Instances of each degree, shape (T,); None if no numbers serve the load.
        """
        counts = np.zeros(self.tp.size, dtype=np.int64)
        found = _cheapest(self.laid, load_rps, stretch, num_gpus, exact, self.share, self.plus_one, counts)
        return counts if np.isfinite(found) else None

    def can_serve(self, counts: IntArray, load_rps: float, stretch: float) -> bool:
        """Tell whether instances serve a load with the reserve kept."""
        return bool(_is_enough(counts, self.capacity_rps(stretch), load_rps, self.share, self.plus_one))

    def settle(
        self, counts: IntArray, load_rps: float, stretch: float, *, lower_clocks: bool
    ) -> tuple[float, list[tuple[int, int, float]]]:
        """Put a load on instances: filling some or sharing it evenly, at whatever clocks, as takes the least power.

        Parameters
        ----------
        counts
            Instances of each degree, shape (T,), enough for the load.
        load_rps, stretch
            As for `cheapest`.
        lower_clocks
            Whether every instance gets the cheapest clock that keeps the SLO, and not the highest.

        Returns
        -------
        float
            Power with hosts, in watts.
        list
            Triples (configuration, instances, requests per second on each).
        """
        out = np.zeros((2, 3 * self.tp.size, 3))
        powers = [
            _settle(self.laid, counts, load_rps, stretch, fill, lower_clocks, out[int(fill)]) for fill in (False, True)
        ]
        at = int(np.argmin(powers))
        return powers[at], [(int(k), int(n), float(rate)) for k, n, rate in out[at] if n > 0]


def degrees_of(pool: ServedPool, cluster: Cluster, frequency_mhz: int | None = None) -> Degrees:
    """Lay out the configurations of a pool.

    Parameters
    ----------
    pool
        The pool.
    cluster
        Its reserve counts.
    frequency_mhz
        The only clock to take, if one is given; a degree that has no such configuration is left out.
    """
    kept = [k for k in pool.configurations if frequency_mhz is None or k.frequency_mhz == frequency_mhz]
    tp = np.array(sorted({k.tp for k in kept}), dtype=np.int64)
    first = np.searchsorted([k.tp for k in kept], [*tp, tp[-1] + 1]).astype(np.int64)
    host_w = np.repeat([k.tp * pool.host_w for k in kept], [k.curve.rate_rps.size for k in kept])
    laid = Laid(
        tp=tp,
        first=first,
        top=first[1:] - 1,
        point=np.cumsum([0, *(k.curve.rate_rps.size for k in kept)]).astype(np.int64),
        rate_rps=np.concatenate([k.curve.rate_rps for k in kept]),
        power_w=np.concatenate([k.curve.power_w for k in kept]) + host_w,
        slo_rps=np.array([k.slo_rate_rps for k in kept]),
    )
    return Degrees(laid=laid, share=cluster.reserve_share, plus_one=cluster.spare_instances > 0)


@compiled
def _power_at(c: Laid, k: int, load: float) -> float:
    """Interpolate the power of configuration `k`; the end of its curve holds beyond it."""
    a, b = c.point[k], c.point[k + 1] - 1
    if load >= c.rate_rps[b]:
        return float(c.power_w[b])
    while c.rate_rps[a + 1] < load:
        a += 1
    share = (load - c.rate_rps[a]) / (c.rate_rps[a + 1] - c.rate_rps[a])
    return float(c.power_w[a] + share * (c.power_w[a + 1] - c.power_w[a]))


@compiled
def _is_enough(counts: IntArray, capacity: FloatArray, load: float, share: float, plus_one: bool) -> bool:
    total, largest = 0.0, 0.0
    for t in range(counts.size):
        if counts[t] > 0:
            total += counts[t] * capacity[t]
            largest = max(largest, capacity[t])
    if plus_one:
        total -= largest
    return total * (1 - share) >= load * (1 - _TINY)


@compiled
def _cheapest(
    c: Laid, load: float, stretch: float, num_gpus: int, exact: bool, share: float, plus_one: bool, best: IntArray
) -> float:
    """Try all numbers of the larger degrees, with the number of the smallest that goes with them."""
    least = np.inf
    capacity = c.slo_rps[c.top] / stretch
    counts = np.zeros(c.tp.size, dtype=np.int64)
    out = np.zeros((3 * c.tp.size, 3))
    while True:
        room = num_gpus
        for t in range(1, c.tp.size):
            room -= counts[t] * c.tp[t]
        fits = room >= 0 and _fit_smallest(c, capacity, counts, load, room, exact, share, plus_one)
        if fits:
            for fill in (False, True):
                power = _settle(c, counts, load, stretch, fill, False, out)
                if power < least:
                    least = power
                    best[:] = counts
        # More of a degree than carries everything only idles, unless every GPU must be used.
        if not _advance(counts, room < 0 or (fits and not exact and counts[0] == 0)):
            return least


@compiled
def _fit_smallest(
    c: Laid, capacity: FloatArray, counts: IntArray, load: float, room: int, exact: bool, share: float, plus_one: bool
) -> bool:
    """Write the number of the smallest degree: all that there is room for, or no more than the load needs."""
    most = room // c.tp[0]
    counts[0] = most if exact else 0
    if not exact:
        carried = 0.0
        for t in range(1, counts.size):
            carried += counts[t] * capacity[t]
        lacking = load * (1 - _TINY) / (1 - share) - carried
        counts[0] = max(0, int(np.ceil(lacking / capacity[0])))
        while counts[0] <= most and not _is_enough(counts, capacity, load, share, plus_one):
            counts[0] += 1
        return bool(counts[0] <= most)
    return most * c.tp[0] == room and _is_enough(counts, capacity, load, share, plus_one)


@compiled
def _advance(counts: IntArray, is_over: bool) -> bool:
    """Go to the next numbers of the larger degrees; return whether there are any.

    Where these are over what is useful, more of the lowest degree among them is too: it starts anew, one degree up.
    """
    at = 1
    if is_over:
        while at < counts.size and counts[at] == 0:
            at += 1
        if at < counts.size:
            counts[at] = 0
            at += 1
    if at >= counts.size:
        return False
    counts[at] += 1
    return True


@compiled
def _settle(
    c: Laid, counts: IntArray, load: float, stretch: float, fill: bool, lower_clocks: bool, out: FloatArray
) -> float:
    """Write (configuration, instances, load of each) and return their power."""
    n, total, left = 0, 0.0, load
    capacity = c.slo_rps[c.top] / stretch
    share = min(load / max((counts * capacity).sum(), load), 1.0) if load > 0 else 0.0
    out[:] = 0.0
    for t in _filling_order(c, capacity):
        if counts[t] == 0:
            continue
        if not fill:
            total += _place(c, t, counts[t], share * capacity[t], stretch, lower_clocks, out[n])
            n += 1
            continue
        full = min(counts[t], int(np.floor(left / capacity[t] * (1 + _TINY))))
        left = max(0.0, left - full * capacity[t])
        part = 1 if full < counts[t] and left > _TINY * load else 0
        for number, rate in ((full, capacity[t]), (part, left), (counts[t] - full - part, 0.0)):
            if number > 0:
                total += _place(c, t, number, rate, stretch, lower_clocks, out[n])
                n += 1
        left = 0.0 if part else left
    return total


@compiled
def _filling_order(c: Laid, capacity: FloatArray) -> IntArray:
    """Return the degrees, that first whose full instance takes least for each request beside idling."""
    slope = np.empty(c.tp.size)
    for t in range(c.tp.size):
        slope[t] = (_power_at(c, c.top[t], capacity[t]) - _power_at(c, c.top[t], 0.0)) / capacity[t]
    return np.argsort(slope)


@compiled
def _place(c: Laid, t: int, number: int, rate: float, stretch: float, lower_clocks: bool, row: FloatArray) -> float:
    """Write instances of a degree at a load, at the highest clock or the cheapest one that keeps the SLO."""
    chosen, least = c.top[t], _power_at(c, c.top[t], rate)
    if lower_clocks:
        for k in range(c.first[t], c.first[t + 1]):
            if c.slo_rps[k] * (1 + _TINY) >= rate * stretch:
                power = _power_at(c, k, rate)
                if power < least:
                    chosen, least = k, power
    row[0], row[1], row[2] = chosen, number, rate
    return number * least
