"""The problem of one window: what arrives, what may run, what it must keep to.

`docs/problem.md` gives the mathematics; `formulation` writes it as an integer program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray, LoadCurve, Profile, slo_rates_rps
from dynaopt.request_class import REQUEST_CLASSES, is_promotable
from dynaopt.slo import Slo


class Cluster(BaseModel):
    """What the operator decides before any window is planned.

    Parameters
    ----------
    num_gpus
        GPUs that all models share.
    headroom
        Share by which every instance can absorb more than its load at the busiest minute; 0.1 means 10 %.
    reserve
        Spare capacity of each pool: a share of it, or ``"n+1"`` so that its largest instance may fail.
    power_cap_w
        Most mean power of the whole cluster in a window, in watts.
    unused_gpus
        Whether GPUs without a model are released or stay on; the profile says what they draw.
    fixed_mix
        For a model, how many instances of each tensor-parallel degree run: no more, no fewer.
    host_w
        What a server draws beside its GPUs, in watts, instead of what the profile says; None for that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_gpus: Annotated[int, Field(gt=0)] = 320
    headroom: Annotated[float, Field(ge=0)] = 0.1
    reserve: Annotated[float, Field(ge=0, lt=1)] | Literal["n+1"] = 0.0
    power_cap_w: Annotated[float, Field(gt=0)] | None = None
    unused_gpus: Literal["released", "on"] = "released"
    fixed_mix: Mapping[str, Mapping[int, Annotated[int, Field(ge=0)]]] = {}
    host_w: Annotated[float, Field(ge=0)] | None = None

    @property
    def reserve_share(self) -> float:
        """Share of a pool's capacity that is kept free; 0 where it is an instance that is spare."""
        return 0.0 if self.reserve == "n+1" else float(self.reserve)

    @property
    def spare_instances(self) -> int:
        """Instances that each pool has beyond what it needs: 1 with n+1."""
        return int(self.reserve == "n+1")

    @classmethod
    def of(cls, **options: Any) -> Cluster:
        """Make one, telling of a bad option in the words of `errors`.

        Raises
        ------
        InvalidInputError
            If an option is unknown or out of range.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInputError(
                f"option {first['loc'][0]}",
                expected=first["msg"].removeprefix("Input should be "),
                found=str(first["input"]),
            ) from None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WindowDemand:
    """What arrives in one window.

    Parameters
    ----------
    start
        Start of the window, UTC.
    window_s
        Its length, in seconds.
    rate_rps
        For each model, the mean arrival rate of each of `REQUEST_CLASSES`, in requests per second, shape (9,).
    peak_factor
        For each model, how far the busiest minute stands above the mean; at least 1.
    """

    start: pd.Timestamp
    window_s: float
    rate_rps: Mapping[str, FloatArray]
    peak_factor: Mapping[str, float]

    def problem(self, profiles: Profile | Sequence[Profile], *, slo: Slo | None = None, **cluster: Any) -> Problem:
        """Pose the problem of this window.

        Parameters
        ----------
        profiles
            A profile for each model in the demand. A demand that names no model (``""``) is that of the only profile.
        slo
            Latency objectives; Table IV of the DynamoLLM paper by default.
        **cluster
            Fields of `Cluster`, for example ``num_gpus=320``.
        """
        listed = [profiles] if isinstance(profiles, Profile) else list(profiles)
        demand = self
        if list(self.rate_rps) == [""] and len(listed) == 1:
            only = listed[0].model
            demand = replace(self, rate_rps={only: self.rate_rps[""]}, peak_factor={only: self.peak_factor[""]})
        by_model = {p.model: p for p in listed}
        return Problem(demand=demand, profiles=by_model, slo=slo or Slo.table_iv(), cluster=Cluster.of(**cluster))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoolOption:
    """A configuration as one pool may run it: its power curve up to what an instance may be given.

    Parameters
    ----------
    tp
        Tensor-parallel degree: GPUs of an instance.
    frequency_mhz
        GPU clock, in MHz.
    rate_rps
        Breakpoints 0 = r_0 < r_1 < ... < r_m, in requests per second. The last is the instance's capacity: the load
        at which it just keeps its SLO, divided by (peak factor times (1 + headroom)).
    power_w
        Power of the instance at each breakpoint, in watts, shape (m + 1,).
    """

    tp: int
    frequency_mhz: int
    rate_rps: FloatArray
    power_w: FloatArray

    @property
    def capacity_rps(self) -> float:
        """Most load that an instance may be given, in requests per second."""
        return float(self.rate_rps[-1])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pool:
    """The instances that serve one class of one model, and the classes promoted to it.

    Parameters
    ----------
    model
        Name of the model.
    request_class
        The class that the pool is named after.
    rate_rps
        Arrival rate of that class, in requests per second.
    gpu_power_w
        What a GPU in this pool adds to the objective beside its instance's own power, in watts: its share of the host,
        and `Problem.gpu_price_w`.
    options
        Configurations that keep the SLO here, by `tp` and then by clock. May be empty.
    """

    model: str
    request_class: str
    rate_rps: float
    gpu_power_w: float
    options: tuple[PoolOption, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """One window's input to a solver. Immutable; `replace` gives a changed one.

    Parameters
    ----------
    demand
        What arrives.
    profiles
        The profile of each model.
    slo
        Latency objectives.
    cluster
        Limits and reserves.
    gpu_price_w
        What the objective charges for each GPU in use beside its power, in watts; 0, the default, when it is energy.

    Attributes
    ----------
    pools
        One for each model and class, in that order. The index of a pool is also that of its class's arrivals.
    promotions
        Pairs (class, pool) of indices into `pools`: the pools that may serve each class, its own among them.
    unused_gpu_power_w
        What a GPU without a model draws, in watts.

    Raises
    ------
    InvalidInputError
        If a model has no profile, the profiles are for different GPUs, or a fixed mix names what there is not.
    """

    demand: WindowDemand
    profiles: Mapping[str, Profile]
    slo: Slo
    cluster: Cluster
    gpu_price_w: float = 0.0
    pools: tuple[Pool, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_profiles(self.demand, self.profiles)
        _check_fixed_mix(self.cluster, self.profiles)
        if not 0 <= self.gpu_price_w < float("inf"):
            raise InvalidInputError("gpu_price_w", expected="a number of at least 0", found=str(self.gpu_price_w))
        pools = tuple(self._pool(model, at) for model in self.demand.rate_rps for at in range(len(REQUEST_CLASSES)))
        object.__setattr__(self, "pools", pools)

    def _pool(self, model: str, at: int) -> Pool:
        profile = self.profiles[model]
        shrink = self.demand.peak_factor[model] * (1 + self.cluster.headroom)
        curves = _options_within_slo(profile, self.slo)[REQUEST_CLASSES[at]]
        options = tuple(_cut(option, slo_rate_rps / shrink) for option, slo_rate_rps in curves)
        return Pool(
            model=model,
            request_class=REQUEST_CLASSES[at],
            rate_rps=float(self.demand.rate_rps[model][at]),
            gpu_power_w=host_power_w(profile, self.cluster) + self.gpu_price_w,
            options=options,
        )

    @cached_property
    def promotions(self) -> tuple[tuple[int, int], ...]:
        """Pairs (class, pool): the pools that may serve each class."""
        return tuple(
            (c, p)
            for c, own in enumerate(self.pools)
            for p, pool in enumerate(self.pools)
            if own.model == pool.model and is_promotable(own.request_class, pool.request_class)
        )

    @property
    def num_gpus(self) -> int:
        """GPUs that all models share."""
        return self.cluster.num_gpus

    @property
    def unused_gpu_power_w(self) -> float:
        """What a GPU without a model draws, in watts."""
        return unused_gpu_power_w(next(iter(self.profiles.values())), self.cluster)

    def replace(self, **changes: Any) -> Problem:
        """Return a problem with some of its inputs changed.

        Parameters
        ----------
        **changes
            Fields of `Problem` (``demand``, ``profiles``, ``slo``, ``cluster``, ``gpu_price_w``) or of `Cluster`.
        """
        names = ("demand", "profiles", "slo", "cluster", "gpu_price_w")
        own = {name: changes.pop(name) for name in names if name in changes}
        cluster = own.pop("cluster", self.cluster)
        if changes:
            cluster = Cluster.of(**{**cluster.model_dump(), **changes})
        return replace(self, cluster=cluster, **own)

    def __repr__(self) -> str:
        rates = sum(p.rate_rps for p in self.pools)
        return f"Problem({self.demand.start}, {rates:.1f} requests/s, {len(self.pools)} pools, {self.num_gpus} GPUs)"


def profile_of(model: str, profiles: Sequence[Profile]) -> Profile:
    """Return the profile of a model that a demand names; the only one is also that of a demand that names none.

    Parameters
    ----------
    model
        Name of the model, or empty.
    profiles
        One for each model.

    Raises
    ------
    InvalidInputError
        If none of them is.
    """
    by_model = {profile.model: profile for profile in profiles}
    profile = profiles[0] if model == "" and len(profiles) == 1 else by_model.get(model)
    if profile is None:
        found = f"only {', '.join(by_model) or 'none'}"
        raise InvalidInputError("profiles", expected=f"one for model '{model}'", found=found)
    return profile


def unused_gpu_power_w(profile: Profile, cluster: Cluster) -> float:
    """Return what a GPU without a model draws, in watts.

    Parameters
    ----------
    profile
        Of a model on the same kind of GPU.
    cluster
        Says whether unused GPUs stay on.
    """
    power = profile.metadata.power
    return power.gpu_on_w if cluster.unused_gpus == "on" else power.gpu_released_w


def host_power_w(profile: Profile, cluster: Cluster) -> float:
    """Return the share of its server's power, GPUs aside, that falls to a GPU in use, in watts.

    Parameters
    ----------
    profile
        Of the model that runs on it.
    cluster
        Its `host_w`, where there is one, stands for that of the profile.
    """
    host_w = profile.metadata.power.host_w if cluster.host_w is None else cluster.host_w
    return host_w / profile.metadata.gpus_per_server


@lru_cache(maxsize=64)
def _options_within_slo(profile: Profile, slo: Slo) -> Mapping[str, tuple[tuple[PoolOption, float], ...]]:
    """Return the curves of each class that can keep the SLO and up to which load, by `tp` and then by clock.

    They run on beyond that load. Of their levels only those at which the power bends are there.
    """
    rates = slo_rates_rps(profile, slo)
    return {
        c: tuple((_whole(profile.curves[k]), rates[k]) for k in sorted(rates) if k[2] == c) for c in REQUEST_CLASSES
    }


def _whole(curve: LoadCurve) -> PoolOption:
    at = curve.power_bends()
    return PoolOption(
        tp=curve.tp, frequency_mhz=curve.frequency_mhz, rate_rps=curve.rate_rps[at], power_w=curve.power_w[at]
    )


def _cut(option: PoolOption, capacity_rps: float) -> PoolOption:
    # A problem has 200 of these and a week 2,000 problems: cutting arrays is several times faster than making them.
    last = int(option.rate_rps.searchsorted(capacity_rps * (1 - 1e-9)))
    rate_rps, power_w = option.rate_rps[: last + 1].copy(), option.power_w[: last + 1].copy()
    rate_rps[last] = capacity_rps
    power_w[last] = np.interp(capacity_rps, option.rate_rps, option.power_w)
    return PoolOption(tp=option.tp, frequency_mhz=option.frequency_mhz, rate_rps=rate_rps, power_w=power_w)


def _check_profiles(demand: WindowDemand, profiles: Mapping[str, Profile]) -> None:
    for model in demand.rate_rps:
        if model not in profiles:
            raise InvalidInputError(
                "profiles", expected=f"one for model '{model}'", found=f"only {', '.join(profiles) or 'none'}"
            )
    gpus = {p.metadata.gpu for p in profiles.values()}
    if len(gpus) > 1:
        raise InvalidInputError("profiles", expected="one kind of GPU in a cluster", found=", ".join(sorted(gpus)))


def _check_fixed_mix(cluster: Cluster, profiles: Mapping[str, Profile]) -> None:
    for model, mix in cluster.fixed_mix.items():
        if model not in profiles:
            raise InvalidInputError("option fixed_mix", expected=f"a model of {', '.join(profiles)}", found=model)
        unknown = set(mix) - set(profiles[model].tps)
        if unknown:
            raise InvalidInputError(
                "option fixed_mix", expected=f"TP of {profiles[model].tps}", found=f"TP {sorted(unknown)}"
            )
