"""How well straight lines between the levels of a profile's curves meet a level that is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from dynaopt.curve_limits import curve_limits
from dynaopt.load_levels import FloatArray, Levels, left_out_errors
from dynaopt.profile import LoadCurve, Profile
from dynaopt.slo import Slo

TOLERANCE = 0.02
"""By what share a line may miss the value of a level that is left out."""
LOAD_TOLERANCE = 0.002
"""By what share of the level's load it may meet that value earlier or later, as at a jump."""

_NAMES = ("power", "TTFT P50", "TTFT P99", "TBT P50", "TBT P99")
_NAMES_IN_MIX = ("TTFT P99 of a class in a mix", "TBT P99 of a class in a mix")


def level_errors(profile: Profile, slo: Slo | None = None) -> pd.DataFrame:
    """Leave out each inner level of each curve in turn, and tell how far the line between its neighbours misses it.

    A level counts where it is of use: power everywhere, latencies at loads at which every P99 with a bound stands
    below 1.5 times that bound, and the P99s of each class in a mix from 0.95 times its bound on.

    Parameters
    ----------
    profile
        Whose curves to look at.
    slo
        The bounds; Table IV of the DynamoLLM paper by default.

    Returns
    -------
    pandas.DataFrame
        A row for each quantity: `quantity`; `levels`, how many count; `met_in_value`, the share of them at which the
        line comes within `TOLERANCE` of the level's value; `met`, the share at which it does so at a load within
        `LOAD_TOLERANCE` of the level's; `worst_in_value` and `worst`, the largest misses by the two rules, as shares
        of the value.
    """
    slo = slo or Slo.table_iv()
    parts = [part for curve in profile.curves.values() for part in _of_curve(curve, slo)]
    names = [name for name in (*_NAMES, *_NAMES_IN_MIX) if any(part[0] == name for part in parts)]
    return pd.DataFrame([_row(name, [part[1:] for part in parts if part[0] == name]) for name in names])


def _of_curve(curve: LoadCurve, slo: Slo) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Iterate over the values of a curve: name, and the misses in value alone and in value or load where it counts."""
    classes = tuple(curve.class_latencies)
    columns = [curve.power_w, curve.ttft_p50_s, curve.ttft_p99_s, curve.tbt_p50_s, curve.tbt_p99_s]
    columns += [values for name in classes for values in curve.class_latencies[name]]
    levels = Levels(curve.rate_rps, np.stack(columns, axis=1))
    limits = curve_limits(curve.request_class, classes, slo, levels.values[0])
    in_value = left_out_errors(levels, replace(limits, load_tolerance=0.0))
    either = left_out_errors(levels, replace(limits, load_tolerance=LOAD_TOLERANCE))
    inner = levels.values[1:-1]
    usable = np.all(inner <= limits.relevant, axis=1)
    for at, name in enumerate((*_NAMES, *_NAMES_IN_MIX * len(classes))):
        counts = usable & (inner[:, at] >= limits.relevant_from[at]) | limits.everywhere[at]
        yield name, in_value[counts, at], either[counts, at]


def _row(name: str, parts: list[tuple[FloatArray, FloatArray]]) -> dict[str, object]:
    in_value, either = (np.concatenate(errors) for errors in zip(*parts, strict=True))
    return {
        "quantity": name,
        "levels": len(in_value),
        "met_in_value": float((in_value <= TOLERANCE).mean()) if in_value.size else np.nan,
        "met": float((either <= TOLERANCE).mean()) if either.size else np.nan,
        "worst_in_value": float(in_value.max(initial=0.0)),
        "worst": float(either.max(initial=0.0)),
    }
