"""What a replay prints: who kept the objectives, the latencies, plan against replay, what was done beside the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dynaopt.console import TitledTable, make_table
from dynaopt.replay_result import ReplayResult
from dynaopt.schedule import Schedule

_ENERGY = {
    "serving": "serving_energy_j",
    "idle": "idle_energy_j",
    "start-up": "start_up_energy_j",
    "hosts and unused GPUs": "other_energy_j",
}
_EVENTS = {
    "num_elsewhere": "sent to another instance of their pool, since their turn's would have been late",
    "num_larger_pool": "sent to a pool of longer requests that the plan did not name",
    "num_resteered": "moved to another instance while they waited",
    "num_squashed": "begun again elsewhere",
    "num_clock_ups": "times an instance raised its clock",
    "num_oversize": "longer than the memory of any instance allows",
}
_SHARES = {
    "TTFT\nkept": "ttft_attainment",
    "TBT\nkept": "tbt_attainment",
    "both\nkept": "attainment",
    "gaps\nwithin": "gaps_within",
}
_MEASURES = ("ttft", "tbt", "tpot")
_QUANTILES = ("p50", "p90", "p99")


def result_parts(schedule: Schedule, result: ReplayResult) -> list[TitledTable | str]:
    """Return what `console.render` is to show of a replay.

    Parameters
    ----------
    schedule
        What was replayed.
    result
        What was found.
    """
    head = f"{result.name}: {result.num_requests:,} requests in {result.duration_s / 3600:,.4g} h"
    events = [f"{result.totals[name]:,.0f} {what}" for name, what in _EVENTS.items() if result.totals.get(name)]
    rows = [{str(name): cell for name, cell in row.items()} for row in result.classes.to_dict("records")]
    several = len({row["model"] for row in rows}) > 2  # the row of all requests names none
    named = [(f"{row['model']} {row['request_class']}" if several else row["request_class"], row) for row in rows]
    tables = (_kept_table(named), _latency_table(named), _energy_table(schedule, result))
    return [head, *tables, *events]


def _kept_table(rows: list[tuple[str, dict[str, Any]]]) -> TitledTable:
    cells = [
        [
            name,
            f"{row['num_requests']:,}",
            f"{row['num_lost']:,}",
            *(_percent(row[column]) for column in _SHARES.values()),
            f"{row['goodput_rps']:,.3f}",
        ]
        for name, row in rows
    ]
    columns = ["class", "requests", "lost", *_SHARES, "goodput,\nrequests/s"]
    return make_table(columns, cells, title="Requests that kept their objectives")


def _latency_table(rows: list[tuple[str, dict[str, Any]]]) -> TitledTable:
    columns = [f"{measure}_{quantile}_s" for measure in _MEASURES for quantile in _QUANTILES]
    bounds = ["ttft_slo_s", "tbt_slo_s"]
    headings = [f"{m.upper()}\n{q.upper()}" for m in _MEASURES for q in _QUANTILES]
    cells = [[name, *(_milliseconds(row[column]) for column in (*columns, *bounds))] for name, row in rows]
    return make_table(["class", *headings, "TTFT\nbound", "TBT\nbound"], cells, title="Latencies, ms")


def _energy_table(schedule: Schedule, result: ReplayResult) -> TitledTable:
    totals = result.totals
    planned: Mapping[str, float] = {"start-up": schedule.transition_energy_j}
    parts = [
        [name, _kwh(planned[name]) if name in planned else None, _kwh(totals[column]), None]
        for name, column in _ENERGY.items()
    ]
    whole = ["all", _kwh(totals["planned_energy_j"]), _kwh(totals["energy_j"]), _percent(totals["energy_ratio"])]
    return make_table(["energy, kWh", "planned", "replayed", "replayed / planned"], [*parts, whole])


def _percent(share: float) -> str | None:
    return None if math.isnan(share) else f"{share:.2%}"


def _milliseconds(seconds: float) -> str | None:
    if math.isnan(seconds):
        return None
    return f"{1000 * seconds:,.1f}" if seconds < 0.1 else f"{1000 * seconds:,.0f}"


def _kwh(energy_j: float) -> str:
    return f"{energy_j / 3.6e6:,.2f}"
