"""Which instance a request goes to, and when it is expected to have its first token there.

The paper's rule (DynamoLLM, section IV-D): a request goes to the pool of its class, or where the plan promotes it, and
inside the pool to the instance whose energy grows least and that stays within its SLO. A plan has settled where energy
grows least: it fills instances to a load each, most of them fully and one in part. So the router keeps each instance at
its planned rate, the cheapest first, and what comes beyond all planned rates goes where it is least of what an instance
can carry within its SLO.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dynaopt.instance_engine import MAX_LEAP, advance
from dynaopt.instance_state import BATCH, CONTEXT, NOW_S, PROMPT_TOKENS, RESERVED, SEQUENCES, STARTED, WAITING, Engine
from dynaopt.phase_model import iteration
from dynaopt.replay_state import Instances, Pools, World

# Of longer queues not every deadline is looked at: all their prompts are taken to come first.
_LONG_QUEUE = 64


@njit(inline="always")  # type: ignore[untyped-decorator]
def next_pool(pools: Pools, request_class: int) -> int:
    """Return the pool whose turn it is to serve a class, and count the turn; -1 if the class has no route.

    Turns keep to the proportion of the routes as evenly as whole requests can: next is who would be least ahead.
    """
    best = -1
    least = np.inf
    for k in range(pools.first_route[request_class], pools.first_route[request_class + 1]):
        turn = (pools.route_served[k] + 1) / pools.route_rps[k]
        if turn < least:
            best, least = k, turn
    if best < 0:
        return -1
    pools.route_served[best] += 1
    return int(pools.route_pool[best])


@njit(inline="always")  # type: ignore[untyped-decorator]
def next_instance(world: World, pool: int, need_tokens: int, now_s: float) -> int:
    """Return the instance of a pool whose turn it is; -1 if its requests never fit into any KV cache there.

    The first that is not ahead of its planned rate by more than `Rules.burst_requests`, in the order of what energy
    another request adds; if all are, the one that is least ahead as a share of what it can carry.
    """
    instances, pools, engines = world.instances, world.pools, world.engines
    best = -1
    least = np.inf
    for k in range(pools.first_member[pool], pools.first_member[pool + 1]):
        i = pools.members[k]
        if engines.kv_capacity_tokens[instances.engine[i]] < need_tokens:
            continue
        ahead = (instances.due_s[i] - now_s) * instances.planned_rps[i]
        if ahead <= world.rules.burst_requests:
            return int(i)
        share = ahead / instances.limit_rps[i]
        if share < least:
            best, least = i, share
    return int(best)


@njit(inline="always")  # type: ignore[untyped-decorator]
def take_turn(instances: Instances, i: int, now_s: float) -> None:
    """Count a request that an instance gets."""
    instances.due_s[i] = max(instances.due_s[i], now_s) + 1 / instances.planned_rps[i]


@njit  # type: ignore[untyped-decorator]
def engine_of_instance(world: World, i: int) -> Engine:
    """Return what an instance is at present."""
    at = world.instances.top_engine[i] if world.instances.is_clocked_up[i] else world.instances.engine[i]
    e = world.engines
    return Engine(
        e.coefficients[at], e.idle_power_w[at], e.kv_capacity_tokens[at], e.token_budget[at], e.max_num_seqs[at]
    )


@njit  # type: ignore[untyped-decorator]
def bring_to(world: World, i: int, until_s: float) -> None:
    """Let an instance work until a time, at the highest clock as long as it is clocked up and has prompts."""
    fleet, clocked_up = world.fleet, world.instances.is_clocked_up
    while fleet.meters[i, NOW_S] < until_s:
        hurried = clocked_up[i]
        advance(fleet, i, engine_of_instance(world, i), world.slots, world.record, until_s, MAX_LEAP, hurried)
        if hurried and fleet.counts[i, WAITING] + fleet.counts[i, STARTED] == 0:
            clocked_up[i] = False
        elif until_s == np.inf:
            break


@njit(inline="always")  # type: ignore[untyped-decorator]
def latest_s(world: World, slot: int) -> float:
    """Return when a request should be expected to have its first token at the latest: its deadline less a margin."""
    slots = world.slots
    deadline_s = slots.deadline_s[slot]
    return float(deadline_s - world.rules.margin * (deadline_s - slots.arrival_s[slot]))


@njit  # type: ignore[untyped-decorator]
def expected_s(world: World, i: int, slot: int, now_s: float) -> float:
    """Return when a request would have its first token on an instance, in seconds from now.

    Parameters
    ----------
    world, i
        The instance, brought to `now_s`.
    slot
        The request, there or not, with what is left of its prompt.
    now_s
        Time, in seconds.

    Returns
    -------
    float
        As if nothing else arrived, no sequence ended and there were room for it.
    """
    counts, engine = world.fleet.counts, engine_of_instance(world, i)
    ahead = world.slots.left_tokens[slot] + _tokens_before(world, i, slot)
    batch, context = counts[i, BATCH], float(counts[i, CONTEXT])
    budget = max(1, engine.token_budget - batch)
    rounds = ahead // budget
    rest = ahead - rounds * budget
    wait_s = max(0.0, world.fleet.meters[i, NOW_S] - now_s)
    mean_context = 0.5 * world.slots.input_tokens[slot]
    if rounds > 0:
        wait_s += rounds * iteration(engine.coefficients, budget, mean_context, batch, context)[0]
    if rest > 0:
        wait_s += iteration(engine.coefficients, rest, mean_context, batch, context)[0]
    return float(wait_s)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _tokens_before(world: World, i: int, slot: int) -> int:
    """Count the prompt tokens on an instance that are computed before those of a request, by deadline."""
    fleet, slots = world.fleet, world.slots
    waiting, started = fleet.counts[i, WAITING], fleet.counts[i, STARTED]
    if waiting + started > _LONG_QUEUE:
        return int(fleet.counts[i, PROMPT_TOKENS])
    tokens = 0
    for k in range(waiting):
        other = fleet.waiting[i, k]
        if other != slot and slots.deadline_s[other] <= slots.deadline_s[slot]:
            tokens += slots.left_tokens[other]
    for k in range(started):
        other = fleet.started[i, k]
        if other != slot and slots.deadline_s[other] <= slots.deadline_s[slot]:
            tokens += slots.left_tokens[other]
    return tokens


@njit  # type: ignore[untyped-decorator]
def has_room(world: World, i: int, slot: int) -> bool:
    """Tell whether an instance could admit a request beside those it has and those that wait there."""
    fleet, slots, engine = world.fleet, world.slots, engine_of_instance(world, i)
    waiting = fleet.counts[i, WAITING]
    if fleet.counts[i, SEQUENCES] + waiting >= engine.max_num_seqs:
        return False
    need = fleet.counts[i, RESERVED] + slots.input_tokens[slot] + slots.output_tokens[slot]
    for k in range(min(waiting, _LONG_QUEUE)):
        other = fleet.waiting[i, k]
        if other != slot:
            need += slots.input_tokens[other] + slots.output_tokens[other]
    return bool(need <= engine.kv_capacity_tokens)


@njit  # type: ignore[untyped-decorator]
def wait_if_sent_s(world: World, i: int, slot: int, now_s: float) -> float:
    """Return when a request would have its first token if it were sent to an instance now, in seconds from now.

    Infinite if there is no room for it at present.
    """
    if not has_room(world, i, slot):
        return np.inf
    return float(expected_s(world, i, slot, now_s))


@njit  # type: ignore[untyped-decorator]
def soonest(world: World, pool: int, slot: int, now_s: float, apart_from: int) -> tuple[int, float]:
    """Return the instance of a pool that would give a request its first token soonest, and when.

    Parameters
    ----------
    world, pool
        Where to look; its instances are brought to `now_s`.
    slot
        The request, from the start of its prompt.
    now_s
        Time, in seconds.
    apart_from
        An instance not to take, or -1.

    Returns
    -------
    i : int
        -1 if there is none in which the request fits.
    wait_s : float
        As from `wait_if_sent_s`.
    """
    pools, slots = world.pools, world.slots
    need = slots.input_tokens[slot] + slots.output_tokens[slot]
    best = -1
    least = np.inf
    for k in range(pools.first_member[pool], pools.first_member[pool + 1]):
        i = pools.members[k]
        if i == apart_from or world.engines.kv_capacity_tokens[world.instances.engine[i]] < need:
            continue
        wait_s = wait_if_sent_s(world, i, slot, now_s)
        if best < 0 or wait_s < least:
            best, least = int(i), wait_s
    return best, least
