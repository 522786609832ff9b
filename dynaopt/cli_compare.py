"""``dynaopt compare``: the policies side by side on the same demand, each checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dynaopt.burstiness import DEFAULT_READING
from dynaopt.cli_check import violations_json
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_input import DemandOptions, kind_of, load_demand
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    DEFAULT_PROFILE,
    CutPointsText,
    From,
    Gpus,
    Headroom,
    Json,
    MixDistance,
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
from dynaopt.cli_perturb import perturbation_content, perturbation_tables
from dynaopt.cli_requests import RequestOptions, find_requests
from dynaopt.cli_synthesise import BurstinessReading, Seed
from dynaopt.console import StepProgress, make_table, render
from dynaopt.demand import Demand, demand_names
from dynaopt.errors import InvalidInputError
from dynaopt.figures_policies import energy_bars
from dynaopt.paper_policies import Experiment, paper_energies
from dynaopt.perturbation import perturbations
from dynaopt.policies import BY_CLASS, OURS, TOGETHER, Case, Policy, get_policy, make_case, policy_names
from dynaopt.policies.planned import Planned, PlannedTogether
from dynaopt.policy_outcome import PolicyOutcome, run_policies, scaled
from dynaopt.policy_page import write_policy_page
from dynaopt.policy_table import policy_columns, policy_records, policy_rows, replay_columns, replay_rows
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.profile_io import list_profiles, read_profile
from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult
from dynaopt.robustness import Robustness, perturb_busiest_day
from dynaopt.schedule import Schedule
from dynaopt.single_pool import nearest_mix
from dynaopt.solvers.base import DEFAULT_SOLVER
from dynaopt.solvers.quiet import silenced_stdout
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
Perturb = Annotated[
    float | None,
    typer.Option(
        "--perturb",
        parser=finite_number,
        metavar="X",
        help="Also tell what our plan of the busiest day is worth if its profile is off by this share, such as 0.1.",
    ),
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
    mix_distance: MixDistance = _DEFAULT.max_mix_distance,
    unused_gpus: UnusedGpus = _DEFAULT.unused_gpus,
    policies: Policies = None,
    solver: SolverName = DEFAULT_SOLVER,
    time_limit: TimeLimit = None,
    workers: Workers = None,
    perturb: Perturb = None,
    is_replayed: Annotated[
        bool, typer.Option("--replay/--no-replay", help="Send every request through each policy's instances too.")
    ] = False,
    trace: Annotated[
        list[str],
        typer.Option("--trace", metavar="FILE", help="The requests to replay; by default those that are compared on."),
    ] = [],  # noqa: B006
    seed: Seed = 0,
    burstiness: BurstinessReading = DEFAULT_READING,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; 'compare-<demand>' here by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the policies side by side on the same demand, check what each does, and show what it takes.

    Each policy's schedule is written into a folder of its own. Exit code 1 if the check finds a violation; that a
    policy of fixed size needs more GPUs than there are is told, and is none.
    """
    cluster = {"num_gpus": gpus, "headroom": headroom, "reserve": parse_reserve(reserve), "unused_gpus": unused_gpus}
    cluster |= {"max_mix_distance": mix_distance}
    Cluster.of(**cluster)
    asked: dict[str, Any] = {"time_limit_s": time_limit, "workers": workers}
    ours = {OURS: Planned(solver, **asked), BY_CLASS: Planned(solver, by_class=True, **asked)}
    chosen = _policies(policies, {**ours, TOGETHER: PlannedTogether(workers=workers)})
    _check_scale(scale_rate, is_replayed=is_replayed)
    if out is not None:
        check_out_folder("--out", out)
    profiles = [read_profile(name) for name in profile]
    options = DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end)
    demand = scaled(load_demand(options, profiles), scale_rate)
    if perturb is not None:
        perturbations(profiles[0], perturb)  # refuses a share that makes no sense before any work is done
    paths = _paths(source, demand, profile, profiles)
    case = make_case(demand, profiles, slo=make_slo(slo, slo_scale), paths=paths, **cluster)
    requests = RequestOptions(traces=_traces(trace, source), seed=seed, burstiness=burstiness)
    folder = Path(f"compare-{demand.name}") if out is None else out
    outcomes = _run(case, chosen, folder, requests if is_replayed else None)
    robustness = None if perturb is None else _perturb(case, perturb, solver, time_limit)
    comparison = _Comparison(case, outcomes, folder, robustness)
    comparison.write()
    typer.echo(json.dumps(comparison.content(), indent=2) if as_json else comparison.text())
    if not all(outcome.is_right for outcome in comparison.outcomes):
        raise typer.Exit(NO_SOLUTION)


def _check_scale(factor: float, *, is_replayed: bool) -> None:
    if not factor > 0:
        raise InvalidInputError("option --scale-rate", expected="a number above 0", found=str(factor))
    if is_replayed and factor != 1:
        expected = "1 with --replay, which sends the requests as they came"
        raise InvalidInputError("option --scale-rate", expected=expected, found=f"{factor:g}")


def _run(case: Case, policies: Sequence[Policy], folder: Path, requests: RequestOptions | None) -> list[PolicyOutcome]:
    def send(schedule: Schedule) -> ReplayResult:
        """Replay one schedule with the requests that were asked for."""
        assert requests is not None
        streams = find_requests(schedule, case.profiles, requests)
        return replay(schedule, streams, case.profiles, seed=requests.seed)

    # HiGHS may print lines of its own, and stdout is for the result.
    with StepProgress(f"compare {case.demand.name}") as progress, silenced_stdout():
        replayed = None if requests is None else send
        return list(run_policies(case, policies, out=folder, replay=replayed, progress=progress))


def _perturb(case: Case, size: float, solver: str, time_limit_s: float | None) -> Robustness:
    with StepProgress(f"perturb {case.demand.name}") as progress:
        _, robustness = perturb_busiest_day(
            case.demand,
            case.profiles,
            size=size,
            slo=case.slo,
            solver=solver,
            time_limit_s=time_limit_s,
            progress=progress,
            **case.cluster.model_dump(),
        )
    return robustness


def _paths(source: str, demand: Demand, names: Sequence[str], profiles: Sequence[Profile]) -> dict[str, str]:
    """Return where the inputs that are files lie, by their names."""
    paths = {} if source in demand_names() else {demand.name: str(Path(source).resolve())}
    own = zip(names, profiles, strict=True)
    return paths | {p.name: str(Path(name).resolve()) for name, p in own if name not in list_profiles()}


def _traces(trace: Sequence[str], source: str) -> Sequence[str]:
    return [source] if not trace and kind_of(source) == "trace" else trace


def _policies(names: str | None, ours: Mapping[str, Policy]) -> list[Policy]:
    listed = list(policy_names()) if names is None else [name.strip() for name in names.split(",")]
    if len(set(listed)) < len(listed):
        raise InvalidInputError("option --policies", expected="each policy once", found=f"'{names}'")
    return [ours.get(name) or get_policy(name) for name in listed]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """All that the end of a comparison tells."""

    case: Case
    outcomes: Sequence[PolicyOutcome]
    folder: Path
    robustness: Robustness | None = None

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
        wrong = [f"{o.title}, first violation: {o.violations[0]}" for o in self.outcomes if not o.is_right]
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
        if self.robustness is not None:
            demand = self.case.demand
            day = ", busiest day" if demand.num_windows * demand.window_s > _DAY_S else ""
            parts += perturbation_tables(f"{demand.name}{day}", self.robustness)
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
            "perturbation": None if self.robustness is None else perturbation_content(self.robustness),
            "notes": self.notes,
            "page": str(self.folder / PAGE_FILE),
        }

    def write(self) -> None:
        """Write the results, and the tables and the picture as one HTML page."""
        with atomic_path(self.folder / RESULT_FILE) as partial:
            partial.write_text(json.dumps(self.content(), indent=2) + "\n", encoding="utf-8")
        records = self.records
        tables = [("Energy", policy_columns(), policy_rows(records))]
        rows = replay_rows(records)
        if rows:
            tables.append(("Replayed request by request", replay_columns(), rows))
        write_policy_page(
            self.folder / PAGE_FILE, title=self.title(), tables=tables, figures=[energy_bars(records)], notes=self.notes
        )
