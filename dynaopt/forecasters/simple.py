"""The two ends: nothing foretold, and everything known."""

from __future__ import annotations

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.forecasters.base import Forecast, History


class LastValue:
    """What arrived in the last window arrives again: a cluster that only reacts."""

    name = "last"

    def forecast(self, history: History, steps: int) -> Forecast:
        """Repeat the last window; see `Forecaster.forecast`."""
        return Forecast(
            rates_rps=np.repeat(history.rates_rps[-1:], steps, axis=0),
            peak_factors=np.repeat(history.peak_factors[-1:], steps),
        )


class Perfect:
    """Knows what comes: the oracle that others are held against.

    Parameters
    ----------
    truth
        All windows, those to come among them. After its last window, that one is repeated.
    """

    name = "oracle"

    def __init__(self, truth: History) -> None:
        self._truth = truth

    def forecast(self, history: History, steps: int) -> Forecast:
        """Return what comes; see `Forecaster.forecast`.

        Raises
        ------
        InvalidInputError
            If the history does not begin where the truth does, or reaches beyond it.
        """
        truth, seen = self._truth, history.num_windows
        if history.first != truth.first or seen > truth.num_windows:
            found = f"{seen} windows from {history.first}"
            raise InvalidInputError("history", expected=f"the first windows from {truth.first} on", found=found)
        at = np.minimum(np.arange(seen, seen + steps), truth.num_windows - 1)
        return Forecast(rates_rps=truth.rates_rps[at], peak_factors=truth.peak_factors[at])
