"""DynamoLLM's cluster manager: how many servers each pool gets for half an hour, and what spills over to longer pools.

DynamoLLM (HPCA 2025), section IV: from the load predicted for the epoch, each pool gets as many TP8 servers at the
highest clock as it fills, rounded down; what is left is promoted to the next larger pool; only the largest rounds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dynaopt.errors import NoSolutionError
from dynaopt.policies.base import Case, ModelDemand
from dynaopt.policies.fixed_pools import usual
from dynaopt.policies.served import ServedPool, serve
from dynaopt.policies.sharing import IntArray
from dynaopt.profile import FloatArray
from dynaopt.request_class import LENGTHS, REQUEST_CLASSES

EPOCH_S = 1800.0
_ROUNDING = 1e-9
Rounding = Literal["longer-output", "longer-input", "up"]
"""What becomes of the load that does not fill a server: it goes to the pool of the next longer output, or of the next
longer input, or the pool rounds up."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoolNodes:
    """A pool, what it serves and the GPUs that it has in each of W windows.

    Parameters
    ----------
    pool
        Its `rate_rps` is what it serves, promoted classes among it.
    num_gpus
        Of its servers, shape (W,).
    """

    pool: ServedPool
    num_gpus: IntArray


def assign_nodes(case: Case, part: ModelDemand, rounding: Rounding) -> list[PoolNodes]:
    """Give the pools of a model their servers.

    The load of an epoch is predicted perfectly: it is the busiest minute of the epoch itself.

    Parameters
    ----------
    case
        Window length, headroom and reserve.
    part
        What arrives.
    rounding
        What becomes of the load that does not fill a server.

    Returns
    -------
    list of PoolNodes
        Those pools that serve anything.

    Raises
    ------
    NoSolutionError
        If something arrives that no pool can serve.
    """
    pools = _pools(case, part)
    epoch = np.arange(len(part.stretch)) // max(1, round(EPOCH_S / case.demand.window_s))
    inflow = {c: np.where(np.arange(9) == n, part.rate_rps, 0.0) for n, c in enumerate(REQUEST_CLASSES)}
    found = []
    for c in REQUEST_CLASSES:  # from the shortest on, so that all that spills over into a pool is there before it
        longer = _next(c, rounding, pools)
        if not inflow[c].any():
            continue
        if c not in pools:
            if longer is None:
                raise NoSolutionError(f"no configuration of profile {part.profile.name} keeps the objectives of {c}")
            inflow[longer] = inflow[longer] + inflow[c]
            continue
        nodes, served = _fill(case, pools[c], inflow[c], epoch, up=rounding == "up" or longer is None)
        if longer is not None:
            inflow[longer] = inflow[longer] + (inflow[c] - served)
        if served.any():
            found.append(PoolNodes(pool=replace(pools[c], rate_rps=served), num_gpus=pools[c].largest_tp * nodes))
    return found


def _pools(case: Case, part: ModelDemand) -> Mapping[str, ServedPool]:
    found = {}
    for n, c in enumerate(REQUEST_CLASSES):
        try:
            pool = serve(case, part, c, [n])
            usual(pool)
        except NoSolutionError:
            continue
        found[c] = pool
    return found


def _next(c: str, rounding: Rounding, pools: Mapping[str, ServedPool]) -> str | None:
    """Return the pool that takes what spills over: longer in the one length, or, where that is L, in the other."""
    i, o = (LENGTHS.index(letter) for letter in c)
    while (i, o) != (2, 2):
        i, o = (i, o + 1) if (rounding != "longer-input" and o < 2) or i == 2 else (i + 1, o)
        if LENGTHS[i] + LENGTHS[o] in pools:
            return LENGTHS[i] + LENGTHS[o]
    return None


def _fill(
    case: Case, pool: ServedPool, inflow: FloatArray, epoch: IntArray, *, up: bool
) -> tuple[IntArray, FloatArray]:
    """Return the servers of a pool in each window, and what it serves."""
    each_rps = usual(pool).slo_rate_rps * (1 - case.cluster.reserve_share)
    load_rps = inflow.sum(axis=1)
    predicted = np.zeros(epoch[-1] + 1)
    np.maximum.at(predicted, epoch, load_rps * pool.stretch)
    filled = predicted / each_rps
    rounded = np.ceil(filled * (1 - _ROUNDING)) if up else np.floor(filled * (1 + _ROUNDING))
    nodes = rounded.astype(np.int64)[epoch]
    most_rps = nodes * each_rps / pool.stretch
    part = np.divide(most_rps, load_rps, out=np.zeros_like(load_rps), where=load_rps > 0)
    served: FloatArray = inflow * np.minimum(part, 1.0)[:, None]
    return np.where(nodes > 0, nodes + case.cluster.spare_instances, 0), inflow.copy() if up else served
