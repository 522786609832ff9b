"""What arrives, in whatever form a controller has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.request_class import REQUEST_CLASSES

Rates = Mapping[str, float] | Sequence[float] | FloatArray
DemandLike = WindowDemand | Rates | Mapping[str, Rates]


def as_window(
    demand: DemandLike,
    models: Sequence[str],
    *,
    peak_factor: float | Mapping[str, float] = 1.0,
    start: pd.Timestamp | None = None,
    window_s: float,
) -> WindowDemand:
    """Turn a demand into that of a window that names every model.

    Parameters
    ----------
    demand
        A `WindowDemand`, whose own start, length and peak factors hold; requests per second by class, those that are
        not named being 0; nine of them in the order of `REQUEST_CLASSES`; or one of these for each model.
    models
        Names of the models. Only one may go unnamed; nothing arrives for those that are not named.
    peak_factor
        How far the busiest minute stands above the mean, of all models or of each; at least 1.
    start
        Start of the window, UTC; now by default.
    window_s
        Its length, in seconds.

    Raises
    ------
    UnknownNameError
        If a model or a class is named that there is not.
    InvalidInputError
        If a rate is negative or not a number, or a peak factor below 1.
    """
    if isinstance(demand, WindowDemand):
        start, window_s, peak_factor, demand = demand.start, demand.window_s, demand.peak_factor, demand.rate_rps
    by_model = _by_model(demand, models)
    peaks = peak_factor if isinstance(peak_factor, Mapping) else dict.fromkeys(models, peak_factor)
    if set(peaks) == {""} and len(models) == 1:
        peaks = {models[0]: peaks[""]}
    return WindowDemand(
        start=pd.Timestamp.now("UTC") if start is None else start,
        window_s=window_s,
        rate_rps={model: _rates(model, by_model.get(model, {})) for model in models},
        peak_factor={model: _peak(model, peaks.get(model, 1.0)) for model in models},
    )


def _by_model(demand: Rates | Mapping[str, Rates], models: Sequence[str]) -> Mapping[str, Rates]:
    named = isinstance(demand, Mapping) and any(not np.isscalar(value) for value in demand.values())
    if not named:
        if len(models) > 1:
            expected = f"rates for each model of {', '.join(models)}"
            raise InvalidInputError("demand", expected=expected, found="rates without a model")
        return {models[0]: demand}  # type: ignore[dict-item]
    given: Mapping[str, Rates] = demand  # type: ignore[assignment]
    if set(given) == {""} and len(models) == 1:
        return {models[0]: given[""]}
    for model in given:
        if model not in models:
            raise UnknownNameError("demand", expected=f"a model of {', '.join(models)}", found=f"'{model}'")
    return given


def _rates(model: str, given: Rates) -> FloatArray:
    where = f"demand of {model}"
    if isinstance(given, Mapping):
        for name in given:
            if name not in REQUEST_CLASSES:
                raise UnknownNameError(where, expected=f"a class of {', '.join(REQUEST_CLASSES)}", found=f"'{name}'")
        given = [given.get(name, 0.0) for name in REQUEST_CLASSES]
    try:
        rates = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(where, expected="numbers of requests per second", found=str(given)) from None
    if rates.shape != (len(REQUEST_CLASSES),):
        raise InvalidInputError(where, expected=f"{len(REQUEST_CLASSES)} rates", found=f"shape {rates.shape}")
    for name, rate in zip(REQUEST_CLASSES, rates.tolist(), strict=True):
        if not 0 <= rate < np.inf:
            raise InvalidInputError(f"{where}, class {name}", expected="a rate of at least 0", found=str(rate))
    return rates


def _peak(model: str, peak: float) -> float:
    if not 1 <= peak < np.inf:
        raise InvalidInputError(f"peak factor of {model}", expected="a number of at least 1", found=str(peak))
    return float(peak)
