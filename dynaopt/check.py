"""Independent verification: whether an answer is feasible, and its energy what it says.

Everything is recomputed from demand, profile and options. Nothing here shares code with the integer program, the
solvers, or the functions by which they write their answers, so that a mistake there cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.allocation import Allocation
from dynaopt.check_coupling import check_coupling, initial_instances
from dynaopt.check_curves import read_curves
from dynaopt.check_energy import check_energy, numbers
from dynaopt.check_evidence import Evidence, stretch
from dynaopt.check_objective import check_objective
from dynaopt.check_transitions import check_transitions
from dynaopt.check_window import check_windows, drawn_w, used_gpus
from dynaopt.demand import Demand
from dynaopt.digests import demand_digest, profile_digest
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray, Profile
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.result import Termination
from dynaopt.schedule import Schedule, Source
from dynaopt.violations import Violation, ViolationKind

_GROUP_COLUMNS = ["model", "pool", "tp", "frequency_mhz", "num_instances", "rate_per_instance_rps"]
_GROUP_COLUMNS += ["power_per_instance_w"]
_ROUTE_COLUMNS = ["model", "request_class", "pool", "rate_rps"]


def check_allocation(problem: Problem, allocation: Allocation) -> list[Violation]:
    """Verify one window's answer.

    Parameters
    ----------
    problem
        What was asked. Only its inputs are read (demand, profiles, objectives, cluster).
    allocation
        The answer.

    Returns
    -------
    list of Violation
        All there are; empty for a right answer.
    """
    demand, nothing = problem.demand, np.zeros(len(REQUEST_CLASSES))
    groups = pd.DataFrame(
        [[getattr(g, name) for name in _GROUP_COLUMNS] for g in allocation.groups], columns=_GROUP_COLUMNS
    )
    routes = pd.DataFrame(
        [[getattr(r, name) for name in _ROUTE_COLUMNS] for r in allocation.routes], columns=_ROUTE_COLUMNS
    )
    evidence = Evidence(
        starts=pd.DatetimeIndex([demand.start]),
        profiles=problem.profiles,
        slo=problem.slo,
        cluster=problem.cluster,
        rate_rps=np.concatenate([demand.rate_rps.get(model, nothing) for model in problem.profiles])[None, :],
        peak_factor=np.array([[demand.peak_factor.get(model, 1.0) for model in problem.profiles]]),
        answered=np.array([True]),
        power_w=np.array([allocation.power_w]),
        groups=groups.assign(window=0),
        routes=routes.assign(window=0),
    )
    return check_windows(evidence)


def check(schedule: Schedule, *, profiles: Sequence[Profile] | None = None) -> list[Violation]:
    """Verify a schedule: every window, every transition, every sum.

    Parameters
    ----------
    schedule
        The answers, with the demand that they are for.
    profiles
        The profiles that it was planned with, in the order in which it names them; by default they are read again.

    Returns
    -------
    list of Violation
        All there are; empty for a right schedule. Numbers that should be equal may differ by 1e-6 of the larger one.

    Raises
    ------
    InputError
        If a profile that the schedule names cannot be read.
    """
    used = profiles if profiles is not None else [_read_again(source) for source in schedule.metadata.profiles]
    by_model = {profile.model: profile for profile in used}
    windows, violations = _align(schedule)
    violations += _digests(schedule, used)
    violations += _models(schedule.demand, by_model)
    for name in ("allocations", "routes", "transitions"):
        violations += _strays(name, getattr(schedule, name), schedule.demand.starts)
    evidence = _evidence(schedule, by_model, windows)
    violations += check_windows(evidence)
    violations += _num_gpus(evidence, windows)
    transitions = _numbered(schedule.transitions, schedule.demand.starts)
    transition_j, wrong = check_transitions(evidence, transitions, initial_instances(schedule))
    violations += wrong
    violations += check_coupling(evidence, schedule)
    readings = read_curves(evidence.groups, by_model, evidence.slo, stretch(evidence))
    power_w = drawn_w(evidence, readings)
    violations += check_energy(evidence, schedule, windows, power_w, transition_j)
    return violations + check_objective(evidence, schedule, windows, power_w, transition_j)


def _read_again(source: Source) -> Profile:
    return read_profile(Path(source.path) if source.path is not None else source.name)


def _align(schedule: Schedule) -> tuple[pd.DataFrame, list[Violation]]:
    """Bring the table of windows to one row for each window of the demand, and tell where it was not so."""
    starts, table = schedule.demand.starts, schedule.windows
    at = starts.get_indexer(pd.DatetimeIndex(table["window_start"]))
    violations = _strays("windows", table, starts)
    for window in np.setdiff1d(np.arange(len(starts)), at):
        violations.append(_out_of_step(starts[window], "no row", "a row for each window of the demand"))
    for row in np.flatnonzero(np.diff(at, prepend=-1) <= 0):
        violations.append(_out_of_step(table["window_start"].iloc[row], f"it in row {row + 1}", "windows in order"))
    length_s = schedule.demand.window_s
    wrong_length = (numbers(table, "window_s") != length_s) | (schedule.metadata.window_s != length_s)
    for row in np.flatnonzero(wrong_length):
        found = f"{table['window_s'].iloc[row]:g} s in its row, {schedule.metadata.window_s:g} s in schedule.json"
        violations.append(_out_of_step(table["window_start"].iloc[row], found, f"{length_s:g} s"))
    kept = table[at >= 0].set_index(at[at >= 0])
    return kept[~kept.index.duplicated()].reindex(range(len(starts))), violations


def _out_of_step(start: pd.Timestamp, found: str, expected: str, where: str = "windows") -> Violation:
    return Violation(kind=ViolationKind.WINDOWS, window_start=start, where=where, found=found, expected=expected)


def _strays(name: str, table: pd.DataFrame, starts: pd.DatetimeIndex) -> list[Violation]:
    times = table["window_start"]
    stray = times[~times.isin(starts)]
    return [_out_of_step(start, "a row", "only windows of the demand", name) for start in stray]


def _numbered(table: pd.DataFrame, starts: pd.DatetimeIndex) -> pd.DataFrame:
    window = starts.get_indexer(pd.DatetimeIndex(table["window_start"]))
    return table.assign(window=window)[window >= 0].reset_index(drop=True)


def _evidence(schedule: Schedule, profiles: Mapping[str, Profile], windows: pd.DataFrame) -> Evidence:
    demand, num_windows = schedule.demand, len(windows)
    rates, peaks = _of_models(demand.rates_rps, profiles), _of_models(demand.peak_factors, profiles)
    nothing = np.zeros((num_windows, len(REQUEST_CLASSES)))
    return Evidence(
        starts=demand.starts,
        profiles=profiles,
        slo=schedule.metadata.slo,
        cluster=schedule.metadata.cluster,
        rate_rps=np.concatenate([rates.get(model, nothing) for model in profiles], axis=1),
        peak_factor=np.stack([peaks.get(model, np.ones(num_windows)) for model in profiles], axis=1),
        answered=windows["termination"].isin([Termination.OPTIMAL, Termination.FEASIBLE]).to_numpy(),
        power_w=numbers(windows, "power_w"),
        groups=_numbered(schedule.allocations, demand.starts),
        routes=_numbered(schedule.routes, demand.starts),
    )


def _of_models(values: Mapping[str, FloatArray], profiles: Mapping[str, Profile]) -> Mapping[str, FloatArray]:
    # A demand that names no model is that of the only profile.
    return {next(iter(profiles)): values[""]} if list(values) == [""] and len(profiles) == 1 else values


def _models(demand: Demand, profiles: Mapping[str, Profile]) -> Iterator[Violation]:
    for model in _of_models(demand.rates_rps, profiles):
        if model not in profiles:
            yield Violation(
                kind=ViolationKind.UNKNOWN_NAME,
                where=f"demand of model '{model}'",
                found="no profile",
                expected=f"a model of {', '.join(profiles)}",
            )


def _digests(schedule: Schedule, profiles: Sequence[Profile]) -> Iterator[Violation]:
    stated = schedule.metadata.demand
    pairs = [(f"demand {stated.name}", stated.content_sha256, demand_digest(schedule.demand))]
    for source, profile in zip(schedule.metadata.profiles, profiles, strict=True):
        pairs.append((f"profile {source.name}", source.content_sha256, profile_digest(profile)))
    for where, expected, found in pairs:
        if found != expected:
            yield Violation(kind=ViolationKind.DIGEST, where=where, found=f"SHA-256 {found}", expected=expected)


def _num_gpus(evidence: Evidence, windows: pd.DataFrame) -> Iterator[Violation]:
    used, found = used_gpus(evidence), numbers(windows, "num_gpus")
    for window in np.flatnonzero(evidence.answered & ~(found == used)).tolist():
        yield Violation(
            kind=ViolationKind.NUM_GPUS,
            window_start=evidence.starts[window],
            found=f"{found[window]:g}",
            expected=f"{used[window]:g}",
        )
