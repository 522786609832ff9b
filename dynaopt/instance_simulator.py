"""One instance that serves a stream of requests: its power, and what each request waits.

Continuous batching with chunked prefill, as in vLLM: every iteration gives one token to each sequence that decodes,
and fills what is left of the token budget with pieces of prompts. Three choices stand out, and `docs/profiles.md`
gives their reasons: prompts are taken by TTFT deadline, also out of the middle of a longer one; a request is admitted
when the KV cache has room for its prompt and its whole output, so that nothing is ever preempted; and while no request
arrives or finishes, up to `MAX_LEAP` decode iterations are done in one step, at the duration of the middle one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from dynaopt.deadline_queue import pop, push
from dynaopt.phase_model import PhaseModel, iteration

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_LEAP = 64
# Gaps between tokens are counted in bins of 0.05 %, from 0.1 ms to about 1,000 s.
_BIN_WIDTH = 5e-4
_FIRST_BIN_S = 1e-4
_NUM_BINS = 32_300


class Engine(NamedTuple):
    """An instance at one clock.

    Parameters
    ----------
    coefficients
        From `PhaseModel.coefficients`.
    idle_power_w
        Power while there is nothing to do, in watts.
    kv_capacity_tokens
        Tokens that the KV cache holds.
    token_budget
        Most tokens of one iteration.
    max_num_seqs
        Most requests that are admitted at once; at most `token_budget`, so that no decode ever has to wait.
    """

    coefficients: FloatArray
    idle_power_w: float
    kv_capacity_tokens: int
    token_budget: int
    max_num_seqs: int


class Requests(NamedTuple):
    """A stream of requests, in the order of arrival; all arrays have shape (n,).

    Parameters
    ----------
    arrival_s
        Times of arrival, ascending, in seconds.
    input_tokens, output_tokens
        Lengths; every output has at least one token.
    ttft_slo_s
        How long after its arrival each request's deadline lies, in seconds.
    group
        What to tell apart in the results: numbers from 0.
    """

    arrival_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    ttft_slo_s: FloatArray
    group: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was seen while a stream was served.

    Parameters
    ----------
    power_w
        Mean power between the arrival of the first request that counts and that of the last.
    ttft_s
        Time to first token of every request that counts, in seconds, shape (n,).
    group
        The group of each of these requests, shape (n,).
    token_gaps
        How many gaps between tokens fell into each bin, by group, shape (groups, bins).
    num_iterations
        Iterations of the engine, leaps counted by their length.
    """

    power_w: float
    ttft_s: FloatArray
    group: IntArray
    token_gaps: FloatArray
    num_iterations: int

    def ttft_quantile_s(self, q: float, group: int | None = None) -> float:
        """Return a quantile of the time to first token, in seconds, of one group or of all."""
        return float(np.quantile(self.ttft_s if group is None else self.ttft_s[self.group == group], q))

    def tbt_quantile_s(self, q: float, group: int | None = None) -> float:
        """Return a quantile of the gap between successive tokens, in seconds, of one group or of all.

        Returns
        -------
        float
            Good to 0.03 %, half a bin. NaN when no request had a second token.
        """
        counts = self.token_gaps.sum(axis=0) if group is None else self.token_gaps[group]
        total = np.cumsum(counts)
        if not total[-1]:
            return float("nan")
        at = int(np.searchsorted(total, q * total[-1]))
        return _FIRST_BIN_S * float(np.exp((at + 0.5) * _BIN_WIDTH))


def engine_of(model: PhaseModel, tp: int, frequency_mhz: int, token_budget: int, max_num_seqs: int = 256) -> Engine:
    """Set up an instance.

    Parameters
    ----------
    model
        What its iterations take.
    tp
        Tensor-parallel degree.
    frequency_mhz
        GPU clock, in MHz.
    token_budget
        Most tokens of one iteration.
    max_num_seqs
        Most requests at once; never more than the token budget.
    """
    return Engine(
        coefficients=model.coefficients(tp, frequency_mhz),
        idle_power_w=model.idle_power_w(tp, frequency_mhz),
        kv_capacity_tokens=model.kv_capacity_tokens(tp),
        token_budget=token_budget,
        max_num_seqs=min(max_num_seqs, token_budget),
    )


def serve(engine: Engine, requests: Requests, *, warm_up: int = 0, max_leap: int = MAX_LEAP) -> Run:
    """Serve a stream of requests until each has its first token.

    Parameters
    ----------
    engine
        The instance; it starts empty.
    requests
        The stream.
    warm_up
        How many of the first requests do not count.
    max_leap
        Most decode iterations in one step; 1 simulates each by itself.

    Raises
    ------
    ValueError
        If a request's prompt and output never fit into the KV cache, or decodes could exceed the token budget.
    """
    if int((requests.input_tokens + requests.output_tokens).max()) > engine.kv_capacity_tokens:
        raise ValueError(f"A request does not fit into a KV cache of {engine.kv_capacity_tokens} tokens.")
    if not 1 <= engine.max_num_seqs <= engine.token_budget:
        raise ValueError(f"{engine.max_num_seqs} sequences need a token budget of as many, not {engine.token_budget}.")
    ttft_s, gaps, energy_j, num_iterations = _serve(engine, requests, warm_up, max_leap)
    duration_s = requests.arrival_s[-1] - requests.arrival_s[warm_up]
    return Run(
        power_w=energy_j / duration_s,
        ttft_s=ttft_s[warm_up:],
        group=requests.group[warm_up:],
        token_gaps=gaps,
        num_iterations=num_iterations,
    )


class _Prompts(NamedTuple):
    """Requests without a first token: those not admitted yet, and those whose prompt is partly computed."""

    waiting: IntArray
    started: IntArray
    size: IntArray  # of the two queues
    deadline_s: FloatArray
    left_tokens: IntArray  # of each request's prompt
    done: IntArray  # requests whose prompt ends in this iteration


class _Decodes(NamedTuple):
    """Sequences that get a token in each iteration, by the iteration after which they have their last one."""

    ending: IntArray  # how many end after an iteration, by group, shape (ring, groups)
    ending_tokens: IntArray  # prompt and output tokens that they hold by then, shape (ring,)
    batch: IntArray  # how many there are, by group


# Places in the array of counters.
_ITERATION, _SEQUENCES, _BATCH, _CONTEXT, _RESERVED, _ARRIVED, _FIRST_TOKENS = range(7)


# Not cached on disk: Numba would not notice a change of `iteration`, which is compiled into this.
@njit  # type: ignore[untyped-decorator]
def _serve(
    engine: Engine, requests: Requests, warm_up: int, max_leap: int
) -> tuple[FloatArray, FloatArray, float, int]:
    n = len(requests.arrival_s)
    prompts, decodes, counters, ttft_s, gaps = _empty(requests)
    begin_s, end_s = requests.arrival_s[warm_up], requests.arrival_s[n - 1]
    now_s = 0.0
    energy_j = 0.0
    while counters[_FIRST_TOKENS] < n:
        _take_arrivals(requests, prompts, counters, now_s)
        if counters[_BATCH] == 0 and prompts.size[0] == 0 and prompts.size[1] == 0:
            next_s = requests.arrival_s[counters[_ARRIVED]]
            energy_j += engine.idle_power_w * _overlap(now_s, next_s, begin_s, end_s)
            now_s = next_s
            continue
        tokens, mean_context, num_done = _schedule_prompts(engine, requests, prompts, counters)
        steps = 1
        context = float(counters[_CONTEXT])
        batch = counters[_BATCH]
        duration_s, power_w = iteration(engine.coefficients, tokens, mean_context, batch, context)
        if tokens == 0:
            steps = _steps_alone(requests, decodes, counters, max_leap, now_s, duration_s)
        if steps > 1:
            context += 0.5 * batch * (steps - 1)
            duration_s, power_w = iteration(engine.coefficients, 0.0, 0.0, batch, context)
            # The middle iteration is a little longer than the first: do not leap beyond the one in which one arrives.
            steps = min(steps, _steps_until(requests, counters, now_s, duration_s))
        next_s = now_s + steps * duration_s
        counted_s = _overlap(now_s, next_s, begin_s, end_s)
        energy_j += power_w * counted_s
        if counted_s > 0 and batch > 0:
            at = min(_NUM_BINS - 1, max(0, int(np.log(duration_s / _FIRST_BIN_S) / _BIN_WIDTH)))
            for group in range(len(decodes.batch)):
                gaps[group, at] += steps * decodes.batch[group]
        now_s = next_s
        _end_sequences(decodes, counters, steps)
        for i in range(num_done):
            ttft_s[prompts.done[i]] = now_s - requests.arrival_s[prompts.done[i]]
            _start_decoding(requests, decodes, counters, prompts.done[i])
    return ttft_s, gaps, energy_j, counters[_ITERATION]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _empty(requests: Requests) -> tuple[_Prompts, _Decodes, IntArray, FloatArray, FloatArray]:
    n = len(requests.arrival_s)
    ring = requests.output_tokens.max() + 1
    groups = requests.group.max() + 1
    prompts = _Prompts(
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.zeros(2, np.int64),
        requests.arrival_s + requests.ttft_slo_s,
        requests.input_tokens.copy(),
        np.empty(n, np.int64),
    )
    decodes = _Decodes(np.zeros((ring, groups), np.int64), np.zeros(ring, np.int64), np.zeros(groups, np.int64))
    return prompts, decodes, np.zeros(7, np.int64), np.empty(n), np.zeros((groups, _NUM_BINS))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _overlap(from_s: float, to_s: float, begin_s: float, end_s: float) -> float:
    return max(0.0, min(to_s, end_s) - max(from_s, begin_s))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _take_arrivals(requests: Requests, prompts: _Prompts, counters: IntArray, now_s: float) -> None:
    arrived = counters[_ARRIVED]
    while arrived < len(requests.arrival_s) and requests.arrival_s[arrived] <= now_s:
        prompts.size[0] = push(prompts.waiting, prompts.size[0], prompts.deadline_s, arrived)
        arrived += 1
    counters[_ARRIVED] = arrived


@njit(inline="always")  # type: ignore[untyped-decorator]
def _schedule_prompts(
    engine: Engine, requests: Requests, prompts: _Prompts, counters: IntArray
) -> tuple[float, float, int]:
    """Fill the budget with prompts by deadline; return their tokens, mean context, and how many prompts end."""
    budget = engine.token_budget - counters[_BATCH]
    tokens = 0
    context = 0.0
    num_done = 0
    while budget > 0:
        request = _next_prompt(engine, requests, prompts, counters)
        if request < 0:
            break
        left = prompts.left_tokens[request]
        chunk = min(left, budget)
        context += chunk * (requests.input_tokens[request] - left + 0.5 * chunk)
        tokens += chunk
        budget -= chunk
        prompts.left_tokens[request] = left - chunk
        if left == chunk:
            prompts.size[1] = pop(prompts.started, prompts.size[1], prompts.deadline_s)
            prompts.done[num_done] = request
            num_done += 1
    return float(tokens), context / max(tokens, 1), num_done


@njit(inline="always")  # type: ignore[untyped-decorator]
def _next_prompt(engine: Engine, requests: Requests, prompts: _Prompts, counters: IntArray) -> int:
    """Return the request with the earliest deadline that has a place or gets one now, which heads `started`; or -1."""
    if prompts.size[0] > 0 and counters[_SEQUENCES] < engine.max_num_seqs:
        first = prompts.waiting[0]
        need = requests.input_tokens[first] + requests.output_tokens[first]
        is_first = prompts.size[1] == 0 or prompts.deadline_s[first] < prompts.deadline_s[prompts.started[0]]
        if is_first and counters[_RESERVED] + need <= engine.kv_capacity_tokens:
            prompts.size[0] = pop(prompts.waiting, prompts.size[0], prompts.deadline_s)
            prompts.size[1] = push(prompts.started, prompts.size[1], prompts.deadline_s, first)
            counters[_RESERVED] += need
            counters[_SEQUENCES] += 1
    return int(prompts.started[0]) if prompts.size[1] > 0 else -1


@njit(inline="always")  # type: ignore[untyped-decorator]
def _steps_until(requests: Requests, counters: IntArray, now_s: float, duration_s: float) -> int:
    """Count the iterations until the next request arrives, the one in which it does included."""
    if counters[_ARRIVED] == len(requests.arrival_s):
        return MAX_LEAP
    until_s = min(requests.arrival_s[counters[_ARRIVED]] - now_s, MAX_LEAP * duration_s)
    steps = int(np.ceil(until_s / duration_s))
    return max(1, steps)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _steps_alone(
    requests: Requests, decodes: _Decodes, counters: IntArray, max_leap: int, now_s: float, duration_s: float
) -> int:
    """Count the iterations, this one included, until a sequence ends or a request arrives."""
    steps: int = min(max_leap, _steps_until(requests, counters, now_s, duration_s))
    ring = len(decodes.ending_tokens)
    at = counters[_ITERATION] % ring
    for step in range(1, steps):
        if decodes.ending_tokens[at] > 0:
            return step
        at = at + 1 if at + 1 < ring else 0
    return steps


@njit(inline="always")  # type: ignore[untyped-decorator]
def _end_sequences(decodes: _Decodes, counters: IntArray, steps: int) -> None:
    """Give every sequence its tokens of these iterations and let go of those that end with the last of them."""
    counters[_CONTEXT] += counters[_BATCH] * steps
    counters[_ITERATION] += steps
    at = (counters[_ITERATION] - 1) % len(decodes.ending_tokens)
    tokens = decodes.ending_tokens[at]
    if tokens > 0:
        for group in range(len(decodes.batch)):
            ended = decodes.ending[at, group]
            decodes.batch[group] -= ended
            counters[_BATCH] -= ended
            counters[_SEQUENCES] -= ended
            decodes.ending[at, group] = 0
        decodes.ending_tokens[at] = 0
        counters[_CONTEXT] -= tokens
        counters[_RESERVED] -= tokens


@njit(inline="always")  # type: ignore[untyped-decorator]
def _start_decoding(requests: Requests, decodes: _Decodes, counters: IntArray, request: int) -> None:
    """Let a request whose prompt is done, and which so has its first token, decode the others."""
    input_tokens, output_tokens = requests.input_tokens[request], requests.output_tokens[request]
    counters[_FIRST_TOKENS] += 1
    if output_tokens == 1:
        counters[_SEQUENCES] -= 1
        counters[_RESERVED] -= input_tokens + output_tokens
        return
    group = requests.group[request]
    at = (counters[_ITERATION] + output_tokens - 2) % len(decodes.ending_tokens)
    decodes.ending[at, group] += 1
    decodes.ending_tokens[at] += input_tokens + output_tokens
    decodes.batch[group] += 1
    counters[_BATCH] += 1
    counters[_CONTEXT] += input_tokens + 1
