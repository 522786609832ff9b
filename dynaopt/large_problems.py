"""Large problems for benchmarks: up to ten models with nine classes each on one cluster of ten thousand GPUs.

What is real in them: two profiles that the package ships, and the classes and peaks of windows of the shipped weeks.
What is made up: the other models, how GPUs divide over models, and the size of the demand. Five models are *kin* of a
shipped one: they serve some factor more or fewer requests per second at the same latencies, as a smaller or a larger
language model would, at another power beyond idle. Three have generated profiles, one of them with convex power curves
and one with either, so that not all tables are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from dynaopt.demand import Demand, demand_names, read_demand
from dynaopt.generated_profiles import Shape, make_profile
from dynaopt.perturbation import Perturbation, perturbed
from dynaopt.pool import Pool, PoolOption
from dynaopt.problem import Cluster, Problem, WindowDemand
from dynaopt.profile import FloatArray, Profile
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

Room = Literal["slack", "bound"]
ROOMS: tuple[Room, ...] = get_args(Room)
USED: Mapping[Room, float] = {"slack": 0.8, "bound": 0.97}
"""What of the GPUs is needed if instances were divisible: where there is slack, by the configurations of least power;
where GPUs bind, by those of fewest GPUs, so that nothing but these serves much more."""

MAX_MODELS = 10
_SHIPPED = ("llama2-70b-h100", "llama-3.1-70b-h100")
# Which of the shipped ones, how many times the requests per second, how many times the power beyond idle.
_KIN = ((0, 0.6, 1.05), (0, 1.4, 0.9), (0, 2.1, 1.1), (1, 0.35, 0.85), (1, 1.8, 1.0))
_SHAPES: tuple[Shape, ...] = ("concave", "mixed", "convex")
_CONFIGURATIONS = 21
_SEED = 50
_EVENNESS = 5.0
"""Of the GPUs over models, the parameter of a symmetric Dirichlet distribution; at 5 the largest of ten has a fifth."""


def large_problem(
    seed: int,
    room: Room,
    *,
    num_gpus: int = 10_240,
    num_models: int = MAX_MODELS,
    num_classes: int = len(REQUEST_CLASSES),
    num_configurations: int | None = None,
    **cluster: Any,
) -> Problem:
    """Make a problem.

    Parameters
    ----------
    seed
        The same seed makes the same problem, and a demand in proportion on another number of GPUs.
    room
        ``"slack"`` or ``"bound"``: whether the GPUs limit what can be had; see `USED`. A reserve share is needed too.
    num_gpus
        GPUs of the cluster.
    num_models
        At most `MAX_MODELS`.
    num_classes
        Classes that arrive of each model: the most frequent ones of a window of a shipped week.
    num_configurations
        Configurations of each model, a multiple of 3; then all profiles are generated. None for `large_profiles`.
    **cluster
        Fields of `Cluster`.

    Raises
    ------
    ValueError
        If there are more models than there are profiles.
    """
    if not 1 <= num_models <= MAX_MODELS:
        raise ValueError(f"The number of models must lie in [1, {MAX_MODELS}], got {num_models}.")
    profiles = (large_profiles() if num_configurations is None else same_size_profiles(num_configurations))[:num_models]
    rng = np.random.default_rng(seed)
    windows = {profile.model: _window(rng, num_classes) for profile in profiles}
    options = Cluster.of(num_gpus=num_gpus, **cluster)
    problem = _problem(profiles, {model: rates for model, (rates, _) in windows.items()}, windows, options)
    needed = gpus_needed(problem, _least_gpus if room == "bound" else _least_power)
    shares = rng.dirichlet(np.full(MAX_MODELS, _EVENNESS))[:num_models]
    usable = USED[room] * num_gpus * (1 - options.reserve_share) / shares.sum()
    scaled = {
        model: rates * (usable * share / needed[model])
        for share, (model, (rates, _)) in zip(shares, windows.items(), strict=True)
    }
    return _problem(profiles, scaled, windows, options)


@lru_cache(maxsize=1)
def large_profiles() -> tuple[Profile, ...]:
    """Return profiles of ten models on one kind of GPU: two shipped, five kin of them, three generated."""
    shipped = [read_profile(name) for name in _SHIPPED]
    kin = [_kin(shipped[of], number, *factors) for number, (of, *factors) in enumerate(_KIN, start=1)]
    made = [
        _on_the_same_gpus(make_profile(_SEED + n, _CONFIGURATIONS, shape, model=f"generated-{shape}"), shipped[0])
        for n, shape in enumerate(_SHAPES)
    ]
    return (*shipped, *kin, *made)


@lru_cache(maxsize=8)
def same_size_profiles(num_configurations: int) -> tuple[Profile, ...]:
    """Return generated profiles of ten models with as many configurations each, a multiple of 3."""
    shapes = [_SHAPES[n % len(_SHAPES)] for n in range(MAX_MODELS)]
    return tuple(
        make_profile(_SEED + n, num_configurations, shape, model=f"generated-{n}") for n, shape in enumerate(shapes)
    )


def gpus_needed(problem: Problem, rank: Callable[[Pool, PoolOption], float]) -> dict[str, float]:
    """Return how many GPUs each model would need if its instances were divisible, and full.

    Parameters
    ----------
    problem
        What arrives, and what may serve it.
    rank
        The option of least rank serves a class, among those of all pools of classes that may.
    """
    best = [min(((rank(pool, k), k.tp / k.capacity_rps) for k in pool.options), default=None) for pool in problem.pools]
    needed = dict.fromkeys(problem.demand.rate_rps, 0.0)
    for c, own in enumerate(problem.classes):
        found = [best[p] for at, p in problem.promotions if at == c]
        needed[own.model] += own.rate_rps * min(one for one in found if one is not None)[1] if own.rate_rps else 0.0
    return needed


def _least_gpus(pool: Pool, option: PoolOption) -> float:  # noqa: ARG001 - as gpus_needed asks
    return option.tp / option.capacity_rps


def _least_power(pool: Pool, option: PoolOption) -> float:
    return float(option.power_w[-1] + option.tp * pool.gpu_power_w) / option.capacity_rps


def _kin(profile: Profile, number: int, faster: float, power: float) -> Profile:
    """Return a profile of as many times the requests per second at the same latencies, and its power beyond idle."""
    change = Perturbation(name="kin", duration=1 / faster, latency=faster, slope=power)
    name = f"{profile.model}-kin-{number}"
    metadata = profile.metadata.model_copy(update={"model": name, "name": f"{name}-h100"})
    return replace(perturbed(profile, change), metadata=metadata)


def _on_the_same_gpus(profile: Profile, other: Profile) -> Profile:
    taken = {name: getattr(other.metadata, name) for name in ("gpu", "gpus_per_server", "power", "start_up")}
    return replace(profile, metadata=profile.metadata.model_copy(update=taken))


@lru_cache(maxsize=1)
def _weeks() -> tuple[Demand, ...]:
    return tuple(read_demand(name) for name in demand_names())


def _window(rng: np.random.Generator, num_classes: int) -> tuple[FloatArray, float]:
    """Draw a window of a shipped week: the rates of its most frequent classes, and its peak factor."""
    week = _weeks()[rng.integers(len(_weeks()))]
    window = week.window(int(rng.integers(week.num_windows)))
    (rates,), (peak,) = window.rate_rps.values(), window.peak_factor.values()
    kept = np.argsort(-rates, kind="stable")[:num_classes]
    return np.where(np.isin(np.arange(rates.size), kept), rates, 0.0), peak


def _problem(
    profiles: tuple[Profile, ...],
    rates_rps: Mapping[str, FloatArray],
    windows: Mapping[str, tuple[FloatArray, float]],
    cluster: Cluster,
) -> Problem:
    demand = WindowDemand(
        start=pd.Timestamp("2024-05-14T18:05:00Z"),
        window_s=300.0,
        rate_rps=rates_rps,
        peak_factor={model: peak for model, (_, peak) in windows.items()},
    )
    by_model = {profile.model: profile for profile in profiles}
    return Problem(demand=demand, profiles=by_model, slo=Slo.table_iv(), cluster=cluster)
