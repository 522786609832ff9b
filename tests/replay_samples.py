"""Results of replays made by hand, for tests of what tells them."""

import math
from typing import Any

import pandas as pd

from dynaopt.replay_result import ReplayResult

_LATENCIES = {f"{m}_{q}_s": 0.05 for m in ("ttft", "tbt", "tpot") for q in ("p50", "p90", "p99")}
_ENERGY_J = {"serving_energy_j": 3.6e6, "idle_energy_j": 1.8e6, "start_up_energy_j": 0.9e6, "other_energy_j": 0.0}
_EVENTS = ("num_elsewhere", "num_larger_pool", "num_clock_ups", "num_resteered", "num_squashed", "num_oversize")


def class_row(request_class: str = "SS", **cells: Any) -> dict[str, Any]:
    """Make a row of `classes` in which all objectives are kept, but for the cells given."""
    bounds = {"ttft_slo_s": math.nan if request_class == "all" else 0.25}
    bounds["tbt_slo_s"] = math.nan if request_class == "all" else 0.1
    kept = {"ttft_attainment": 1.0, "tbt_attainment": 1.0, "attainment": 1.0, "gaps_within": 1.0}
    row = {"model": "" if request_class == "all" else "m", "request_class": request_class, "num_requests": 1000}
    return row | {"num_lost": 0} | kept | _LATENCIES | {"goodput_rps": 2.5} | bounds | cells


def make_result(*rows: dict[str, Any], **totals: float) -> ReplayResult:
    """Make the result of one window of 300 s; the row of all classes is put behind the rows."""
    window = {"window_start": pd.Timestamp("2024-05-12T00:00:00Z"), "window_s": 300.0}
    frame = pd.DataFrame([*rows, class_row("all")])
    energy_j = sum(_ENERGY_J.values())
    sums: dict[str, float] = {"num_windows": 1, "num_requests": 1000, "num_lost": 0, **_ENERGY_J, "energy_j": energy_j}
    sums |= {"planned_energy_j": 6e6, "energy_ratio": energy_j / 6e6} | dict.fromkeys(_EVENTS, 0)
    sums |= {"ttft_attainment": 0.98, "tbt_attainment": 0.97, "attainment": 0.96}
    return ReplayResult(
        name="week",
        duration_s=300.0,
        classes=frame,
        windows=pd.DataFrame([window]),
        window_classes=pd.DataFrame([window | {"model": "m", "request_class": "SS", "num_requests": 1000}]),
        pools=pd.DataFrame([{"model": "m", "pool": "SS", "planned_energy_j": 6e6, "energy_j": energy_j}]),
        totals=sums | totals,
    )
