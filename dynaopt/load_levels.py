"""Choose the loads at which a curve is measured: few, and close enough for straight lines between them.

A curve is first measured densely where it bends. Of these levels as few as possible are kept, such that the line
between its two neighbours still meets every inner level, and straight lines meet all that were left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Measure = Callable[[float], FloatArray]

# Where the first levels stand, as shares of the last one.
_FIRST_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.96)
# The last load is found to within 1 %, and a gap is not split below this share of the load above it.
_LAST_WITHIN = 0.01
_LAST_STEP = 1.05
_CLOSEST = 0.001
# A level more costs 1; each miss costs as much as some, by a tenth of the tolerance one more, and large ones far more.
_LEVELS_PER_MISS = 3.0
_LEVELS_PER_TOLERANCE = 10.0
_LEVELS_PER_STRICT_MISS = 10.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limits:
    """What a curve must show; the arrays have shape (values,), one for each value that a measurement gives.

    How far a straight line misses a value is judged against the value, or against its `floor` if that is larger.

    Parameters
    ----------
    stop
        The curve ends where a value passes this; infinite where it may rise as it likes.
    relevant
        Up to where straight lines must meet a value; infinite for always. A level at which any value passes this is
        of no use, and only that must be told.
    relevant_from
        From where on they must meet it; 0 for always.
    floor
        Below what a value is too small to judge a miss against.
    tolerance
        By what share the line between its neighbours may miss a level.
    max_measured
        Most loads to measure up to the last.
    """

    stop: FloatArray
    relevant: FloatArray
    relevant_from: FloatArray
    floor: FloatArray
    tolerance: float = 0.018
    max_measured: int = 48


def sample_curve(
    measure: Measure, unloaded: FloatArray, limits: Limits, *, guess: float
) -> tuple[FloatArray, FloatArray]:
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
    loads : numpy.ndarray
        Ascending from 0, shape (levels,).
    values : numpy.ndarray
        Shape (levels, values).
    """
    seen: dict[float, FloatArray] = {0.0: unloaded}

    def at(load: float) -> FloatArray:
        load = rounded(load, 4)
        if load not in seen:
            seen[load] = measure(load)
        return seen[load]

    def passes(load: float) -> bool:
        return bool(np.all(at(load) <= limits.stop))

    last = rounded(find_last(passes, guess, step=_LAST_STEP, within=_LAST_WITHIN), 4)
    for share in _FIRST_SHARES:
        at(last * share)
    loads, values = _up_to(seen, last)
    while len(loads) < limits.max_measured:
        strict, other = _errors_by_kind(loads, values, limits)
        gap = _gap_to_split(loads, strict, limits.tolerance)
        if gap is None:
            gap = _gap_to_split(loads, other, limits.tolerance)
        if gap is None:
            break
        at(0.5 * (loads[gap] + loads[gap + 1]))
        loads, values = _up_to(seen, last)
    kept = fewest_levels(loads, values, limits)
    return loads[kept], values[kept]


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


def left_out_errors(loads: FloatArray, values: FloatArray, limits: Limits) -> FloatArray:
    """Return by what share the line between its neighbours misses each inner level, at worst over its values.

    Parameters
    ----------
    loads, values
        A curve, shapes (levels,) and (levels, values).
    limits
        Which values count, and against what.

    Returns
    -------
    numpy.ndarray
        Shape (levels - 2,).
    """
    return np.maximum(*_errors_by_kind(loads, values, limits))


def fewest_levels(loads: FloatArray, values: FloatArray, limits: Limits) -> list[int]:
    """Choose the fewest levels that meet the tolerance, or miss it least where it cannot be met.

    Parameters
    ----------
    loads, values
        A densely measured curve, shapes (levels,) and (levels, values).
    limits
        Within the tolerance each level kept must be met by the line between its neighbours, as must each left out.

    Returns
    -------
    list of int
        Ascending; the first and the last level are always kept.
    """
    n = len(loads)
    penalty = np.zeros((n, n, n))  # of level j on the line from i to k
    for i in range(n):
        for k in range(i + 2, n):
            share = ((loads[i + 1 : k] - loads[i]) / (loads[k] - loads[i]))[:, None]
            lines = values[i] + share * (values[k] - values[i])
            strict, other = _missed(lines, values[i + 1 : k], limits)
            penalty[i, i + 1 : k, k] = np.maximum(
                _LEVELS_PER_STRICT_MISS * _penalty(strict, limits.tolerance), _penalty(other, limits.tolerance)
            )
    inside = penalty.max(axis=1)
    # cost[i, j]: of the best choice that ends with the levels i and j.
    cost = np.full((n, n), np.inf)
    before = np.zeros((n, n), dtype=int)
    cost[0] = 1 + inside[0]
    for j in range(2, n):
        for i in range(1, j):
            choices = cost[:i, i] + penalty[:i, i, j]
            before[i, j] = int(np.argmin(choices))
            cost[i, j] = 1 + choices[before[i, j]] + inside[i, j]
    kept = [n - 1, int(np.argmin(cost[: n - 1, n - 1]))]
    while kept[-1] != 0:
        kept.append(int(before[kept[-1], kept[-2]]))
    return kept[::-1]


def rounded(value: float, digits: int) -> float:
    """Round to some significant digits."""
    return float(f"{value:.{digits}g}")


def _penalty(errors: FloatArray, tolerance: float) -> FloatArray:
    excess = np.maximum(0.0, errors / tolerance - 1)
    return np.where(excess > 0, _LEVELS_PER_MISS + _LEVELS_PER_TOLERANCE * excess + excess**3, 0.0)


def _errors_by_kind(loads: FloatArray, values: FloatArray, limits: Limits) -> tuple[FloatArray, FloatArray]:
    share = ((loads[1:-1] - loads[:-2]) / (loads[2:] - loads[:-2]))[:, None]
    lines = values[:-2] + share * (values[2:] - values[:-2])
    return _missed(lines, values[1:-1], limits)


def _missed(lines: FloatArray, values: FloatArray, limits: Limits) -> tuple[FloatArray, FloatArray]:
    """Return by what share the lines miss each level, at worst over the values that always count, and over the others.

    A value outside the range in which it is relevant counts as the nearer end; and values with such a range count only
    where either the level itself or the lines pass none of the upper ends.
    """
    clipped = np.clip(values, limits.relevant_from, limits.relevant)
    clipped_lines = np.clip(lines, limits.relevant_from, limits.relevant)
    errors = np.abs(clipped_lines - clipped) / np.maximum(clipped, limits.floor)
    always = np.isinf(limits.relevant)
    usable = np.all(values <= limits.relevant, axis=1) | np.all(lines <= limits.relevant, axis=1)
    strict = errors[:, always].max(axis=1, initial=0.0)
    other = np.where(usable, errors[:, ~always].max(axis=1, initial=0.0), 0.0)
    return strict, other


def _up_to(seen: dict[float, FloatArray], last: float) -> tuple[FloatArray, FloatArray]:
    loads = sorted(load for load in seen if load <= last)
    return np.array(loads), np.array([seen[load] for load in loads])


def _gap_to_split(loads: FloatArray, errors: FloatArray, tolerance: float) -> int | None:
    """Return the wider gap beside the level that is missed most, or None when none is missed that still has room."""
    for inner in np.argsort(-errors):
        if errors[inner] <= tolerance:
            return None
        gap = int(inner) if loads[inner + 1] - loads[inner] > loads[inner + 2] - loads[inner + 1] else int(inner) + 1
        if loads[gap + 1] - loads[gap] > 2 * _CLOSEST * loads[gap + 1]:
            return gap
    return None
