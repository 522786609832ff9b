"""Starts and stops between windows, counted again from what runs in each.

The rule is that of ``docs/horizon.md``: instances of one model and tensor-parallel degree are interchangeable, so that
only the change of their number starts or stops any; and of the GPUs on which instances start, those that the same
model gave up in the same step cost a re-sharding and all others a cold start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from dynaopt.check_evidence import Evidence, differ, exceeds
from dynaopt.profile import FloatArray, Profile, StartUp
from dynaopt.violations import Violation, ViolationKind


def check_transitions(
    evidence: Evidence, transitions: pd.DataFrame, initial: Mapping[tuple[str, int], int] | None = None
) -> tuple[FloatArray, list[Violation]]:
    """Recompute starts, stops and their energy.

    Parameters
    ----------
    evidence
        What runs in each of W windows.
    transitions
        What the schedule says: ``window, model, pool, tp, num_started, num_stopped, energy_j``.
    initial
        Instances of each model and degree before the first window; None where those of the first answered one ran.

    Returns
    -------
    numpy.ndarray
        Energy of the starts at each window, in joules, length W.
    list of Violation
        Where counts or energies differ.
    """
    energy_j = np.zeros(len(evidence.starts))
    violations: list[Violation] = []
    for model, profile in evidence.profiles.items():
        stated = transitions[transitions["model"] == model]
        tps = np.array(sorted(set(profile.tps) | set(stated["tp"])))
        change = changes(evidence, model, tps, initial)
        model_j = _energy_j(change * tps, profile.metadata.start_up, profile.metadata.power.start_up_gpu_w)
        energy_j += model_j
        for column, expected in (("num_started", np.maximum(change, 0)), ("num_stopped", np.maximum(-change, 0))):
            violations += _counts(evidence, model, tps, _pivot(stated, column, tps, len(energy_j)), expected, column)
        found_j = np.zeros_like(energy_j)
        np.add.at(found_j, stated["window"].to_numpy(), stated["energy_j"].to_numpy(float))
        violations += _energies(evidence, model, found_j, model_j)
        violations += _rows(evidence, stated, profile)
    return energy_j, violations


def changes(
    evidence: Evidence, model: str, tps: FloatArray, initial: Mapping[tuple[str, int], int] | None
) -> FloatArray:
    """Return by how much the number of instances of each degree grows at each window, shape (W, tps).

    Parameters
    ----------
    evidence
        What runs in each of W windows.
    model
        The model.
    tps
        Its degrees.
    initial
        As in `check_transitions`.
    """
    groups = evidence.groups[evidence.groups["model"] == model]
    running = _pivot(groups, "num_instances", tps, len(evidence.starts))
    # What runs on through a window without an answer is what ran last.
    answered = np.flatnonzero(evidence.answered)
    change = np.zeros_like(running)
    change[answered[1:]] = np.diff(running[answered], axis=0)
    if initial is not None:
        change[answered[:1]] = running[answered[:1]] - [initial.get((model, int(tp)), 0) for tp in tps]
    return change


def _pivot(table: pd.DataFrame, column: str, tps: FloatArray, num_windows: int) -> FloatArray:
    totals = np.zeros((num_windows, len(tps)))
    known = table["tp"].isin(tps).to_numpy()
    at = np.searchsorted(tps, table["tp"].to_numpy()[known])
    np.add.at(totals, (table["window"].to_numpy()[known], at), table[column].to_numpy(float)[known])
    return totals


def _energy_j(gpu_changes: FloatArray, start_up: StartUp, start_up_gpu_w: float) -> FloatArray:
    """Return the energy of each window's starts from the change in GPUs under each degree, shape (W, tps)."""
    taken = np.maximum(gpu_changes, 0).sum(axis=1)
    given_up = np.maximum(-gpu_changes, 0).sum(axis=1)
    resharded = np.minimum(taken, given_up)
    busy_s: FloatArray = resharded * start_up.reshard_s + (taken - resharded) * start_up.cold_s
    return start_up_gpu_w * busy_s


def _counts(
    evidence: Evidence, model: str, tps: FloatArray, found: FloatArray, expected: FloatArray, column: str
) -> Iterator[Violation]:
    for window, at in np.argwhere(found != expected):
        yield Violation(
            kind=ViolationKind.TRANSITION_COUNT,
            window_start=evidence.starts[window],
            where=f"{model}, TP{tps[at]}, {column}",
            found=f"{found[window, at]:g}",
            expected=f"{expected[window, at]:g}",
        )


def _energies(evidence: Evidence, model: str, found: FloatArray, expected: FloatArray) -> Iterator[Violation]:
    for window in np.flatnonzero(differ(found, expected)).tolist():
        yield Violation(
            kind=ViolationKind.TRANSITION_ENERGY,
            window_start=evidence.starts[window],
            where=f"{model}, starts",
            found=f"{found[window]:.9g}",
            expected=f"{expected[window]:.9g} J",
        )


def _rows(evidence: Evidence, stated: pd.DataFrame, profile: Profile) -> Iterator[Violation]:
    """Hold each row between re-sharding and a cold start of all that starts in it; the sum pins down the rest."""
    start_up, found_j = profile.metadata.start_up, stated["energy_j"].to_numpy(float)
    gpus_w = (stated["num_started"] * stated["tp"]).to_numpy(float) * profile.metadata.power.start_up_gpu_w
    least_j, most_j = (gpus_w * f(start_up.reshard_s, start_up.cold_s) for f in (min, max))
    for at in np.flatnonzero(exceeds(found_j, most_j) | exceeds(least_j, found_j)).tolist():
        row = stated.iloc[at]
        yield Violation(
            kind=ViolationKind.TRANSITION_ENERGY,
            window_start=evidence.starts[row["window"]],
            where=f"{row['model']}, pool {row['pool']}, TP{row['tp']}",
            found=f"{found_j[at]:.9g}",
            expected=f"{least_j[at]:.9g} to {most_j[at]:.9g} J",
        )
