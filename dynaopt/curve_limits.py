"""What the curve of a class or of a mix must show: where it ends, and which of its values straight lines must meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynaopt.load_levels import FloatArray, Limits
from dynaopt.request_class import MIX_PREFIX
from dynaopt.slo import Slo

# A curve ends where a P99 stands at this multiple of its bound, and latencies count up to the other.
_STOP_AT = 3.0
_RELEVANT_TO = 1.5
# Each class of a mix sees its own steps of the TBT; of these curves only what decides is resolved.
_RELEVANT_FROM_IN_MIX = 0.95
# Unloaded latencies beyond the bound still get a curve, up to this multiple of them.
_STOP_AT_UNLOADED = 1.5

NUM_VALUES = 5
"""Power, TTFT P50 and P99, TBT P50 and P99; of a mix the P99 TTFT and TBT of each class follow in turn."""


def latency_bounds(name: str, classes: Sequence[str], slo: Slo) -> FloatArray:
    """Return the bound of each value of a curve; infinite where there is none.

    Parameters
    ----------
    name
        A class or a mix.
    classes
        The classes in it.
    slo
        Their bounds.

    Returns
    -------
    numpy.ndarray
        Shape (values,), in seconds, in the order that `NUM_VALUES` tells.
    """
    bounds = np.full(NUM_VALUES, np.inf)
    if name.startswith(MIX_PREFIX):
        return np.concatenate([bounds, *(slo.of(c) for c in classes)])
    bounds[[2, 4]] = slo.of(name)
    return bounds


def curve_limits(name: str, classes: Sequence[str], slo: Slo, unloaded: FloatArray) -> Limits:
    """Return what a curve must show: all latencies up to where one stands at 1.5 times its bound, power everywhere.

    Of the latencies that each class sees in a mix only those from 0.95 times the bound on count.

    Parameters
    ----------
    name, classes, slo
        As for `latency_bounds`.
    unloaded
        The values at load 0, shape (values,).
    """
    bounds = latency_bounds(name, classes, slo)
    share = _RELEVANT_FROM_IN_MIX if name.startswith(MIX_PREFIX) else 0.0
    return Limits(
        stop=np.maximum(_STOP_AT * bounds, _STOP_AT_UNLOADED * unloaded),
        relevant=_RELEVANT_TO * bounds,
        relevant_from=share * np.where(np.isinf(bounds), 0.0, bounds),
        everywhere=np.arange(len(bounds)) == 0,
    )
