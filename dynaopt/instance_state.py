"""What instances at work and the requests on them are to compiled code: rows of arrays, and what is written down.

Instances are rows of the arrays in `Fleet`; requests are numbers of places in the arrays in `Slots`. `instance_engine`
moves them on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Columns of `Fleet.counts`: iterations done; requests admitted; of these, sequences that decode, and their context;
# tokens of the KV cache that are spoken for; requests that wait, and that have part of their prompt computed; prompt
# tokens still to compute.
ITERATION, SEQUENCES, BATCH, CONTEXT, RESERVED, WAITING, STARTED, PROMPT_TOKENS = range(8)
# Columns of `Fleet.meters`: the time up to which an instance has worked, in seconds; time with something to do, in
# seconds; energy while there was, and while there was not, in joules.
NOW_S, BUSY_S, BUSY_J, IDLE_J = range(4)


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


class Slots(NamedTuple):
    """Requests that are on an instance; all arrays have shape (slots,).

    Parameters
    ----------
    arrival_s, deadline_s
        When a request came, and when it should have its first token, in seconds.
    input_tokens, output_tokens
        Lengths; every output has at least one token.
    left_tokens
        Prompt tokens still to compute.
    group
        What to tell apart in the results: numbers from 0.
    first_s, end_s
        When it had its first token, and its last, in seconds.
    slow_gaps
        Gaps longer than the bound of its group: from its last token on, its own; before that, the instance's count at
        its first token.
    tail_gap_s
        The shortest bound that its gaps keep, one in `GAPS_PER_SLOW_ONE` left aside, in seconds; 0 without a gap, and
        where the fleet does not keep durations.
    following
        The next request that ends after the same iteration, or -1.
    """

    arrival_s: FloatArray
    deadline_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    left_tokens: IntArray
    group: IntArray
    first_s: FloatArray
    end_s: FloatArray
    tail_gap_s: FloatArray
    slow_gaps: IntArray
    following: IntArray


class Fleet(NamedTuple):
    """What instances are doing; the first axis of all arrays is the instance.

    Parameters
    ----------
    counts, meters
        See the names of their columns.
    waiting, started
        Queues by deadline: requests not admitted yet, and those whose prompt is partly computed.
    ending, ending_tokens
        By iteration, modulo their length, which is a power of two: the first request that has its last token then, or
        -1, and the prompt and output tokens of all that have.
    batch
        Sequences that decode, by group.
    slow
        Iterations so far that were longer than the bound of a group, by group.
    durations_s
        The latest iterations, as long as `ending`, in seconds; of no length where nobody asks for `Slots.tail_gap_s`.
    """

    counts: IntArray
    meters: FloatArray
    waiting: IntArray
    started: IntArray
    ending: IntArray
    ending_tokens: IntArray
    batch: IntArray
    slow: IntArray
    durations_s: FloatArray


class Record(NamedTuple):
    """What is written down while instances work.

    Parameters
    ----------
    gaps
        How many gaps between tokens fell into each bin, by group, shape (bins, groups).
    first_bin_s, bin_width
        Where bins begin, in seconds, and the logarithm of the ratio between their edges.
    gap_bound_s
        Above what a gap counts as slow, by group, in seconds, shape (groups,).
    begin_s, end_s
        Energy and gaps count between these times, in seconds.
    done
        Scratch: requests whose prompt ends in an iteration.
    longest_s
        Scratch: the longest gaps of a request.
    finished, num_finished
        Requests that have their last token, and in an array of one how many.
    """

    gaps: IntArray
    first_bin_s: float
    bin_width: float
    gap_bound_s: FloatArray
    begin_s: float
    end_s: float
    done: IntArray
    longest_s: FloatArray
    finished: IntArray
    num_finished: IntArray


def make_slots(size: int) -> Slots:
    """Return empty slots."""
    f = [np.zeros(size) for _ in range(5)]
    n = [np.zeros(size, np.int64) for _ in range(6)]
    return Slots(f[0], f[1], n[0], n[1], n[2], n[3], f[2], f[3], f[4], n[4], n[5])


def make_fleet(
    size: int, groups: int, queue: int, max_num_seqs: int, longest_output: int, *, keeps_durations: bool = False
) -> Fleet:
    """Return instances that have done nothing.

    Parameters
    ----------
    size
        How many.
    groups
        Groups of requests to tell apart.
    queue
        Most requests that wait at one instance.
    max_num_seqs
        Most that are admitted to one.
    longest_output
        Most output tokens of a request.
    keeps_durations
        Whether requests shall know their `Slots.tail_gap_s`, which takes time.
    """
    ring = 1 << int(longest_output + 1).bit_length()
    return Fleet(
        counts=np.zeros((size, 8), np.int64),
        meters=np.zeros((size, 4)),
        waiting=np.zeros((size, queue), np.int64),
        started=np.zeros((size, max_num_seqs + 1), np.int64),
        ending=np.full((size, ring), -1, np.int64),
        ending_tokens=np.zeros((size, ring), np.int64),
        batch=np.zeros((size, groups), np.int64),
        slow=np.zeros((size, groups), np.int64),
        durations_s=np.zeros((size, ring if keeps_durations else 0)),
    )
