"""What names a plan: its inputs and options, their digest, and how it differs from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.digests import demand_digest, profile_digest
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.schedule import CouplingRecord, ObjectiveRecord, ScheduleMetadata, Source, Totals
from dynaopt.slo import Slo

_NO_TOTALS = Totals(
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


def make_metadata(
    demand: Demand,
    profiles: Sequence[Profile],
    *,
    slo: Slo,
    cluster: Cluster,
    solver: str,
    time_limit_s: float | None = None,
    gap_tolerance: float = 0.0,
    paths: Mapping[str, str | Path] | None = None,
    objective: ObjectiveRecord | None = None,
    coupling: Coupling | None = None,
) -> ScheduleMetadata:
    """Return the metadata of a plan that is yet to be made, without totals.

    Parameters
    ----------
    demand, profiles
        The inputs.
    slo, cluster, solver, time_limit_s, gap_tolerance
        The options.
    paths
        Where inputs lie, by the names of demand and profiles.
    objective
        What is minimised; None, the default, for energy alone.
    coupling
        How windows are planned together; None, the default, for each by itself.

    Returns
    -------
    ScheduleMetadata
        Its digest is made of the inputs, the options and the version of the package: of all that decides the answers.
    """
    by_name = {name: str(path) for name, path in (paths or {}).items()}

    def source(item: Demand | Profile, content_sha256: str) -> Source:
        """Describe an input with the path that was given for it."""
        path = by_name.get(item.name)
        return Source(name=item.name, path=path, sha256=item.sha256, content_sha256=content_sha256)

    metadata = ScheduleMetadata(
        format_version=3 if coupling is not None else 1 if objective is None else 2,
        dynaopt_version=version("dynaopt"),
        digest="",
        demand=source(demand, demand_digest(demand)),
        profiles=tuple(source(p, profile_digest(p)) for p in profiles),
        slo=slo,
        cluster=cluster,
        solver=solver,
        time_limit_s=time_limit_s,
        gap_tolerance=gap_tolerance,
        window_s=demand.window_s,
        totals=_NO_TOTALS,
        objective=objective,
        coupling=None if coupling is None else CouplingRecord(asked=coupling),
    )
    return metadata.model_copy(update={"digest": _digest(metadata)})


def _digest(metadata: ScheduleMetadata) -> str:
    decisive = metadata.model_dump(mode="json", exclude={"digest", "totals"})
    if decisive["coupling"] is None:
        del decisive["coupling"]  # as before there was any
    else:
        del decisive["coupling"]["lower_bound"]
    for item in (decisive["demand"], *decisive["profiles"]):
        del item["path"]  # files may be moved
    for name in ("price_per_kwh", "carbon_g_per_kwh"):
        series = (decisive["objective"] or {}).get(name)
        if isinstance(series, dict):
            del series["path"]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def describe(metadata: ScheduleMetadata) -> dict[str, Any]:
    """Say in words what a plan is of, to tell it from another.

    Parameters
    ----------
    metadata
        Of the plan.
    """
    dumped = metadata.model_dump(mode="json")
    return {
        "version": metadata.dynaopt_version,
        "demand": _name(metadata.demand),
        "profiles": ", ".join(map(_name, metadata.profiles)),
        **dumped["cluster"],
        **{name: dumped[name] for name in ("solver", "time_limit_s", "gap_tolerance", "slo")},
        **_describe_objective(metadata.objective),
        **({} if metadata.coupling is None else {"coupling": dumped["coupling"]["asked"]}),
    }


def _describe_objective(objective: ObjectiveRecord | None) -> dict[str, Any]:
    if objective is None:
        return {"objective": "energy"}
    told = {"objective": objective.kind, **objective.model_dump(mode="json", exclude={"kind", "unit"})}
    for name in ("price_per_kwh", "carbon_g_per_kwh"):
        series = getattr(objective, name)
        told[name] = _name(series) if isinstance(series, Source) else series
    return told


def _name(source: Source) -> str:
    return f"{source.name} (content {source.content_sha256[:12]})"
