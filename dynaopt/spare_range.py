"""What a pool with spare capacity costs over a range of loads: exact where it is cheap, with a floor under the rest.

A pool that serves L must have a capacity of a L + b: a share rho asks for L / (1 - rho), N+1 for L and one more of its
largest instance. Which that is makes a *case* of N+1: with none larger than c, the capacity L + c is needed, and V is
the least over all c.

Every case has prices (`spare_sums`) that make a line in L which it does not cost less than. Its sums of small reduced
cost, one more instance beside each, give segments; the envelope of the segments of all cases and of a floor, a budget
above the lowest line, is V where it lies below that floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import ABSENT, ENVELOPE, TINY, FloatArray, merge
from dynaopt.flat_problem import Group
from dynaopt.jit import compiled
from dynaopt.pool_value import IntArray
from dynaopt.spare_sums import dual_prices, undominated_sums

ROOMS = 2_000, 20_000, 400_000
"""For the sums of a case; where even the last does not suffice, the budget is too large."""
CELLS = 512
MAX_SEGMENTS = 20_000
Part = tuple[int, int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Where instances of a pool may sit, all but one, and the straight parts of their curves on which that one is.

    Parameters
    ----------
    point
        Load, capacity and cost of each point, shape (points, 3).
    point_option
        Its option.
    part
        Load and cost at both ends of each straight part, and the capacity, shape (parts, 5).
    part_option
        Its option; -1 for no instance at all.
    """

    point: FloatArray
    point_option: IntArray
    part: FloatArray
    part_option: IntArray

    def up_to(self, capacity_rps: float) -> Points:
        """Return those of instances no larger than a capacity, dominated points left out."""
        small = np.flatnonzero(self.point[:, 1] <= capacity_rps * (1 + TINY))
        kept = small[_undominated(self.point[small])]
        parts = self.part[:, 4] <= capacity_rps * (1 + TINY)
        return Points(self.point[kept], self.point_option[kept], self.part[parts], self.part_option[parts])


def points_of(group: Group, cost: FloatArray, p: int) -> Points:
    """Return the points and parts of a pool's options.

    Parameters
    ----------
    group
        The options.
    cost
        Cost of an instance at each of `group.breaks_rps`.
    p
        The pool.
    """
    points, point_option, parts, part_option = [], [], [(0.0, 0.0, 0.0, 0.0, 0.0)], [-1]
    for k in group.pool_options(p):
        at = slice(int(group.first_point[k]), int(group.first_point[k + 1]))
        rates, own = group.breaks_rps[at], cost[at]
        slopes = np.diff(own) / np.diff(rates)
        turns = np.concatenate([[True], slopes[1:] > slopes[:-1] * (1 + 1e-9), [True]])
        points += [(rates[i], rates[-1], own[i]) for i in np.flatnonzero(turns)]
        point_option += [k] * int(turns.sum())
        parts += [(rates[i], rates[i + 1], own[i], own[i + 1], rates[-1]) for i in range(rates.size - 1)]
        part_option += [k] * (rates.size - 1)
    return Points(
        np.array(points).reshape(-1, 3), np.array(point_option, np.int64), np.array(parts), np.array(part_option)
    )


def _undominated(point: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which points no other one stands in for, of those alike the first."""
    one, other = point[:, None, :], point[None, :, :]
    as_good = (other[..., :2] >= one[..., :2]).all(axis=2) & (other[..., 2] <= one[..., 2])
    alike = (other == one).all(axis=2)
    first = np.tril(alike, -1).any(axis=1)
    dominated: npt.NDArray[np.bool_] = (as_good & ~alike).any(axis=1) | first
    return ~dominated


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Undominated sums of a case; see `spare_sums.undominated_sums`."""

    load: FloatArray
    capacity: FloatArray
    cost: FloatArray
    node: IntArray
    before: IntArray
    added: IntArray


class Case:
    """Pools with none but some sizes of instances, over a range of loads."""

    def __init__(self, points: Points, slope: float, offset_rps: float, number: int, most_rps: float) -> None:
        self.points, self.slope, self.offset_rps = points, slope, offset_rps
        self._most = most_rps, slope * most_rps + offset_rps, number
        load, capacity, cost = (np.ascontiguousarray(column) for column in points.point.T)
        self._prices = dual_prices(load, capacity, cost, most_rps, self._most[1], float(number))
        reduced = cost - self._prices[0] * load - self._prices[1] * capacity
        order = np.argsort(reduced, kind="stable")
        self._point = load[order], capacity[order], cost[order]
        self._option = points.point_option[order]
        self.line = (
            self._prices[1] * offset_rps + self._prices[2] * number,
            self._prices[0] + self._prices[1] * slope,
        )
        self._found: tuple[float, Sums] | None = None

    def bound(self, load_rps: float) -> float:
        """Return what the pool does not cost less than at a load."""
        return self.line[0] + self.line[1] * load_rps

    def sums(self, budget: float) -> Sums | None:
        """Return the sums within a budget above the line; None where there are too many."""
        if self._found is None or self._found[0] < budget:
            for room in ROOMS:
                found = Sums(*undominated_sums(*self._point, self._prices, self._most, budget, room))
                if found.load.size > 0:
                    self._found = budget, found
                    break
            else:
                return None
        return self._found[1]

    def parts(self, sums: Sums, j: int) -> list[Part]:
        """Return the instances of a sum as parts."""
        counts = np.zeros(self._option.size, dtype=np.int64)
        node = int(sums.node[j])
        while sums.before[node] >= 0:
            counts[sums.added[node]] += 1
            node = int(sums.before[node])
        at = np.flatnonzero(counts)
        return [(int(self._option[i]), int(counts[i]), float(self._point[0][i])) for i in at]


class SpareRange:
    """V of a pool over the loads above `low_rps` and up to `high_rps`.

    Parameters
    ----------
    points
        Those of the pool.
    reserve
        As in `Cluster`, not 0.
    low_rps, high_rps
        The range, in requests per second.
    """

    def __init__(self, points: Points, reserve: float | Literal["n+1"], low_rps: float, high_rps: float) -> None:
        self.low_rps, self.high_rps = low_rps, high_rps
        if reserve == "n+1":
            sizes = np.unique(points.point[:, 1])
            self._cases = [Case(points.up_to(c), 1.0, float(c), 2, high_rps) for c in sizes.tolist()]
        else:
            self._cases = [Case(points.up_to(np.inf), 1 / (1 - float(reserve)), 0.0, 1, high_rps)]
        self.line = min(self._cases, key=lambda case: case.bound(high_rps)).line
        self.budget = 0.0
        self._runs: list[tuple[Case, Sums]] = []
        self.envelope = np.zeros(1, ENVELOPE)
        self._draw([])

    def raise_to(self, budget: float) -> bool:
        """Make V known as far as it lies within a budget above the line; return whether that was possible."""
        floor = self.line[0] + budget, self.line[1]
        runs = []
        for case in self._cases:
            above = max(floor[0] + floor[1] * x - case.bound(x) for x in (self.low_rps, self.high_rps))
            sums = case.sums(above) if above >= 0 else None
            if above >= 0 and sums is None:
                return False
            if sums is not None:
                runs.append((case, sums))
        before, self.budget = self.budget, budget
        if not self._draw(runs):
            self.budget = before
            return False
        self._runs = runs
        return True

    def cheapest(self, load_rps: float) -> list[Part]:
        """Return the instances that attain V at a load at which it is known."""
        best, found = np.inf, None
        for case, sums in self._runs:
            cost, j, i = _cheapest(
                sums.load, sums.capacity, sums.cost, case.points.part, case.slope, case.offset_rps, load_rps
            )
            if cost < best:
                best, found = cost, (case, sums, j, i)
        if found is None:
            return []
        case, sums, j, i = found
        parts = case.parts(sums, j)
        if case.points.part_option[i] >= 0:
            parts.append((int(case.points.part_option[i]), 1, max(load_rps - float(sums.load[j]), 0.0)))
        return _carrying(parts, load_rps)

    def _draw(self, runs: list[tuple[Case, Sums]]) -> bool:
        """Write the envelope of the floor and of all segments that come to lie below it."""
        floor = self.line[0] + self.budget, self.line[1]
        segments, least = np.empty((MAX_SEGMENTS, 4)), np.full(CELLS, ABSENT)
        window = self.low_rps, self.high_rps
        for emits in (False, True):
            n = 0
            for case, sums in runs:
                arrays = sums.load, sums.capacity, sums.cost, case.points.part, case.slope, case.offset_rps
                n = _segments(*arrays, window, floor, least, emits, segments, n)
            least = np.minimum.accumulate(least[::-1])[::-1].copy()
        if n > MAX_SEGMENTS:
            return False
        _envelope_of(segments[:n], window, floor, self.envelope, np.zeros(2, ENVELOPE))
        return True


def _carrying(parts: list[Part], load_rps: float) -> list[Part]:
    """Take from instances what they carry beyond a load: where a sum stands for a smaller one of the same cost."""
    found, beyond = [], sum(n * rate for _, n, rate in parts) - load_rps
    for k, n, rate in parts:
        emptied = min(n, int(beyond / rate * (1 + 1e-12))) if rate > 0 and beyond > 0 else 0
        beyond -= emptied * rate
        found += [(k, emptied, 0.0)] * (emptied > 0)
        if emptied < n and rate > 0 and beyond != 0:
            found.append((k, 1, rate - beyond))
            emptied, beyond = emptied + 1, 0.0
        found += [(k, n - emptied, rate)] * (emptied < n)
    return found


@compiled
def _segments(
    load: FloatArray,
    capacity: FloatArray,
    cost: FloatArray,
    part: FloatArray,
    slope: float,
    offset: float,
    window: tuple[float, float],
    floor: tuple[float, float],
    least: FloatArray,
    emits: bool,
    segments: FloatArray,
    n: int,
) -> int:
    """Go through what every sum and one more instance cost over the range, as straight segments.

    The first time, `least` receives for each cell of the range the least cost at its right end. The second time, the
    segments that are somewhere no higher than that of the cell are written: ends and costs. Returns how many there are.
    """
    low, high = window
    width = (high - low) / least.size
    for j in range(load.size):
        for i in range(part.shape[0]):
            start, end = load[j] + part[i, 0], min(load[j] + part[i, 1], high)
            served = (capacity[j] + part[i, 4] - offset) / slope  # the most that so much capacity is enough for
            at_start = cost[j] + part[i, 2]
            end = min(end, served)
            if end <= low or (end < start and part[i, 0] > 0):
                continue
            rise = 0.0
            if end < start:
                start = end
            elif part[i, 1] > part[i, 0]:
                rise = (part[i, 3] - part[i, 2]) / (part[i, 1] - part[i, 0])
            if start < low:
                at_start += rise * (low - start)
                start = low
            at_end = at_start + rise * (end - start)
            if at_start > floor[0] + floor[1] * start and at_end > floor[0] + floor[1] * end:
                continue
            first, last = int((start - low) / width), min(int((end - low) / width), least.size)
            if end >= high:
                last = least.size
            if emits:
                keep = False
                for cell in range(min(first, least.size - 1), min(last, least.size - 1) + 1):
                    if at_start + rise * max(low + cell * width - start, 0.0) <= least[cell] * (1 + TINY):
                        keep = True
                        break
                if keep:
                    if n < segments.shape[0]:
                        segments[n, 0], segments[n, 1], segments[n, 2], segments[n, 3] = start, end, at_start, at_end
                    n += 1
                continue
            if first > 0:
                least[first - 1] = min(least[first - 1], at_start)
            for cell in range(first, last):
                least[cell] = min(least[cell], at_start + rise * (min(low + (cell + 1) * width, end) - start))
    return n


@compiled
def _envelope_of(
    segments: FloatArray, window: tuple[float, float], floor: tuple[float, float], out: npt.NDArray[np.void], scratch: npt.NDArray[np.void]
) -> None:
    """Merge segments, each good for all smaller loads too, and the floor into one envelope, loads counted from `low`."""
    low, high = window
    rates, costs, now = np.zeros(3), np.zeros(3), 0
    rates[1], costs[0], costs[1] = high - low, floor[0] + floor[1] * low, floor[0] + floor[1] * high
    scratch[0].num_pieces = 0
    merge(scratch[0], rates[:2], costs[:2], -1, scratch[1])
    now = 1
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
    _copy(scratch[now], out[0])


@compiled
def _copy(source: np.void, target: np.void) -> None:
    n = source.num_pieces
    target.num_pieces = n
    target.break_rps[0] = 0.0
    for i in range(n):
        target.break_rps[i + 1] = source.break_rps[i + 1]
        target.left[i], target.right[i], target.option[i] = source.left[i], source.right[i], source.option[i]


@compiled
def _cheapest(
    load: FloatArray,
    capacity: FloatArray,
    cost: FloatArray,
    part: FloatArray,
    slope: float,
    offset: float,
    at: float,
) -> tuple[float, int, int]:
    """Return the least cost at a load, the sum and the part that attain it."""
    best, best_j, best_i = np.inf, -1, -1
    for j in range(load.size):
        for i in range(part.shape[0]):
            if capacity[j] + part[i, 4] < (slope * at + offset) * (1 - TINY):
                continue
            x = at - load[j]
            if x > part[i, 1] * (1 + TINY) + TINY * at or x < part[i, 0] and part[i, 0] > 0:
                continue
            rise = (part[i, 3] - part[i, 2]) / (part[i, 1] - part[i, 0]) if part[i, 1] > part[i, 0] else 0.0
            total = cost[j] + part[i, 2] + rise * min(max(x - part[i, 0], 0.0), part[i, 1] - part[i, 0])
            if total < best:
                best, best_j, best_i = total, j, i
    return best, best_j, best_i


