"""Every single request of a stream, sent through the instances that a schedule says.

A plan is a promise about means and percentiles; a replay tells what became of it when requests came one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.profile import Profile
from dynaopt.replay_model import ModelReplay
from dynaopt.replay_options import ReplayOptions
from dynaopt.replay_result import ReplayResult, make_result
from dynaopt.replay_windows import read_plans
from dynaopt.request_stream import RequestPart, RequestStream
from dynaopt.schedule import Schedule

ReplayProgress = Callable[[int, int, int], None]
"""Called with the windows done, the windows in all, and the requests so far."""


def replay(
    schedule: Schedule,
    stream: RequestStream | Sequence[RequestStream],
    profiles: Profile | Sequence[Profile],
    *,
    seed: int = 0,
    progress: ReplayProgress | None = None,
    **options: Any,
) -> ReplayResult:
    """Send every request through the scheduled instances.

    Parameters
    ----------
    schedule
        What runs in each window, and which pool serves whom.
    stream
        The requests; for several models one stream each.
    profiles
        A profile for each model of the schedule, with its phase model.
    seed
        Settles the order of instances between which energy does not tell.
    progress
        Called after every window: windows done, windows in all, requests so far.
    **options
        Fields of `ReplayOptions`.

    Returns
    -------
    ReplayResult
        The same for the same schedule, stream and seed.

    Raises
    ------
    InvalidInputError
        If a model has no profile, or a profile no phase model or not the schedule's configurations.
    """
    chosen = ReplayOptions(**options)
    by_model = _by_model(schedule, [profiles] if isinstance(profiles, Profile) else list(profiles))
    streams = list(stream) if isinstance(stream, Sequence) else [stream]
    starts, window_s = pd.DatetimeIndex(schedule.windows["window_start"]), schedule.metadata.window_s
    replays = {
        model: ModelReplay(profile, schedule.metadata.slo, read_plans(schedule, model), window_s, chosen, seed)
        for model, profile in by_model.items()
    }
    offsets_s = [(s.start - starts[0]).total_seconds() for s in streams]
    parts = zip(*(s.parts(starts, window_s) for s in streams), strict=True)
    num_requests = 0
    for window, of_window in enumerate(parts):
        for model, own in replays.items():
            mine = [(p, o) for p, o in zip(of_window, offsets_s, strict=True) if _is_for(p, model, by_model)]
            own.run(window, *(mine[0] if mine else (None, 0.0)))
        num_requests += sum(p.num_requests for p in of_window)
        if progress:
            progress(window + 1, len(starts), num_requests)
    for own in replays.values():
        own.finish()
    return make_result(schedule, replays)


def _is_for(part: RequestPart, model: str, models: Mapping[str, Profile]) -> bool:
    return part.model == model or (part.model == "" and len(models) == 1)


def _by_model(schedule: Schedule, profiles: list[Profile]) -> dict[str, Profile]:
    known = {p.model: p for p in profiles}
    used = sorted(set(schedule.allocations["model"]))
    for model in used:
        if model not in known:
            found = ", ".join(known) or "none"
            raise InvalidInputError("profiles", expected=f"one for model '{model}'", found=f"only {found}")
    return {model: known[model] for model in used} or known
