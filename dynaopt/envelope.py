"""The lower envelope of piecewise linear curves that start at 0 and end each at its own capacity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynaopt.jit import compiled

FloatArray = npt.NDArray[np.float64]

MAX_PIECES = 512
ABSENT = 1e300
TINY = 1e-12

ENVELOPE = np.dtype(
    [
        ("num_pieces", np.int64),
        ("break_rps", np.float64, (MAX_PIECES + 1,)),
        ("left", np.float64, (MAX_PIECES,)),
        ("right", np.float64, (MAX_PIECES,)),
        ("option", np.int64, (MAX_PIECES,)),
    ]
)
"""Piece i holds on (break_i, break_{i+1}], runs from `left` to `right`, and is part of the curve of `option`."""


@compiled
def merge(old: Any, rates: FloatArray, costs: FloatArray, k: int, new: Any) -> None:
    """Write the lower envelope of an envelope and one more curve.

    Parameters
    ----------
    old, new
        Records of `ENVELOPE`: what to read and where to write.
    rates, costs
        Breakpoints of the curve, from 0 to its capacity, and its values there.
    k
        Its option.
    """
    a, b, n, m, at = 0, 1, old.num_pieces, rates.size, 0.0
    new.num_pieces = 0
    new.break_rps[0] = 0.0
    while a < n or b < m:
        end_a = old.break_rps[a + 1] if a < n else ABSENT
        end_b = rates[b] if b < m else ABSENT
        end = min(end_a, end_b)
        old0 = old1 = own0 = own1 = ABSENT
        if a < n:
            slope = (old.right[a] - old.left[a]) / (end_a - old.break_rps[a])
            old0, old1 = old.right[a] - slope * (end_a - at), old.right[a] - slope * (end_a - end)
        if b < m:
            slope = (costs[b] - costs[b - 1]) / (end_b - rates[b - 1])
            own0, own1 = costs[b] - slope * (end_b - at), costs[b] - slope * (end_b - end)
        if b >= m or (a < n and old0 <= own0 and old1 <= own1):
            emit(new, at, end, old0, old1, old.option[a])
        elif a >= n or (old0 >= own0 and old1 >= own1):
            emit(new, at, end, own0, own1, k)
        else:
            share = (old0 - own0) / (old0 - own0 + own1 - old1)
            cross, value = at + (end - at) * share, own0 + (own1 - own0) * share
            first, second = (old.option[a], k) if old0 < own0 else (k, old.option[a])
            emit(new, at, cross, min(old0, own0), value, first)
            emit(new, cross, end, value, min(old1, own1), second)
        at = end
        a += end_a <= end
        b += end_b <= end


@compiled
def copy_envelope(source: Any, target: Any) -> None:
    """Copy one record of `ENVELOPE` to another."""
    n = source.num_pieces
    target.num_pieces = n
    target.break_rps[0] = 0.0
    for i in range(n):
        target.break_rps[i + 1] = source.break_rps[i + 1]
        target.left[i], target.right[i], target.option[i] = source.left[i], source.right[i], source.option[i]


@compiled
def emit(out: Any, start: float, end: float, at_start: float, at_end: float, k: int) -> None:
    """Append a piece to an envelope, joined to the last one where the two are one line."""
    n = out.num_pieces
    if end - start <= TINY * end:
        return
    if n == MAX_PIECES:  # out of room: one coarser piece that stays below both
        out.right[n - 1] = min(out.right[n - 1], at_end)
        out.break_rps[n] = end
        return
    if n > 0 and out.option[n - 1] == k and abs(out.right[n - 1] - at_start) <= 1e-10 * (1 + abs(at_start)):
        before = (out.right[n - 1] - out.left[n - 1]) / (start - out.break_rps[n - 1])
        after = (at_end - at_start) / (end - start)
        if abs(before - after) <= 1e-9 * (1 + abs(after)):
            n -= 1
            at_start = out.left[n]
    out.break_rps[n + 1] = end
    out.left[n], out.right[n], out.option[n] = at_start, at_end, k
    out.num_pieces = n + 1
