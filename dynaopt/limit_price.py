"""The price at which a single limit just holds: the dual of one row, climbed by tangents.

Let D(price) be the least cost of what serves the arrivals when a limit has a price, less the price of the whole limit.
D is concave, no answer within the limit costs less than D anywhere, and how far the instances found at a price exceed
the limit is the slope of a tangent there. Where the tangents of a price that is too low and of one that is too high
meet is the next to try, and the height of that point is what D cannot exceed: when it is reached, no price is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.price_search import PoolInstances

MAX_RAISES = 6
MAX_TANGENTS = 12
_LEAST_STEP = 1e-4
"""Of the prices between which the best one lies, as a share of the higher: closer ones are the same."""
_SEARCH_GAPS = 40.0
"""How many tolerances from the best bound the peak may be, for the searches that gave the bounds have a gap too."""


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What was found at prices of the limits.

    Parameters
    ----------
    prices
        Of each limit, in watts, shape (limits,).
    loads_rps
        Load of each pool, shape (pools,).
    chosen
        Instances of each pool.
    excess
        How much more of each limit they take up than there is, shape (limits,).
    dual_w
        Their cost, the prices of what they take up beyond the limits among it, in watts.
    bound_w
        No answer within the limits costs less, in watts.
    """

    prices: FloatArray
    loads_rps: FloatArray
    chosen: list[PoolInstances]
    excess: FloatArray
    dual_w: float
    bound_w: float


@dataclass(frozen=True, slots=True, eq=False)
class Bracket:
    """The price of a single limit lies between that of `low`, which exceeds the limit, and that of `high`."""

    low: Tried
    high: Tried

    @property
    def peak(self) -> tuple[float, float]:
        """Where the tangents of both ends meet: a price, in watts, and what no bound exceeds, in watts."""
        low, high = self.low, self.high
        rise, fall = float(low.excess[0]), -float(high.excess[0])
        width = float(high.prices[0] - low.prices[0])
        step = (high.dual_w - low.dual_w + fall * width) / (rise + fall)
        step = min(max(step, 0.0), width)
        return float(low.prices[0]) + step, low.dual_w + rise * step

    @property
    def balance_w(self) -> float:
        """Where the limit would just hold if what is taken up fell evenly with the price, in watts."""
        rise, fall = float(self.low.excess[0]), -float(self.high.excess[0])
        return float(fall * self.low.prices[0] + rise * self.high.prices[0]) / (rise + fall)


def find_bracket(start: Tried, guess_w: float, at: Callable[[float], Tried]) -> Tried | Bracket:
    """Raise the price of a limit until it holds.

    Parameters
    ----------
    start
        What was found without a price, which exceeds the limit.
    guess_w
        A price to begin with, in watts; above 0.
    at
        Tries a price.

    Returns
    -------
    Tried or Bracket
        The last that was tried, if it still exceeds the limit.
    """
    low, price_w = start, guess_w
    for _ in range(MAX_RAISES):
        found = at(price_w)
        if found.excess[0] <= 0:
            return Bracket(low, found)
        # Where a straight line through both would be at 0, and a little more, lest it be missed by a hair.
        fell = float(low.excess[0] - found.excess[0])
        needed = 1.25 * float(found.excess[0]) / fell * (price_w - float(low.prices[0])) if fell > 0 else np.inf
        low, price_w = found, price_w + min(max(needed, price_w), 7 * price_w)
    return low


def close_in(
    bracket: Bracket, at: Callable[[float], Tried], *, tolerance: float, is_over: Callable[[], bool]
) -> Bracket:
    """Try prices between two until none can give a better bound.

    Parameters
    ----------
    bracket
        The two.
    at
        Tries a price.
    tolerance
        How close to the best bound, as a share of it, is close enough.
    is_over
        Whether to stop where it is.
    """
    best_w = max(bracket.low.bound_w, bracket.high.bound_w)
    for _ in range(MAX_TANGENTS):
        price_w, peak_w = bracket.peak
        edge = _LEAST_STEP * float(bracket.high.prices[0])
        # A search proves what it found but for its own gap, or much less where it ran out of nodes.
        near = peak_w - max(bracket.low.dual_w, bracket.high.dual_w) <= tolerance * abs(peak_w)
        if is_over() or (near and peak_w - best_w <= _SEARCH_GAPS * tolerance * abs(peak_w)):
            break
        if min(price_w - bracket.low.prices[0], bracket.high.prices[0] - price_w) <= edge:
            if bracket.high.prices[0] - bracket.low.prices[0] <= 4 * edge:
                break
            price_w = float(bracket.low.prices[0] + bracket.high.prices[0]) / 2
        if 0.9 * bracket.high.prices[0] > bracket.low.prices[0]:
            price_w = (price_w + bracket.balance_w) / 2
        found = at(price_w)
        best_w = max(best_w, found.bound_w)
        bracket = Bracket(found, bracket.high) if found.excess[0] > 0 else Bracket(bracket.low, found)
    return bracket
