"""Made-up problems for benchmarks, along three axes and with each of the operator's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.generated_profiles import Shape, make_profile
from dynaopt.problem import Problem, WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.request_class import REQUEST_CLASSES

NUM_GPUS = 64
_SHAPES: tuple[Shape, ...] = ("concave", "mixed", "convex", "concave")
_OPERATIONS: Mapping[str, Mapping[str, Any]] = {
    "reserve": {"reserve": 0.2},
    "n+1": {"reserve": "n+1"},
    "power-cap": {},
    "fixed-mix": {},
    "unused-on": {"unused_gpus": "on"},
    "two-models": {},
}


def classes_problem(num_classes: int, seed: int) -> Problem:
    """Make a problem in which `num_classes` classes arrive, at half of the cluster's capacity."""
    return _problem(seed, num_classes=num_classes)


def configurations_problem(num_configurations: int, seed: int) -> Problem:
    """Make a problem with `num_configurations` configurations, at half of the cluster's capacity."""
    return _problem(seed, num_configurations=num_configurations)


def tightness_problem(tightness: float, seed: int) -> Problem:
    """Make a problem whose demand is `tightness` times what the cluster could serve if instances were divisible.

    Above 1 there is no answer; somewhat below there may be none either, since instances are not divisible.
    """
    return _problem(seed, tightness=tightness)


def operation_problem(operation: str, seed: int) -> Problem:
    """Make a problem with one of the operator's options.

    Parameters
    ----------
    operation
        ``reserve`` (20 %), ``n+1``, ``power-cap`` (5 % above what the demand needs if instances were divisible and
        idle GPUs off), ``fixed-mix``, ``unused-on`` or ``two-models``.
    seed
        The same seed makes the same problem.
    """
    options = _OPERATIONS[operation]
    problem = _problem(seed, num_models=2 if operation == "two-models" else 1, **options)
    if operation == "power-cap":
        return problem.replace(power_cap_w=1.05 * _divisible_power_w(problem))
    if operation == "fixed-mix":
        return problem.replace(fixed_mix={"generated": {2: 4 + seed, 4: 3, 8: 5}})
    return problem


def _problem(
    seed: int,
    *,
    num_classes: int = 9,
    num_configurations: int = 21,
    tightness: float = 0.5,
    num_models: int = 1,
    **cluster: Any,
) -> Problem:
    shape = _SHAPES[seed % len(_SHAPES)]
    names = ["generated", "generated-too"][:num_models]
    profiles = [make_profile(seed + 100 * n, num_configurations, shape, model=name) for n, name in enumerate(names)]
    rng = np.random.default_rng([seed, num_classes, num_configurations, num_models])
    shares = {profile.model: _shares(rng, num_classes) / num_models for profile in profiles}
    peak = {profile.model: float(rng.uniform(1.0, 1.3)) for profile in profiles}
    problem = _window(shares, peak).problem(profiles, num_gpus=NUM_GPUS, **cluster)
    scale = tightness * NUM_GPUS / _divisible_gpus(problem)
    rates = {model: share * scale for model, share in shares.items()}
    return problem.replace(demand=_window(rates, peak))


def _shares(rng: np.random.Generator, num_classes: int) -> FloatArray:
    shares = np.zeros(len(REQUEST_CLASSES))
    shares[rng.permutation(len(REQUEST_CLASSES))[:num_classes]] = rng.dirichlet(np.ones(num_classes))
    return shares


def _window(rates: Mapping[str, FloatArray], peak: Mapping[str, float]) -> WindowDemand:
    start = pd.Timestamp("2024-05-14T18:05:00Z")
    return WindowDemand(start=start, window_s=300.0, rate_rps=rates, peak_factor=peak)


def _divisible_gpus(problem: Problem) -> float:
    """Return the GPUs that the demand needs if instances were divisible."""
    gpus = [min(o.tp / o.capacity_rps for o in pool.options) for pool in problem.pools]
    return _least_total(problem, gpus)


def _divisible_power_w(problem: Problem) -> float:
    """Return the power that the demand needs if instances were divisible."""
    power = [
        min(float(np.min((o.power_w[1:] + o.tp * p.gpu_power_w) / o.rate_rps[1:])) for o in p.options)
        for p in problem.pools
    ]
    return _least_total(problem, power)


def _least_total(problem: Problem, per_rps: list[float]) -> float:
    """Add up demand times the least price of a request/s among the pools that may serve it."""
    return sum(
        own.rate_rps * min(per_rps[p] for c, p in problem.promotions if c == at)
        for at, own in enumerate(problem.classes)
        if own.rate_rps > 0
    )
