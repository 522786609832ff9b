"""A schedule beside others of the same demand, in the words and units of a person: what the table and the page show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from dynaopt.schedule import ObjectiveRecord, Schedule
from dynaopt.series import START

JOULES_PER_KWH = 3.6e6

Summary = Mapping[str, float | None]
Row = tuple[str, Callable[[Summary], str | None]]
"""A label, and how to write what it is of."""


def _kwh(summary: Summary, key: str) -> str | None:
    value = summary[key]
    answered = summary["mean_power_w"] is not None
    return f"{value / JOULES_PER_KWH:,.1f} kWh" if answered and value is not None else None


def _power(summary: Summary) -> str | None:
    value = summary["mean_power_w"]
    return None if value is None else f"{value / 1e3:,.2f} kW"


def _gpus(summary: Summary) -> str | None:
    least, mean, most = summary["gpus_min"], summary["gpus_mean"], summary["gpus_max"]
    if least is None or mean is None or most is None:
        return None
    return f"{most:,.0f}" if least == most else f"{least:,.0f} / {mean:,.1f} / {most:,.0f}"


def _per_request(summary: Summary) -> str | None:
    value = summary["wh_per_1000_requests"]
    return None if value is None else f"{value:,.1f} Wh"


def _gap(summary: Summary) -> str | None:
    return None if summary["gap"] is None else f"{summary['gap']:.3%}"


_ROWS: tuple[Row, ...] = (
    ("Energy", lambda s: _kwh(s, "energy_j")),
    ("Mean power", _power),
    ("GPUs, min / mean / max", _gpus),
    ("Per 1,000 requests", _per_request),
    ("Serving energy", lambda s: _kwh(s, "serving_energy_j")),
    ("Transition energy", lambda s: _kwh(s, "transition_energy_j")),
    ("Lower bound (serving)", lambda s: _kwh(s, "lower_bound_j")),
    ("Gap", _gap),
    ("Windows unanswered", lambda s: f"{s['num_unsolved']:,.0f} of {s['num_windows']:,.0f}"),
    ("Solving time", lambda s: f"{s['runtime_s'] or 0.0:,.1f} s"),
)
# A baseline is a set-up and not an optimum: a bound and a gap say nothing about it.
_OF_PLAN_ONLY = ("Lower bound", "Gap", "Solving time")
_NAMES = {"energy": "energy", "cost": "cost", "carbon": "carbon", "weighted": "weighted sum"}


def _cost(summary: Summary) -> str | None:
    value = summary.get("cost")
    return None if value is None else f"{value:,.2f}"


def _carbon(summary: Summary) -> str | None:
    value = summary.get("carbon_g")
    return None if value is None else f"{value / 1e3:,.1f} kg"


def _objective_rows(objective: ObjectiveRecord) -> list[Row]:
    """Rows that tell what was asked of energy at the meter, of money, of carbon, and of their weighting."""
    rows: list[Row] = []
    if objective.pue != 1:
        rows.append((f"Energy at PUE {objective.pue:g}", lambda s: _kwh(s, "facility_energy_j")))
    if objective.price_per_kwh is not None:
        rows.append(("Cost", _cost))
    if objective.carbon_g_per_kwh is not None:
        rows.append(("Carbon", _carbon))
    if objective.kind == "weighted":
        rows.append(("Weighted sum", lambda s: _amount(objective, s["objective"])))
    return rows


def _amount(objective: ObjectiveRecord, value: float | None) -> str | None:
    if value is None:
        return None
    if objective.kind == "carbon":
        return f"{value / 1e3:,.1f} kg"
    return f"{value:,.1f} kWh" if objective.kind == "energy" else f"{value:,.2f}"


def saving(schedule: Schedule, baseline: Schedule) -> float | None:
    """Return the share of a baseline's energy, or objective, that a schedule saves, over windows that both answer.

    Parameters
    ----------
    schedule
        The plan.
    baseline
        Another schedule of the same demand. Where both have accounts the objective is compared, else the energy.

    Returns
    -------
    float or None
        Negative if the plan takes more; None if there is no common window or the baseline takes nothing.
    """
    if schedule.accounts is not None and baseline.accounts is not None:
        spent = {"plan": schedule.accounts, "baseline": baseline.accounts}
        both = pd.DataFrame({name: table.set_index(START)["objective"] for name, table in spent.items()}).dropna()
    else:
        energies = {"plan": schedule, "baseline": baseline}
        both = pd.DataFrame({name: s.windows.set_index(START)["energy_j"] for name, s in energies.items()}).dropna()
    sums = both.astype(float).sum()
    return None if sums["baseline"] <= 0 else float(1 - sums["plan"] / sums["baseline"])


def comparison_rows(schedule: Schedule, baselines: Mapping[str, Schedule]) -> list[list[str | None]]:
    """Return the table that sums up a plan and its baselines.

    Parameters
    ----------
    schedule
        The plan.
    baselines
        Other schedules of the same demand, by name.

    Returns
    -------
    list
        Rows of a label, the plan's value, and the value of each baseline; None where there is none to tell.
    """
    plan = schedule.summary()
    others = [baseline.summary() for baseline in baselines.values()]
    rows: list[list[str | None]] = []
    for label, write in _rows(schedule):
        of_plan_only = label.startswith(_OF_PLAN_ONLY)
        rows.append([label, write(plan), *(None if of_plan_only else write(other) for other in others)])
    rows.append(["Solver", schedule.metadata.solver, *(None for _ in others)])
    if baselines:
        shares = [saving(schedule, baseline) for baseline in baselines.values()]
        objective = schedule.metadata.objective
        of = "" if objective is None or objective.kind == "energy" else f", {_NAMES[objective.kind]}"
        rows.insert(1, [f"Saved by this plan{of}", None, *(None if s is None else f"{s:.1%}" for s in shares)])
    return rows


def _rows(schedule: Schedule) -> list[Row]:
    objective, rows = schedule.metadata.objective, list(_ROWS)
    at = next(n for n, (label, _) in enumerate(rows) if label.startswith("Lower bound"))
    if schedule.metadata.coupling is not None:
        rows[at : at + 2] = _coupled_rows(objective)
    elif objective is not None and objective.charges_for_gpus:  # nothing was proved of energy
        label = f"Lower bound (serving, {_NAMES[objective.kind]})"
        rows[at] = (label, lambda s: _amount(objective, s["objective_bound"]))
    return rows if objective is None else [rows[0], *_objective_rows(objective), *rows[1:]]


def _coupled_rows(objective: ObjectiveRecord | None) -> list[Row]:
    """Rows of the bound on all windows together, starts included, and of the gap to it."""
    gap: Row = ("Gap", lambda s: None if s["coupled_gap"] is None else f"{s['coupled_gap']:.3%}")
    if objective is None:
        return [("Lower bound (coupled)", lambda s: _kwh(s, "coupled_bound")), gap]
    of = f"PUE {objective.pue:g}" if objective.kind == "energy" else _NAMES[objective.kind]
    return [(f"Lower bound (coupled, {of})", lambda s: _amount(objective, s["coupled_bound"])), gap]


def comparison_columns(baselines: Mapping[str, Schedule]) -> list[str]:
    """Return the headings of `comparison_rows`."""
    return ["", "this plan", *baselines]
