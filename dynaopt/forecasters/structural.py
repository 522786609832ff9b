"""Forecasts by a structural time series of statsmodels: level, daily waves and a disturbance that dies down.

The logarithm of all requests of a window is a random walk plus a first-order autoregression plus six harmonics of a
day, fitted by maximum likelihood and filtered window by window (Durbin and Koopman, Time Series Analysis by State
Space Methods, chapter 3). The shares of the classes are those of the last hour. Parameters are fitted once a day, from
days that have ended; in between only the filter goes on, which takes a millisecond.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from statsmodels.tsa.statespace.structural import UnobservedComponents

from dynaopt.forecasters.base import HOUR_S, Forecast, History
from dynaopt.forecasters.simple import LastValue
from dynaopt.profile import FloatArray

_HARMONICS = 6
_MAX_ITERATIONS = 60
_SHORTEST_DAY = 2 * _HARMONICS + 1


class Structural:
    """Level, daily waves and autoregression of the total, by `statsmodels`; the last window until a day has passed."""

    name = "statsmodels"

    def __init__(self) -> None:
        self._day = 0
        self._seen = 0
        self._log_total: FloatArray = np.empty(0)
        self._results: Any = None

    def forecast(self, history: History, steps: int) -> Forecast:
        """Filter the windows that are new and foretell; see `Forecaster.forecast`."""
        last = LastValue().forecast(history, steps)
        per_day = history.windows_per_day
        totals = history.rates_rps.sum(axis=1)
        day = history.num_windows // per_day
        if day == 0 or per_day < _SHORTEST_DAY or not (totals > 0).any():
            return last
        log_total = np.log(np.maximum(totals, _least(totals)))
        if not self._goes_on(log_total, day):
            self._fit(log_total[: day * per_day], per_day, day)
        if log_total.size > self._seen:
            self._results = self._results.extend(log_total[self._seen :])
        self._seen, self._log_total = log_total.size, log_total
        # Beyond twice what was ever seen the logarithm only magnifies an error.
        ahead = np.exp(np.minimum(self._results.forecast(steps), np.log(2 * totals.max())))
        recent = history.rates_rps[-max(1, round(HOUR_S / history.window_s)) :].sum(axis=0)
        shares = recent / recent.sum() if recent.sum() > 0 else history.rates_rps.sum(axis=0) / totals.sum()
        return Forecast(rates_rps=ahead[:, None] * shares, peak_factors=np.full(steps, history.recent_peak_factor()))

    def _goes_on(self, log_total: FloatArray, day: int) -> bool:
        """Tell whether a history only adds windows to the last one, within the day for which parameters are fitted."""
        same = log_total.size >= self._seen and np.array_equal(log_total[: self._seen], self._log_total)
        return self._results is not None and same and day == self._day

    def _fit(self, log_total: FloatArray, per_day: int, day: int) -> None:
        """Fit the parameters to whole days, which makes them those of the history whatever was asked before."""
        model = UnobservedComponents(
            log_total,
            level="llevel",
            autoregressive=1,
            freq_seasonal=[{"period": per_day, "harmonics": _HARMONICS}],
            stochastic_freq_seasonal=[False],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that stops at its last iteration is good enough, and says so
            self._results = model.fit(disp=False, maxiter=_MAX_ITERATIONS)
        self._day, self._seen, self._log_total = day, log_total.size, log_total


def _least(totals: FloatArray) -> float:
    """Return what stands for a window without requests, whose logarithm there is none of."""
    return 0.1 * float(totals[totals > 0].min())
