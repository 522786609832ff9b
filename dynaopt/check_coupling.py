"""What a coupled schedule must keep to beside its windows, counted again: up-times, starts, GPUs of starts, bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dynaopt.check_evidence import Evidence
from dynaopt.check_transitions import changes
from dynaopt.check_window import used_gpus
from dynaopt.profile import FloatArray
from dynaopt.schedule import CouplingRecord, Schedule
from dynaopt.violations import RELATIVE_TOLERANCE, Violation, ViolationKind


def initial_instances(schedule: Schedule) -> dict[tuple[str, int], int] | None:
    """Return what a schedule takes to run before its first window, by model and degree; None where nothing is said."""
    coupling = schedule.metadata.coupling
    if coupling is None or coupling.asked.initial is None:
        return None
    return {(row.model, row.tp): row.num_instances for row in coupling.asked.initial}


def check_coupling(evidence: Evidence, schedule: Schedule) -> list[Violation]:
    """Return every violation of what was asked of a coupled schedule; none where windows were planned by themselves.

    Parameters
    ----------
    evidence
        What runs in each of W windows.
    schedule
        The schedule.
    """
    coupling = schedule.metadata.coupling
    if coupling is None:
        return []
    initial = initial_instances(schedule)
    starts = {
        model: np.maximum(changes(evidence, model, np.array(profile.tps), initial), 0)
        for model, profile in evidence.profiles.items()
    }
    return [
        *_max_starts(evidence, coupling, starts),
        *_starting_gpus(evidence, schedule, initial),
        *_min_up(evidence, schedule, starts, initial),
        *_bound(schedule, coupling),
    ]


def _max_starts(evidence: Evidence, coupling: CouplingRecord, starts: Mapping[str, FloatArray]) -> Iterator[Violation]:
    most = coupling.asked.max_starts
    total = sum(own.sum(axis=1) for own in starts.values())
    for window in np.flatnonzero(total > (np.inf if most is None else most)).tolist():
        yield Violation(
            kind=ViolationKind.MAX_STARTS,
            window_start=evidence.starts[window],
            found=f"{total[window]:g}",
            expected=f"at most {most}",
        )


def _starting_gpus(
    evidence: Evidence, schedule: Schedule, initial: Mapping[tuple[str, int], int] | None
) -> Iterator[Violation]:
    """Count a cold GPU as taken in every window that the `cold_s` before its instance serves reach into."""
    held = np.where(evidence.answered, used_gpus(evidence), 0.0)
    for model, profile in evidence.profiles.items():
        tps = np.array(profile.tps)
        gpus = changes(evidence, model, tps, initial) * tps
        cold = np.maximum(np.maximum(gpus, 0).sum(axis=1) - np.maximum(-gpus, 0).sum(axis=1), 0)
        lead = int(np.ceil(profile.metadata.start_up.cold_s / schedule.metadata.window_s - 1e-9))
        for window in np.flatnonzero(cold).tolist():
            held[max(window - lead, 0) : window] += cold[window]
    for window in np.flatnonzero(evidence.answered & (held > schedule.metadata.cluster.num_gpus)).tolist():
        yield Violation(
            kind=ViolationKind.STARTING_GPUS,
            window_start=evidence.starts[window],
            found=f"{held[window]:g}",
            expected=f"at most {schedule.metadata.cluster.num_gpus}",
        )


def _min_up(
    evidence: Evidence,
    schedule: Schedule,
    starts: Mapping[str, FloatArray],
    initial: Mapping[tuple[str, int], int] | None,
) -> Iterator[Violation]:
    """Of each degree at least as many instances run as have started within the up-time."""
    coupling, window_s = schedule.metadata.coupling, schedule.metadata.window_s
    span = int(np.ceil((coupling.asked.min_up_s if coupling else 0.0) / window_s - 1e-9))
    answered = np.flatnonzero(evidence.answered)
    for model, profile in evidence.profiles.items() if span > 1 else ():
        tps = np.array(profile.tps)
        before = np.array([0 if initial is None else initial.get((model, int(tp)), 0) for tp in tps])
        growth = np.cumsum(changes(evidence, model, tps, initial)[answered], axis=0)
        running = growth + (before if initial is not None else _first(evidence, model, tps))
        recent = np.cumsum(starts[model][answered], axis=0)
        recent[span:] -= recent[:-span].copy()
        for at, k in np.argwhere(recent > running):
            yield Violation(
                kind=ViolationKind.MIN_UP,
                window_start=evidence.starts[answered[at]],
                where=f"{model}, TP{tps[k]}",
                found=f"{running[at, k]:g} instances",
                expected=f"at least the {recent[at, k]:g} that started within {span} windows",
            )


def _first(evidence: Evidence, model: str, tps: FloatArray) -> FloatArray:
    """Return how many instances of each degree run in the first answered window."""
    first = int(np.argmax(evidence.answered))
    own = evidence.groups[(evidence.groups["model"] == model) & (evidence.groups["window"] == first)]
    return np.array([float(own.loc[own["tp"] == tp, "num_instances"].sum()) for tp in tps])


def _bound(schedule: Schedule, coupling: CouplingRecord) -> Iterator[Violation]:
    sums = schedule.objective_totals()
    value = schedule.energy_j if sums is None else sums.objective
    if coupling.lower_bound is not None and coupling.lower_bound > value * (1 + RELATIVE_TOLERANCE):
        yield Violation(
            kind=ViolationKind.COUPLED_BOUND, found=f"{coupling.lower_bound:.9g}", expected=f"at most {value:.9g}"
        )
