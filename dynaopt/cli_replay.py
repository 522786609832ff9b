"""``dynaopt replay``: every request through the instances of a schedule, and what became of its promise."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dynaopt.burstiness import DEFAULT_READING
from dynaopt.cli_check import Folder
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_files import check_out_folder
from dynaopt.cli_options import Json
from dynaopt.cli_replay_tables import result_parts
from dynaopt.cli_requests import RequestOptions, describe_requests, find_requests
from dynaopt.cli_synthesise import BurstinessReading, Seed
from dynaopt.console import StepProgress, render
from dynaopt.digests import profile_digest
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.replay import replay
from dynaopt.replay_io import REPLAY_FOLDER, replay_json, write_replay
from dynaopt.replay_promise import broken_promises
from dynaopt.replay_result import ReplayResult
from dynaopt.request_stream import RequestStream
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule
from dynaopt.trace_stream import TraceStream


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """All that the end of a replay tells."""

    schedule: Schedule
    result: ReplayResult
    inputs: Mapping[str, Any]
    notes: Sequence[str]
    broken: Sequence[str]
    wall_s: float
    folder: Path


def replay_command(
    folder: Folder,
    trace: Annotated[
        list[str],
        typer.Option(
            "--trace",
            metavar="FILE",
            help="The requests; with several models MODEL=FILE, again for each. By default those of the shipped week "
            "that was planned for, synthesised.",
        ),
    ] = [],  # noqa: B006 - Typer reads it and never changes it
    profile: Annotated[
        list[str], typer.Option("--profile", metavar="NAME|DIR", help="Instead of those that the schedule names.")
    ] = [],  # noqa: B006
    seed: Seed = 0,
    burstiness: BurstinessReading = DEFAULT_READING,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; 'replay' in the folder by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send every request through the scheduled instances and hold the outcome against the plan.

    Exit code 1 if a request is lost, or a class keeps an objective in less than 99 % of its requests.
    """
    target = folder / REPLAY_FOLDER if out is None else out
    check_out_folder("--out", target)
    schedule = read_schedule(folder)
    profiles = _profiles(schedule, profile)
    streams = find_requests(schedule, profiles, RequestOptions(traces=trace, seed=seed, burstiness=burstiness))
    began_s = time.perf_counter()
    result = _replay(schedule, streams, profiles, seed)
    inputs = {
        "schedule": str(folder),
        "schedule_digest": schedule.metadata.digest,
        "requests": describe_requests(streams),
        "profiles": [p.name for p in profiles],
        "profile_content_sha256": [profile_digest(p) for p in profiles],
        "seed": seed,
    }
    write_replay(result, target, inputs)
    outcome = _Outcome(
        schedule=schedule,
        result=result,
        inputs=inputs,
        notes=_notes(schedule, profiles, streams, result),
        broken=broken_promises(result),
        wall_s=time.perf_counter() - began_s,
        folder=target,
    )
    typer.echo(json.dumps(_as_json(outcome), indent=2) if as_json else _as_text(outcome))
    if outcome.broken:
        raise typer.Exit(NO_SOLUTION)


def _profiles(schedule: Schedule, names: Sequence[str]) -> list[Profile]:
    sources = schedule.metadata.profiles
    chosen = list(names) or [source.name if source.path is None else source.path for source in sources]
    return [read_profile(name) for name in chosen]


def _replay(
    schedule: Schedule, streams: Sequence[RequestStream], profiles: Sequence[Profile], seed: int
) -> ReplayResult:
    with StepProgress(f"replay {schedule.metadata.demand.name}") as progress:

        def show(num_done: int, num_windows: int, num_requests: int) -> None:
            progress(num_done, num_windows, f"{num_requests:,} requests")

        return replay(schedule, streams, profiles, seed=seed, progress=show)


def _notes(
    schedule: Schedule, profiles: Sequence[Profile], streams: Sequence[RequestStream], result: ReplayResult
) -> list[str]:
    planned_with = {source.content_sha256 for source in schedule.metadata.profiles}
    others = [profile.name for profile in profiles if profile_digest(profile) not in planned_with]
    notes = [f"Profile {name} is not the one that was planned with" for name in others]
    traces = [stream for stream in streams if isinstance(stream, TraceStream)]
    outside = sum(trace.num_requests for trace in traces) - result.num_requests
    if traces and outside:
        notes.append(f"{outside:,} requests of the trace are outside the schedule's windows and were left out")
    if schedule.num_unsolved:
        notes.append(f"{schedule.num_unsolved:,} windows have no answer; the instances of the one before went on")
    return notes


def _as_text(outcome: _Outcome) -> str:
    promise = [f"Not as promised: {line}" for line in outcome.broken] or ["Every class kept its objectives"]
    ending = [*outcome.notes, *promise, f"Wall time: {outcome.wall_s:.1f} s    Replay: {outcome.folder}"]
    source = [f"Requests: {line}" for line in outcome.inputs["requests"]]
    return render(*source, *result_parts(outcome.schedule, outcome.result), "", *ending)


def _as_json(outcome: _Outcome) -> dict[str, Any]:
    return replay_json(outcome.result, outcome.inputs) | {
        "notes": list(outcome.notes),
        "broken": list(outcome.broken),
        "wall_s": outcome.wall_s,
        "replay": str(outcome.folder),
    }
