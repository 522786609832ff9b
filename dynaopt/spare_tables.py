"""The tables of what a model's pools with spare capacity cost, no more exact than an answer needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from dynaopt.price_search import PoolInstances, Workspace, pool_instances
from dynaopt.request_worth import ModelPools, RequestWorth, marginal_worth
from dynaopt.spare_points import Points
from dynaopt.spare_range import SpareRange, sizes_of
from dynaopt.spare_sums import dual_prices
from dynaopt.value_table import MAX_RANGES, append_range, clear_table

RATIO = 1.6
"""Of the ends of a range."""
MARGIN = 1e-6
"""By how much tables go beyond what can be needed, so that no load lies beyond them for a rounding error."""
HALVINGS = 40


class SpareTables:
    """The tables of a model's pools.

    Parameters
    ----------
    points
        Of each pool of the group.
    reserve
        As in `Cluster`, not 0.
    model
        The model.
    best
        A cost that is possible; loads that cannot be part of a better answer are left out.
    """

    def __init__(
        self, points: Sequence[Points], reserve: float | Literal["n+1"], model: ModelPools, best: float
    ) -> None:
        self._model = model
        able = [p for p in model.pools if points[p].point.size]
        slope = 1.0 if reserve == "n+1" else 1 / (1 - reserve)
        least = {p: _least_per_request(points[p], slope) for p in able}
        self._least_w = np.array([min((least[p] for p in own if p in least), default=0.0) for own in model.serving])
        self._worth = RequestWorth(model, self._least_w)
        full = [float(points[p].point[points[p].point[:, 0] > 0, 2].min()) for p in able]
        self.unit = max(min(full), 1e-9 * best, 1e-9)
        self.most_rps = np.zeros(model.group.most_rps.size)
        self._ranges: dict[int, list[SpareRange]] = {}
        for p in able:
            most = self._most(p, least[p], best)
            if most > 0:
                self.most_rps[p] = most
                size = float(points[p].point[:, 1].min())
                ends = _ends(most * (1 + MARGIN), size, is_mixed=p in model.mixed)
                cases = sizes_of(points[p], reserve)
                self._ranges[p] = [SpareRange(cases, a, b) for a, b in pairwise(ends)]
                if p in model.mixed:
                    self._ranges[p][0].is_full = True  # a mixed pool is never asked for less than all

    def raise_to(self, budget: float, best: float, deadline_s: float) -> bool:
        """Make V known within a budget, in every range of load, as far as that is of use.

        Parameters
        ----------
        budget
            Above the line of the range.
        best
            A cost that is possible: what leads to none below is of no use.
        deadline_s
            When, on `time.perf_counter`, to stop.

        Returns
        -------
        bool
            Whether more would be of use anywhere, and possible.
        """
        rises = False
        for p, own in self._ranges.items():
            for one in own:
                if time.perf_counter() > deadline_s:
                    return False
                useful = self._useful_budget(p, one, best)
                if useful > one.budget and not one.is_full:
                    one.raise_to(min(budget, useful))
                    rises |= self._useful_budget(p, one, best) > one.budget and not one.is_full
        return rises

    def _useful_budget(self, p: int, one: SpareRange, best: float) -> float:
        """Return up to how much above the line V may be part of a better answer, at loads where it is not known."""
        starts, ends = one.unknown
        return best - self._worth.bound_with(p, one.line, starts, ends) if starts.size else 0.0

    def write(self, room: Workspace) -> None:
        """Write the tables into the value functions of a workspace, and learn from them what requests are worth."""
        for p in self._model.pools:
            _write(self._ranges.get(p, []), room.pools[p])
        worth = marginal_worth(self._model, room, self.most_rps, self._least_w)
        if worth.bound_w > self._worth.bound_w:
            self._worth = worth

    def instances(self, p: int, load_rps: float) -> PoolInstances:
        """Return the instances that attain V at a load at which it is known."""
        own = next(one for one in self._ranges[p] if load_rps <= one.high_rps)
        return pool_instances(self._model.group, own.cheapest(load_rps))

    def _most(self, p: int, least: float, best: float) -> float:
        """Return the highest load at which a pool may be part of a better answer, at so much for each request."""

        def is_useful(load_rps: float) -> bool:
            """Tell whether it may be with this load."""
            at = np.array([load_rps])
            return self._worth.bound_with(p, (0.0, least), at, at) <= best

        low, high = 0.0, float(self._model.group.most_rps[p])
        if p in self._model.mixed or is_useful(high):
            return high
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if is_useful(middle) else (low, middle)
        return high


def _write(ranges: Sequence[SpareRange], pool: npt.NDArray[np.void] | np.void) -> None:
    """Write ranges, end to end, into a record of `POOL`."""
    clear_table(pool["table"])
    for one in ranges:
        append_range(one.envelope[0], one.low_rps, pool["table"])
    pool["num_items"] = min(len(ranges), 1)
    pool["num_vertices"], pool["limit_rps"], pool["first_repeated"] = pool["table"]["num_marks"], np.inf, -1


def _least_per_request(points: Points, slope: float) -> float:
    """Return what a request/s costs at least, with the capacity for it."""
    load, capacity, cost = (np.ascontiguousarray(column) for column in points.point.T)
    load_price, capacity_price, _ = dual_prices(load, capacity, cost, 1.0, slope, 0.0)
    return float(load_price + slope * capacity_price)


def _ends(most_rps: float, size_rps: float, *, is_mixed: bool) -> list[float]:
    """Return the ends of the ranges of a table; a mixed pool is asked for one load only."""
    if is_mixed:
        return [0.0, most_rps * (1 - 1e-3), most_rps]
    ends = [most_rps]
    while ends[0] > size_rps / 2 and len(ends) < MAX_RANGES:
        ends.insert(0, ends[0] / RATIO)
    return [0.0, *ends]
