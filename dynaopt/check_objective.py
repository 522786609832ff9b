"""Money, carbon and what was minimised, counted again from what the instances draw and how many GPUs they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from dynaopt.check_energy import GAP_TOLERANCE, agree, gap_of, numbers
from dynaopt.check_evidence import BoolArray, Evidence, differ, exceeds, of_windows
from dynaopt.check_window import used_gpus
from dynaopt.digests import series_digest
from dynaopt.profile import FloatArray
from dynaopt.result import Termination
from dynaopt.schedule import ACCOUNT_COLUMNS, ObjectiveRecord, Schedule, Source
from dynaopt.violations import Violation, ViolationKind

_RESULTS = ("cost", "carbon_g", "serving_objective", "objective", "objective_bound")
_KINDS = {
    "cost": ViolationKind.COST,
    "carbon_g": ViolationKind.CARBON,
    "serving_objective": ViolationKind.OBJECTIVE,
    "objective": ViolationKind.OBJECTIVE,
}


def check_objective(
    evidence: Evidence,
    schedule: Schedule,
    windows: pd.DataFrame,
    serving_power_w: FloatArray,
    transition_energy_j: FloatArray,
) -> list[Violation]:
    """Return every violation in the accounts of an objective; none where there is no objective.

    Parameters
    ----------
    evidence
        The windows.
    schedule
        Whose accounts they are.
    windows
        Its table of windows, one row for each of W windows.
    serving_power_w, transition_energy_j
        What each window draws and what its starts take, recomputed, length W.
    """
    objective = schedule.metadata.objective
    if objective is None:
        return []
    if schedule.accounts is None:
        missing = Violation(
            kind=ViolationKind.OBJECTIVE, where="accounts", found="no table", expected="one, for there is an objective"
        )
        return [missing]
    rows = schedule.accounts.drop_duplicates("window_start").set_index("window_start").reindex(evidence.starts)
    table = {c.name: numbers(rows, c.name) for c in ACCOUNT_COLUMNS[1:]}
    window_s = schedule.metadata.window_s
    serving_kwh = serving_power_w / 1000 * (window_s / 3600)
    kwh = serving_kwh + transition_energy_j / 3_600_000
    gpu_h = used_gpus(evidence) * (window_s / 3600)
    expected = _counted(objective, table, serving_kwh, kwh, gpu_h)
    return [
        *_prices(evidence, objective, table),
        *_amounts(evidence, table, expected),
        *_proofs(evidence, objective, table, windows, expected, schedule.metadata.gap_tolerance),
        *_totals(schedule, table, expected, evidence.answered),
    ]


def _counted(
    objective: ObjectiveRecord,
    table: Mapping[str, FloatArray],
    serving_kwh: FloatArray,
    kwh: FloatArray,
    gpu_h: FloatArray,
) -> dict[str, FloatArray]:
    """Count money, carbon and objective, each from its own meaning; length W each."""
    money = table["price_per_kwh"] * (objective.pue * kwh) + objective.price_per_gpu_hour * gpu_h
    grams = table["carbon_g_per_kwh"] * (objective.pue * kwh) + objective.carbon_g_per_gpu_hour * gpu_h
    amounts = {"energy": objective.pue * kwh, "cost": money, "carbon": grams}
    whole = np.sum([weight * amounts[name] for name, weight in objective.minimise.items()], axis=0)
    per_kwh = {"energy": np.ones_like(kwh), "cost": table["price_per_kwh"], "carbon": table["carbon_g_per_kwh"]}
    factor = objective.pue * np.sum([weight * per_kwh[name] for name, weight in objective.minimise.items()], axis=0)
    return {
        "cost": money,
        "carbon_g": grams,
        "objective": whole,
        "serving_objective": whole - factor * (kwh - serving_kwh),
        "factor_per_kwh": factor,
    }


def _prices(evidence: Evidence, objective: ObjectiveRecord, table: Mapping[str, FloatArray]) -> Iterable[Violation]:
    for name in ("price_per_kwh", "carbon_g_per_kwh"):
        given, found = getattr(objective, name), table[name]
        if isinstance(given, Source):
            digest = series_digest(found)
            if digest != given.content_sha256:
                yield Violation(
                    kind=ViolationKind.PRICE, where=name, found=f"SHA-256 {digest}", expected=given.content_sha256
                )
            continue
        expected = np.full(len(found), np.nan if given is None else given)
        bad = ~np.isnan(found) if given is None else differ(found, expected)
        yield from of_windows(evidence, ViolationKind.PRICE, bad, found, expected, f"{name} {{}}")


def _amounts(
    evidence: Evidence, table: Mapping[str, FloatArray], expected: Mapping[str, FloatArray]
) -> Iterator[Violation]:
    for name, kind in _KINDS.items():
        found, right = table[name], expected[name]
        # Without a price there is no amount.
        bad = evidence.answered & np.where(np.isnan(right), ~np.isnan(found), differ(found, right))
        yield from of_windows(evidence, kind, bad, found, right, f"{name} {{}}")
    for name in _RESULTS:
        for window in np.flatnonzero(~evidence.answered & ~np.isnan(table[name])).tolist():
            yield Violation(
                kind=ViolationKind.NO_ANSWER,
                window_start=evidence.starts[window],
                where=name,
                found=f"{table[name][window]:g}",
                expected="an empty cell in a window without an answer",
            )


def _proofs(
    evidence: Evidence,
    objective: ObjectiveRecord,
    table: Mapping[str, FloatArray],
    windows: pd.DataFrame,
    counted: Mapping[str, FloatArray],
    tolerance: float,
) -> Iterator[Violation]:
    answered, bound, serving = evidence.answered, table["objective_bound"], counted["serving_objective"]
    bad = answered & exceeds(bound, serving)
    yield from of_windows(evidence, ViolationKind.LOWER_BOUND, bad, bound, serving, "at most {}, the objective")
    energy_bound_j = numbers(windows, "lower_bound_j")
    if not objective.charges_for_gpus:
        # Energy is minimised then, and the proof is that of energy, which `check_energy` holds gap and optimality to.
        expected = counted["factor_per_kwh"] * energy_bound_j / 3_600_000
        bad = answered & differ(bound, expected)
        yield from of_windows(evidence, ViolationKind.LOWER_BOUND, bad, bound, expected, "{}, that of energy, priced")
        return
    bad = answered & ~np.isnan(energy_bound_j)
    yield from of_windows(
        evidence, ViolationKind.LOWER_BOUND, bad, energy_bound_j, bound, "no bound on energy, for none was proved"
    )
    claimed, gap = numbers(windows, "gap"), gap_of(serving, bound)
    bad = answered & ~(np.abs(claimed - gap) <= GAP_TOLERANCE)
    yield from of_windows(evidence, ViolationKind.GAP, bad, claimed, gap, "{}")
    optimal = (windows["termination"] == Termination.OPTIMAL).to_numpy()
    bad = optimal & ~(gap <= tolerance + GAP_TOLERANCE)
    allowed = np.full(len(gap), tolerance)
    yield from of_windows(evidence, ViolationKind.OPTIMALITY, bad, gap, allowed, "a gap of at most {}")


def _totals(
    schedule: Schedule, table: Mapping[str, FloatArray], counted: Mapping[str, FloatArray], answered: BoolArray
) -> Iterator[Violation]:
    totals, objective = schedule.metadata.totals, schedule.metadata.objective
    sums: dict[str, float | None] = {
        name: float(counted[name][answered].sum()) for name in ("serving_objective", "objective")
    }
    for name in ("cost", "carbon_g"):
        amount = counted[name][answered]
        sums[name] = None if not amount.size or np.isnan(amount).any() else float(amount.sum())
    sums["objective_bound"] = float(np.nansum(table["objective_bound"][answered]))
    priced = objective is not None and objective.charges_for_gpus
    bound_j = None if priced else float(np.nansum(numbers(schedule.windows, "lower_bound_j")))
    value, bound = sums["serving_objective"], sums["objective_bound"]
    gap = float(gap_of(np.array([value]), np.array([bound]))[0]) if answered.any() else None
    found: dict[str, float | None] = totals.objective.model_dump() if totals.objective else dict.fromkeys(sums)
    checked = [(name, found[name], expected, 0.0) for name, expected in sums.items()]
    checked += [("lower_bound_j", totals.lower_bound_j, bound_j, 0.0), ("gap", totals.gap, gap, GAP_TOLERANCE)]
    for name, stated, expected, slack in checked:
        if not agree(stated, expected, slack):
            yield Violation(kind=ViolationKind.TOTAL, where=name, found=str(stated), expected=str(expected))
