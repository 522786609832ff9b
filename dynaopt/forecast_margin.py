"""How much to add to a forecast: what it fell short of reality by in the past, at a quantile.

The margin of a step is a quantile of (load that came) / (load foretold) over the forecasts of the last days whose
windows have ended: split conformal prediction with a sliding calibration set (Vovk, Gammerman, Shafer, Algorithmic
Learning in a Random World, 2005; for series without the promise of exchangeability). Nothing of the future enters.
"""

from __future__ import annotations

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.forecasters.base import Forecast
from dynaopt.profile import FloatArray

DEFAULT_QUANTILE = 0.95
FIRST_MARGIN = 1.2
"""What to multiply a forecast by while too few have been tried; an assumption."""
_LEAST_TRIED = 24
_LEAST_MEMORY = 96  # with long windows a few days have too few of them for a quantile


class Margins:
    """Keeps what was foretold, and tells how far forecasts fell short.

    Parameters
    ----------
    weights
        How much a request per second of each class counts in the load, shape (9,).
    steps
        Steps of each forecast.
    quantile
        Share of the past in which the margin would have sufficed; None for no margin at all.
    memory
        Most forecasts to look back on; at least 96 are.

    Raises
    ------
    InvalidInputError
        If the quantile does not lie between 0 and 1.
    """

    def __init__(self, weights: FloatArray, steps: int, quantile: float | None, memory: int) -> None:
        if quantile is not None and not 0 < quantile < 1:
            raise InvalidInputError("option quantile", expected="a number between 0 and 1", found=f"{quantile:g}")
        self._weights, self._steps, self._quantile = weights, steps, quantile
        self._memory = max(memory, _LEAST_MEMORY)
        self._foretold: list[FloatArray] = []
        self._came: list[float] = []

    def note(self, forecast: Forecast) -> None:
        """Keep a forecast; the n-th one noted is that made after n more windows than the first."""
        self._foretold.append(self._load(forecast.rates_rps, forecast.peak_factors))

    def came(self, rates_rps: FloatArray, peak_factor: float) -> None:
        """Take in the window that followed the last forecast, once it has ended; rates of shape (9,)."""
        self._came.append(float(self._load(rates_rps[None, :], np.array([peak_factor]))[0]))

    def margins(self) -> FloatArray:
        """Return what to multiply each step of the next forecast by, shape (steps,)."""
        if self._quantile is None:
            return np.ones(self._steps)
        found = np.empty(self._steps)
        for step in range(self._steps):
            ratios = self._ratios(step)
            enough = ratios.size >= _LEAST_TRIED
            # The order statistic that covers a new one of exchangeable ratios with at least this chance.
            rank = min(int(np.ceil(self._quantile * (ratios.size + 1))), ratios.size) - 1
            found[step] = np.partition(ratios, rank)[rank] if enough else FIRST_MARGIN
        return found

    def _ratios(self, step: int) -> FloatArray:
        """Return how far the load that came exceeded the forecast of this step, latest last."""
        last = len(self._came) - step
        tried = range(max(0, last - self._memory), last)
        pairs = [(self._came[n + step], self._foretold[n][step]) for n in tried]
        return np.array([came / told if told > 0 else 1.0 for came, told in pairs])

    def _load(self, rates_rps: FloatArray, peak_factors: FloatArray) -> FloatArray:
        load: FloatArray = rates_rps @ self._weights * peak_factors
        return load
