"""What is done when requests would be late (DynamoLLM, section IV-D): clock up, re-steer, squash.

Queues are in the order of deadlines anyway. An instance that would be late with a prompt first passes requests that it
has not started to others that are in time for them, in its own pool; then it runs at the highest clock until no
prompt is left; then larger pools are asked; and at last prompts that it has begun are given up and begun again there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dynaopt.deadline_queue import remove
from dynaopt.instance_engine import enqueue
from dynaopt.instance_state import PROMPT_TOKENS, RESERVED, SEQUENCES, STARTED, WAITING
from dynaopt.replay_router import expected_s, has_room, latest_s, soonest
from dynaopt.replay_state import CLOCK_UPS, RESTEERED, SQUASHED, World

# A queue is looked through at most this often, and no further than this many requests.
_RELIEF_INTERVAL_S = 0.02
_LOOKED_THROUGH = 16


@njit  # type: ignore[untyped-decorator]
def clock_up(world: World, i: int) -> bool:
    """Run an instance at the highest clock until no prompt is left; tell whether that is a change."""
    instances = world.instances
    if not world.rules.clocks_up or instances.is_clocked_up[i] or instances.engine[i] == instances.top_engine[i]:
        return False
    instances.is_clocked_up[i] = True
    world.tally.events[CLOCK_UPS] += 1
    return True


@njit  # type: ignore[untyped-decorator]
def larger_in_time(world: World, pool: int, slot: int, now_s: float) -> int:
    """Return an instance of another pool that may serve a request and is in time for it; -1 if there is none."""
    request_class = world.slots.group[slot]
    for k in range(world.pools.num_larger[request_class]):
        other = world.pools.others[request_class, k]
        if other != pool:
            i, wait_s = soonest(world, other, slot, now_s, -1)
            if i >= 0 and now_s + wait_s <= latest_s(world, slot):
                return int(i)
    return -1


@njit  # type: ignore[untyped-decorator]
def relieve(world: World, i: int, pool: int, now_s: float) -> None:
    """See to it that as few as possible of the requests on an instance are late.

    Parameters
    ----------
    world, i
        The instance, brought to `now_s`.
    pool
        The pool that it is in.
    now_s
        Time, in seconds.
    """
    fleet, instances = world.fleet, world.instances
    if now_s < instances.relieved_s[i] + _RELIEF_INTERVAL_S:
        return
    instances.relieved_s[i] = now_s
    waiting = min(_LOOKED_THROUGH, fleet.counts[i, WAITING]) if world.rules.resteers else 0
    started = min(_LOOKED_THROUGH, fleet.counts[i, STARTED]) if world.rules.squashes else 0
    looked_at = np.concatenate((fleet.waiting[i, :waiting], fleet.started[i, :started]))
    for k in range(len(looked_at)):
        slot, is_started = looked_at[k], k >= waiting
        if _is_late(world, i, slot, is_started, now_s):
            j = _elsewhere(world, i, pool, slot, is_started, now_s)
            if j >= 0 and fleet.counts[j, WAITING] + 1 < fleet.waiting.shape[1]:
                _take_away(world, i, slot, is_started)
                enqueue(fleet, j, world.slots, slot)


@njit  # type: ignore[untyped-decorator]
def _is_late(world: World, i: int, slot: int, is_started: bool, now_s: float) -> bool:
    """Tell whether a request will be late on its instance and could still be in time elsewhere."""
    latest = latest_s(world, slot)
    if latest <= now_s:
        return False
    if not is_started and not has_room(world, i, slot):
        return True
    return bool(now_s + expected_s(world, i, slot, now_s) > latest)


@njit  # type: ignore[untyped-decorator]
def _elsewhere(world: World, i: int, pool: int, slot: int, is_started: bool, now_s: float) -> int:
    """Return another instance that is in time for a request, in the same pool or else a larger; or -1.

    It is -1 too if the instance that the request is on gets in time by a higher clock.
    """
    slots = world.slots
    left = slots.left_tokens[slot]
    slots.left_tokens[slot] = slots.input_tokens[slot]
    j, wait_s = soonest(world, pool, slot, now_s, i)
    if j < 0 or now_s + wait_s > latest_s(world, slot):
        slots.left_tokens[slot] = left
        if clock_up(world, i) and not _is_late(world, i, slot, is_started, now_s):
            return -1
        slots.left_tokens[slot] = slots.input_tokens[slot]
        j = larger_in_time(world, pool, slot, now_s)
    slots.left_tokens[slot] = left
    return int(j)


@njit  # type: ignore[untyped-decorator]
def _take_away(world: World, i: int, slot: int, is_started: bool) -> None:
    """Take a request off an instance; what of its prompt is computed is lost."""
    counts, fleet, slots = world.fleet.counts, world.fleet, world.slots
    counts[i, PROMPT_TOKENS] -= slots.left_tokens[slot]
    if is_started:
        counts[i, STARTED] = remove(fleet.started[i], counts[i, STARTED], slots.deadline_s, slot)
        counts[i, SEQUENCES] -= 1
        counts[i, RESERVED] -= slots.input_tokens[slot] + slots.output_tokens[slot]
        slots.left_tokens[slot] = slots.input_tokens[slot]
        world.tally.events[SQUASHED] += 1
    else:
        counts[i, WAITING] = remove(fleet.waiting[i], counts[i, WAITING], slots.deadline_s, slot)
        world.tally.events[RESTEERED] += 1
