"""A rolling horizon: in every window only what has happened is known, and starting instances takes time.

At the start of window t windows up to t - 1 have ended. A forecaster foretells t, t + 1, …, t + lead; a planner says
what should run. Instances ordered now serve from t + lead on; those that run may be given other degrees at once
(seconds of re-sharding), pools, clocks and routes, or be stopped. Then the window comes as it really was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.coupling import start_up_windows
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError, NoSolutionError
from dynaopt.fleet import Fleet, IntArray
from dynaopt.forecast_margin import DEFAULT_QUANTILE, Margins
from dynaopt.forecasters import ORACLE, Forecast, Forecaster, get_forecaster, history_of
from dynaopt.policies.base import Case, make_case
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray, Profile, slo_rates_rps
from dynaopt.provisioning import KeepSpares, Outlook, Planner, break_even_windows
from dynaopt.request_class import REQUEST_CLASSES, is_promotable
from dynaopt.rolling_result import RollingResult, WindowRecord, make_result
from dynaopt.slo import Slo

ProgressCallback = Callable[[int, int, float], None]
"""Called with the windows done, the windows in all, and the energy of serving those done, in joules."""
PlannerMaker = Callable[[Fleet], Planner]

_MOST_KEPT = 1000


def roll(
    demand: Demand,
    profile: Profile,
    *,
    forecaster: str | Forecaster = "statsmodels",
    quantile: float | None = DEFAULT_QUANTILE,
    planner: PlannerMaker | None = None,
    keep_windows: int | None = None,
    first: int = 1,
    slo: Slo | None = None,
    progress: ProgressCallback | None = None,
    **cluster: Any,
) -> RollingResult:
    """Run a cluster through a demand that it does not know beforehand.

    Parameters
    ----------
    demand
        What really arrives, of one model.
    profile
        The model's.
    forecaster
        One of `dynaopt.forecasters.forecaster_names`, or a forecaster.
    quantile
        Forecasts get the margin that would have sufficed in this share of the past (`Margins`); None for no margin.
        The oracle has none.
    planner
        Makes the planner from the fleet; `KeepSpares` by default.
    keep_windows
        For how many windows `KeepSpares` keeps what is not needed; by default what breaks even, to the nearest.
    first
        Number of the first window to run; those before are history, and one must be. What serves the first window at
        least power runs from its start on, as a horizon is cut out of continuous operation.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default.
    progress
        Called after every window.
    **cluster
        Fields of `Cluster`. Headroom and reserve are planned for, and used up where it is necessary. There may be
        neither a power cap nor a fixed mix.

    Returns
    -------
    RollingResult
        With the schedule of what ran, from window `first` on.

    Raises
    ------
    InvalidInputError
        If an option is out of range, or the demand is of several models.
    NoSolutionError
        If not even the GPUs of the whole cluster serve the first window.
    """
    case = make_case(demand, profile, slo=slo, **cluster)
    _check(demand, first, keep_windows)
    chosen = (
        get_forecaster(forecaster, history_of(demand, demand.models[0]))
        if isinstance(forecaster, str)
        else (forecaster)
    )
    fleet = Fleet(profile, case.slo, case.cluster)
    kept = (
        round(min(break_even_windows(profile, demand.window_s), _MOST_KEPT)) if keep_windows is None else keep_windows
    )
    plans = KeepSpares(fleet, kept) if planner is None else planner(fleet)
    return _Roll(case, fleet, chosen, plans, None if chosen.name == ORACLE else quantile).run(first, progress)


@dataclass(slots=True, eq=False)
class _State:
    """Instances that run, and GPUs under way: `arriving[k]` become ready at the start of the k-th window from now."""

    running: IntArray
    arriving: list[int]


class _Roll:
    """One run through a demand."""

    def __init__(
        self, case: Case, fleet: Fleet, forecaster: Forecaster, planner: Planner, quantile: float | None
    ) -> None:
        self._case, self._fleet, self._forecaster, self._planner = case, fleet, forecaster, planner
        self._history = history_of(case.demand, case.demand.models[0])
        self._lead = start_up_windows(fleet.profile, case.demand.window_s)
        weights = load_weights(fleet.profile, case.slo)
        self._margins = Margins(weights, self._lead + 1, quantile, 2 * self._history.windows_per_day)
        self._steps = max(self._lead + 1, planner.look_ahead)

    def run(self, first: int, progress: ProgressCallback | None) -> RollingResult:
        """Run from window `first` on to the end."""
        began_s = time.perf_counter()
        stop, energy_j = self._history.num_windows, 0.0
        records: list[WindowRecord] = []
        # Forecasts are tried on the windows before the first, as they would have been made then.
        for window in range(1, first):
            self._margins.note(self._foretell(window))
            self._came(window)
        state = _State(self._fleet.needed(self._window(first)), [0] * self._lead)
        for window in range(first, stop):
            record = self._step(window, state, starts=window == first)
            self._came(window)
            records.append(record)
            energy_j += record.served.allocation.power_w * self._history.window_s
            if progress:
                progress(len(records), stop - first, energy_j)
        runtime_s = time.perf_counter() - began_s
        demand = self._case.demand if first == 0 else self._case.demand.select(first, stop)
        return make_result(replace(self._case, demand=demand), self._forecaster.name, records, runtime_s)

    def _step(self, window: int, state: _State, *, starts: bool) -> WindowRecord:
        """Decide at the start of a window, then let it come."""
        fleet = self._fleet
        forecast = self._foretell(window)
        margins = self._margins.margins()
        self._margins.note(forecast)
        # What lies beyond the lead time is decided on when it is nearer, with the margin of then.
        margins = np.append(margins, np.repeat(margins[-1], self._steps - margins.size))
        foretold = [self._foretold(window + k, forecast, k, float(m)) for k, m in enumerate(margins)]
        arrived = state.arriving.pop(0) if state.arriving else 0
        held = fleet.num_gpus(state.running) + arrived
        available = held + np.cumsum([0, *state.arriving, 0][: self._lead + 1])
        rows = self._planner.plan(
            Outlook(windows=tuple(foretold), running=state.running, available_gpus=np.asarray(available, np.int64))
        )
        running = self._now(rows[0], held, keep_all=arrived > 0 or starts)
        ordered = self._order(rows, fleet.num_gpus(running), state.arriving)
        if self._lead > 0:
            state.arriving.append(ordered)
        else:
            running = fleet.filled(rows[0], fleet.num_gpus(running) + ordered)
        state.running = running
        served = fleet.serve(self._window(window), running)
        if served is None:
            start = self._case.demand.starts[window]
            raise NoSolutionError(f"the instances that run at {start:%Y-%m-%d %H:%M} can serve nothing of what arrives")
        return WindowRecord(
            served=served,
            foretold_rps=float(forecast.rates_rps[0].sum()),
            margin=float(margins[0]),
            lead_margin=float(margins[-1]),
            ordered_gpus=ordered,
        )

    def _now(self, wanted: IntArray, held: int, *, keep_all: bool) -> IntArray:
        """Return what runs from now on, on GPUs that are there.

        Where instances have just been started none stop: it would be starting one for the other, for nothing.
        """
        return self._fleet.filled(wanted, held if keep_all else min(held, self._fleet.num_gpus(wanted)))

    def _order(self, rows: IntArray, now: int, arriving: list[int]) -> int:
        """Return how many GPUs to start now, for the last of the windows that were planned."""
        held = now
        for row, coming in zip(rows[1:-1], arriving, strict=False):
            held = held + coming if coming else min(held, self._fleet.num_gpus(row))
        most = self._case.cluster.num_gpus - now - sum(arriving)
        return max(0, min(self._fleet.num_gpus(rows[-1]) - held, most))

    def _foretell(self, window: int) -> Forecast:
        return self._forecaster.forecast(self._history.until(window), self._steps)

    def _came(self, window: int) -> None:
        self._margins.came(self._history.rates_rps[window], float(self._history.peak_factors[window]))

    def _window(self, number: int) -> WindowDemand:
        model = self._fleet.profile.model
        return WindowDemand(
            start=self._case.demand.starts[number],
            window_s=self._history.window_s,
            rate_rps={model: self._history.rates_rps[number]},
            peak_factor={model: float(self._history.peak_factors[number])},
        )

    def _foretold(self, number: int, forecast: Forecast, step: int, margin: float) -> WindowDemand:
        model = self._fleet.profile.model
        return WindowDemand(
            start=self._case.demand.starts[0] + pd.Timedelta(seconds=number * self._history.window_s),
            window_s=self._history.window_s,
            rate_rps={model: forecast.rates_rps[step] * margin},
            peak_factor={model: float(forecast.peak_factors[step])},
        )


def load_weights(profile: Profile, slo: Slo) -> FloatArray:
    """Return how many GPUs a request per second of each class keeps busy at least, shape (9,).

    Parameters
    ----------
    profile
        Its curves of classes; a class that keeps its SLO nowhere counts as the longest that does.
    slo
        Latency objectives.
    """
    per_gpu: dict[str, float] = {}
    for (tp, _, pool), rate in slo_rates_rps(profile, slo).items():
        per_gpu[pool] = max(per_gpu.get(pool, 0.0), rate / tp)
    able = [[per_gpu[p] for p in REQUEST_CLASSES if p in per_gpu and is_promotable(c, p)] for c in REQUEST_CLASSES]
    least = min((rate for rates in able for rate in rates), default=1.0)
    return np.array([1 / max(rates, default=least) for rates in able])


def _check(demand: Demand, first: int, keep_windows: int | None) -> None:
    if len(demand.models) != 1:
        raise InvalidInputError("demand", expected="one model", found=", ".join(demand.models))
    if not 1 <= first < demand.num_windows:
        raise InvalidInputError("option first", expected=f"1 to {demand.num_windows - 1}", found=str(first))
    if keep_windows is not None and keep_windows < 0:
        raise InvalidInputError("option keep_windows", expected="at least 0", found=str(keep_windows))
