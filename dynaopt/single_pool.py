"""Today's usual set-up, for comparison: one pool of equal instances that serves every class and never changes.

It is sized for the busiest minute of the horizon by the curve of a whole service's mix, so that it is not handicapped
by treating every request as the longest. The SinglePool policy of DynamoLLM (HPCA 2025), section V, is one of TP8 at
the highest clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.errors import NoSolutionError
from dynaopt.objective import Objective
from dynaopt.problem import Cluster, host_power_w, profile_of, unused_gpu_power_w
from dynaopt.profile import FloatArray, LoadCurve, Mix, Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.result import Termination
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, TRANSITION_COLUMNS, WINDOW_COLUMNS, Schedule
from dynaopt.schedule_metadata import make_metadata
from dynaopt.slo import Slo

ROUGH_MIX = 0.1
"""From this share of requests that a mix's curve takes for another class, a comparison is more rough than fair."""

SOLVER = "single-pool"
"""What stands in the place of a solver's name in the schedule of a single pool."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MixPool:
    """The instances of one model.

    Parameters
    ----------
    profile
        Of the model.
    curve
        Of the mix, at the configuration of the instances.
    mix_distance
        Total variation distance between the mix and the demand's classes over the horizon, 0 to 1: the share of
        requests that are of another class than the curve assumes.
    num_instances
        How many, in every window.
    rate_rps
        Load on the pool, requests per second, shape (windows,).
    host_gpu_w
        Share of the host that falls to each GPU, in watts.
    """

    profile: Profile
    curve: LoadCurve
    mix_distance: float
    num_instances: int
    rate_rps: FloatArray
    host_gpu_w: float

    @property
    def mix(self) -> str:
        """Name of the mix, for example ``ALL-conversation``."""
        return self.curve.request_class

    @property
    def num_gpus(self) -> int:
        """GPUs of all instances."""
        return self.num_instances * self.curve.tp

    @property
    def instance_power_w(self) -> FloatArray:
        """Power of each instance, host excluded, in watts, shape (windows,)."""
        power: FloatArray = np.interp(self.rate_rps / self.num_instances, self.curve.rate_rps, self.curve.power_w)
        return power

    @property
    def power_w(self) -> FloatArray:
        """Power of all instances and their hosts, in watts, shape (windows,)."""
        return self.num_instances * self.instance_power_w + self.num_gpus * self.host_gpu_w


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SinglePool:
    """A static pool for each model, sized for the busiest minute.

    Parameters
    ----------
    demand
        What it serves.
    slo, cluster
        What it was sized for. A power cap and a fixed mix do not bind it.
    pools
        One for each model.
    """

    demand: Demand
    slo: Slo
    cluster: Cluster
    pools: tuple[MixPool, ...]

    @property
    def num_instances(self) -> int:
        """Instances of all models."""
        return sum(pool.num_instances for pool in self.pools)

    @property
    def num_gpus(self) -> int:
        """GPUs in use, in every window."""
        return sum(pool.num_gpus for pool in self.pools)

    @property
    def fits(self) -> bool:
        """Whether the cluster has that many GPUs. Where it does not, the energy is that of a larger cluster."""
        return self.num_gpus <= self.cluster.num_gpus

    @property
    def power_w(self) -> FloatArray:
        """Mean power of the cluster in each window, unused GPUs included, in watts, shape (windows,)."""
        unused = max(0, self.cluster.num_gpus - self.num_gpus)
        power_w: FloatArray = np.sum([pool.power_w for pool in self.pools], axis=0)
        return power_w + unused * unused_gpu_power_w(self.pools[0].profile, self.cluster)

    @property
    def energy_j(self) -> float:
        """Energy of the horizon, in joules. Nothing starts, so there is no transition energy."""
        return float(self.power_w.sum() * self.demand.window_s)

    def schedule(self) -> Schedule:
        """Return it in the form of a plan, to be drawn and summed up beside one.

        The pool is named after the mix. It proves nothing: the lower bound is 0.
        """
        profiles = [pool.profile for pool in self.pools]
        cluster = self.cluster.with_any_mix()
        metadata = make_metadata(self.demand, profiles, slo=self.slo, cluster=cluster, solver=SOLVER)
        starts = self.demand.starts.as_unit("us")
        return Schedule(
            metadata=metadata,
            demand=self.demand,
            allocations=pd.concat([_allocation_rows(pool, starts) for pool in self.pools], ignore_index=True),
            routes=pd.concat([_route_rows(pool, self.demand, starts) for pool in self.pools], ignore_index=True),
            transitions=pd.DataFrame(columns=[c.name for c in TRANSITION_COLUMNS]),
            windows=self._window_rows(starts),
        ).with_totals()

    def _window_rows(self, starts: pd.DatetimeIndex) -> pd.DataFrame:
        energy_j = self.power_w * self.demand.window_s
        values = {
            "window_start": starts,
            "window_s": self.demand.window_s,
            "termination": Termination.FEASIBLE.value,
            "solver": SOLVER,
            "power_w": self.power_w,
            "serving_energy_j": energy_j,
            "transition_energy_j": 0.0,
            "energy_j": energy_j,
            "lower_bound_j": 0.0,
            "gap": np.where(energy_j > 0, 1.0, 0.0),
            "num_gpus": pd.array([self.num_gpus] * len(starts), dtype="Int64"),
            "runtime_s": 0.0,
            "reason": "",
        }
        return pd.DataFrame(values)[[c.name for c in WINDOW_COLUMNS]]

    def __repr__(self) -> str:
        pools = ", ".join(
            f"{p.num_instances} x TP{p.curve.tp} at {p.curve.frequency_mhz} MHz for {p.mix}" for p in self.pools
        )
        return f"SinglePool({pools}: {self.num_gpus} GPUs, {self.energy_j / 3.6e6:.1f} kWh)"


def single_pool(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    tp: int | None = None,
    frequency_mhz: int | None = None,
    **cluster: Any,
) -> SinglePool:
    """Size a static pool for each model for the busiest minute of a demand.

    Parameters
    ----------
    demand
        What arrives.
    profiles
        A profile for each model in the demand, with curves of whole mixes; the mix nearest to the demand's is used.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default. A mix keeps them when each class keeps its own.
    tp
        Tensor-parallel degree of the instances; by default the largest of each profile, as is usual today.
    frequency_mhz
        Their clock, in MHz; by default the highest of each profile.
    **cluster
        Fields of `Cluster`; headroom and reserve hold as they do for a plan.

    Raises
    ------
    InvalidInputError
        If a model has no profile or an option is out of range.
    UnknownNameError
        If a profile has no curve of that configuration.
    NoSolutionError
        If a profile has no curve of a mix, or the configuration keeps the objectives at no load.
    """
    wanted, objectives = Cluster.of(**cluster), slo or Slo.table_iv()
    pools = []
    for profile, rates, peaks in _by_model(demand, profiles):
        mix, distance = nearest_mix(profile, rates)
        curve = _largest(profile, mix.name, tp, frequency_mhz)
        pool = _size(profile, curve, distance, rates, peaks, objectives, wanted)
        if pool is None:
            raise NoSolutionError(
                f"TP{curve.tp} at {curve.frequency_mhz} MHz keeps the objectives of {mix.name} at no load "
                f"(profile {profile.name})"
            )
        pools.append(pool)
    return SinglePool(demand=demand, slo=objectives, cluster=wanted, pools=tuple(pools))


def best_single_pool(
    demand: Demand,
    profiles: Profile | Sequence[Profile],
    *,
    slo: Slo | None = None,
    objective: Objective | None = None,
    **cluster: Any,
) -> SinglePool:
    """Find the static pool of least objective, over every degree and clock in the profile.

    A saving against a set-up that could be improved by turning one knob is worth little; this one has none left.

    Parameters
    ----------
    demand, profiles, slo, **cluster
        As for `single_pool`.
    objective
        What to minimise; None, the default, for energy.

    Returns
    -------
    SinglePool
        For each model the cheapest that the cluster has GPUs for, or the cheapest of all where it has not enough for
        any. With several models they are chosen one by one, so look at `fits`.

    Raises
    ------
    InvalidInputError
        If a model has no profile or an option is out of range.
    NoSolutionError
        If a profile has no curve of a mix, or none that keeps the objectives.
    """
    wanted, objectives = Cluster.of(**cluster), slo or Slo.table_iv()
    prices = (objective or Objective()).over(demand.starts, demand.window_s)

    def costs(pool: MixPool) -> float:
        """Count what a pool adds to the objective over the horizon."""
        beyond_unused_w = pool.power_w - pool.num_gpus * unused_gpu_power_w(pool.profile, wanted)
        used = np.full(demand.num_windows, float(pool.num_gpus))
        return float(prices.objective(beyond_unused_w * demand.window_s, used).sum())

    pools = []
    for profile, rates, peaks in _by_model(demand, profiles):
        mix, distance = nearest_mix(profile, rates)
        sized = [_size(profile, c, distance, rates, peaks, objectives, wanted) for c in profile.of_class(mix.name)]
        found = [pool for pool in sized if pool is not None]
        if not found:
            raise NoSolutionError(f"no configuration of profile {profile.name} keeps the objectives of {mix.name}")
        pools.append(min(found, key=lambda p: (p.num_gpus > wanted.num_gpus, costs(p))))
    return SinglePool(demand=demand, slo=objectives, cluster=wanted, pools=tuple(pools))


def nearest_mix(profile: Profile, rate_rps: FloatArray) -> tuple[Mix, float]:
    """Find the mix of a profile that is nearest to what arrives.

    Parameters
    ----------
    profile
        Its mixes are the candidates.
    rate_rps
        Arrival rates of the classes, requests per second, shape (windows, 9).

    Returns
    -------
    Mix
        The one of least total variation distance, half the sum of the differences of shares.
    float
        That distance, 0 to 1.

    Raises
    ------
    NoSolutionError
        If the profile has no mix.
    """
    if not profile.metadata.mixes:
        raise NoSolutionError(f"profile {profile.name} has no curves of a whole mix, so there is no single pool of it")
    totals = rate_rps.sum(axis=0)
    distances = [mix.distance(totals) for mix in profile.metadata.mixes]
    at = int(np.argmin(distances))
    return profile.metadata.mixes[at], distances[at]


def _largest(profile: Profile, mix: str, tp: int | None, frequency_mhz: int | None) -> LoadCurve:
    """Return the curve of a mix at a configuration, or of the largest degree and then the highest clock there is."""
    if tp is not None and frequency_mhz is not None:
        return profile.curve(tp, frequency_mhz, mix)
    fits = [k for k in profile.of_class(mix) if tp in (None, k.tp) and frequency_mhz in (None, k.frequency_mhz)]
    if not fits:
        return profile.curve(tp or max(profile.tps), frequency_mhz or max(profile.frequencies_mhz), mix)
    return max(fits, key=lambda k: (k.tp, k.frequency_mhz))


def _size(
    profile: Profile,
    curve: LoadCurve,
    distance: float,
    rates: FloatArray,
    peaks: FloatArray,
    slo: Slo,
    cluster: Cluster,
) -> MixPool | None:
    """Return the pool of one configuration, None if that keeps the objectives at no load."""
    slo_rate_rps = curve.slo_rate_rps(slo)
    if slo_rate_rps is None:
        return None
    load_rps = rates.sum(axis=1)
    needed = float((load_rps * peaks).max()) * (1 + cluster.headroom) / slo_rate_rps
    number = max(_round_up(needed / (1 - cluster.reserve_share)) + cluster.spare_instances, 1)
    return MixPool(
        profile=profile,
        curve=curve,
        mix_distance=distance,
        num_instances=number,
        rate_rps=load_rps,
        host_gpu_w=host_power_w(profile, cluster),
    )


def _round_up(number: float) -> int:
    # What lies above a whole number by rounding alone needs no further instance.
    return math.ceil(number * (1 - 1e-9))


def _by_model(demand: Demand, profiles: Profile | Sequence[Profile]) -> list[tuple[Profile, FloatArray, FloatArray]]:
    """Return the profile, the rates (windows, 9) and the peak factors (windows,) of each model."""
    listed = [profiles] if isinstance(profiles, Profile) else list(profiles)
    return [(profile_of(m, listed), demand.rates_rps[m], demand.peak_factors[m]) for m in demand.models]


def _allocation_rows(pool: MixPool, starts: pd.DatetimeIndex) -> pd.DataFrame:
    values = {
        "window_start": starts,
        "model": pool.profile.model,
        "pool": pool.mix,
        "tp": pool.curve.tp,
        "frequency_mhz": pool.curve.frequency_mhz,
        "num_instances": pool.num_instances,
        "rate_per_instance_rps": pool.rate_rps / pool.num_instances,
        "power_per_instance_w": pool.instance_power_w,
    }
    return pd.DataFrame(values)[[c.name for c in ALLOCATION_COLUMNS]]


def _route_rows(pool: MixPool, demand: Demand, starts: pd.DatetimeIndex) -> pd.DataFrame:
    model = pool.profile.model if pool.profile.model in demand.models else ""
    rates = demand.rates_rps[model]
    window, number = np.nonzero(rates)
    values = {
        "window_start": starts[window],
        "model": pool.profile.model,
        "request_class": [REQUEST_CLASSES[n] for n in number],
        "pool": pool.mix,
        "rate_rps": rates[window, number],
    }
    return pd.DataFrame(values)[[c.name for c in ROUTE_COLUMNS]]
