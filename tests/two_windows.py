"""Two windows of an hour whose plans for energy and for money are worked by hand in the tests."""

from typing import Any

import numpy as np
import pandas as pd
from builders import make_curve, make_profile

from dynaopt.demand import Demand
from dynaopt.objective import Objective
from dynaopt.price_series import PriceSeries
from dynaopt.profile import Profile

START = pd.Timestamp("2024-05-12T00:00:00Z")
SLOW, FAST = [(0, 100), (2, 300), (4, 400)], [(0, 200), (4, 900), (8, 1300)]
OPTIONS: dict[str, Any] = {"num_gpus": 16, "headroom": 0.0, "workers": 1, "solver": "greedy"}


def two_profile() -> Profile:
    """Make a profile of TP2 at a slow and a fast clock, 10 W of host for each GPU."""
    curves = [make_curve(2, mhz, c, points) for c in ("SS", "LL") for mhz, points in ((1000, SLOW), (2000, FAST))]
    return make_profile(curves, host_w=80.0, name="two")


def two_demand(rates: tuple[float, ...] = (4.0, 7.0)) -> Demand:
    """Make windows of an hour with these arrivals of SS."""
    starts = pd.date_range(START, periods=len(rates), freq="1h", unit="us")
    frame = pd.DataFrame({"window_start": starts, "model": "", "request_class": "SS", "rate_rps": rates})
    return Demand("two", 3600.0, frame.assign(input_tokens=100.0, output_tokens=50.0, peak_factor=1.0))


def hourly(*values: float, name: str = "hours") -> PriceSeries:
    """Make a series of hours from the first window on."""
    starts = pd.date_range(START, periods=len(values), freq="1h")
    return PriceSeries(name=name, starts=starts, step_s=3600.0, values=np.array(values))


def two_objective(**changes: Any) -> Objective:
    """Make the objective of money at 0.20 and 0.10 a kWh, 0.05 a GPU-hour, 300 g a kWh, and PUE 1.5."""
    fields = {"minimise": "cost", "price_per_kwh": hourly(0.2, 0.1), "price_per_gpu_hour": 0.05}
    return Objective(**{**fields, "carbon_g_per_kwh": 300.0, "pue": 1.5, **changes})
