"""What a pool with spare capacity costs over a range of loads: exact where it is cheap, with a floor under the rest.

A pool that serves L must have a capacity of a L + b: a share rho asks for L / (1 - rho), N+1 for L and one more of its
largest instance. Which that is makes a *case* of N+1: with none larger than c, the capacity L + c is needed, and V is
the least over all c.

Every case has prices (`spare_sums`) that make a line in L which it does not cost less than. Its sums of small reduced
cost, one more instance beside each, give segments; the envelope of the segments of all cases and of a floor, a budget
above the lowest line, is V where it lies below that floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dynaopt.envelope import ABSENT, ENVELOPE, MAX_PIECES, FloatArray
from dynaopt.pool_value import IntArray
from dynaopt.spare_points import Points
from dynaopt.spare_segments import cheapest_at, collect_segments, draw_envelope
from dynaopt.spare_sums import dual_prices, undominated_sums

ROOMS = 2_000, 20_000, 400_000
"""For the sums of a case; where even the last does not suffice, the budget is too large."""
CELLS = 512
MAX_SEGMENTS = 20_000
Part = tuple[int, int, float]
_NO_ROOM = np.empty((0, 4))


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Undominated sums of a case; see `spare_sums.undominated_sums`."""

    load: FloatArray
    capacity: FloatArray
    cost: FloatArray
    node: IntArray
    before: IntArray
    added: IntArray

    @property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load, capacity and cost."""
        return self.load, self.capacity, self.cost


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """Which instances a pool may have, and what its load asks for then.

    Parameters
    ----------
    points
        Those of the instances.
    slope, offset_rps
        The capacity that load L needs is slope L + offset.
    number
        How many instances an open pool has at least.
    """

    points: Points
    slope: float
    offset_rps: float
    number: int


def sizes_of(points: Points, reserve: float | Literal["n+1"]) -> tuple[Sizes, ...]:
    """Return the cases of a pool whose reserve is not 0."""
    if reserve == "n+1":
        return tuple(Sizes(points.up_to(c), 1.0, c, 2) for c in np.unique(points.point[:, 1]).tolist())
    return (Sizes(points.up_to(np.inf), 1 / (1 - reserve), 0.0, 1),)


class Case:
    """A case over a range of loads."""

    def __init__(self, sizes: Sizes, most_rps: float) -> None:
        points = sizes.points
        self.parts, self.part_option = points.part, points.part_option
        self.slope, self.offset_rps = sizes.slope, sizes.offset_rps
        self._most = most_rps, self.slope * most_rps + self.offset_rps, sizes.number
        load, capacity, cost = (np.ascontiguousarray(column) for column in points.point.T)
        self._prices = dual_prices(load, capacity, cost, most_rps, self._most[1], float(sizes.number))
        reduced = cost - self._prices[0] * load - self._prices[1] * capacity
        order = np.argsort(reduced, kind="stable")
        self._point = load[order], capacity[order], cost[order]
        self._option = points.point_option[order]
        self.line = (
            self._prices[1] * self.offset_rps + self._prices[2] * sizes.number,
            self._prices[0] + self._prices[1] * self.slope,
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

    def instances(self, sums: Sums, j: int) -> list[Part]:
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
    cases
        Those of the pool.
    low_rps, high_rps
        The range, in requests per second.
    """

    def __init__(self, cases: Sequence[Sizes], low_rps: float, high_rps: float) -> None:
        self.low_rps, self.high_rps = low_rps, high_rps
        self._cases = [Case(sizes, high_rps) for sizes in cases]
        self.line = min(self._cases, key=lambda case: case.bound(high_rps)).line
        self.budget = 0.0
        self.is_full = False
        self._runs: list[tuple[Case, Sums]] = []
        self._draw([])

    def raise_to(self, budget: float) -> bool:
        """Make V known as far as it lies within a budget above the line; return whether that was possible.

        Where it was not, for there are too many sums or pieces, `is_full` says so, and V is known a part of the way.
        """
        start = self.budget
        self.is_full = not self._raise_to(budget)
        if self.is_full and not self._raise_to((start + budget) / 2):
            self._raise_to((3 * start + budget) / 4)
        return not self.is_full

    def _raise_to(self, budget: float) -> bool:
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

    @property
    def unknown(self) -> tuple[FloatArray, FloatArray]:
        """Starts and ends of the loads at which V is not known, in requests per second."""
        drawn = self.envelope[0]
        n = int(drawn["num_pieces"])
        breaks, at = self.low_rps + drawn["break_rps"][: n + 1], np.flatnonzero(drawn["option"][:n] < 0)
        return breaks[at], breaks[at + 1]

    def cheapest(self, load_rps: float) -> list[Part]:
        """Return the instances that attain V at a load at which it is known."""
        best, found = np.inf, None
        for case, sums in self._runs:
            cost, j, i = cheapest_at(sums.arrays, case.parts, case.slope, case.offset_rps, load_rps)
            if cost < best:
                best, found = cost, (case, sums, j, i)
        if found is None:
            return []
        case, sums, j, i = found
        parts = case.instances(sums, j)
        if case.part_option[i] >= 0:
            parts.append((int(case.part_option[i]), 1, max(load_rps - float(sums.load[j]), 0.0)))
        return _carrying(parts, load_rps)

    def _draw(self, runs: list[tuple[Case, Sums]]) -> bool:
        """Write the envelope of the floor and of all segments that come to lie below it."""
        floor = self.line[0] + self.budget, self.line[1]
        window = self.low_rps, self.high_rps
        segments, least, n = np.empty((MAX_SEGMENTS, 4)), np.full(CELLS, ABSENT), 0
        for room in (_NO_ROOM, segments):
            for case, sums in runs:
                shape = case.parts, case.slope, case.offset_rps
                n = collect_segments(sums.arrays, *shape, window, floor, least, room, n)
            least = np.minimum.accumulate(least[::-1])[::-1].copy()
        if n > MAX_SEGMENTS:
            return False
        drawn = np.zeros(1, ENVELOPE)
        draw_envelope(segments[:n], window, floor, drawn, np.zeros(2, ENVELOPE))
        if drawn[0]["num_pieces"] == MAX_PIECES:
            return False
        self.envelope = drawn
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
