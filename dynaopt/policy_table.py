"""Policies side by side, in the words and units of a person, and the same as plain records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dynaopt.comparison import saving
from dynaopt.policy_outcome import PolicyOutcome
from dynaopt.replay_result import ReplayResult

JOULES_PER_KWH = 3.6e6
REFERENCE = "single-pool"
"""The policy whose energy is 1."""


def policy_records(outcomes: Sequence[PolicyOutcome], paper: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a record for each policy, each quantity under a name that carries its unit.

    Parameters
    ----------
    outcomes
        The policies.
    paper
        Energy relative to SinglePool as the paper has it, by policy.

    Returns
    -------
    list of dict
        What is not known is None. `saved_by_plan` is the share of the policy's energy that the first of our own plans
        among the outcomes saves, negative if that takes more.
    """
    energies = {o.name: o.schedule.energy_j for o in outcomes if o.schedule is not None}
    reference_j = energies.get(REFERENCE)
    ours = next((o.schedule for o in outcomes if o.is_ours), None)
    return [
        {
            "name": o.name,
            "title": o.title,
            "reason": o.reason or None,
            "relative_energy": energies[o.name] / reference_j if o.name in energies and reference_j else None,
            "paper_relative_energy": paper.get(o.name),
            "saved_by_plan": None if ours is None or o.schedule in (None, ours) else saving(ours, o.schedule),
            "gpu_hours": o.gpu_hours,
            "servers_max": o.servers_max,
            "num_violations": len(o.violations),
            "fits": o.fits,
            "is_right": o.is_right,
            **({} if o.schedule is None else o.schedule.summary()),
            "replay": None if o.replay is None else replay_record(o.replay),
        }
        for o in outcomes
    ]


def replay_record(result: ReplayResult) -> dict[str, float]:
    """Return what became of the requests: the whole, and the class that fared worst.

    Parameters
    ----------
    result
        Of a replay.
    """
    whole, classes = result.classes.iloc[-1], result.classes.iloc[:-1]
    planned_j = result.totals["planned_energy_j"]
    return {
        "num_requests": result.num_requests,
        "num_lost": result.num_lost,
        "ttft_p99_s": float(whole["ttft_p99_s"]),
        "tbt_p99_s": float(whole["tbt_p99_s"]),
        "attainment": float(whole["attainment"]),
        "least_ttft_attainment": float(classes["ttft_attainment"].min()),
        "least_tbt_attainment": float(classes["tbt_attainment"].min()),
        "energy_j": result.energy_j,
        "energy_ratio": result.energy_j / planned_j if planned_j else float("nan"),
    }


Writer = Callable[[Mapping[str, Any]], str | None]
_COLUMNS: dict[str, Writer] = {
    "kWh": lambda r: _number(r.get("energy_j"), "{:,.1f}", JOULES_PER_KWH),
    "of\nSinglePool": lambda r: _number(r["relative_energy"], "{:.3f}"),
    "paper": lambda r: _number(r["paper_relative_energy"], "{:.2f}"),
    "saved by\nplan": lambda r: _number(r["saved_by_plan"], "{:.1%}"),
    "start-ups\nkWh": lambda r: _number(r.get("transition_energy_j"), "{:,.1f}", JOULES_PER_KWH),
    "GPU-hours": lambda r: _number(r["gpu_hours"], "{:,.0f}"),
    "GPUs\nmax": lambda r: _number(r.get("gpus_max"), "{:,.0f}"),
    "servers\nmax": lambda r: _number(r["servers_max"], "{:,.0f}"),
    "check": lambda r: None if r["reason"] else _verdict(r),
}
_REPLAY_COLUMNS: dict[str, Writer] = {
    "P99 TTFT\ns": lambda r: _number(r["ttft_p99_s"], "{:.3f}"),
    "P99 TBT\nms": lambda r: _number(r["tbt_p99_s"], "{:.1f}", 1e-3),
    "kept\nboth": lambda r: _number(r["attainment"], "{:.2%}"),
    "least TTFT\nof a class": lambda r: _number(r["least_ttft_attainment"], "{:.2%}"),
    "least TBT\nof a class": lambda r: _number(r["least_tbt_attainment"], "{:.2%}"),
    "lost": lambda r: _number(r["num_lost"], "{:,.0f}"),
    "replay\nkWh": lambda r: _number(r["energy_j"], "{:,.1f}", JOULES_PER_KWH),
    "replay /\nplan": lambda r: _number(r["energy_ratio"], "{:.3f}"),
}


def policy_columns() -> list[str]:
    """Return the headings of `policy_rows`."""
    return ["policy", *_COLUMNS]


def policy_rows(records: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return the table of what the policies take.

    Parameters
    ----------
    records
        From `policy_records`.
    """
    return [[record["title"], *(write(record) for write in _COLUMNS.values())] for record in records]


def replay_columns() -> list[str]:
    """Return the headings of `replay_rows`."""
    return ["policy", *_REPLAY_COLUMNS]


def replay_rows(records: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return the table of what became of the requests, of the policies that were replayed.

    Parameters
    ----------
    records
        From `policy_records`.
    """
    replayed = [record for record in records if record["replay"] is not None]
    return [[r["title"], *(write(r["replay"]) for write in _REPLAY_COLUMNS.values())] for r in replayed]


def _verdict(record: Mapping[str, Any]) -> str:
    if not record["is_right"]:
        return f"{record['num_violations']:,} wrong"
    return "ok" if record["fits"] else "too large"


def _number(value: float | None, text: str, unit: float = 1.0) -> str | None:
    return None if value is None else text.format(value / unit)
