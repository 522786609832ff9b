"""What is done when requests would be late (DynamoLLM, section IV-D): clock up, re-steer, squash.

Queues are in the order of deadlines anyway. An instance that would be late with a prompt first passes requests that it
has not started to others that are in time for them, in its own pool; then it runs at the highest clock until no
prompt is left; then larger pools are asked; and at last prompts that it has begun are given up and begun again there.
"""

from __future__ import annotations

from numba import njit

from dynaopt.deadline_queue import remove
from dynaopt.instance_engine import PROMPT_TOKENS, RESERVED, SEQUENCES, STARTED, WAITING, enqueue
from dynaopt.replay_router import expected_s, has_room, soonest
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
            if i >= 0 and now_s + wait_s <= world.slots.deadline_s[slot]:
                return i
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
    if world.rules.resteers:
        for slot in fleet.waiting[i, : min(_LOOKED_THROUGH, fleet.counts[i, WAITING])].copy():
            _resteer(world, i, pool, slot, now_s)
    if world.rules.squashes:
        for slot in fleet.started[i, : min(_LOOKED_THROUGH, fleet.counts[i, STARTED])].copy():
            _squash(world, i, pool, slot, now_s)


@njit  # type: ignore[untyped-decorator]
def _is_late(world: World, i: int, slot: int, now_s: float) -> bool:
    """Tell whether a request will be late on its instance and could still be in time elsewhere."""
    slots, fleet = world.slots, world.fleet
    deadline_s = slots.deadline_s[slot]
    if deadline_s <= now_s:
        return False
    is_started = False
    for k in range(fleet.counts[i, STARTED]):
        is_started = is_started or fleet.started[i, k] == slot
    if not is_started and not has_room(world, i, slot):
        return True
    return bool(now_s + expected_s(world, i, slot, slots.left_tokens[slot], now_s) > deadline_s)


@njit  # type: ignore[untyped-decorator]
def _elsewhere(world: World, i: int, pool: int, slot: int, now_s: float) -> int:
    """Return the best other instance that is in time for a request, in the same pool or else a larger; or -1."""
    j, wait_s = soonest(world, pool, slot, now_s, i)
    if j >= 0 and now_s + wait_s <= world.slots.deadline_s[slot]:
        return int(j)
    if clock_up(world, i) and not _is_late(world, i, slot, now_s):
        return -1
    return int(larger_in_time(world, pool, slot, now_s))


@njit  # type: ignore[untyped-decorator]
def _resteer(world: World, i: int, pool: int, slot: int, now_s: float) -> None:
    fleet, slots = world.fleet, world.slots
    if not _is_late(world, i, slot, now_s):
        return
    j = _elsewhere(world, i, pool, slot, now_s)
    if j < 0 or fleet.counts[j, WAITING] + 1 >= fleet.waiting.shape[1]:
        return
    fleet.counts[i, WAITING] = remove(fleet.waiting[i], fleet.counts[i, WAITING], slots.deadline_s, slot)
    fleet.counts[i, PROMPT_TOKENS] -= slots.left_tokens[slot]
    enqueue(fleet, j, slots, slot)
    world.tally.events[RESTEERED] += 1


@njit  # type: ignore[untyped-decorator]
def _squash(world: World, i: int, pool: int, slot: int, now_s: float) -> None:
    fleet, slots = world.fleet, world.slots
    if not _is_late(world, i, slot, now_s):
        return
    j = _elsewhere(world, i, pool, slot, now_s)
    if j < 0 or fleet.counts[j, WAITING] + 1 >= fleet.waiting.shape[1]:
        return
    fleet.counts[i, STARTED] = remove(fleet.started[i], fleet.counts[i, STARTED], slots.deadline_s, slot)
    fleet.counts[i, PROMPT_TOKENS] -= slots.left_tokens[slot]
    fleet.counts[i, SEQUENCES] -= 1
    fleet.counts[i, RESERVED] -= slots.input_tokens[slot] + slots.output_tokens[slot]
    slots.left_tokens[slot] = slots.input_tokens[slot]
    enqueue(fleet, j, slots, slot)
    world.tally.events[SQUASHED] += 1
