"""Maximum-entropy tilting: bend a sample of (input, output) lengths until its means are those wanted.

Among all weightings of the sample with the wanted means, the one nearest to the sample's own (least Kullback-Leibler
divergence) is w_i exp(a x_i + b y_i) / Z (Csiszar, Annals of Probability 3, 1975, theorem 3.1). (a, b) minimise
the convex dual log(sum_i w_i exp(a x_i + b y_i)) - a x - b y, whose gradient is the tilted mean minus the wanted one
and whose Hessian is the tilted covariance; Newton's method with backtracking solves it in a handful of steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray

_TOLERANCE = 1e-10
"""Largest error of a mean, in standard deviations of the sample."""
_MAX_STEPS = 200
_SUFFICIENT_DECREASE = 1e-4
"""Share of the decrease promised by the slope that a step must achieve (Armijo's rule, the usual constant)."""
_SMALLEST_SHARE = 1e-12
_ROUNDING = 1e-15
"""By how much the dual may seem to rise at its minimum, where all its digits are spent."""


def tilt(lengths: npt.ArrayLike, means: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> FloatArray:
    """Weight a sample so that its means are those given, changing it as little as possible.

    Parameters
    ----------
    lengths
        Input and output tokens of each request of the sample, shape (n, 2).
    means
        Wanted mean input and output tokens, shape (2,).
    weights
        Weights that the sample has to begin with, shape (n,), above 0; equal by default.

    Returns
    -------
    numpy.ndarray
        Weights that add up to 1, shape (n,), all above 0 (but for underflow in the last digits).

    Raises
    ------
    InvalidInputError
        If no weights have these means: they lie outside the sample's convex hull. On its edge they are met only
        within the tolerance, by weights that all but vanish elsewhere.
    """
    points = np.asarray(lengths, dtype=float)
    wanted = np.asarray(means, dtype=float)
    start = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    log_start = np.log(start / start.sum())
    own_mean, own_sd = _moments(points, np.exp(log_start))
    scaled: FloatArray = (points - own_mean) / own_sd
    target = (wanted - own_mean) / own_sd
    slope = np.zeros(2)
    for _ in range(_MAX_STEPS):
        tilted, dual = _tilted(scaled, log_start, target, slope)
        mean = tilted @ scaled
        if np.abs(mean - target).max() <= _TOLERANCE:
            return tilted
        covariance = (scaled - mean).T @ (tilted[:, None] * (scaled - mean))
        # Least squares, since the covariance is singular where one length is the same in all requests.
        step = np.linalg.lstsq(covariance, target - mean, rcond=None)[0].astype(float)
        promised = float(step @ (target - mean))
        share = 1.0
        # Near the hull's edge a whole step overshoots.
        while share > _SMALLEST_SHARE and _tilted(scaled, log_start, target, slope + share * step)[1] > (
            dual - _SUFFICIENT_DECREASE * share * promised + _ROUNDING
        ):
            share /= 2
        slope = slope + share * step
    raise InvalidInputError(
        "means of the lengths",
        expected="a point inside the convex hull of the sample",
        found=f"{wanted[0]:g} input and {wanted[1]:g} output tokens",
    )


def _moments(points: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean = weights @ points
    sd = np.sqrt(weights @ (points - mean) ** 2)
    return mean, np.where(sd > 0, sd, 1.0)


def _tilted(
    scaled: FloatArray, log_start: FloatArray, target: FloatArray, slope: FloatArray
) -> tuple[FloatArray, float]:
    """Return the weights that belong to a slope, and the dual there."""
    exponent = log_start + scaled @ slope
    largest = exponent.max()
    weights = np.exp(exponent - largest)
    total = weights.sum()
    return weights / total, float(largest + np.log(total) - slope @ target)
