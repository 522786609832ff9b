"""The load template of DynamoLLM: what used to arrive at this time of day, weekdays and weekends apart.

DynamoLLM (HPCA 2025), section IV-B, forecasts by a template of the week before: for each time of day the median over
that week's weekdays, and over its weekend. Where less than a week is known, the days so far have to do; a kind of day
of which none has been seen yet has no template, and the last window is repeated. `scaled` follows today's level too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynaopt.forecasters.base import HOUR_S, Forecast, History
from dynaopt.forecasters.simple import LastValue
from dynaopt.profile import FloatArray

BoolArray = npt.NDArray[np.bool_]

_DAYS = 7
_SATURDAY = 5


class Template:
    """Medians by time of day over the days of the same kind in the last week.

    Parameters
    ----------
    scaled
        Whether the template is multiplied by how far the last hour's total stood above its own template.
    learnt_from
        An earlier week to take the template from, windows of the same length; None, the default, for the days that the
        history itself has.
    """

    def __init__(self, *, scaled: bool = False, learnt_from: History | None = None) -> None:
        self.name = "scaled-template" if scaled else "template"
        self._scaled, self._learnt_from = scaled, learnt_from

    def forecast(self, history: History, steps: int) -> Forecast:
        """Look the windows up in the template; see `Forecaster.forecast`."""
        n = history.num_windows
        ahead = self._template(history, n, n + steps)
        peaks = np.full(steps, history.recent_peak_factor())
        missing: BoolArray = np.asarray(np.isnan(ahead).any(axis=1))
        if self._scaled and not bool(np.all(missing)):
            ahead = ahead * self._level(history)
        rates = np.where(missing[:, None], LastValue().forecast(history, steps).rates_rps, ahead)
        return Forecast(rates_rps=rates, peak_factors=peaks)

    def _level(self, history: History) -> float:
        """Return how far the last hour's requests stand above the template's; 1 where it has none."""
        n, last = history.num_windows, max(1, round(HOUR_S / history.window_s))
        first = max(0, n - last)
        expected = self._template(history, first, n).sum(axis=1)
        known = np.isfinite(expected)
        foretold = float(expected[known].sum())
        return float(history.rates_rps[first:][known].sum()) / foretold if foretold > 0 else 1.0

    def _template(self, history: History, first: int, stop: int) -> FloatArray:
        """Return the template of windows first to stop, shape (stop - first, 9); NaN where there is none."""
        days = history.days(first, stop)
        rows = [
            self._at(history, window, int(day) >= _SATURDAY)
            for window, day in zip(range(first, stop), days, strict=True)
        ]
        return np.array(rows)

    def _at(self, history: History, window: int, is_weekend: bool) -> FloatArray:
        """Return the medians for one window from days before its own, in the order of time and none of the future."""
        source, last = history, min(window, history.num_windows)
        offset = 0
        if self._learnt_from is not None:
            source, last = self._learnt_from, self._learnt_from.num_windows
            offset = round((history.first - source.first).total_seconds() / source.window_s)
        per_day = source.windows_per_day
        at = window + offset
        # Windows at the same time of day, latest first; an earlier week may lie any number of days back.
        latest = at - per_day * max(1, -(-(at - last + 1) // per_day))
        same_time = np.arange(latest, max(-1, latest - _DAYS * per_day), -per_day)
        kinds = np.array([int(source.days(int(t), int(t) + 1)[0]) >= _SATURDAY for t in same_time], dtype=bool)
        chosen = same_time[kinds == is_weekend] if same_time.size else same_time
        if chosen.size == 0:
            return np.full(source.rates_rps.shape[1], np.nan)
        medians: FloatArray = np.median(source.rates_rps[chosen], axis=0)
        return medians
