"""``dynaopt compare``: the policies side by side on the same demand, each checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dynaopt.cli_check import violations_json
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    DEFAULT_PROFILE,
    CutPointsText,
    From,
    Gpus,
    Headroom,
    Json,
    Profiles,
    Reserve,
    SloFile,
    SloScale,
    SolverName,
    Source,
    TimeLimit,
    Until,
    UnusedGpus,
    Window,
    Workers,
    finite_number,
    make_slo,
    parse_reserve,
)
from dynaopt.console import StepProgress, make_table, render
from dynaopt.errors import InvalidInputError
from dynaopt.figures_policies import energy_bars
from dynaopt.paper_policies import Experiment, paper_energies
from dynaopt.policies import OURS, Case, Policy, get_policy, make_case, policy_names
from dynaopt.policies.planned import Planned
from dynaopt.policy_outcome import PolicyOutcome, run_policies, scaled
from dynaopt.policy_page import write_policy_page
from dynaopt.policy_table import policy_columns, policy_records, policy_rows, replay_columns, replay_rows
from dynaopt.problem import Cluster
from dynaopt.profile_io import read_profile
from dynaopt.single_pool import nearest_mix
from dynaopt.tables import atomic_path

_DEFAULT = Cluster()
_DAY_S = 86400.0
RESULT_FILE, PAGE_FILE = "compare.json", "compare.html"

Policies = Annotated[
    str | None,
    typer.Option(
        "--policies",
        metavar="NAME,…",
        help=f"Which, of {', '.join(policy_names())}; 'plan-' and a solver for another of ours. All by default.",
    ),
]
ScaleRate = Annotated[
    float, typer.Option("--scale-rate", parser=finite_number, metavar="X", help="Multiplies every arrival rate.")
]


def compare_command(
    source: Source = DEFAULT_DEMAND,
    profile: Profiles = [DEFAULT_PROFILE],  # noqa: B006 - Typer reads it and never changes it
    window: Window = None,
    cut_points: CutPointsText = None,
    start: From = None,
    end: Until = None,
    scale_rate: ScaleRate = 1.0,
    gpus: Gpus = _DEFAULT.num_gpus,
    slo: SloFile = None,
    slo_scale: SloScale = 1.0,
    headroom: Headroom = _DEFAULT.headroom,
    reserve: Reserve = str(_DEFAULT.reserve),
    unused_gpus: UnusedGpus = _DEFAULT.unused_gpus,
    policies: Policies = None,
    solver: SolverName = "greedy",
    time_limit: TimeLimit = None,
    workers: Workers = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; 'compare-<demand>' here by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the policies side by side on the same demand, check what each does, and show what it takes.

    Each policy's schedule is written into a folder of its own. Exit code 1 if the check finds a violation.
    """
    cluster = {"num_gpus": gpus, "headroom": headroom, "reserve": parse_reserve(reserve), "unused_gpus": unused_gpus}
    Cluster.of(**cluster)
    chosen = _policies(policies, Planned(solver, time_limit_s=time_limit, workers=workers))
    if not scale_rate > 0:
        raise InvalidInputError("option --scale-rate", expected="a number above 0", found=str(scale_rate))
    if out is not None:
        check_out_folder("--out", out)
    profiles = [read_profile(name) for name in profile]
    options = DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end)
    demand = scaled(load_demand(options, profiles), scale_rate)
    case = make_case(demand, profiles, slo=make_slo(slo, slo_scale), **cluster)
    folder = Path(f"compare-{demand.name}") if out is None else out
    with StepProgress(f"compare {demand.name}") as progress:
        outcomes = list(run_policies(case, chosen, out=folder, progress=progress))
    comparison = _Comparison(case, outcomes, folder)
    content = comparison.content()
    with atomic_path(folder / RESULT_FILE) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    comparison.write_page(folder / PAGE_FILE)
    typer.echo(json.dumps(content, indent=2) if as_json else comparison.text())
    if any(outcome.violations for outcome in outcomes):
        raise typer.Exit(NO_SOLUTION)


def _policies(names: str | None, ours: Policy) -> list[Policy]:
    listed = list(policy_names()) if names is None else [name.strip() for name in names.split(",")]
    if len(set(listed)) < len(listed):
        raise InvalidInputError("option --policies", expected="each policy once", found=f"'{names}'")
    return [ours if name == OURS else get_policy(name) for name in listed]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """All that the end of a comparison tells."""

    case: Case
    outcomes: Sequence[PolicyOutcome]
    folder: Path

    @property
    def experiment(self) -> Experiment:
        """The paper's experiment that comes nearest: its hour for less than a day, or the week of the same service."""
        demand = self.case.demand
        if demand.num_windows * demand.window_s < _DAY_S:
            return "hour"
        part = self.case.models()[0]
        mixes = part.profile.metadata.mixes
        is_coding = bool(mixes) and "coding" in nearest_mix(part.profile, part.rate_rps)[0].name
        return "week coding" if is_coding else "week conversation"

    @property
    def records(self) -> list[dict[str, Any]]:
        """The policies as records."""
        return policy_records(self.outcomes, paper_energies(self.experiment))

    @property
    def notes(self) -> list[str]:
        """What a reader should know."""
        missing = [f"{o.title} cannot serve this: {o.reason}" for o in self.outcomes if o.reason]
        wrong = [f"{o.title}, first violation: {o.violations[0]}" for o in self.outcomes if o.violations]
        return list(dict.fromkeys([*missing, *wrong, *(note for o in self.outcomes for note in o.notes)]))

    def title(self) -> str:
        """Return what stands above the table."""
        demand = self.case.demand
        return f"{demand.name}: {demand.num_windows:,} windows from {demand.starts[0]:%Y-%m-%d %H:%M} UTC"

    def text(self) -> str:
        """Return the tables for a terminal."""
        records = self.records
        parts: list[Any] = [make_table(policy_columns(), policy_rows(records), title=self.title())]
        rows = replay_rows(records)
        if rows:
            parts.append(make_table(replay_columns(), rows, title="Replayed request by request"))
        paper = f"Paper: DynamoLLM, {self.experiment}, relative to its SinglePool"
        return render(*parts, "", paper, *self.notes, f"Schedules: {self.folder}    Page: {self.folder / PAGE_FILE}")

    def content(self) -> Mapping[str, object]:
        """Return the same as JSON has it."""
        return {
            "format_version": 1,
            "demand": self.case.demand.name,
            "profiles": [profile.name for profile in self.case.profiles],
            "num_gpus": self.case.cluster.num_gpus,
            "window_s": self.case.demand.window_s,
            "num_windows": self.case.demand.num_windows,
            "paper_experiment": self.experiment,
            "policies": [
                record | {"violations": violations_json(o.violations[:20]), "schedule": str(self.folder / o.name)}
                for record, o in zip(self.records, self.outcomes, strict=True)
            ],
            "notes": self.notes,
            "page": str(self.folder / PAGE_FILE),
        }

    def write_page(self, path: Path) -> None:
        """Write the tables and the picture as one HTML page."""
        records = self.records
        tables = [("Energy", policy_columns(), policy_rows(records))]
        rows = replay_rows(records)
        if rows:
            tables.append(("Replayed request by request", replay_columns(), rows))
        write_policy_page(path, title=self.title(), tables=tables, figures=[energy_bars(records)], notes=self.notes)
