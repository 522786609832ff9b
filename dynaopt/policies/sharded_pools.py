"""ScaleShard: pools by class with fixed GPUs, on which the mix of tensor-parallel degrees follows the load.

DynamoLLM (HPCA 2025), section V. All GPUs of a pool hold instances, at the highest clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dynaopt.errors import NoSolutionError
from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case, Variant
from dynaopt.policies.degree_mixes import Degrees, degrees_of
from dynaopt.policies.fixed_pools import usual
from dynaopt.policies.served import ServedPool, class_pools
from dynaopt.policies.sharing import group_rows, needed
from dynaopt.schedule import Schedule

_SAMPLE = 12
"""To compare clocks, one window in so many is looked at."""
Rows = list[tuple[int, int, int, float]]
"""Instances: window, configuration, number, requests per second on each."""


class ScaleShard(Variant):
    """MultiPool whose GPUs are split anew in every window into the instances that take the least power.

    Parameters
    ----------
    best
        Whether each pool has no more GPUs than it needs at its best clock, instead of those of MultiPool at the
        highest one.
    """

    name, title = "scale-shard", "ScaleShard"

    def plan(self, case: Case) -> Schedule:
        """Choose a mix of degrees for every pool and window; see `Policy.plan`."""
        pools = class_pools(case)
        groups = [rows_frame(pool, self._rows(case, pool)) for pool in pools]
        return assemble(case, self.name, groups, [pool.routes() for pool in pools])

    def _rows(self, case: Case, pool: ServedPool) -> Rows:
        if not self._best:
            num_gpus = pool.largest_tp * int(needed(pool, usual(pool), case.cluster).max())
            clock = usual(pool).frequency_mhz
            return _split(pool, degrees_of(pool, case.cluster, clock), _offset(pool, clock), num_gpus, 1)[1]
        clocks = sorted({k.frequency_mhz for k in pool.configurations})
        laid = [degrees_of(pool, case.cluster, clock) for clock in clocks]
        sizes = [_fewest_gpus(pool, degrees, case.cluster.num_gpus) for degrees in laid]
        powers = [
            np.inf if size is None else _split(pool, degrees, [], size, _SAMPLE)[0]
            for degrees, size in zip(laid, sizes, strict=True)
        ]
        at = int(np.argmin(powers))
        size = sizes[at]
        if size is None:
            raise NoSolutionError(f"{case.cluster.num_gpus} GPUs are too few for pool {pool.name} alone")
        return _split(pool, laid[at], _offset(pool, clocks[at]), size, 1)[1]


def rows_frame(pool: ServedPool, rows: Rows) -> pd.DataFrame:
    """Write instances as the rows that `assemble` takes.

    Parameters
    ----------
    pool
        Where they run; the configurations are its own.
    rows
        The instances.
    """
    table = pd.DataFrame(rows, columns=["window", "configuration", "count", "rate_rps"])
    parts = [
        group_rows(
            pool,
            own["window"].to_numpy(np.int64),
            pool.configurations[int(str(k))],
            own["count"].to_numpy(np.int64),
            own["rate_rps"].to_numpy(float),
        )
        for k, own in table.groupby("configuration")
    ]
    return pd.concat(parts, ignore_index=True)


def _offset(pool: ServedPool, frequency_mhz: int) -> list[int]:
    """Return which of a pool's configurations run at a clock."""
    return [n for n, k in enumerate(pool.configurations) if k.frequency_mhz == frequency_mhz]


def _split(pool: ServedPool, degrees: Degrees, numbers: Sequence[int], num_gpus: int, step: int) -> tuple[float, Rows]:
    """Split the GPUs in every `step`-th window; return the sum of powers and the instances."""
    total, rows, load, stretch = 0.0, [], pool.load_rps, pool.stretch
    for window in range(0, len(load), step):
        counts = degrees.cheapest(float(load[window]), float(stretch[window]), num_gpus, exact=True)
        if counts is None:
            return np.inf, []
        power_w, parts = degrees.settle(counts, float(load[window]), float(stretch[window]), lower_clocks=False)
        total += power_w
        if numbers:
            rows += [(window, numbers[k], n, rate) for k, n, rate in parts]
    return total, rows


def _fewest_gpus(pool: ServedPool, degrees: Degrees, most: int) -> int | None:
    """Return the fewest GPUs that, all in use, serve the busiest minute."""
    at = int((pool.load_rps * pool.stretch).argmax())
    step = int(degrees.tp[0])
    for num_gpus in range(step, most + 1, step):
        if degrees.cheapest(float(pool.load_rps[at]), float(pool.stretch[at]), num_gpus, exact=True) is not None:
            return num_gpus
    return None
