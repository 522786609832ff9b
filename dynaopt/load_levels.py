"""Choose the loads at which a curve is measured: few, and close enough for straight lines between them.

A curve is first measured densely where it bends or jumps. Of these levels as few as possible are kept, such that the
line between its two neighbours still meets every inner level, and straight lines meet all that were left out.

To *meet* a level is to come within a tolerance of its value, at a load within a tolerance of its own. The second
matters at jumps, which no lines meet in value however close the levels stand: a P99 of the TBT goes from the time of a
decode step to that of a full iteration at the load where one gap in a hundred contains a piece of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Measure = Callable[[float], FloatArray]

# Where the first levels stand, as shares of the last one.
_FIRST_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.96)
_DIGITS = 5
# The last load is found to within 1 %.
_LAST_WITHIN = 0.01
_LAST_STEP = 1.05
# Of the tolerance in load: gaps narrower than the first are not split, and beside a jump a level stands at the second.
_CLOSEST = 0.5
_BESIDE = 0.8
# A jump at no load at all would draw levels towards it for ever: gaps narrower than this share of the last load stay.
_LEAST_GAP = 1e-7
# A level more costs 1; each miss costs as much as some, by a tenth of the tolerance one more, and large ones far more.
_LEVELS_PER_MISS = 3.0
_LEVELS_PER_TOLERANCE = 10.0
_LEVELS_PER_STRICT_MISS = 10.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limits:
    """What a curve must show; the arrays have shape (values,), one for each value that a measurement gives.

    Parameters
    ----------
    stop
        The curve ends where a value passes this; infinite where it may rise as it likes.
    relevant
        Up to where straight lines must meet a value; infinite for always. A level at which any value passes this is
        of no use, and only that must be told.
    relevant_from
        From where on they must meet it; 0 for always.
    everywhere
        Values that must be met also where a level is of no use, and at its very load.
    tolerance
        By what share the line between its neighbours may miss the value of a level.
    load_tolerance
        By what share of the load it may do so earlier or later.
    max_measured
        Most loads to measure up to the last; where lines still miss something then, and there is room for levels, twice
        as many.
    """

    stop: FloatArray
    relevant: FloatArray
    relevant_from: FloatArray
    everywhere: BoolArray
    tolerance: float = 0.018
    load_tolerance: float = 0.0018
    max_measured: int = 96


class Levels(NamedTuple):
    """Some levels of a curve: their loads, shape (levels,), and the values there, shape (levels, values)."""

    loads: FloatArray
    values: FloatArray


def sample_curve(measure: Measure, unloaded: FloatArray, limits: Limits, *, guess: float) -> Levels:
    """Measure a curve at loads of its own choice.

    Parameters
    ----------
    measure
        Gives the values at a load above 0; always the same for the same load.
    unloaded
        The values at load 0.
    limits
        What to show, and how well.
    guess
        A load close to the last one.

    Returns
    -------
    Levels
        Ascending from load 0.
    """
    seen: dict[float, FloatArray] = {0.0: unloaded}

    def at(load: float) -> FloatArray:
        load = rounded(load, _DIGITS)
        if load not in seen:
            seen[load] = measure(load)
        return seen[load]

    def passes(load: float) -> bool:
        """Tell whether the curve goes on at a load."""
        return bool(np.all(at(load) <= limits.stop))

    last = rounded(find_last(passes, guess, step=_LAST_STEP, within=_LAST_WITHIN), _DIGITS)
    for share in _FIRST_SHARES:
        at(last * share)
    for most in (limits.max_measured, 2 * limits.max_measured):
        levels = _up_to(seen, last)
        while len(levels.loads) < most and (load := _next_load(levels, limits)) is not None:
            at(load)
            levels = _up_to(seen, last)
        kept = fewest_levels(levels, limits)
        chosen = Levels(levels.loads[kept], levels.values[kept])
        if np.all(left_out_errors(chosen, limits) <= limits.tolerance):
            break
    return chosen


def find_last(passes: Callable[[float], bool], guess: float, *, step: float, within: float) -> float:
    """Return the last load that passes, from below.

    Parameters
    ----------
    passes
        Tells whether a load passes; if one does, so does every lighter one, and some load does.
    guess
        Where to begin.
    step
        By what factor to go up or down until the answer is enclosed.
    within
        How far the answer may lie below the last load that passes, as a share of it.
    """
    if passes(guess):
        low, high = guess, step * guess
        while passes(high):
            low, high = high, step * high
    else:
        low, high = guess / step, guess
        while not passes(low):
            low, high = low / step, low
    while high > low * (1 + within):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def left_out_errors(levels: Levels, limits: Limits) -> FloatArray:
    """Return by what share the line between its neighbours misses each value of each inner level.

    Parameters
    ----------
    levels
        A curve.
    limits
        Which values count, and where.

    Returns
    -------
    numpy.ndarray
        Shape (levels - 2, values). A miss in load that is allowed is none; 0 where a value does not count.
    """
    loads, values = levels
    return _missed(
        Levels(loads[1:-1], values[1:-1]), Levels(loads[:-2], values[:-2]), Levels(loads[2:], values[2:]), limits
    )


def fewest_levels(levels: Levels, limits: Limits) -> list[int]:
    """Choose the fewest levels that meet the tolerance, or miss it least where it cannot be met.

    Parameters
    ----------
    levels
        A densely measured curve.
    limits
        Within the tolerance each level kept must be met by the line between its neighbours, as must each left out.

    Returns
    -------
    list of int
        Ascending; the first and the last level are always kept.
    """
    loads, values = levels
    n = len(loads)
    penalty = np.zeros((n, n, n))  # of level j on the line from i to k
    for i in range(n - 2):
        j, k = np.triu_indices(n - i - 1, 1) + np.array([[i + 1], [i + 1]])
        left = Levels(loads[i : i + 1], values[i : i + 1])
        errors = _missed(Levels(loads[j], values[j]), left, Levels(loads[k], values[k]), limits)
        penalty[i, j, k] = _penalty(errors, limits)
    inside = penalty.max(axis=1)
    # cost[i, j]: of the best choice that ends with the levels i and j.
    cost = np.full((n, n), np.inf)
    before = np.zeros((n, n), dtype=int)
    cost[0, 1:] = 1 + inside[0, 1:]
    for j in range(2, n):
        choices = cost[:, 1:j] + penalty[:, 1:j, j]
        before[1:j, j] = np.argmin(choices, axis=0)
        cost[1:j, j] = 1 + choices.min(axis=0) + inside[1:j, j]
    kept = [n - 1, int(np.argmin(cost[: n - 1, n - 1]))]
    while kept[-1] != 0:
        kept.append(int(before[kept[-1], kept[-2]]))
    return kept[::-1]


def rounded(value: float, digits: int) -> float:
    """Round to some significant digits."""
    return float(f"{value:.{digits}g}")


def _penalty(errors: FloatArray, limits: Limits) -> FloatArray:
    excess = np.maximum(0.0, errors / limits.tolerance - 1)
    penalty = np.where(excess > 0, _LEVELS_PER_MISS + _LEVELS_PER_TOLERANCE * excess + excess**3, 0.0)
    worst: FloatArray = (np.where(limits.everywhere, _LEVELS_PER_STRICT_MISS, 1.0) * penalty).max(axis=1)
    return worst


def _missed(inner: Levels, left: Levels, right: Levels, limits: Limits) -> FloatArray:
    """Return by what share the lines between other levels miss each value of the inner ones, shape (inner, values).

    A value outside the range in which it is relevant counts as the nearer end; and but for those that count
    everywhere, values count only where either the level itself or the line passes none of the upper ends.
    """
    slopes = (right.values - left.values) / (right.loads - left.loads)[:, None]

    def lines(loads: FloatArray) -> FloatArray:
        return left.values + (loads - left.loads)[:, None] * slopes

    exact = lines(inner.loads)
    earlier = lines(np.maximum(left.loads, inner.loads * (1 - limits.load_tolerance)))
    later = lines(np.minimum(right.loads, inner.loads * (1 + limits.load_tolerance)))
    low = np.where(limits.everywhere, exact, np.minimum(earlier, later))
    high = np.where(limits.everywhere, exact, np.maximum(earlier, later))
    low, values, high = (np.clip(v, limits.relevant_from, limits.relevant) for v in (low, inner.values, high))
    errors = np.maximum(0.0, np.maximum(low - values, values - high)) / values
    usable = np.all(inner.values <= limits.relevant, axis=1) | np.all(exact <= limits.relevant, axis=1)
    counted: FloatArray = np.where(usable[:, None] | limits.everywhere, errors, 0.0)
    return counted


def _up_to(seen: dict[float, FloatArray], last: float) -> Levels:
    loads = sorted(load for load in seen if load <= last)
    return Levels(np.array(loads), np.array([seen[load] for load in loads]))


def _next_load(levels: Levels, limits: Limits) -> float | None:
    """Return where to measure next: beside the level that is missed most, of those around which there still is room."""
    errors = left_out_errors(levels, limits)
    loads, values = levels.loads, np.clip(levels.values, limits.relevant_from, limits.relevant)
    changes = np.abs(np.diff(values, axis=0)) / values[:-1]
    worst = errors.max(axis=1)
    for inner in np.argsort(-worst):
        if worst[inner] <= limits.tolerance:
            return None
        # The gap in which the missed value changes most is split; a jump there in the end is narrow enough.
        value = int(np.argmax(errors[inner]))
        gap, other = (inner, inner + 1) if changes[inner, value] > changes[inner + 1, value] else (inner + 1, inner)
        load, step = loads[inner + 1], limits.load_tolerance * loads[inner + 1]
        if loads[gap + 1] - loads[gap] > max(2 * _CLOSEST * step, _LEAST_GAP * loads[-1]):
            return float(0.5 * (loads[gap] + loads[gap + 1]))
        if loads[other + 1] - loads[other] > max(step, _LEAST_GAP * loads[-1]):
            return float(load + _BESIDE * (step if other > gap else -step))
    return None
