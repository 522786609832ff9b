"""The life of instances from window to window: which go on, which start and which stop.

As in `docs/horizon.md`: instances of the same degree go on, whatever their pool and clock; what grows beyond that
starts, what shrinks stops. Which of them stay is open there; here the busiest stay, and in their own pools first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dynaopt.profile import Profile
from dynaopt.replay_windows import Group, pool_order


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that runs when a window ends: its number, what it is, and how many requests it has."""

    number: int
    pool: str
    tp: int
    frequency_mhz: int
    num_requests: int


@dataclass(frozen=True, slots=True)
class Handover:
    """Who is in which group of a window.

    Parameters
    ----------
    kept
        For each group, the instances that go on in it; as many as it lacks start.
    stopped
        The instances that stop.
    """

    kept: tuple[tuple[int, ...], ...]
    stopped: tuple[int, ...]


def hand_over(running: Iterable[Running], groups: Sequence[Group]) -> Handover:
    """Match the instances that run with the groups of the next window.

    Parameters
    ----------
    running
        What runs.
    groups
        What is to run.

    Returns
    -------
    Handover
        An instance stays in its pool if that has room, the busiest first; the others go to pools that grow, in the
        order of the pools. Inside a pool, they keep their clock where they can, and the busiest get the highest loads.
    """
    kept: list[list[int]] = [[] for _ in groups]
    stopped: list[int] = []
    for tp in sorted({r.tp for r in running} | {g.tp for g in groups}):
        own = [r for r in running if r.tp == tp]
        places = {g: group for g, group in enumerate(groups) if group.tp == tp}
        by_pool, spare = _by_pool(own, list(places.values()))
        stopped += [r.number for r in spare]
        for pool, members in by_pool.items():
            _seat(members, {g: group for g, group in places.items() if group.pool == pool}, kept)
    return Handover(tuple(tuple(k) for k in kept), tuple(sorted(stopped)))


def _busiest_first(r: Running) -> tuple[int, int]:
    return (-r.num_requests, r.number)


def _by_pool(own: Sequence[Running], groups: Sequence[Group]) -> tuple[dict[str, list[Running]], list[Running]]:
    """Give each pool its instances of one degree; return them and those that nobody needs."""
    need: dict[str, int] = {}
    for group in groups:
        need[group.pool] = need.get(group.pool, 0) + group.num_instances
    members: dict[str, list[Running]] = {pool: [] for pool in need}
    spare: list[Running] = []
    for pool in sorted({r.pool for r in own}, key=pool_order):
        here = sorted((r for r in own if r.pool == pool), key=_busiest_first)
        members.setdefault(pool, []).extend(here[: need.get(pool, 0)])
        spare += here[need.get(pool, 0) :]
    for pool in sorted(need, key=pool_order):
        missing = need[pool] - len(members[pool])
        members[pool] += spare[:missing]
        spare = spare[missing:]
    return members, spare


def _seat(members: list[Running], groups: dict[int, Group], kept: list[list[int]]) -> None:
    """Put the instances of a pool into its groups."""
    by_load = sorted(groups, key=lambda g: (-groups[g].rate_rps, g))
    left = sorted(members, key=_busiest_first)
    for same_clock in (True, False):
        for g in by_load:
            group = groups[g]
            for r in list(left):
                if len(kept[g]) < group.num_instances and (not same_clock or r.frequency_mhz == group.frequency_mhz):
                    kept[g].append(r.number)
                    left.remove(r)


def start_up_energy_j(started: Sequence[int], stopped: Sequence[int], profile: Profile) -> float:
    """Return what it takes to start instances ahead of a window, in joules.

    Parameters
    ----------
    started, stopped
        Degrees of the instances of one model that start, and of those that stop.
    profile
        Durations and power. As many GPUs as stop are resharded, the others come up cold.
    """
    taken, freed = sum(started), sum(stopped)
    start_up = profile.metadata.start_up
    resharded = min(taken, freed)
    gpu_s = resharded * start_up.reshard_s + (taken - resharded) * start_up.cold_s
    return profile.metadata.power.start_up_gpu_w * gpu_s
