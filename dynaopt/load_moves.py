"""Improves the loads of pools by moving all that can be moved from one pool to another, as long as that pays.

Nothing moves out of a mixed pool or into it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group
from dynaopt.load_sets import LOWER_SETS, NUM_CLASSES

MAX_MOVES = 6
LEAST_SAVING = 1e-6


def improve(
    loads_rps: FloatArray, group: Group, cost: Callable[[int, float], float], deadline_s: float = np.inf
) -> FloatArray:
    """Move load between pools.

    Parameters
    ----------
    loads_rps
        Loads that can be served, shape (pools,).
    group
        The pools.
    cost
        What a pool costs at a load; infinite where it cannot serve it.
    deadline_s
        When, on `time.perf_counter`, to stop; never by default.

    Returns
    -------
    numpy.ndarray
        Loads that can be served and cost no more, shape (pools,).
    """
    loads, left = loads_rps.copy(), [family.rates_rps for family in group.open_families(loads_rps)]
    for _ in range(MAX_MOVES):
        best, saving = None, LEAST_SAVING
        for p, q, amount in (move for m, rates in enumerate(left) for move in _moves(loads, rates, m)):
            if time.perf_counter() > deadline_s:
                break
            before = cost(p, float(loads[p])) + cost(q, float(loads[q]))
            after = cost(p, _left(loads[p], amount)) + cost(q, float(loads[q] + amount))
            if before - after > saving:
                best, saving = (p, q, amount), before - after
        if best is None:
            break
        p, q, amount = best
        loads[p], loads[q] = _left(loads[p], amount), loads[q] + amount
    return loads


def _left(load: float, amount: float) -> float:
    return 0.0 if load - amount <= 1e-12 * load else float(load - amount)


def _moves(loads: FloatArray, rates: FloatArray, model: int) -> list[tuple[int, int, float]]:
    """Return every pair of a model's pools between which load can be moved, and how much at most.

    Taking from p and giving to q adds to the load of the lower sets that contain q and not p, which must have the room.
    """
    own = slice(model * NUM_CLASSES, (model + 1) * NUM_CLASSES)
    slack = LOWER_SETS @ (rates - loads[own])
    moves = []
    for p in np.flatnonzero(loads[own] > 0):
        for q in range(NUM_CLASSES):
            limiting = slack[LOWER_SETS[:, q] & ~LOWER_SETS[:, p]]
            amount = float(min(loads[own][p], limiting.min(initial=np.inf)))
            if q != p and amount > 1e-9 * rates.sum():
                moves.append((own.start + int(p), own.start + q, amount))
    return moves
