"""What a schedule was planned from: its profiles, at hand or read again and held to their digests, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dynaopt.accounts import objective_of
from dynaopt.digests import profile_digest
from dynaopt.errors import InvalidInputError
from dynaopt.objective import WindowPrices
from dynaopt.problem import WindowDemand
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.schedule import Schedule, Source

Moment = str | pd.Timestamp
WindowChoice = Literal["all", "busiest"] | Sequence[int | Moment] | None
"""Windows of a schedule: all, the busiest, those of some numbers or moments; None for a sample of `SAMPLE_SIZE`."""
SAMPLE_SIZE = 24


def profiles_of(schedule: Schedule, profiles: Sequence[Profile] | None = None) -> tuple[Profile, ...]:
    """Return the profiles that a schedule was planned with.

    Parameters
    ----------
    schedule
        The schedule; one that was planned by this process has them, one that was read names them.
    profiles
        Instead of those, in any order.

    Raises
    ------
    InputError
        If one cannot be read, or is not the one that was planned with.
    """
    sources = schedule.metadata.profiles
    found = schedule.profiles if profiles is None else tuple(profiles)
    found = found or tuple(read_again(source) for source in sources)
    by_digest = {profile_digest(profile): profile for profile in found}
    for source in sources:
        if source.content_sha256 not in by_digest:
            raise InvalidInputError(
                f"profile {source.name}",
                expected=f"the one that was planned with, content SHA-256 {source.content_sha256[:12]}…",
                found=", ".join(f"{profile.name} with {digest[:12]}…" for digest, profile in by_digest.items()),
                hint="give the profiles that it was planned with, or plan again",
            )
    return tuple(by_digest[source.content_sha256] for source in sources)


def read_again(source: Source) -> Profile:
    """Read a profile that a schedule names: from where it lay, or the shipped one of that name.

    Parameters
    ----------
    source
        As ``schedule.json`` has it.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return read_profile(source.name if source.path is None else Path(source.path))


def window_of(schedule: Schedule, profiles: Sequence[Profile], number: int) -> WindowDemand:
    """Return what arrives in a window, its models named as the profiles name them.

    Parameters
    ----------
    schedule, profiles
        The schedule, and the profiles that it was planned with.
    number
        0 for the first window.
    """
    return schedule.demand.window(number).named([profile.model for profile in profiles])


def charges_of(schedule: Schedule) -> WindowPrices | None:
    """Return what a schedule's objective charges in each of its windows; None where energy is all that it counts.

    Parameters
    ----------
    schedule
        The schedule.
    """
    objective = objective_of(schedule)
    return None if objective is None else objective.over(schedule.demand.starts, schedule.demand.window_s)


def choose_windows(schedule: Schedule, windows: WindowChoice, *, among: Sequence[int] | None = None) -> list[int]:
    """Return the numbers of some windows, ascending.

    Parameters
    ----------
    schedule
        Whose windows.
    windows
        ``"all"``; ``"busiest"``; numbers (below 0 from the end) or moments inside the windows that are meant; None for
        the busiest and others at even distances, `SAMPLE_SIZE` in all or all there are.
    among
        What ``"all"``, ``"busiest"`` and None choose from; every window by default.

    Raises
    ------
    InvalidInputError
        If there is no such window.
    """
    candidates = np.arange(schedule.num_windows) if among is None else np.asarray(among, dtype=np.int64)
    if windows is not None and not isinstance(windows, str):
        return sorted({_number(schedule, each) for each in windows})
    if windows not in (None, "all", "busiest"):
        raise InvalidInputError("option windows", expected="all, busiest or a list of windows", found=f"'{windows}'")
    if windows == "all" or not len(candidates) or (windows is None and len(candidates) <= SAMPLE_SIZE):
        return [int(n) for n in candidates]
    load = schedule.demand.total_rates_rps.sum(axis=1)[candidates]
    chosen = {int(candidates[load.argmax()])}
    if windows is None:
        spread = np.linspace(0, len(candidates) - 1, SAMPLE_SIZE - 1)
        chosen |= {int(n) for n in candidates[spread.round().astype(np.int64)]}
    return sorted(chosen)


def _number(schedule: Schedule, window: int | Moment) -> int:
    """Return the number of a window that was given as a number or as a moment inside it."""
    starts, count = schedule.demand.starts, schedule.num_windows
    if isinstance(window, str | pd.Timestamp):
        moment = pd.to_datetime(window, utc=True, errors="coerce")
        at = int(starts.searchsorted(moment, side="right")) - 1 if isinstance(moment, pd.Timestamp) else -1
        inside = at >= 0 and moment < starts[at] + pd.Timedelta(seconds=schedule.demand.window_s)
        if inside:
            return at
        span = f"{starts[0].isoformat()} to {starts[-1].isoformat()}"
        raise InvalidInputError("option windows", expected=f"a moment in the windows of {span}", found=f"'{window}'")
    if not -count <= window < count:
        raise InvalidInputError("option windows", expected=f"numbers from 0 to {count - 1}", found=str(window))
    return int(window) % count
