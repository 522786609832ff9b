"""What it means that a request keeps its time between tokens: said once, for simulator, replay and imports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GAPS_PER_SLOW_ONE = 100
"""A request keeps a bound on its TBT if at most one in so many of its gaps, rounded down, is longer."""


def tail_gap_s(gaps_s: Sequence[float]) -> float:
    """Return the shortest bound that the gaps between the tokens of a request keep, in seconds; 0 without any.

    Parameters
    ----------
    gaps_s
        All of its gaps, in seconds.
    """
    if len(gaps_s) == 0:
        return 0.0
    return float(np.sort(np.asarray(gaps_s, dtype=np.float64))[-1 - len(gaps_s) // GAPS_PER_SLOW_ONE])
