"""One instance that serves a stream of requests: its power, and what each request waits.

Continuous batching with chunked prefill, as in vLLM: every iteration gives one token to each sequence that decodes,
and fills what is left of the token budget with pieces of prompts. Three choices stand out, and `docs/profiles.md`
gives their reasons: prompts are taken by TTFT deadline, also out of the middle of a longer one; a request is admitted
when the KV cache has room for its prompt and its whole output, so that nothing is ever preempted; and while no request
arrives or finishes, up to `MAX_LEAP` decode iterations are done in one step, at the duration of the middle one.
`instance_engine` does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
from numba import njit

from dynaopt import deadline_queue, instance_engine, instance_state, phase_model, token_gaps
from dynaopt.instance_engine import MAX_LEAP, advance, enqueue
from dynaopt.instance_state import BUSY_J, IDLE_J, ITERATION, Engine, Fleet, Record, Slots, make_fleet, make_slots
from dynaopt.jit import sources_digest
from dynaopt.phase_model import PhaseModel
from dynaopt.token_gaps import GAPS_PER_SLOW_ONE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Gaps between tokens are counted in bins of 0.05 %, from 0.1 ms to about 1,000 s.
_BIN_WIDTH = 5e-4
_FIRST_BIN_S = 1e-4
_NUM_BINS = 32_300


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
    tail_gap_s
        Of every request that counts the longest gap between tokens, one in `GAPS_PER_SLOW_ONE` of its gaps, rounded
        down, left aside, in seconds, shape (n,); NaN where there is none.
    token_gaps
        How many gaps between tokens fell into each bin, by group, shape (groups, bins).
    num_iterations
        Iterations of the engine, leaps counted by their length.
    """

    power_w: float
    ttft_s: FloatArray
    group: IntArray
    tail_gap_s: FloatArray
    token_gaps: IntArray
    num_iterations: int

    def ttft_quantile_s(self, q: float, group: int | None = None) -> float:
        """Return a quantile of the time to first token, in seconds, of one group or of all."""
        return float(np.quantile(self.ttft_s if group is None else self.ttft_s[self.group == group], q))

    def kept_tbt_s(self, q: float, among: npt.NDArray[np.bool_] | None = None) -> float:
        """Return the shortest bound on the gaps between tokens that a share of requests keeps, in seconds.

        A request keeps a bound if at most one in `GAPS_PER_SLOW_ONE` of its gaps, rounded down, is longer. One without
        a gap keeps any.

        Parameters
        ----------
        q
            The share.
        among
            Which of the requests, shape (n,); all by default.

        Returns
        -------
        float
            NaN when no request had a second token.
        """
        tails_s = self.tail_gap_s if among is None else self.tail_gap_s[among]
        return float("nan") if np.isnan(tails_s).all() else float(np.quantile(np.nan_to_num(tails_s), q))

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

    def tbt_mean_s(self) -> float:
        """Return the mean gap between successive tokens, in seconds, good to 0.03 %; NaN without any gap."""
        counts = self.token_gaps.sum(axis=0)
        if not counts.any():
            return float("nan")
        gaps_s = _FIRST_BIN_S * np.exp((np.arange(len(counts)) + 0.5) * _BIN_WIDTH)
        return float(np.average(gaps_s, weights=counts))


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
    fleet, slots, record = _empty(engine, requests, warm_up)
    _serve(fleet, engine, requests, slots, record, max_leap)
    duration_s = requests.arrival_s[-1] - requests.arrival_s[warm_up]
    return Run(
        power_w=float(fleet.meters[0, BUSY_J] + fleet.meters[0, IDLE_J]) / duration_s,
        ttft_s=(slots.first_s - requests.arrival_s)[warm_up:],
        group=requests.group[warm_up:],
        tail_gap_s=np.where(requests.output_tokens > 1, slots.tail_gap_s, np.nan)[warm_up:],
        token_gaps=record.gaps.T,
        num_iterations=int(fleet.counts[0, ITERATION]),
    )


def _empty(engine: Engine, requests: Requests, warm_up: int) -> tuple[Fleet, Slots, Record]:
    n = len(requests.arrival_s)
    groups = int(requests.group.max()) + 1
    longest_output = int(requests.output_tokens.max())
    fleet = make_fleet(1, groups, n, engine.max_num_seqs, longest_output, keeps_durations=True)
    slots = make_slots(n)._replace(
        arrival_s=requests.arrival_s,
        deadline_s=requests.arrival_s + requests.ttft_slo_s,
        input_tokens=requests.input_tokens,
        output_tokens=requests.output_tokens,
        left_tokens=requests.input_tokens.copy(),
        group=requests.group,
    )
    record = Record(
        gaps=np.zeros((_NUM_BINS, groups), np.int64),
        first_bin_s=_FIRST_BIN_S,
        bin_width=_BIN_WIDTH,
        gap_bound_s=np.full(groups, np.inf),
        begin_s=float(requests.arrival_s[warm_up]),
        end_s=float(requests.arrival_s[n - 1]),
        done=np.zeros(engine.max_num_seqs, np.int64),
        longest_s=np.zeros(longest_output // GAPS_PER_SLOW_ONE + 1),
        finished=np.zeros(n, np.int64),
        num_finished=np.zeros(1, np.int64),
    )
    return fleet, slots, record


_Serve = Callable[[Fleet, Engine, Requests, Slots, Record, int], None]


def _make_serve(digest: str) -> _Serve:
    # The digest is part of the key of what is kept on disk, so that a change of a module compiled into this is noticed.
    @njit(cache=True)  # type: ignore[untyped-decorator]
    def serve(fleet: Fleet, engine: Engine, requests: Requests, slots: Slots, record: Record, max_leap: int) -> str:
        n = len(requests.arrival_s)
        for slot in range(n + 1):
            until_s = requests.arrival_s[slot] if slot < n else np.inf
            advance(fleet, 0, engine, slots, record, until_s, max_leap, False)
            if slot < n:
                enqueue(fleet, 0, slots, slot)
        return digest

    return cast(_Serve, serve)


_serve = _make_serve(sources_digest(deadline_queue, instance_engine, instance_state, phase_model, token_gaps))
