"""How far latencies may be off before an instance of a schedule breaks its SLO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from dynaopt.check_curves import worst_up_to
from dynaopt.profile import FloatArray, LoadCurve, Profile
from dynaopt.schedule import Schedule
from dynaopt.slo import Slo

LARGEST_MARGIN = 9.0
"""Nothing is asked beyond ten times the latencies that a profile has."""
_BISECTIONS = 50


def slo_margins(schedule: Schedule, profiles: Sequence[Profile], *, headroom: float = 0.0) -> pd.DataFrame:
    """Return how much slower than its profile each instance may be at the busiest minute before a P99 breaks its bound.

    Parameters
    ----------
    schedule
        The plan.
    profiles
        What is believed of the instances, one profile for each model.
    headroom
        What is to be left of the schedule's own; by default nothing, so that its headroom is a part of the margin.

    Returns
    -------
    pandas.DataFrame
        A row for each of the schedule's `allocations`, with its `window_start, model, pool, tp, frequency_mhz,
        num_instances` and, as shares, `latency_margin` (all latencies longer at the same load) and `duration_margin`
        (every iteration longer, so that queues grow too), both at most `LARGEST_MARGIN`; below 0 where the instance
        does not even keep its SLO as profiled. NaN where a profile has no such curve.
    """
    by_model = {profile.model: profile for profile in profiles}
    groups = schedule.allocations.reset_index(drop=True)
    peak_rps = groups["rate_per_instance_rps"].to_numpy(float) * _peak_factors(schedule) * (1 + headroom)
    latency, duration = np.full(len(groups), np.nan), np.full(len(groups), np.nan)
    for key, rows in groups.groupby(["model", "tp", "frequency_mhz", "pool"]).indices.items():
        model, tp, frequency_mhz, pool = cast("tuple[str, int, int, str]", key)
        curve = by_model[model].curves.get((tp, frequency_mhz, pool)) if model in by_model else None
        if curve is not None:
            bounds = _bounds(curve, schedule.metadata.slo)
            latency[rows], duration[rows] = _margins(curve.rate_rps, bounds, peak_rps[rows])
    columns = ["window_start", "model", "pool", "tp", "frequency_mhz", "num_instances"]
    return groups[columns].assign(latency_margin=latency, duration_margin=duration)


def margin_quantile(margins: pd.DataFrame, column: str, share: float) -> float:
    """Return the margin that a share of the instances falls short of, each counted once a window.

    Parameters
    ----------
    margins
        From `slo_margins`.
    column
        ``latency_margin`` or ``duration_margin``.
    share
        0 for the least margin of all.

    Returns
    -------
    float
        NaN where nothing runs.
    """
    known = margins.dropna(subset=[column]).sort_values(column)
    if known.empty:
        return float("nan")
    passed = known["num_instances"].cumsum() / known["num_instances"].sum()
    at = int(np.searchsorted(passed.to_numpy(), share, side="right"))
    return float(known[column].iloc[min(at, len(known) - 1)])


def _peak_factors(schedule: Schedule) -> FloatArray:
    """Return the peak factor of each row of the allocations; a demand that names no model is that of the only one."""
    demand, rows = schedule.demand, schedule.allocations
    window = demand.starts.get_indexer(pd.DatetimeIndex(rows["window_start"]))
    factors: Mapping[str, FloatArray] = demand.peak_factors
    named = [factors.get(model, factors.get("")) for model in rows["model"]]
    return np.array([1.0 if own is None else own[at] for own, at in zip(named, window, strict=True)])


def _bounds(curve: LoadCurve, slo: Slo) -> list[tuple[FloatArray, float]]:
    """Return every latency that has a bound, with it: of a mix those of each class in it."""
    latencies = curve.class_latencies or {curve.request_class: (curve.ttft_p99_s, curve.tbt_p99_s)}
    return [pair for name, own in latencies.items() for pair in zip(own, slo.of(name), strict=True)]


def _margins(
    rates_rps: FloatArray, bounds: list[tuple[FloatArray, float]], peak_rps: FloatArray
) -> tuple[FloatArray, FloatArray]:
    def latency_factor(load_rps: FloatArray) -> FloatArray:
        """Give the factor on all latencies at which the first bound breaks, at each load."""
        factors = [bound / worst_up_to(rates_rps, values, load_rps) for values, bound in bounds]
        return np.asarray(np.min(factors, axis=0), dtype=np.float64)

    with np.errstate(divide="ignore"):
        # Beyond the end of its curve nothing is known, and nothing may be assumed.
        longest = np.minimum(rates_rps[-1] / peak_rps, LARGEST_MARGIN + 1)
    latency = np.minimum(latency_factor(peak_rps), LARGEST_MARGIN + 1)
    latency = np.where(longest < 1, np.minimum(latency, longest), latency)
    low, high = np.zeros_like(peak_rps), longest
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        # Iterations that take longer by a factor make of this load what that many times the load is in the profile.
        keeps = latency_factor(middle * peak_rps) >= middle
        low, high = np.where(keeps, middle, low), np.where(keeps, high, middle)
    return latency - 1, low - 1
