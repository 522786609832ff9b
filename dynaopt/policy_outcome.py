"""Policies run one after the other on the same demand, each checked, and each kept as soon as it is finished."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dynaopt.check import check
from dynaopt.coupled_shard import COUPLED
from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.errors import DynaoptError, NoSolutionError
from dynaopt.policies import OURS, Case, Policy
from dynaopt.replay_result import ReplayResult
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import METADATA_FILE, read_schedule, write_schedule
from dynaopt.schedule_metadata import make_metadata
from dynaopt.single_pool import ROUGH_MIX
from dynaopt.violations import Violation, ViolationKind

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PolicyOutcome:
    """What a policy came to.

    Parameters
    ----------
    name, title
        Of the policy.
    schedule
        What it ran; None if it cannot serve the demand.
    reason
        Why it cannot; empty if it can.
    violations
        What the independent check found.
    notes
        What a reader should know.
    replay
        What became of every request; None if it was not replayed.
    """

    name: str
    title: str
    schedule: Schedule | None = None
    reason: str = ""
    violations: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()
    replay: ReplayResult | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is this package's planner."""
        return self.name == OURS or self.name.startswith(f"{OURS}-")

    @property
    def fits(self) -> bool:
        """Whether the cluster has the GPUs that it takes; policies of fixed size do not ask."""
        return all(violation.kind is not ViolationKind.GPU_LIMIT for violation in self.violations)

    @property
    def is_right(self) -> bool:
        """Whether the check found nothing but that the cluster is too small."""
        return all(violation.kind is ViolationKind.GPU_LIMIT for violation in self.violations)

    @property
    def gpu_hours(self) -> float | None:
        """GPUs under instances times hours; None without an answer."""
        if self.schedule is None:
            return None
        windows = self.schedule.windows
        return float((windows["num_gpus"].astype(float) * windows["window_s"]).sum()) / 3600

    @property
    def servers_max(self) -> int | None:
        """Servers of eight GPUs that hold what runs in the fullest window; None without an answer."""
        used = None if self.schedule is None else self.schedule.windows["num_gpus"].dropna()
        return None if used is None or used.empty else math.ceil(int(used.max()) / 8)


def run_policies(
    case: Case,
    policies: Sequence[Policy],
    *,
    out: Path | None = None,
    replay: Callable[[Schedule], ReplayResult] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[PolicyOutcome]:
    """Run policies, check what each did, and replay it.

    Parameters
    ----------
    case
        What all of them are given.
    policies
        Those to run.
    out
        A folder that gets a folder for each policy. One that holds the very same, finished, is read and not run again.
    replay
        Replays a schedule; None, the default, to leave that out.
    progress
        Called before each: how many are done, how many there are, and the title of the next.

    Yields
    ------
    PolicyOutcome
        In the order of the policies.
    """
    for done, policy in enumerate(policies):
        if progress:
            progress(done, len(policies), policy.title)
        outcome = _run(case, policy, None if out is None else out / policy.name)
        if replay and outcome.schedule is not None:
            outcome = replace(outcome, replay=replay(outcome.schedule))
        yield outcome
    if progress:
        progress(len(policies), len(policies), "all")


def scaled(demand: Demand, factor: float) -> Demand:
    """Return a demand with all rates multiplied, as the paper scales its trace up to fill a cluster.

    Parameters
    ----------
    demand
        What to scale. Peak factors stay, although the minutes of a larger stream would be more even.
    factor
        Above 0.
    """
    if factor == 1:
        return demand
    table = demand.table.assign(rate_rps=demand.table["rate_rps"] * factor)
    name = f"{demand.name}-x{factor:g}"
    return Demand(name, demand.window_s, table, demand.sha256, demand.starts, demand.models)


def _run(case: Case, policy: Policy, folder: Path | None) -> PolicyOutcome:
    try:
        schedule = None if folder is None else _read_finished(case, policy, folder)
        if schedule is None:
            schedule = policy.plan(case)
            if folder is not None:
                write_schedule(schedule, folder)
    except NoSolutionError as error:
        return PolicyOutcome(name=policy.name, title=policy.title, reason=str(error))
    violations = tuple(check(schedule, profiles=case.profiles))
    return PolicyOutcome(
        name=policy.name,
        title=policy.title,
        schedule=schedule,
        violations=violations,
        notes=tuple(_notes(case, policy, schedule)),
    )


def _read_finished(case: Case, policy: Policy, folder: Path) -> Schedule | None:
    """Return what a folder holds if it is this very policy on this very case."""
    if not (folder / METADATA_FILE).is_file():
        return None
    try:
        found = read_schedule(folder)
    except DynaoptError as error:
        _LOG.info("%s cannot be read and is written anew: %s", folder, error)
        return None
    options = {name: getattr(found.metadata, name) for name in ("solver", "time_limit_s", "gap_tolerance")}
    if options["solver"] != policy.solver:
        return None
    options["coupling"] = Coupling() if policy.solver == COUPLED else None
    wanted = make_metadata(case.demand, case.profiles, slo=case.slo, cluster=policy.cluster(case), **options)
    return found if found.metadata.digest == wanted.digest else None


def _notes(case: Case, policy: Policy, schedule: Schedule) -> Iterator[str]:
    used = schedule.windows["num_gpus"].dropna()
    if len(used) and used.max() > case.cluster.num_gpus:
        yield f"{policy.title} needs {used.max()} GPUs of {case.cluster.num_gpus}; its energy is that of them all."
    if schedule.num_unsolved:
        yield f"{policy.title} has no answer for {schedule.num_unsolved:,} windows; its energy is that of the others."
    pools = schedule.routes.groupby(["model", "pool"])
    for (model, pool), routes in pools if len(schedule.routes) else ():
        if not str(pool).startswith(MIX_PREFIX):
            continue
        mix = next(m for m in case.by_model[str(model)].metadata.mixes if m.name == pool)
        served = routes.groupby("request_class")["rate_rps"].sum().reindex(REQUEST_CLASSES, fill_value=0.0)
        distance = mix.distance(served.to_numpy(float))
        if distance > ROUGH_MIX:
            yield f"The curves of {pool} take {distance:.0%} of its requests for another class; such a pool is rough."
