"""Where the instances of a pool with spare capacity may sit, and the straight parts of curves between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import TINY, FloatArray
from dynaopt.flat_problem import Group
from dynaopt.pool_value import IntArray


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
