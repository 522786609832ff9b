"""The accounts of a schedule: energies, bounds, gaps and totals, added up again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dynaopt.check_evidence import BoolArray, Evidence, differ, exceeds, of_windows
from dynaopt.profile import FloatArray
from dynaopt.result import Termination
from dynaopt.schedule import ANSWER_COLUMNS, Schedule
from dynaopt.violations import RELATIVE_TOLERANCE, Violation, ViolationKind

GAP_TOLERANCE = 1e-6
"""A gap is a small difference of large numbers, so it is compared in absolute terms."""


def check_energy(
    evidence: Evidence,
    schedule: Schedule,
    windows: pd.DataFrame,
    serving_power_w: FloatArray,
    transition_energy_j: FloatArray,
) -> list[Violation]:
    """Return every violation in the accounts.

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
    serving_j = serving_power_w * schedule.metadata.window_s
    objective = schedule.metadata.objective
    # Where GPUs have a price nothing was proved of energy; `check_objective` holds the proofs to the objective.
    is_priced = objective is not None and objective.charges_for_gpus
    return [
        *_energies(evidence, windows, serving_j, transition_energy_j),
        *(() if is_priced else _proofs(evidence, windows, serving_j, schedule.metadata.gap_tolerance)),
        *_without_answer(evidence, windows),
        *_totals(schedule, windows, evidence.answered, serving_j, transition_energy_j),
    ]


def numbers(table: pd.DataFrame, column: str) -> FloatArray:
    """Return a column as numbers, NaN where a cell is empty."""
    return np.asarray(table[column], dtype=np.float64)


def _energies(
    evidence: Evidence, windows: pd.DataFrame, serving_j: FloatArray, transition_j: FloatArray
) -> Iterable[Violation]:
    accounts = (
        (ViolationKind.SERVING_ENERGY, "serving_energy_j", serving_j),
        (ViolationKind.TRANSITION_ENERGY, "transition_energy_j", transition_j),
        (ViolationKind.WINDOW_ENERGY, "energy_j", serving_j + transition_j),
    )
    for kind, column, expected in accounts:
        found = numbers(windows, column)
        bad = evidence.answered & differ(found, expected)
        yield from of_windows(evidence, kind, bad, found, expected, "{} J")


def _proofs(evidence: Evidence, windows: pd.DataFrame, serving_j: FloatArray, tolerance: float) -> Iterable[Violation]:
    answered = evidence.answered
    bound_j, claimed_gap = numbers(windows, "lower_bound_j"), numbers(windows, "gap")
    bad = answered & exceeds(bound_j, serving_j)
    yield from of_windows(evidence, ViolationKind.LOWER_BOUND, bad, bound_j, serving_j, "at most {} J, the energy")
    gap = gap_of(serving_j, bound_j)
    bad = answered & ~(np.abs(claimed_gap - gap) <= GAP_TOLERANCE)
    yield from of_windows(evidence, ViolationKind.GAP, bad, claimed_gap, gap, "{}")
    optimal = (windows["termination"] == Termination.OPTIMAL).to_numpy()
    allowed = np.full(len(gap), tolerance)
    bad = optimal & ~(gap <= tolerance + GAP_TOLERANCE)
    yield from of_windows(evidence, ViolationKind.OPTIMALITY, bad, gap, allowed, "a gap of at most {}")


def gap_of(energy_j: FloatArray, bound_j: FloatArray) -> FloatArray:
    """Return (energy - bound) / energy, at least 0; 0 where there is no energy."""
    positive = energy_j > 0
    return np.where(positive, np.maximum(energy_j - bound_j, 0.0) / np.where(positive, energy_j, 1.0), 0.0)


def _without_answer(evidence: Evidence, windows: pd.DataFrame) -> Iterator[Violation]:
    for column in ANSWER_COLUMNS:
        for window in np.flatnonzero(~evidence.answered & windows[column].notna().to_numpy()).tolist():
            yield Violation(
                kind=ViolationKind.NO_ANSWER,
                window_start=evidence.starts[window],
                where=column,
                found=str(windows[column].iloc[window]),
                expected="an empty cell in a window without an answer",
            )


def _totals(
    schedule: Schedule, windows: pd.DataFrame, answered: BoolArray, serving_j: FloatArray, transition_j: FloatArray
) -> Iterator[Violation]:
    energy_j, spent_j = float(serving_j[answered].sum()), float(transition_j[answered].sum())
    bound_j = float(np.nansum(numbers(windows, "lower_bound_j")[answered]))
    served_rps = float(schedule.routes["rate_rps"].sum())
    expected: dict[str, float | None] = {
        "num_windows": len(answered),
        "num_unsolved": int((~answered).sum()),
        "num_requests": served_rps * schedule.metadata.window_s,
        "energy_j": energy_j + spent_j,
        "serving_energy_j": energy_j,
        "transition_energy_j": spent_j,
        "lower_bound_j": bound_j,
        "gap": float(gap_of(np.array([energy_j]), np.array([bound_j]))[0]) if answered.any() else None,
        "runtime_s": float(numbers(windows, "runtime_s").sum()),
    }
    if schedule.metadata.objective is not None:
        del expected["gap"], expected["lower_bound_j"]
    totals = schedule.metadata.totals.model_dump()
    for name, value in expected.items():
        if not agree(totals[name], value, GAP_TOLERANCE if name == "gap" else 0.0):
            yield Violation(kind=ViolationKind.TOTAL, where=name, found=str(totals[name]), expected=str(value))


def agree(found: float | None, expected: float | None, slack: float = 0.0) -> bool:
    """Tell whether two totals are the same number, or both none, within the tolerances."""
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= RELATIVE_TOLERANCE * max(abs(found), abs(expected)) + slack
