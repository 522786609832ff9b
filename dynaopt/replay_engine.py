"""One window of a replay in compiled code: every request on its way from its arrival to its last token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba import njit, types
from numba.experimental import structref

from dynaopt import (
    deadline_queue,
    instance_engine,
    instance_state,
    phase_model,
    replay_router,
    replay_state,
    replay_surge,
    token_gaps,
)
from dynaopt.instance_engine import enqueue
from dynaopt.instance_state import WAITING
from dynaopt.jit import sources_digest
from dynaopt.replay_router import bring_to, latest_s, next_instance, next_pool, soonest, take_turn, wait_if_sent_s
from dynaopt.replay_state import (
    ARRIVED,
    BIN_WIDTH,
    BOTH_KEPT,
    ELSEWHERE,
    FIRST_BIN_S,
    LARGER_POOL,
    NUM_BINS,
    OVERSIZE,
    TBT_KEPT,
    TTFT_KEPT,
    Arrivals,
    IntArray,
    World,
)
from dynaopt.replay_surge import clock_up, larger_in_time, relieve
from dynaopt.token_gaps import GAPS_PER_SLOW_ONE

# Why a window's loop stopped: it is through, or something has to be made longer first.
DONE, NEEDS_SLOTS, NEEDS_QUEUE = range(3)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _bin(seconds: float) -> int:
    return min(NUM_BINS - 1, max(0, int(np.log(max(seconds, FIRST_BIN_S) / FIRST_BIN_S) / BIN_WIDTH)))


@njit  # type: ignore[untyped-decorator]
def _settle(world: World) -> None:
    """Count the requests that have finished and free their slots."""
    record, slots, tally = world.record, world.slots, world.tally
    for k in range(record.num_finished[0]):
        slot = record.finished[k]
        c = slots.group[slot]
        gaps = slots.output_tokens[slot] - 1
        ttft_s = slots.first_s[slot] - slots.arrival_s[slot]
        tally.ttft[_bin(ttft_s), c] += 1
        tally.ttft_total_s[c] += ttft_s
        if gaps > 0:
            tally.tpot[_bin((slots.end_s[slot] - slots.first_s[slot]) / gaps), c] += 1
        tally.slow_gaps[c] += slots.slow_gaps[slot]
        ttft_kept = ttft_s <= world.rules.ttft_bound_s[c]
        tbt_kept = slots.slow_gaps[slot] <= gaps // GAPS_PER_SLOW_ONE
        window = min(len(tally.kept) - 1, max(0, int(slots.arrival_s[slot] / world.rules.window_s)))
        tally.kept[window, c, ARRIVED] += 1
        tally.kept[window, c, TTFT_KEPT] += ttft_kept
        tally.kept[window, c, TBT_KEPT] += tbt_kept
        tally.kept[window, c, BOTH_KEPT] += ttft_kept and tbt_kept
        world.free[world.num_free[0]] = slot
        world.num_free[0] += 1
    record.num_finished[0] = 0


@njit  # type: ignore[untyped-decorator]
def _arrive(world: World, arrivals: Arrivals, k: int) -> int:
    """Give a request a slot."""
    slots = world.slots
    world.num_free[0] -= 1
    slot = world.free[world.num_free[0]]
    slots.arrival_s[slot] = arrivals.arrival_s[k]
    slots.deadline_s[slot] = arrivals.deadline_s[k]
    slots.input_tokens[slot] = arrivals.input_tokens[k]
    slots.output_tokens[slot] = arrivals.output_tokens[k]
    slots.left_tokens[slot] = arrivals.input_tokens[k]
    slots.group[slot] = arrivals.request_class[k]
    return int(slot)


@njit  # type: ignore[untyped-decorator]
def _choose(world: World, slot: int, now_s: float) -> tuple[int, int]:
    """Return whose turn it is, and the pool; the instance is -1 if the request fits nowhere."""
    pools, slots = world.pools, world.slots
    c = slots.group[slot]
    need = slots.input_tokens[slot] + slots.output_tokens[slot]
    pool = next_pool(pools, c)
    if pool >= 0:
        i = next_instance(world, pool, need, now_s)
        if i >= 0:
            return i, pool
    for k in range(pools.others.shape[1]):
        other = pools.others[c, k]
        i = next_instance(world, other, need, now_s)
        if i >= 0:
            world.tally.events[LARGER_POOL if pool < 0 else OVERSIZE] += 1
            return i, other
    return -1, -1


@njit  # type: ignore[untyped-decorator]
def _rather(world: World, slot: int, i: int, pool: int, now_s: float) -> int:
    """Return where a request had better go that would be late on the instance whose turn it is."""
    latest = latest_s(world, slot)
    relieve(world, i, pool, now_s)
    j, wait_s = soonest(world, pool, slot, now_s, -1)
    if now_s + wait_s <= latest:
        world.tally.events[ELSEWHERE] += 1
        return int(j)
    if wait_s == np.inf:
        j = i
    clock_up(world, j)
    if now_s + wait_if_sent_s(world, j, slot, now_s) <= latest:
        return int(j)
    larger = larger_in_time(world, pool, slot, now_s)
    if larger >= 0:
        world.tally.events[LARGER_POOL] += 1
        return int(larger)
    # Queued by its own deadline it would only make those late that can still be in time.
    bound_s = world.slots.deadline_s[slot] - world.slots.arrival_s[slot]
    world.slots.deadline_s[slot] += (world.rules.late_bound_factor - 1) * bound_s
    return int(j)


@structref.register
class _WorldType(types.StructRef):  # type: ignore[misc]
    """Type of a world inside compiled code, where it is passed on as one pointer and not field by field."""

    def preprocess_fields(self, fields: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        """Take fields as they are, whatever their values."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class _WorldRef(structref.StructRefProxy):  # type: ignore[misc]
    """The same to Python."""


structref.define_proxy(_WorldRef, _WorldType, list(World._fields))


RunWindow = Callable[[World, Arrivals, int, float, float, IntArray, IntArray], tuple[int, int, int]]


def _make_kernel(digest: str) -> RunWindow:
    # The digest is part of the key of what is kept on disk: a change of a module compiled into this is noticed.
    @njit(cache=True)  # type: ignore[untyped-decorator]
    def run_window(
        fields: World,
        arrivals: Arrivals,
        first: int,
        begin_s: float,
        end_s: float,
        members: IntArray,
        stranded: IntArray,
    ) -> tuple[int, int, int]:
        world = _WorldRef(*fields)
        num_stranded = 0
        for k in range(first, len(arrivals.arrival_s) if len(digest) > 0 else 0):
            if world.num_free[0] == 0:
                return NEEDS_SLOTS, k, num_stranded
            now_s = max(begin_s, arrivals.arrival_s[k])
            slot = _arrive(world, arrivals, k)
            i, pool = _choose(world, slot, now_s)
            if i < 0:
                stranded[num_stranded] = k
                num_stranded += 1
                world.num_free[0] += 1
                continue
            bring_to(world, i, now_s)
            if world.rules.checks_deadline and now_s + wait_if_sent_s(world, i, slot, now_s) > latest_s(world, slot):
                for other in members:
                    bring_to(world, other, now_s)
                i = _rather(world, slot, i, pool, now_s)
            take_turn(world.instances, i, now_s)
            enqueue(world.fleet, i, world.slots, slot)
            _settle(world)
            if world.fleet.counts[i, WAITING] + 1 >= world.fleet.waiting.shape[1]:
                return NEEDS_QUEUE, k + 1, num_stranded
        for i in members:
            bring_to(world, i, end_s)
        _settle(world)
        return DONE, len(arrivals.arrival_s), num_stranded

    return cast(RunWindow, run_window)


run_window = _make_kernel(
    sources_digest(
        deadline_queue,
        instance_engine,
        instance_state,
        phase_model,
        replay_router,
        replay_state,
        replay_surge,
        token_gaps,
    )
)
