"""The requests that a schedule is replayed with: a trace, or the shipped week that was planned for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.demand import demand_names, read_demand
from dynaopt.errors import InvalidInputError
from dynaopt.profile import Profile
from dynaopt.request_stream import RequestStream
from dynaopt.schedule import Schedule
from dynaopt.synthesis import SynthesisedStream
from dynaopt.trace_stream import TraceStream, open_trace

_HINT = "give the requests with --trace FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What was typed about the requests."""

    traces: Sequence[str] = ()
    seed: int = 0
    burstiness: str


def find_requests(schedule: Schedule, profiles: Sequence[Profile], options: RequestOptions) -> list[RequestStream]:
    """Find the requests to replay, one stream for each model.

    Parameters
    ----------
    schedule
        What is to be replayed.
    profiles
        Their cut-points tell the classes of a trace's requests.
    options
        What was typed.

    Raises
    ------
    InputError
        If there is no trace and the schedule is of no shipped demand, a trace is faulty or belongs to no model, or
        none of its requests fall into the schedule's windows.
    """
    by_model = {profile.model: profile for profile in profiles}
    if not options.traces:
        return [_synthesised(schedule, by_model, options)]
    paths = _paths(options.traces, by_model)
    return [_trace(path, by_model[model], schedule) for model, path in paths.items()]


def describe_requests(streams: Sequence[RequestStream]) -> list[str]:
    """Say where requests come from, in a line for each stream.

    Parameters
    ----------
    streams
        As `find_requests` gives them.
    """
    lines = []
    for stream in streams:
        if isinstance(stream, SynthesisedStream):
            lines.append(f"synthesised, azure-2024-{stream.service}, seed {stream.seed}, burstiness {stream.reading}")
        elif isinstance(stream, TraceStream):
            lines.append(f"trace {stream.source.path}, {stream.num_requests:,} requests")
    return lines


def _synthesised(schedule: Schedule, by_model: Mapping[str, Profile], options: RequestOptions) -> SynthesisedStream:
    source, demand = schedule.metadata.demand, schedule.demand
    if source.path is not None or source.name not in demand_names() or len(by_model) > 1:
        where = f"schedule of demand '{source.name}'"
        raise InvalidInputError(
            where, expected=f"one of {', '.join(demand_names())}", found=_origin(schedule), hint=_HINT
        )
    ((model, profile),) = by_model.items()
    shipped = read_demand(source.name)
    at = shipped.starts.get_indexer(demand.starts)
    same = (at >= 0).all() and demand.window_s == shipped.window_s
    if not same or not np.allclose(demand.total_rates_rps, shipped.total_rates_rps[at]):
        where, expected = f"schedule of demand '{source.name}'", "the rates of the shipped demand of that name"
        raise InvalidInputError(where, expected=expected, found="others", hint=_HINT)
    return SynthesisedStream(source.name, options.seed, options.burstiness, profile.cut_points, model)


def _origin(schedule: Schedule) -> str:
    path = schedule.metadata.demand.path
    if path is not None:
        return f"the file {path}"
    models = len(schedule.demand.models)
    return f"{models} models" if models > 1 else "a demand made in memory"


def _paths(texts: Sequence[str], by_model: Mapping[str, Profile]) -> dict[str, Path]:
    """Tell which trace is of which model: FILE if there is one model, MODEL=FILE for each of several."""
    if len(by_model) == 1 and len(texts) == 1:
        return {next(iter(by_model)): Path(texts[0])}
    paths = {}
    for text in texts:
        model, _, path = text.partition("=")
        if model not in by_model or model in paths or len(by_model) == 1:
            names = ", ".join(by_model)
            expected = "one file" if len(by_model) == 1 else f"MODEL=FILE once for each of the models {names}"
            raise InvalidInputError("option --trace", expected=expected, found=f"'{text}'")
        paths[model] = Path(path)
    missing = [model for model in by_model if model not in paths]
    if missing:
        expected = f"MODEL=FILE once for each of the models {', '.join(by_model)}"
        raise InvalidInputError("option --trace", expected=expected, found=f"none for '{missing[0]}'")
    return paths


def _trace(path: Path, profile: Profile, schedule: Schedule) -> TraceStream:
    stream = open_trace(path, cut_points=profile.cut_points, model=profile.model)
    starts, length = schedule.demand.starts, pd.Timedelta(seconds=schedule.metadata.window_s)
    if stream.last < starts[0] or stream.first >= starts[-1] + length:
        span = f"{starts[0].isoformat()} and {(starts[-1] + length).isoformat()}"
        raise InvalidInputError(
            str(path),
            expected=f"requests between {span}, as the schedule",
            found=f"requests from {stream.first.isoformat()} to {stream.last.isoformat()}",
        )
    return stream
