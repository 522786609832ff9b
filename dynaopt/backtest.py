"""How well a forecaster would have done: from every window on, what it foretold against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.forecast_margin import Margins
from dynaopt.forecasters import Forecaster, History
from dynaopt.profile import FloatArray
from dynaopt.request_class import REQUEST_CLASSES

DEFAULT_QUANTILES = (0.5, 0.9, 0.95, 0.99)
ALL = "all"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Backtest:
    """A forecaster against what came, from N rolling origins.

    Parameters
    ----------
    errors
        A row for each class, ``all`` for their sum, and step, 1 for the window right after the history:
        `request_class`, `step`, `mae_rps`, `wape` (sum of absolute errors over the sum of what came), `bias` (sum of
        what was foretold less what came, over what came); NaN where none came.
    coverage
        A row for each step and quantile: `step`, `quantile`, `coverage` (share of windows whose load was within the
        margin), `mean_margin`.
    """

    errors: pd.DataFrame
    coverage: pd.DataFrame


def backtest(
    forecaster: Forecaster,
    history: History,
    weights: FloatArray,
    *,
    steps: int,
    first: int = 1,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
) -> Backtest:
    """Let a forecaster foretell from every window on, each time from the windows before alone.

    Parameters
    ----------
    forecaster
        Who foretells.
    history
        All windows.
    weights
        How much a request per second of each class counts in the load of a margin, shape (9,).
    steps
        How many windows ahead.
    first
        Number of the first window that is foretold; forecasts before it only serve the margins.
    quantiles
        Of margins, as `Margins` takes them.

    Raises
    ------
    InvalidInputError
        If no window is left to foretell.
    """
    last = history.num_windows - steps
    if not 1 <= first <= last or steps < 1:
        raise InvalidInputError("option first", expected=f"1 to {last}", found=str(first))
    margins = [Margins(weights, steps, q, 2 * history.windows_per_day) for q in quantiles]
    loads = history.rates_rps @ weights * history.peak_factors
    told, covered, sizes = [], [], []
    for origin in range(1, last + 1):
        forecast = forecaster.forecast(history.until(origin), steps)
        factors = np.array([own.margins() for own in margins])
        if origin >= first:
            told.append(forecast.rates_rps)
            foretold = forecast.rates_rps @ weights * forecast.peak_factors
            covered.append(loads[origin : origin + steps] <= factors * foretold * (1 + 1e-12))
            sizes.append(factors)
        for own in margins:
            own.note(forecast)
            own.came(history.rates_rps[origin], float(history.peak_factors[origin]))
    came = np.array([history.rates_rps[origin : origin + steps] for origin in range(first, last + 1)])
    return Backtest(
        errors=_errors(np.array(told), came),
        coverage=_coverage(np.mean(covered, axis=0), np.mean(sizes, axis=0), quantiles),
    )


def _errors(told: FloatArray, came: FloatArray) -> pd.DataFrame:
    """Return the errors of forecasts of shape (origins, steps, 9)."""
    told, came = (np.concatenate([x, x.sum(axis=2, keepdims=True)], axis=2) for x in (told, came))
    mae = np.abs(told - came).mean(axis=0)
    mean = came.mean(axis=0)
    known = np.where(mean > 0, mean, np.nan)
    bias = (told - came).mean(axis=0)
    rows = [
        [name, step + 1, mae[step, c], mae[step, c] / known[step, c], bias[step, c] / known[step, c]]
        for c, name in enumerate([*REQUEST_CLASSES, ALL])
        for step in range(told.shape[1])
    ]
    return pd.DataFrame(rows, columns=["request_class", "step", "mae_rps", "wape", "bias"])


def _coverage(share: FloatArray, mean_margin: FloatArray, quantiles: Sequence[float]) -> pd.DataFrame:
    rows = [
        [step + 1, quantile, share[q, step], mean_margin[q, step]]
        for q, quantile in enumerate(quantiles)
        for step in range(share.shape[1])
    ]
    return pd.DataFrame(rows, columns=["step", "quantile", "coverage", "mean_margin"])
