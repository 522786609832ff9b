"""How equal instances share a load: equally, or some full and the others idle, whichever takes less power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.policies.served import Configuration, ServedPool
from dynaopt.problem import Cluster
from dynaopt.profile import FloatArray

IntArray = npt.NDArray[np.int64]
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shared:
    """Equal instances and their loads in each of W windows.

    Parameters
    ----------
    configuration
        Of all of them.
    count, rate_rps
        Instances of three kinds and the load of each, in requests per second, shape (3, W).
    power_w
        Of all of them and their share of hosts, in watts, shape (W,).
    """

    configuration: Configuration
    count: IntArray
    rate_rps: FloatArray
    power_w: FloatArray

    @property
    def number(self) -> IntArray:
        """Instances in each window."""
        number: IntArray = self.count.sum(axis=0)
        return number

    def groups(self, pool: ServedPool, windows: IntArray | None = None) -> pd.DataFrame:
        """Return rows of instances, with `window` numbered from 0.

        Parameters
        ----------
        pool
            Where they run.
        windows
            The numbers of the windows; 0, 1, … by default.
        """
        at = np.arange(self.count.shape[1]) if windows is None else windows
        kind, column = np.nonzero(self.count)
        rate = self.rate_rps[kind, column]
        return group_rows(pool, at[column], self.configuration, self.count[kind, column], rate)


def group_rows(
    pool: ServedPool, window: IntArray, configuration: Configuration, count: IntArray, rate_rps: FloatArray
) -> pd.DataFrame:
    """Return instances of one configuration as rows of ``window, model, pool, tp, frequency_mhz, num_instances, …``."""
    values = {
        "window": window,
        "model": pool.model,
        "pool": pool.name,
        "tp": configuration.tp,
        "frequency_mhz": configuration.frequency_mhz,
        "num_instances": count,
        "rate_per_instance_rps": rate_rps,
        "power_per_instance_w": configuration.power_w(rate_rps),
    }
    return pd.DataFrame(values)


def needed(pool: ServedPool, configuration: Configuration, cluster: Cluster) -> IntArray:
    """Return the fewest instances that serve each window's busiest minute, headroom and reserve kept, shape (W,).

    Parameters
    ----------
    pool
        What comes.
    configuration
        Of the instances.
    cluster
        Its reserve counts.
    """
    full = pool.load_rps * pool.stretch / configuration.slo_rate_rps / (1 - cluster.reserve_share)
    number = np.ceil(full * (1 - _ROUNDING)).astype(np.int64)
    return np.where(pool.load_rps > 0, np.maximum(number, 1) + cluster.spare_instances, 0)


def share(pool: ServedPool, configuration: Configuration, number: IntArray, *, spread: bool = False) -> Shared:
    """Put a pool's load on equal instances in the cheaper of two ways.

    Power curves are concave for the most part, so that it is cheapest to fill some instances, leave others idle and
    have one in between; where they are not, it is cheapest that all carry the same.

    Parameters
    ----------
    pool
        What comes.
    configuration
        Of the instances.
    number
        How many there are in each window, shape (W,); enough for the load.
    spread
        Whether all carry the same in any case; not by default.
    """
    load, capacity = pool.load_rps, configuration.slo_rate_rps / pool.stretch
    full = np.minimum(np.floor(load / capacity * (1 + _ROUNDING)).astype(np.int64), number)
    rest = np.maximum(load - full * capacity, 0.0)
    part = ((rest > 0) & (full < number)).astype(np.int64)
    packed = (np.array([full, part, number - full - part]), np.array([capacity, rest, np.zeros_like(load)]))
    # What rounding leaves over when all are full goes to all of them.
    packed[1][0] = np.where((part == 0) & (full > 0), load / np.maximum(full, 1), capacity)
    none = np.zeros_like(number)
    equal = (np.array([number, none, none]), np.array([load / np.maximum(number, 1), 0 * load, 0 * load]))
    powers = [(count * configuration.power_w(rate)).sum(axis=0) for count, rate in (packed, equal)]
    takes_less = np.full(len(load), True) if spread else powers[1] <= powers[0]
    return Shared(
        configuration=configuration,
        count=np.where(takes_less, equal[0], packed[0]),
        rate_rps=np.where(takes_less, equal[1], packed[1]),
        power_w=np.where(takes_less, powers[1], powers[0]) + number * configuration.tp * pool.host_w,
    )
