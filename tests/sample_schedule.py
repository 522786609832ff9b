"""Schedules made up in memory, for tests of what a person sees: plausible tables, not plans of anything."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.problem import Cluster
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import Schedule, ScheduleMetadata, Source, Totals
from dynaopt.slo import Slo

WINDOW_S = 300.0
SHARES = dict(zip(REQUEST_CLASSES, (0.2, 0.1, 0.0, 0.2, 0.1, 0.05, 0.2, 0.1, 0.05), strict=True))
NO_TOTALS = Totals(
    num_windows=0,
    num_unsolved=0,
    num_requests=0,
    energy_j=0,
    serving_energy_j=0,
    transition_energy_j=0,
    lower_bound_j=0,
    gap=None,
    runtime_s=0,
)


def make_schedule(
    num_windows: int = 4, *, unsolved: Sequence[int] = (), power_w: float = 1000.0, transition_j: float = 600.0
) -> Schedule:
    """Make a schedule whose windows have two TP8 instances at 1600 MHz and one more TP2 at 800 MHz each window.

    Every window takes `power_w`, and its bound is 1 % below; window n sees 10·(n mod 3 + 1) requests/s.
    """
    starts = pd.date_range("2024-05-12T00:00:00Z", periods=num_windows, freq="5min", unit="us")
    solved = ~np.isin(np.arange(num_windows), list(unsolved))
    answered = starts[solved]
    blank = np.where(solved, 1.0, np.nan)
    ones = np.where(solved, np.arange(num_windows) % 12 + 1, 0)[solved]
    serving_j = power_w * WINDOW_S
    allocations = pd.concat(
        [_group(answered, 8, 1600, np.full(len(answered), 2)), _group(answered, 2, 800, ones)]
    ).sort_values(["window_start", "tp"], ignore_index=True)
    rates = 10.0 * (np.arange(num_windows) % 3 + 1)
    windows = pd.DataFrame(
        {
            "window_start": starts,
            "window_s": WINDOW_S,
            "termination": np.where(solved, "feasible", "infeasible"),
            "solver": "greedy",
            "power_w": power_w * blank,
            "serving_energy_j": serving_j * blank,
            "transition_energy_j": transition_j * blank,
            "energy_j": (serving_j + transition_j) * blank,
            "lower_bound_j": 0.99 * serving_j * blank,
            "gap": 0.01 * blank,
            "num_gpus": (16 + 2 * (np.arange(num_windows) % 12 + 1)) * blank,
            "runtime_s": 0.002,
            "reason": np.where(solved, "", "class LL needs 344 GPUs of 320"),
        }
    )
    schedule = Schedule(
        metadata=_metadata(),
        demand=_demand(starts, rates),
        allocations=allocations,
        routes=_routes(answered, rates[solved]),
        transitions=pd.DataFrame(
            {"window_start": answered, "model": "tiny-model", "pool": "LL", "tp": 2}
            | {"num_started": 1, "num_stopped": 0, "energy_j": transition_j}
        ),
        windows=windows,
    )
    return schedule.with_totals()


def renamed(schedule: Schedule, name: str) -> Schedule:
    """Return the schedule as if its demand had another name."""
    source = schedule.metadata.demand.model_copy(update={"name": name})
    return replace(schedule, metadata=schedule.metadata.model_copy(update={"demand": source}))


def _group(starts: pd.DatetimeIndex, tp: int, frequency_mhz: int, num_instances: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "window_start": starts,
            "model": "tiny-model",
            "pool": "LL",
            "tp": tp,
            "frequency_mhz": frequency_mhz,
            "num_instances": num_instances,
            "rate_per_instance_rps": 1.0,
            "power_per_instance_w": 100.0 * tp,
        }
    )


def _routes(starts: pd.DatetimeIndex, rates: np.ndarray) -> pd.DataFrame:
    rows = [
        {"window_start": start, "model": "tiny-model", "request_class": c, "pool": "LL", "rate_rps": share * rate}
        for start, rate in zip(starts, rates, strict=True)
        for c, share in SHARES.items()
        if share
    ]
    return pd.DataFrame(rows, columns=["window_start", "model", "request_class", "pool", "rate_rps"])


def _demand(starts: pd.DatetimeIndex, rates: np.ndarray) -> Demand:
    rows = [
        {
            "window_start": start,
            "model": "tiny-model",
            "request_class": c,
            "rate_rps": share * rate,
            "input_tokens": 500.0,
            "output_tokens": 100.0,
            "peak_factor": 1.2,
        }
        for start, rate in zip(starts, rates, strict=True)
        for c, share in SHARES.items()
        if share
    ]
    return Demand("made-up", WINDOW_S, pd.DataFrame(rows), starts=starts)


def _metadata() -> ScheduleMetadata:
    return ScheduleMetadata(
        dynaopt_version="0.1.0",
        digest="0" * 64,
        demand=Source(name="made-up", path=None, sha256="1" * 64, content_sha256="3" * 64),
        profiles=(Source(name="tiny", path=None, sha256="2" * 64, content_sha256="4" * 64),),
        slo=Slo.table_iv(),
        cluster=Cluster(),
        solver="greedy",
        time_limit_s=None,
        gap_tolerance=1e-4,
        window_s=WINDOW_S,
        totals=NO_TOTALS,
    )
