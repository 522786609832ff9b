"""Small cases for tests of policies: straight curves, two lengths of requests, and a mix of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from builders import make_curve, make_metadata

from dynaopt.demand import Demand
from dynaopt.policies.base import Case, make_case
from dynaopt.profile import LoadCurve, Mix, Profile, StartUp

TP8 = (8, 1980, [(0.0, 800.0), (10.0, 1800.0)])
"""800 W idle, 100 J a request, up to 10 requests/s."""
SLOW_TP8 = (8, 1000, [(0.0, 600.0), (5.0, 1000.0)])
"""600 W idle, 80 J a request, up to 5 requests/s."""
TP2 = (2, 1980, [(0.0, 120.0), (2.0, 420.0)])
"""120 W idle, 150 J a request, up to 2 requests/s."""
Curve = tuple[int, int, Sequence[tuple[float, float]]]
MIX = "ALL-chat"


def make_policy_profile(
    *curves: Curve,
    classes: Sequence[str] = ("SS", "LL"),
    mixes: Mapping[str, Mapping[str, float]] | None = None,
    reshard_s: float = 5.0,
    **power: float,
) -> Profile:
    """Make a profile with the same curves for some classes, and for mixes of them; 400 s from cold."""
    shares = {MIX: {"SS": 0.5, "LL": 0.5}} if mixes is None else mixes
    listed: list[LoadCurve] = [make_curve(*curve[:2], c, curve[2]) for c in classes for curve in curves]
    for name, classes_of_mix in shares.items():
        for tp, clock, points in curves:
            curve = make_curve(tp, clock, name, points)
            latencies = dict.fromkeys(classes_of_mix, (curve.ttft_p99_s, curve.tbt_p99_s))
            listed.append(replace(curve, class_latencies=latencies))
    update = {
        "mixes": tuple(Mix(name=name, shares=dict(s)) for name, s in shares.items()),
        "start_up": StartUp(cold_s=400.0, reshard_s=reshard_s),
    }
    metadata = make_metadata(**power).model_copy(update=update)  # type: ignore[arg-type]
    return Profile(metadata=metadata, curves={(c.tp, c.frequency_mhz, c.request_class): c for c in listed})


def make_policy_case(
    profile: Profile, rates: Mapping[str, Sequence[float]], *, peak_factor: float = 1.0, **cluster: Any
) -> Case:
    """Make a case of windows of 300 s with the given requests/s of each class; 64 GPUs and no headroom unless given."""
    starts = pd.date_range("2024-05-12T00:00:00Z", periods=len(next(iter(rates.values()))), freq="5min", unit="us")
    rows = [
        {"window_start": start, "model": "", "request_class": c, "rate_rps": rate}
        | {"input_tokens": 1.0, "output_tokens": 1.0, "peak_factor": peak_factor}
        for n, start in enumerate(starts)
        for c, values in rates.items()
        if (rate := values[n]) > 0
    ]
    demand = Demand("made-up", 300.0, pd.DataFrame(rows), starts=starts)
    return make_case(demand, profile, **{"num_gpus": 64, "headroom": 0.0, **cluster})


def power_w(schedule: Any) -> list[float]:
    """Return the power of each window, rounded to a milliwatt."""
    return [float(x) for x in np.round(schedule.windows["power_w"].to_numpy(float), 3)]
