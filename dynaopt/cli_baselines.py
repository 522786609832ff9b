"""What a plan is set beside: the same demand on today's usual set-up, and on the best set-up that never changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dynaopt.accounts import objective_of, priced
from dynaopt.errors import NoSolutionError, UnknownNameError
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule
from dynaopt.single_pool import ROUGH_MIX, SinglePool, best_single_pool, single_pool


def find_baselines(schedule: Schedule, profiles: Sequence[Profile]) -> tuple[dict[str, Schedule], list[str]]:
    """Put the demand of a schedule on single pools under the same latency objectives, headroom, reserve and prices.

    Parameters
    ----------
    schedule
        The plan.
    profiles
        What it was planned with.

    Returns
    -------
    dict
        Schedules of the single pools that there are, by the name to show.
    list of str
        What a reader of the comparison should know: why one is missing, or where it is rough.
    """
    demand, slo = schedule.demand, schedule.metadata.slo
    cluster, objective = schedule.metadata.cluster.model_dump(), objective_of(schedule)
    ways: dict[str, Callable[[], SinglePool]] = {
        "single pool": lambda: single_pool(demand, profiles, slo=slo, **cluster),
        "best single pool": lambda: best_single_pool(demand, profiles, slo=slo, objective=objective, **cluster),
    }
    baselines: dict[str, Schedule] = {}
    notes: list[str] = []
    for name, make in ways.items():
        try:
            pool = make()
        except (NoSolutionError, UnknownNameError) as error:
            notes.append(f"No {name}: {error}")
            continue
        shown = f"{name}{_configuration(pool)}"
        baselines[shown] = pool.schedule() if objective is None else priced(pool.schedule(), objective)
        notes += _notes(shown, pool)
    return baselines, list(dict.fromkeys(notes))


def _configuration(pool: SinglePool) -> str:
    if len(pool.pools) != 1:
        return ""
    curve = pool.pools[0].curve
    return f", TP{curve.tp} at {curve.frequency_mhz} MHz"


def _notes(name: str, pool: SinglePool) -> list[str]:
    notes = []
    if not pool.fits:
        notes.append(
            f"The {name} needs {pool.num_gpus} GPUs of {pool.cluster.num_gpus}; its energy is that of them all."
        )
    notes += [
        f"The curves of {part.mix} take {part.mix_distance:.0%} of the requests to {part.profile.model} for another "
        "class than theirs, so the single pools are a rough comparison."
        for part in pool.pools
        if part.mix_distance > ROUGH_MIX
    ]
    return notes
