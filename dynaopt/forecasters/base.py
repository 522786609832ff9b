"""What a forecaster is: it sees windows that have ended, and says what it expects of those to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.profile import FloatArray

HOUR_S = 3600.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class History:
    """What arrived for one model in n consecutive windows, n at least 1.

    Parameters
    ----------
    first
        Start of the first of them, UTC.
    window_s
        Length of a window, in seconds.
    rates_rps
        Mean arrival rates in requests per second, shape (n, 9), classes as in `REQUEST_CLASSES`.
    peak_factors
        How far the busiest minute of each window stands above its mean, shape (n,).
    """

    first: pd.Timestamp
    window_s: float
    rates_rps: FloatArray
    peak_factors: FloatArray

    @property
    def num_windows(self) -> int:
        """Windows that have ended."""
        return len(self.rates_rps)

    @property
    def windows_per_day(self) -> int:
        """Windows of a day, to the nearest."""
        return max(1, round(DAY_S / self.window_s))

    def until(self, stop: int) -> History:
        """Return the first `stop` windows, as views."""
        return History(
            first=self.first,
            window_s=self.window_s,
            rates_rps=self.rates_rps[:stop],
            peak_factors=self.peak_factors[:stop],
        )

    def days(self, first: int, stop: int) -> np.ndarray:
        """Return the day of the week of windows, 0 for Monday, shape (stop - first,); they may lie in the future."""
        offset_s = np.arange(first, stop) * self.window_s
        days: np.ndarray = (self.first + pd.to_timedelta(offset_s, unit="s")).day_of_week.to_numpy()
        return days

    def recent_peak_factor(self) -> float:
        """Return the mean peak factor of the last hour: what one window's busiest minute tells is mostly chance."""
        last = max(1, round(HOUR_S / self.window_s))
        return float(self.peak_factors[-last:].mean())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Forecast:
    """What is expected of the windows that follow a history.

    Parameters
    ----------
    rates_rps
        Mean arrival rates in requests per second, shape (steps, 9); the first row is the window right after.
    peak_factors
        How far the busiest minute stands above the mean, at least 1, shape (steps,).
    """

    rates_rps: FloatArray
    peak_factors: FloatArray

    def __post_init__(self) -> None:
        bad = ~(np.isfinite(self.rates_rps) & (self.rates_rps >= 0))
        if bad.any() or not (np.isfinite(self.peak_factors) & (self.peak_factors >= 1)).all():
            raise ValueError(f"A forecast has rates of at least 0 and peak factors of at least 1, got {self}.")


class Forecaster(Protocol):
    """Foretells one model's arrivals. Which windows it has seen is up to the caller: it gets no others."""

    name: str

    def forecast(self, history: History, steps: int) -> Forecast:
        """Foretell the windows that follow.

        Parameters
        ----------
        history
            All windows that have ended. A forecaster may keep what it learnt from an earlier call, as long as the
            answer is that of the history alone.
        steps
            How many windows ahead, at least 1.
        """


def history_of(demand: Demand, model: str) -> History:
    """Return all windows of a model in a demand.

    Parameters
    ----------
    demand
        What arrived.
    model
        One of its models.
    """
    return History(
        first=demand.starts[0],
        window_s=demand.window_s,
        rates_rps=demand.rates_rps[model],
        peak_factors=demand.peak_factors[model],
    )
