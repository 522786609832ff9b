"""Small histories and fleets for tests of forecasts and of the rolling horizon."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from builders import make_profile, make_window, same_for_all_classes

from dynaopt.demand import Demand
from dynaopt.fleet import Fleet
from dynaopt.forecasters import Forecast, History
from dynaopt.problem import Cluster, WindowDemand
from dynaopt.profile import Profile
from dynaopt.provisioning import Outlook
from dynaopt.slo import Slo

MONDAY = pd.Timestamp("2024-05-13T00:00:00Z")


def make_history(totals: Sequence[float], *, window_s: float = 21_600.0, first: pd.Timestamp = MONDAY) -> History:
    """Make a history of class SS alone; by default four windows a day, from a Monday on."""
    rates = np.zeros((len(totals), 9))
    rates[:, 0] = totals
    return History(first=first, window_s=window_s, rates_rps=rates, peak_factors=np.ones(len(totals)))


def totals_of(forecast: Forecast) -> list[float]:
    """Return all requests per second of each step."""
    return [float(x) for x in forecast.rates_rps.sum(axis=1)]


def line_profile() -> Profile:
    """Make a profile of TP2 alone: 200 W idle, 40 J a request, up to 10 requests/s; 400 s from cold."""
    return make_profile(same_for_all_classes(2, 1000, [(0, 200), (10, 600)]))


def two_degrees() -> Profile:
    """Make a profile of TP2 and TP8, 200 and 700 W idle, up to 10 and 50 requests/s."""
    curves = [
        *same_for_all_classes(2, 1000, [(0, 200), (10, 600)]),
        *same_for_all_classes(8, 1000, [(0, 700), (50, 2200)]),
    ]
    return make_profile(curves)


def make_fleet(profile: Profile | None = None, **cluster: object) -> Fleet:
    """Make a fleet of at most 64 GPUs without headroom, unless given."""
    return Fleet(profile or line_profile(), Slo.table_iv(), Cluster.of(**{"num_gpus": 64, "headroom": 0.0, **cluster}))


def window_of(rate_rps: float) -> WindowDemand:
    """Make a window of class SS alone."""
    return make_window({"SS": rate_rps})


def make_demand(totals: Sequence[float], *, window_s: float = 300.0) -> Demand:
    """Make a demand of class SS alone."""
    starts = pd.date_range(MONDAY, periods=len(totals), freq=f"{window_s:g}s", unit="us")
    columns = {"window_start": starts, "model": "", "request_class": "SS", "rate_rps": list(totals)}
    table = pd.DataFrame({**columns, "input_tokens": 1.0, "output_tokens": 1.0, "peak_factor": 1.0})
    return Demand("made-up", window_s, table, starts=starts)


def make_outlook(rates_rps: Sequence[float], available_gpus: Sequence[int], running: Sequence[int]) -> Outlook:
    """Make an outlook on windows of class SS alone."""
    return Outlook(
        windows=tuple(window_of(rate) for rate in rates_rps),
        running=np.array(running, dtype=np.int64),
        available_gpus=np.array(available_gpus, dtype=np.int64),
    )
