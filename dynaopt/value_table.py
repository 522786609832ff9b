"""A pool's least cost V as a table: where it is known, and a floor where it is not.

Pieces are joined from envelopes over ranges of load, end to end. A piece that is not `known` is a floor: V is not below
it. Between two *marks*, the points at which the pieces jump or turn convex and the ends of ranges, they are concave, so
on any interval their convex hull is that of the marks inside and of the ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dynaopt.envelope import MAX_PIECES, TINY
from dynaopt.jit import compiled

MAX_RANGES = 16
MAX_TABLE = MAX_RANGES * MAX_PIECES

TABLE = np.dtype(
    [
        ("num_pieces", np.int64),
        ("break_rps", np.float64, (MAX_TABLE + 1,)),
        ("left", np.float64, (MAX_TABLE,)),
        ("right", np.float64, (MAX_TABLE,)),
        ("known", np.int64, (MAX_TABLE,)),
        ("num_marks", np.int64),
        ("mark_rps", np.float64, (MAX_TABLE + 1,)),
        ("mark_cost", np.float64, (MAX_TABLE + 1,)),
    ]
)
"""Piece i holds on (break_i, break_{i+1}], from `left` to `right`. The first mark is (0, 0). Without pieces it is no
table."""


@compiled
def clear_table(t: Any) -> None:
    """Make a table empty: V is 0 at 0."""
    t.num_pieces, t.num_marks = 0, 1
    t.break_rps[0] = t.mark_rps[0] = t.mark_cost[0] = 0.0


@compiled
def append_range(envelope: Any, low_rps: float, t: Any) -> None:
    """Append the envelope over a range of load to a table that ends where the range begins.

    Parameters
    ----------
    envelope
        A record of `ENVELOPE`, its loads counted from the low end of the range; pieces of option -1 are the floor.
    low_rps
        The low end.
    t
        The table, a record of `TABLE`.
    """
    n = t.num_pieces
    if n > 0:
        _mark(t, low_rps, min(t.right[n - 1], envelope.left[0]))
    for i in range(envelope.num_pieces):
        at, end = low_rps + envelope.break_rps[i], low_rps + envelope.break_rps[i + 1]
        left, right = envelope.left[i], envelope.right[i]
        if i > 0:
            before = (t.right[n - 1] - t.left[n - 1]) / (t.break_rps[n] - t.break_rps[n - 1])
            jumps = left > t.right[n - 1] + 1e-9 * (1 + abs(left))
            if jumps or (right - left) / (end - at) > before + 1e-7 * (1 + abs(before)):
                _mark(t, at, t.right[n - 1])
        t.break_rps[n + 1], t.left[n], t.right[n], t.known[n] = end, left, right, envelope.option[i] >= 0
        n += 1
    t.num_pieces = n


@compiled
def _mark(t: Any, rps: float, cost: float) -> None:
    t.mark_rps[t.num_marks], t.mark_cost[t.num_marks] = rps, cost
    t.num_marks += 1


@compiled
def table_value(t: Any, load: float) -> tuple[float, bool]:
    """Return the cost at a load above 0, infinite beyond the table, and whether it is known."""
    low, high = 0, t.num_pieces - 1
    if load > t.break_rps[high + 1] * (1 + 1e3 * TINY):
        return np.inf, True
    while low < high:
        middle = (low + high) // 2
        if t.break_rps[middle + 1] * (1 + TINY) < load:
            low = middle + 1
        else:
            high = middle
    start, end = t.break_rps[low], t.break_rps[low + 1]
    share = min(max((load - start) / (end - start), 0.0), 1.0)
    return t.left[low] + (t.right[low] - t.left[low]) * share, t.known[low] == 1
