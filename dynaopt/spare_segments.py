"""What sums of instances and one more cost as a function of their load: straight segments, and their lower envelope."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import TINY, FloatArray, copy_envelope, merge
from dynaopt.jit import compiled

Line = tuple[float, float]
"""Cost at load 0, and by how much it rises with each request/s."""


@compiled
def _segment(
    load: float, capacity: float, cost: float, part: FloatArray, slope: float, offset: float
) -> tuple[float, float, float, float]:
    """Return where a sum and one more instance on a straight part begin and end, what they cost there, and the rise.

    They serve all that their capacity is enough for. Where that is less than the sum itself carries, the end is before
    the beginning: at the end they cost as much as at the beginning, if the part begins at 0.
    """
    start = load + part[0]
    served = (capacity + part[4] - offset) / slope
    rise = (part[3] - part[2]) / (part[1] - part[0]) if part[1] > part[0] else 0.0
    return start, min(load + part[1], served), cost + part[2], rise


@compiled
def collect_segments(
    sums: tuple[FloatArray, FloatArray, FloatArray],
    parts: FloatArray,
    slope: float,
    offset: float,
    window: tuple[float, float],
    floor: Line,
    least: FloatArray,
    segments: FloatArray,
    n: int,
) -> int:
    """Collect the segments over a range that lie below a floor, and somewhere no higher than others at the same load.

    Parameters
    ----------
    sums
        Load, capacity and cost of each.
    parts
        Straight parts of curves, as in `Points`.
    slope, offset
        The capacity that load L needs is slope L + offset.
    window
        The range.
    floor
        A cost that is of interest no more.
    least
        For each of equal cells of the range, a cost that is possible at its right end. A first call, without room for
        segments, lowers these costs; a second one collects what comes below them.
    segments
        Receives the ends of segments and their costs there, shape (room, 4).
    n
        How many there are already.

    Returns
    -------
    int
        How many there are then, those that had no room among them.
    """
    low, high = window
    width = (high - low) / least.size
    for j in range(sums[0].size):
        for i in range(parts.shape[0]):
            start, end, at_start, rise = _segment(sums[0][j], sums[1][j], sums[2][j], parts[i], slope, offset)
            end = min(end, high)
            if end <= low or (end < start and parts[i, 0] > 0):
                continue
            start = min(start, end)
            if start < low:
                at_start += rise * (low - start)
                start = low
            at_end = at_start + rise * (end - start)
            if at_start > floor[0] + floor[1] * start and at_end > floor[0] + floor[1] * end:
                continue
            if segments.shape[0] == 0:
                _lower(least, start, end, at_start, rise, low, width)
            elif _is_low(least, start, end, at_start, rise, low, width):
                if n < segments.shape[0]:
                    segments[n, 0], segments[n, 1], segments[n, 2], segments[n, 3] = start, end, at_start, at_end
                n += 1
    return n


@compiled
def _lower(least: FloatArray, start: float, end: float, at_start: float, rise: float, low: float, width: float) -> None:
    """Lower the costs at the right ends of cells to those of a segment; at smaller loads it costs no more."""
    first = min(int((start - low) / width), least.size)
    if first > 0:
        least[first - 1] = min(least[first - 1], at_start)
    for cell in range(first, least.size):
        right = low + (cell + 1) * width
        if right > end * (1 + TINY):
            break
        least[cell] = min(least[cell], at_start + rise * max(min(right, end) - start, 0.0))


@compiled
def _is_low(
    least: FloatArray, start: float, end: float, at_start: float, rise: float, low: float, width: float
) -> bool:
    """Tell whether a segment comes down to what is possible at the right end of some cell that it is in."""
    first, last = int((start - low) / width), int((end - low) / width)
    for cell in range(min(first, least.size - 1), min(last, least.size - 1) + 1):
        if at_start + rise * max(low + cell * width - start, 0.0) <= least[cell] * (1 + TINY):
            return True
    return False


@compiled
def draw_envelope(
    segments: FloatArray,
    window: tuple[float, float],
    floor: Line,
    out: npt.NDArray[np.void],
    scratch: npt.NDArray[np.void],
) -> None:
    """Merge segments, each good for all smaller loads too, and a floor into one envelope.

    Parameters
    ----------
    segments, window, floor
        As for `collect_segments`.
    out
        Receives the envelope, a record of `ENVELOPE`; loads are counted from the low end of the range, pieces of the
        floor have option -1 and all others 0.
    scratch
        Two records of `ENVELOPE` to work in.
    """
    low, high = window
    rates, costs, now = np.zeros(3), np.zeros(3), 1
    rates[1], costs[0], costs[1] = high - low, floor[0] + floor[1] * low, floor[0] + floor[1] * high
    scratch[0].num_pieces = 0
    merge(scratch[0], rates[:2], costs[:2], -1, scratch[1])
    for i in range(segments.shape[0]):
        size = 1
        rates[0], costs[0] = 0.0, segments[i, 2]
        for end in range(2):
            if segments[i, end] - low > rates[size - 1] + TINY * high:
                rates[size], costs[size] = segments[i, end] - low, segments[i, 2 + end]
                size += 1
        if size > 1:
            merge(scratch[now], rates[:size], costs[:size], 0, scratch[1 - now])
            now = 1 - now
    copy_envelope(scratch[now], out[0])


@compiled
def cheapest_at(
    sums: tuple[FloatArray, FloatArray, FloatArray], parts: FloatArray, slope: float, offset: float, load: float
) -> tuple[float, int, int]:
    """Return the least cost at a load, and the sum and the part that attain it; infinite and -1 where none do."""
    best, best_j, best_i = np.inf, -1, -1
    for j in range(sums[0].size):
        for i in range(parts.shape[0]):
            start, end, at_start, rise = _segment(sums[0][j], sums[1][j], sums[2][j], parts[i], slope, offset)
            if load > end * (1 + 1e3 * TINY) or (load < start and parts[i, 0] > 0):
                continue
            cost = at_start + rise * max(min(load, end) - start, 0.0)
            if cost < best:
                best, best_j, best_i = cost, j, i
    return best, best_j, best_i
