"""What a replay holds in compiled code: instances, pools, requests on their way, and what has been counted.

All are records of arrays that compiled functions change in place. An instance is a number from 0, as is a pool, a
request class (a place in `REQUEST_CLASSES`) and a slot, which is a request that an instance has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynaopt.instance_state import Fleet, Record, Slots, make_fleet, make_slots
from dynaopt.request_class import REQUEST_CLASSES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NUM_CLASSES = len(REQUEST_CLASSES)

# Histograms of latencies: bins of 0.4 % from 1 ms to 8,900 s.
FIRST_BIN_S = 1e-3
BIN_WIDTH = 4e-3
NUM_BINS = 4000

# Places in `Tally.events`.
ELSEWHERE, LARGER_POOL, CLOCK_UPS, RESTEERED, SQUASHED, OVERSIZE, NUM_EVENTS = range(7)
# Places in the last axis of `Tally.kept`.
ARRIVED, TTFT_KEPT, TBT_KEPT, BOTH_KEPT = range(4)


class Engines(NamedTuple):
    """What an instance may be, one for each configuration and pool; fields as in `Engine`, with an axis more."""

    coefficients: FloatArray
    idle_power_w: FloatArray
    kv_capacity_tokens: IntArray
    token_budget: IntArray
    max_num_seqs: IntArray


class Instances(NamedTuple):
    """What a router knows of instances beside what they are doing; all arrays have shape (instances,).

    Parameters
    ----------
    engine, top_engine
        Rows of `Engines`: as planned, and at the highest clock.
    is_clocked_up
        Whether it runs as the second, until it has no prompt left.
    planned_rps, limit_rps
        Requests per second that it is planned to get, and up to which it keeps its SLO.
    due_s
        When it should get its next request to stay at its planned rate, in seconds.
    relieved_s
        When its queue was last looked through for requests that will be late, in seconds.
    """

    engine: IntArray
    top_engine: IntArray
    is_clocked_up: npt.NDArray[np.bool_]
    planned_rps: FloatArray
    limit_rps: FloatArray
    due_s: FloatArray
    relieved_s: FloatArray


class Pools(NamedTuple):
    """Which instances form a pool in a window, and which pools serve a class.

    Parameters
    ----------
    first_member, members
        The instances of pool p are ``members[first_member[p]:first_member[p + 1]]``, the one whose energy grows least
        with another request first.
    first_route, route_pool, route_rps, route_served
        The same for the routes of a class: to which pool, how much, and how many requests went there in this window.
    others, num_larger
        By class, all pools, shape (classes, pools): first `num_larger` that may serve it, its own and then the
        smallest first, and after them the others.
    """

    first_member: IntArray
    members: IntArray
    first_route: IntArray
    route_pool: IntArray
    route_rps: FloatArray
    route_served: IntArray
    others: IntArray
    num_larger: IntArray


class Tally(NamedTuple):
    """What is counted.

    Parameters
    ----------
    ttft, tpot
        Histograms by class, shape (bins, classes).
    kept
        By window of arrival and class: requests, and those that kept their TTFT, their TBT, and both; shape (windows,
        classes, 4).
    ttft_total_s
        Sum of the TTFTs of each class, in seconds, shape (classes,).
    slow_gaps
        Gaps longer than the bound of their class, shape (classes,).
    events
        What was done beside following the plan, shape (events,).
    """

    ttft: IntArray
    tpot: IntArray
    kept: IntArray
    ttft_total_s: FloatArray
    slow_gaps: IntArray
    events: IntArray


class Rules(NamedTuple):
    """What the router may do, as numbers for compiled code; `ReplayOptions` explains them.

    `ttft_bound_s` are the bounds of the classes, shape (classes,).
    """

    window_s: float
    burst_requests: float
    checks_deadline: bool
    clocks_up: bool
    resteers: bool
    squashes: bool
    margin: float
    late_bound_factor: float
    ttft_bound_s: FloatArray


class Arrivals(NamedTuple):
    """Requests that come in a window, in the order of arrival; all arrays have shape (n,)."""

    arrival_s: FloatArray
    deadline_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    request_class: IntArray


class World(NamedTuple):
    """Everything that one model's requests meet.

    Parameters
    ----------
    free, num_free
        Slots that no request has, and in an array of one how many there are.
    """

    fleet: Fleet
    slots: Slots
    record: Record
    engines: Engines
    instances: Instances
    pools: Pools
    tally: Tally
    rules: Rules
    free: IntArray
    num_free: IntArray


def make_instances(size: int) -> Instances:
    """Return instances that are nothing yet."""
    n = [np.zeros(size, np.int64) for _ in range(2)]
    f = [np.zeros(size) for _ in range(4)]
    return Instances(n[0], n[1], np.zeros(size, np.bool_), f[0], f[1], f[2], f[3])


def make_tally(num_windows: int) -> Tally:
    """Return counters at zero."""
    return Tally(
        ttft=np.zeros((NUM_BINS, NUM_CLASSES), np.int64),
        tpot=np.zeros((NUM_BINS, NUM_CLASSES), np.int64),
        kept=np.zeros((num_windows, NUM_CLASSES, 4), np.int64),
        ttft_total_s=np.zeros(NUM_CLASSES),
        slow_gaps=np.zeros(NUM_CLASSES, np.int64),
        events=np.zeros(NUM_EVENTS, np.int64),
    )


def make_record(gap_bound_s: FloatArray, max_num_seqs: int, num_slots: int) -> Record:
    """Return a record of engines for which nothing was written down yet, and in which all counts."""
    return Record(
        gaps=np.zeros((NUM_BINS, NUM_CLASSES), np.int64),
        first_bin_s=FIRST_BIN_S,
        bin_width=BIN_WIDTH,
        gap_bound_s=gap_bound_s,
        begin_s=-np.inf,
        end_s=np.inf,
        longest_s=np.zeros(0),
        done=np.zeros(max_num_seqs + 1, np.int64),
        finished=np.zeros(num_slots, np.int64),
        num_finished=np.zeros(1, np.int64),
    )


def make_world(
    engines: Engines, gap_bound_s: FloatArray, pools: Pools, rules: Rules, num_windows: int, *, num_slots: int = 4096
) -> World:
    """Return a world without instances and requests.

    Parameters
    ----------
    engines
        All that an instance may be.
    gap_bound_s
        Bound on the gaps between tokens of each class, in seconds, shape (classes,).
    pools
        Those of the first window.
    rules
        What the router may do.
    num_windows
        Windows that are going to be replayed.
    num_slots
        Requests that there is room for; `with_more_slots` makes more.
    """
    max_num_seqs = int(engines.max_num_seqs.max(initial=1))
    return World(
        fleet=make_fleet(16, NUM_CLASSES, 256, max_num_seqs, 2000),
        slots=make_slots(num_slots),
        record=make_record(gap_bound_s, max_num_seqs, num_slots),
        engines=engines,
        instances=make_instances(16),
        pools=pools,
        tally=make_tally(num_windows),
        rules=rules,
        free=np.arange(num_slots)[::-1].copy(),
        num_free=np.array([num_slots]),
    )


def with_more_slots(world: World) -> World:
    """Return the same world with room for twice as many requests."""
    old = len(world.free)
    slots = Slots(*(_longer(array, 2 * old) for array in world.slots))
    record = world.record._replace(finished=_longer(world.record.finished, 2 * old))
    free = _longer(world.free, 2 * old)
    num_free = int(world.num_free[0])
    free[num_free : num_free + old] = np.arange(old, 2 * old)[::-1]
    return world._replace(slots=slots, record=record, free=free, num_free=np.array([num_free + old]))


def with_longer_queues(world: World) -> World:
    """Return the same world with room for twice as many waiting requests at each instance."""
    waiting = world.fleet.waiting
    return world._replace(fleet=world.fleet._replace(waiting=np.concatenate([waiting, np.zeros_like(waiting)], axis=1)))


def with_more_instances(world: World) -> World:
    """Return the same world with room for twice as many instances."""
    size = 2 * len(world.fleet.counts)
    fleet = Fleet(*(_longer(array, size) for array in world.fleet))
    fleet.ending[size // 2 :] = -1
    return world._replace(fleet=fleet, instances=Instances(*(_longer(array, size) for array in world.instances)))


def with_longer_outputs(world: World, longest_output: int) -> World:
    """Return the same world, able to hold requests with so many output tokens."""
    fleet = world.fleet
    size, old = fleet.ending.shape
    ring = 1 << int(longest_output + 1).bit_length()
    if ring <= old:
        return world
    # What ends after iteration n stands at n modulo the length, and lies less than the old length ahead.
    ahead = fleet.counts[:, :1] + np.arange(old)
    ending, ending_tokens = np.full((size, ring), -1, np.int64), np.zeros((size, ring), np.int64)
    rows = np.arange(size)[:, None]
    ending[rows, ahead % ring] = fleet.ending[rows, ahead % old]
    ending_tokens[rows, ahead % ring] = fleet.ending_tokens[rows, ahead % old]
    return world._replace(fleet=fleet._replace(ending=ending, ending_tokens=ending_tokens))


def _longer(array: npt.NDArray[np.generic], size: int) -> npt.NDArray:  # type: ignore[type-arg]
    longer = np.zeros((size, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
