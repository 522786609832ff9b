"""The problem of one window: what arrives, what may run, what it must keep to.

`docs/problem.md` gives the mathematics; `formulation` writes it as an integer program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynaopt.errors import InvalidInputError
from dynaopt.pool import Pool, PoolMaker
from dynaopt.profile import FloatArray, Profile
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
    max_mix_distance
        Most requests, as a share, that the curves of a mixed pool may take for another class (`Mix.distance`); 0 for
        pools by class only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_gpus: Annotated[int, Field(gt=0)] = 320
    headroom: Annotated[float, Field(ge=0)] = 0.1
    reserve: Annotated[float, Field(ge=0, lt=1)] | Literal["n+1"] = 0.0
    power_cap_w: Annotated[float, Field(gt=0)] | None = None
    unused_gpus: Literal["released", "on"] = "released"
    fixed_mix: Mapping[str, Mapping[int, Annotated[int, Field(ge=0)]]] = {}
    host_w: Annotated[float, Field(ge=0)] | None = None
    max_mix_distance: Annotated[float, Field(ge=0, le=1)] = 0.1

    @property
    def reserve_share(self) -> float:
        """Share of a pool's capacity that is kept free; 0 where it is an instance that is spare."""
        return 0.0 if self.reserve == "n+1" else float(self.reserve)

    @property
    def spare_instances(self) -> int:
        """Instances that each pool has beyond what it needs: 1 with n+1."""
        return int(self.reserve == "n+1")

    def with_any_mix(self) -> Cluster:
        """Return the same for a set-up whose pools of mixes serve however far what arrives is from the mix."""
        return self.model_copy(update={"max_mix_distance": 1.0})

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
        by_model = {p.model: p for p in listed}
        demand = self.named(tuple(by_model))
        return Problem(demand=demand, profiles=by_model, slo=slo or Slo.table_iv(), cluster=Cluster.of(**cluster))

    def named(self, models: Sequence[str]) -> WindowDemand:
        """Return the same with its model named, where it names none and there is only one.

        Parameters
        ----------
        models
            Names of those that there are.
        """
        if list(self.rate_rps) != [""] or len(models) != 1:
            return self
        return replace(self, rate_rps={models[0]: self.rate_rps[""]}, peak_factor={models[0]: self.peak_factor[""]})


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
        One for each model and class, in that order, whose index is also that of its class; then the mixed pools on
        offer.
    promotions
        Pairs (class, pool) of indices into `pools`: the pools of classes that may serve each class, its own among them.
    ways
        The same, and the mixed pools that may serve it whole.
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
        makers = [self._maker(model) for model in self.demand.rate_rps]
        pools = [pool for maker in makers for pool in maker.of_classes()]
        most = self.cluster.max_mix_distance
        pools += [p for m, maker in enumerate(makers) for p in maker.of_mixes(m * len(REQUEST_CLASSES), most)]
        object.__setattr__(self, "pools", tuple(pools))

    def _maker(self, model: str) -> PoolMaker:
        profile = self.profiles[model]
        return PoolMaker(
            profile=profile,
            slo=self.slo,
            rate_rps=self.demand.rate_rps[model],
            stretch=self.demand.peak_factor[model] * (1 + self.cluster.headroom),
            gpu_power_w=host_power_w(profile, self.cluster) + self.gpu_price_w,
        )

    @property
    def classes(self) -> tuple[Pool, ...]:
        """The pools of classes; what arrives of each stands there."""
        return self.pools[: len(self.demand.rate_rps) * len(REQUEST_CLASSES)]

    @cached_property
    def promotions(self) -> tuple[tuple[int, int], ...]:
        """Pairs (class, pool): the pools of classes that may serve each class, in part or whole."""
        return tuple(
            (c, p)
            for c, own in enumerate(self.classes)
            for p, pool in enumerate(self.classes)
            if own.model == pool.model and is_promotable(own.request_class, pool.request_class)
        )

    @cached_property
    def ways(self) -> tuple[tuple[int, int], ...]:
        """Pairs (class, pool): all pools that may serve each class, mixed ones last."""
        return self.promotions + tuple((c, p) for p, pool in enumerate(self.pools) for c in pool.members)

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
        rates = sum(p.rate_rps for p in self.classes)
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
