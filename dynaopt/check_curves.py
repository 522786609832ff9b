"""Power and latency of instances, read straight from the profiled curves for the independent check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.profile import FloatArray, LoadCurve, Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

_BISECTIONS = 60


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CurveReadings:
    """What the curves say of each of n rows of instances; all arrays have length n, and NaN where nothing is known.

    `known` tells whether the profile has such an instance. `peak_rate_rps` is the load on one in the busiest minute,
    headroom included, and `last_rate_rps` the end of its curve. `power_w` is the power at the mean load. `ttft_p99_s`
    and `tbt_p99_s` are the worst latencies at any load up to the peak, beside the bounds that they must keep.
    `capacity_rps` is the most mean load at which they do.
    """

    known: npt.NDArray[np.bool_]
    peak_rate_rps: FloatArray
    last_rate_rps: FloatArray
    power_w: FloatArray
    ttft_p99_s: FloatArray
    tbt_p99_s: FloatArray
    ttft_bound_s: FloatArray
    tbt_bound_s: FloatArray
    capacity_rps: FloatArray


def read_curves(groups: pd.DataFrame, profiles: Mapping[str, Profile], slo: Slo, stretch: FloatArray) -> CurveReadings:
    """Read the curves of all instances.

    Parameters
    ----------
    groups
        Instances, n rows: ``model, pool, tp, frequency_mhz, rate_per_instance_rps``.
    profiles
        The profile of each model.
    slo
        The latency objectives.
    stretch
        Peak factor times (1 + headroom) for each row, length n.
    """
    load = groups["rate_per_instance_rps"].to_numpy(float)
    names = ("last_rate_rps", "power_w", "ttft_p99_s", "tbt_p99_s", "ttft_bound_s", "tbt_bound_s", "capacity_rps")
    columns = {name: np.full(len(groups), np.nan) for name in names}
    known = np.zeros(len(groups), dtype=np.bool_)
    for key, rows in groups.groupby(["model", "tp", "frequency_mhz", "pool"]).indices.items():
        model, tp, mhz, pool = cast("tuple[str, int, int, str]", key)
        curve = profiles[model].curves.get((tp, mhz, pool)) if model in profiles else None
        if curve is None or not (pool in REQUEST_CLASSES or curve.class_latencies):
            continue
        known[rows] = True
        for name, values in _read_curve(curve, slo, load[rows], stretch[rows]).items():
            columns[name][rows] = values
    return CurveReadings(known=known, peak_rate_rps=load * stretch, **columns)


def worst_up_to(rates: FloatArray, values: FloatArray, load: FloatArray) -> FloatArray:
    """Return the largest value that a piecewise linear curve takes at any load from 0 up to each of `load`.

    Parameters
    ----------
    rates, values
        The curve, shape (m + 1,) each.
    load
        Loads in requests per second, shape (n,). Beyond the last rate the last value is taken.
    """
    highest = np.maximum.accumulate(values)
    passed = np.clip(np.searchsorted(rates, load, side="right") - 1, 0, len(rates) - 1)
    return np.maximum(highest[passed], np.interp(load, rates, values))


def _read_curve(curve: LoadCurve, slo: Slo, load: FloatArray, stretch: FloatArray) -> dict[str, FloatArray | float]:
    peak = load * stretch
    ttft_s, ttft_bound_s = _worst_class(curve, slo, 0, peak)
    tbt_s, tbt_bound_s = _worst_class(curve, slo, 1, peak)
    return {
        "last_rate_rps": float(curve.rate_rps[-1]),
        "power_w": np.interp(load, curve.rate_rps, curve.power_w),
        "ttft_p99_s": ttft_s,
        "tbt_p99_s": tbt_s,
        "ttft_bound_s": ttft_bound_s,
        "tbt_bound_s": tbt_bound_s,
        "capacity_rps": _most_load_rps(curve, slo) / stretch,
    }


def _latencies(curve: LoadCurve) -> Mapping[str, tuple[FloatArray, FloatArray]]:
    """Return the P99 TTFT and TBT of each class that an instance serves: its own, or every one of a mix."""
    return curve.class_latencies or {curve.request_class: (curve.ttft_p99_s, curve.tbt_p99_s)}


def _worst_class(curve: LoadCurve, slo: Slo, which: int, load: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the worst latency up to each load and its bound, both of the class that comes nearest to its bound."""
    latencies = _latencies(curve)
    found = np.array([worst_up_to(curve.rate_rps, pair[which], load) for pair in latencies.values()])
    bounds = np.array([[slo.of(c)[which]] for c in latencies])
    at = (found / bounds).argmax(axis=0)
    return found[at, np.arange(len(load))], bounds[at, 0]


@lru_cache(maxsize=4096)
def _most_load_rps(curve: LoadCurve, slo: Slo) -> float:
    """Bisect for the largest load that keeps the bounds of every class; 0 where none does."""
    low, high = 0.0, float(curve.rate_rps[-1])
    if _keeps(curve, slo, high):
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _keeps(curve, slo, middle) else (low, middle)
    return low


def _keeps(curve: LoadCurve, slo: Slo, load_rps: float) -> bool:
    load = np.array([load_rps])
    worst = (_worst_class(curve, slo, which, load) for which in (0, 1))
    return all(bool(found[0] <= bound[0]) for found, bound in worst)
