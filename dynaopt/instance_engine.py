"""One engine at work, iteration by iteration: what `instance_simulator` runs alone and `replay` runs by the dozen.

Continuous batching with chunked prefill, as in vLLM: every iteration gives one token to each sequence that decodes,
and fills what is left of the token budget with pieces of prompts, by deadline. While no request arrives or finishes, up
to `MAX_LEAP` decode iterations are done in one step, at the duration of the middle one. `docs/profiles.md` gives the
reasons.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from dynaopt.deadline_queue import pop, push
from dynaopt.instance_state import (
    BATCH,
    BUSY_J,
    BUSY_S,
    CONTEXT,
    IDLE_J,
    ITERATION,
    NOW_S,
    PROMPT_TOKENS,
    RESERVED,
    SEQUENCES,
    STARTED,
    WAITING,
    Engine,
    Fleet,
    Record,
    Slots,
)
from dynaopt.phase_model import iteration
from dynaopt.token_gaps import GAPS_PER_SLOW_ONE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_LEAP = 64


@njit(inline="always")  # type: ignore[untyped-decorator]
def enqueue(fleet: Fleet, i: int, slots: Slots, slot: int) -> None:
    """Let a request wait at an instance."""
    counts = fleet.counts
    counts[i, WAITING] = push(fleet.waiting[i], counts[i, WAITING], slots.deadline_s, slot)
    counts[i, PROMPT_TOKENS] += slots.left_tokens[slot]


@njit(inline="always")  # type: ignore[untyped-decorator]
def advance(
    fleet: Fleet,
    i: int,
    engine: Engine,
    slots: Slots,
    record: Record,
    until_s: float,
    max_leap: int,
    prompts_only: bool,
) -> None:
    """Let an instance work.

    Parameters
    ----------
    fleet, i
        The instance.
    engine
        What it is at present.
    slots, record
        Requests, and what is written down.
    until_s
        It goes on until an iteration ends at or after this time, in seconds. Infinite: until all it has is done.
    max_leap
        Most decode iterations in one step; 1 simulates each by itself.
    prompts_only
        Whether to stop when no prompt is left to compute.
    """
    counts, meters = fleet.counts, fleet.meters
    now_s = meters[i, NOW_S]
    while now_s < until_s:
        if prompts_only and counts[i, WAITING] + counts[i, STARTED] == 0:
            break
        if counts[i, SEQUENCES] + counts[i, WAITING] == 0:
            if until_s == np.inf:
                break
            meters[i, IDLE_J] += engine.idle_power_w * _overlap(now_s, until_s, record)
            now_s = until_s
            break
        tokens, mean_context, num_done = _schedule_prompts(fleet, i, engine, slots, record)
        steps = 1
        context = float(counts[i, CONTEXT])
        batch = counts[i, BATCH]
        duration_s, power_w = iteration(engine.coefficients, tokens, mean_context, batch, context)
        if tokens == 0:
            steps = _steps_alone(fleet, i, min(max_leap, _steps_until(until_s - now_s, duration_s)))
        if steps > 1:
            context += 0.5 * batch * (steps - 1)
            duration_s, power_w = iteration(engine.coefficients, 0.0, 0.0, batch, context)
            # The middle iteration is a little longer than the first: do not leap beyond the one in which one arrives.
            steps = min(steps, _steps_until(until_s - now_s, duration_s))
        next_s = now_s + steps * duration_s
        _write_down(fleet, i, record, steps, duration_s, power_w, _overlap(now_s, next_s, record))
        now_s = next_s
        _end_sequences(fleet, i, slots, record, steps, now_s)
        for k in range(num_done):
            _start_decoding(fleet, i, slots, record, record.done[k], now_s)
    meters[i, NOW_S] = now_s


@njit(inline="always")  # type: ignore[untyped-decorator]
def _overlap(from_s: float, to_s: float, record: Record) -> float:
    return max(0.0, min(to_s, record.end_s) - max(from_s, record.begin_s))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _write_down(
    fleet: Fleet, i: int, record: Record, steps: int, duration_s: float, power_w: float, counted_s: float
) -> None:
    meters = fleet.meters
    meters[i, BUSY_S] += counted_s
    meters[i, BUSY_J] += power_w * counted_s
    ring = fleet.durations_s.shape[1]
    if ring > 0:
        for step in range(steps):
            fleet.durations_s[i, (fleet.counts[i, ITERATION] + step) & (ring - 1)] = duration_s
    if counted_s > 0 and fleet.counts[i, BATCH] > 0:
        bins = len(record.gaps)
        at = min(bins - 1, max(0, int(np.log(duration_s / record.first_bin_s) / record.bin_width)))
        for group in range(fleet.batch.shape[1]):
            record.gaps[at, group] += steps * fleet.batch[i, group]
            if duration_s > record.gap_bound_s[group]:
                fleet.slow[i, group] += steps


@njit(inline="always")  # type: ignore[untyped-decorator]
def _schedule_prompts(fleet: Fleet, i: int, engine: Engine, slots: Slots, record: Record) -> tuple[float, float, int]:
    """Fill the budget with prompts by deadline; return their tokens, mean context, and how many prompts end."""
    counts = fleet.counts
    budget = engine.token_budget - counts[i, BATCH]
    tokens = 0
    context = 0.0
    num_done = 0
    while budget > 0:
        slot = _next_prompt(fleet, i, engine, slots)
        if slot < 0:
            break
        left = slots.left_tokens[slot]
        chunk = min(left, budget)
        context += chunk * (slots.input_tokens[slot] - left + 0.5 * chunk)
        tokens += chunk
        budget -= chunk
        slots.left_tokens[slot] = left - chunk
        if left == chunk:
            counts[i, STARTED] = pop(fleet.started[i], counts[i, STARTED], slots.deadline_s)
            record.done[num_done] = slot
            num_done += 1
    counts[i, PROMPT_TOKENS] -= tokens
    return float(tokens), context / max(tokens, 1), num_done


@njit(inline="always")  # type: ignore[untyped-decorator]
def _next_prompt(fleet: Fleet, i: int, engine: Engine, slots: Slots) -> int:
    """Return the request with the earliest deadline that has a place or gets one now, which heads `started`; or -1."""
    counts = fleet.counts
    if counts[i, WAITING] > 0 and counts[i, SEQUENCES] < engine.max_num_seqs:
        first = fleet.waiting[i, 0]
        need = slots.input_tokens[first] + slots.output_tokens[first]
        is_first = counts[i, STARTED] == 0 or slots.deadline_s[first] < slots.deadline_s[fleet.started[i, 0]]
        if is_first and counts[i, RESERVED] + need <= engine.kv_capacity_tokens:
            counts[i, WAITING] = pop(fleet.waiting[i], counts[i, WAITING], slots.deadline_s)
            counts[i, STARTED] = push(fleet.started[i], counts[i, STARTED], slots.deadline_s, first)
            counts[i, RESERVED] += need
            counts[i, SEQUENCES] += 1
    return int(fleet.started[i, 0]) if counts[i, STARTED] > 0 else -1


@njit(inline="always")  # type: ignore[untyped-decorator]
def _steps_until(left_s: float, duration_s: float) -> int:
    """Count the iterations until some time has passed, the one in which it has included."""
    return max(1, int(np.ceil(min(left_s, MAX_LEAP * duration_s) / duration_s)))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _steps_alone(fleet: Fleet, i: int, most: int) -> int:
    """Count the iterations, this one included, until a sequence ends."""
    mask = fleet.ending.shape[1] - 1
    at = fleet.counts[i, ITERATION]
    for step in range(1, most):
        if fleet.ending[i, (at + step - 1) & mask] >= 0:
            return step
    return most


@njit(inline="always")  # type: ignore[untyped-decorator]
def _end_sequences(fleet: Fleet, i: int, slots: Slots, record: Record, steps: int, now_s: float) -> None:
    """Give every sequence its tokens of these iterations and let go of those that end with the last of them."""
    counts = fleet.counts
    counts[i, CONTEXT] += counts[i, BATCH] * steps
    counts[i, ITERATION] += steps
    at = (counts[i, ITERATION] - 1) & (fleet.ending.shape[1] - 1)
    slot = fleet.ending[i, at]
    if slot < 0:
        return
    fleet.ending[i, at] = -1
    counts[i, CONTEXT] -= fleet.ending_tokens[i, at]
    counts[i, RESERVED] -= fleet.ending_tokens[i, at]
    fleet.ending_tokens[i, at] = 0
    while slot >= 0:
        group = slots.group[slot]
        fleet.batch[i, group] -= 1
        counts[i, BATCH] -= 1
        counts[i, SEQUENCES] -= 1
        slots.slow_gaps[slot] = fleet.slow[i, group] - slots.slow_gaps[slot]
        if fleet.durations_s.shape[1] > 0:
            slots.tail_gap_s[slot] = _tail_gap_s(fleet, i, record, slots.output_tokens[slot] - 1)
        _finish(slots, record, slot, now_s)
        slot = slots.following[slot]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _tail_gap_s(fleet: Fleet, i: int, record: Record, gaps: int) -> float:
    """Return the longest of the latest gaps after one in `GAPS_PER_SLOW_ONE` of them is left aside."""
    mask = fleet.durations_s.shape[1] - 1
    left_aside = gaps // GAPS_PER_SLOW_ONE
    longest_s = record.longest_s
    longest_s[: left_aside + 1] = 0.0
    for n in range(1, gaps + 1):
        duration_s = fleet.durations_s[i, (fleet.counts[i, ITERATION] - n) & mask]
        at = left_aside
        if duration_s <= longest_s[at]:
            continue
        while at > 0 and longest_s[at - 1] < duration_s:
            longest_s[at] = longest_s[at - 1]
            at -= 1
        longest_s[at] = duration_s
    return float(longest_s[left_aside])


@njit(inline="always")  # type: ignore[untyped-decorator]
def _finish(slots: Slots, record: Record, slot: int, now_s: float) -> None:
    slots.end_s[slot] = now_s
    record.finished[record.num_finished[0]] = slot
    record.num_finished[0] += 1


@njit(inline="always")  # type: ignore[untyped-decorator]
def _start_decoding(fleet: Fleet, i: int, slots: Slots, record: Record, slot: int, now_s: float) -> None:
    """Let a request whose prompt is done, and which so has its first token, decode the others."""
    counts = fleet.counts
    input_tokens, output_tokens, group = slots.input_tokens[slot], slots.output_tokens[slot], slots.group[slot]
    slots.first_s[slot] = now_s
    if output_tokens == 1:
        counts[i, SEQUENCES] -= 1
        counts[i, RESERVED] -= input_tokens + output_tokens
        slots.slow_gaps[slot] = 0
        _finish(slots, record, slot, now_s)
        return
    slots.slow_gaps[slot] = fleet.slow[i, group]
    at = (counts[i, ITERATION] + output_tokens - 2) & (fleet.ending.shape[1] - 1)
    slots.following[slot] = fleet.ending[i, at]
    fleet.ending[i, at] = slot
    fleet.ending_tokens[i, at] += input_tokens + output_tokens
    fleet.batch[i, group] += 1
    counts[i, BATCH] += 1
    counts[i, CONTEXT] += input_tokens + 1
