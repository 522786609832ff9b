"""What requests are worth, and what a pool costs at least beyond the worth of those that it serves.

Let every request/s of a class be worth some watts. All pools together cost at least what all requests are worth and,
for every pool, the least of its cost beyond the worth of what it may serve at that cost, the most precious first: the
Lagrangian relaxation of the rows that say that every request is served. Whatever the worth, that is a bound, with one
pool at a given load too. The best worth is what one more request costs where arrivals are split over convex pools.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Family, Group
from dynaopt.load_sets import CAN_SERVE, LOWER_SETS, NUM_CLASSES
from dynaopt.load_split import split_load
from dynaopt.pool_value import value_floor
from dynaopt.price_search import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class ModelPools:
    """A model of a group.

    Parameters
    ----------
    group
        The group.
    classes
        The pools of classes.
    mixed
        The mixed pools.
    families
        Those of the model.
    serving
        Which pools may serve each class.
    """

    group: Group
    classes: slice
    mixed: tuple[int, ...]
    families: tuple[Family, ...]
    serving: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, group: Group, m: int) -> ModelPools:
        """Take a model, by its number, from a group."""
        first, families = m * NUM_CLASSES, group.families[m]
        members = {
            family.mixed[0]: np.flatnonzero(family.rates_rps < families[0].rates_rps)
            for family in families
            if len(family.mixed) == 1
        }
        serving = tuple(
            (*(first + p for p in CAN_SERVE[c]), *(p for p, own in members.items() if c in own))
            for c in range(NUM_CLASSES)
        )
        return cls(group, slice(first, first + NUM_CLASSES), tuple(sorted(members)), families, serving)

    @property
    def pools(self) -> list[int]:
        """All pools, as indices into `Group.pools`."""
        return [*range(self.classes.start, self.classes.stop), *self.mixed]

    @property
    def rates_rps(self) -> FloatArray:
        """Arrivals of each class, shape (9,)."""
        return self.families[0].rates_rps

    def families_up_to(self, most_rps: FloatArray) -> tuple[Family, ...]:
        """Return the families with no pool of a class above a load, shape (pools,)."""
        most = most_rps[self.classes]
        return tuple(replace(f, most_rps=np.minimum(f.most_rps, most)) for f in self.families)


class RequestWorth:
    """A worth for the requests of each class of a model.

    Parameters
    ----------
    model
        The model.
    worth_w
        Watts for a request/s of each class, shape (9,).
    beyond_w
        What each pool costs at least beyond the worth of what it serves, in watts; 0 for those that are not named.
    """

    def __init__(self, model: ModelPools, worth_w: FloatArray, beyond_w: dict[int, float] | None = None) -> None:
        self._beyond_w = beyond_w or {}
        rates = model.rates_rps
        self._served: dict[int, tuple[FloatArray, FloatArray]] = {}
        for p in model.pools:
            own = sorted((c for c in range(NUM_CLASSES) if p in model.serving[c]), key=lambda c: -worth_w[c])
            self._served[p] = np.cumsum([0.0, *rates[own]]), np.cumsum([0.0, *(worth_w[own] * rates[own])])
        self.bound_w = float(worth_w @ rates) + sum(self._beyond_w.values())

    def least_beyond(self, p: int, rates_rps: FloatArray, costs: FloatArray) -> float:
        """Return the least of a pool's cost beyond the worth of its requests.

        Parameters
        ----------
        p
            The pool.
        rates_rps, costs
            Its cost, or what that is not below, as a line through points in the order of load.
        """
        loads, worth = self._served[p]
        kinks = loads[(loads > rates_rps[0]) & (loads < rates_rps[-1])]
        at_points = costs - np.interp(rates_rps, loads, worth)
        at_kinks = np.interp(kinks, rates_rps, costs) - np.interp(kinks, loads, worth)
        return float(min(at_points.min(), at_kinks.min(initial=np.inf)))

    def bound_with(self, p: int, line: tuple[float, float], starts_rps: FloatArray, ends_rps: FloatArray) -> float:
        """Return what all pools cost at least when the load of one lies in some intervals.

        Parameters
        ----------
        p
            The pool.
        line
            What it costs at load 0, in watts, and how much more with each request/s; or what that is not below.
        starts_rps, ends_rps
            The intervals, one of them at least, in requests per second.
        """
        loads, worth = self._served[p]
        inside = ((loads[:, None] > starts_rps) & (loads[:, None] < ends_rps)).any(axis=1)
        at = np.concatenate([starts_rps, ends_rps, loads[inside]])
        beyond_w = float((line[0] + line[1] * at - np.interp(at, loads, worth)).min())
        return self.bound_w - self._beyond_w.get(p, 0.0) + beyond_w


def marginal_worth(model: ModelPools, room: Workspace, most_rps: FloatArray, otherwise_w: FloatArray) -> RequestWorth:
    """Return what one more request of each class costs where pools are taken as convex.

    Parameters
    ----------
    model
        The model.
    room
        The value functions of its pools, and a tree to work in.
    most_rps
        Most load of each pool, shape (pools,).
    otherwise_w
        Watts for a request/s of a class that no pool can serve more of, shape (9,).
    """
    family, tree = model.families_up_to(most_rps)[0], room.tree[0]
    loads = split_load(family.rates_rps, family.most_rps, LOWER_SETS, room.pools[model.classes], tree, 1, 0.0)[2]
    hulls = [slice(int(tree["first_point"][p]), int(tree["first_point"][p + 1])) for p in range(NUM_CLASSES)]
    curves = [(tree["point_rps"][hull].copy(), tree["point_cost"][hull].copy()) for hull in hulls]
    rise = [_slope_beyond(*curve, float(load)) for curve, load in zip(curves, loads, strict=True)]
    worth = np.array([min(rise[p] for p in CAN_SERVE[c]) for c in range(NUM_CLASSES)])
    worth = np.where(np.isfinite(worth), worth, otherwise_w)
    floors = {p: value_floor(room.pools[p], model.group.most_rps[p]) for p in model.mixed}
    for p, floor in floors.items():  # a mixed pool that costs less than that makes its members worth less
        own = [c for c in range(NUM_CLASSES) if p in model.serving[c]]
        worth[own] *= min(1.0, floor / max(float(worth[own] @ model.rates_rps[own]), 1e-300))
    plain = RequestWorth(model, worth)
    beyond = {
        model.classes.start + p: plain.least_beyond(model.classes.start + p, *curve) for p, curve in enumerate(curves)
    }
    return RequestWorth(model, worth, beyond)


def _slope_beyond(rates_rps: FloatArray, costs: FloatArray, load: float) -> float:
    """Return the slope of a convex curve just beyond a load; infinite where it ends."""
    at = int(np.searchsorted(rates_rps, load * (1 + 1e-9), side="right"))
    if at >= rates_rps.size:
        return np.inf
    return float((costs[at] - costs[at - 1]) / (rates_rps[at] - rates_rps[at - 1]))
