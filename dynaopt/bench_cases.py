"""The library of cases on which solvers are compared: windows of the shipped weeks, and generated problems.

A case has a name that never changes its meaning, and is built anew, the same each time, from that alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product

import numpy as np

from dynaopt.demand import Demand, demand_names, read_demand
from dynaopt.errors import UnknownNameError
from dynaopt.generated_problems import classes_problem, configurations_problem, operation_problem, tightness_problem
from dynaopt.problem import Problem
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile

PROFILE = "llama2-70b-h100"
NUM_GPUS = 320
SEED = 2408
"""Of the windows that are sampled; those of generated cases stand in their names."""

SAMPLED_PER_WEEK, QUICK_PER_WEEK = 100, 3
NUM_CLASSES = tuple(range(1, 10))
NUM_CONFIGURATIONS = (3, 6, 12, 21, 42, 63)
TIGHTNESS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0, 1.05, 1.2)
OPERATIONS = ("reserve", "n+1", "power-cap", "fixed-mix", "unused-on", "two-models")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One problem of the library.

    Parameters
    ----------
    name
        For example ``tightness-0.95-s2``.
    family
        The family that it belongs to.
    level
        Where it stands on the family's axis.
    quick
        Whether it is one of the few that a quick run takes.
    build
        Makes the problem.
    """

    name: str
    family: str
    level: str
    quick: bool
    build: Callable[[], Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFamily:
    """Cases along one axis.

    Parameters
    ----------
    name
        For example ``tightness``.
    axis
        What grows along it, in words.
    cases
        Lists them.
    """

    name: str
    axis: str
    cases: Callable[[], Iterator[Case]]


def find_cases(families: Sequence[str] = (), *, full: bool = False) -> list[Case]:
    """Return cases of the library.

    Parameters
    ----------
    families
        Names of families; all by default.
    full
        Whether to take all cases of a family, or only the few of a quick run.

    Raises
    ------
    UnknownNameError
        If there is no family of a name.
    """
    known = {f.name: f for f in FAMILIES}
    for name in families:
        if name not in known:
            raise UnknownNameError("option family", expected=f"one of {', '.join(known)}", found=f"'{name}'")
    chosen = [known[name] for name in families] if families else FAMILIES
    return [case for family in chosen for case in family.cases() if full or case.quick]


def sample_windows(demand: Demand, count: int, *, seed: int = SEED) -> list[int]:
    """Draw windows evenly over load: one from each of `count` equal parts of the windows in the order of their rates.

    Parameters
    ----------
    demand
        A horizon.
    count
        How many windows.
    seed
        The same seed draws the same windows.

    Returns
    -------
    list of int
        Numbers of windows, by rate.
    """
    by_rate = np.argsort(demand.total_rates_rps.sum(axis=1), kind="stable")
    rng = np.random.default_rng(seed)
    return [int(rng.choice(part)) for part in np.array_split(by_rate, count)]


def problem_digest(problem: Problem) -> str:
    """Return the SHA-256 of what solvers see of a problem, numbers rounded to nine digits.

    Rounded, because the last bits of a power or a root differ between machines.
    """
    # What hosts draw, and which mixed pools are on offer, stands in the pools.
    cap_w = problem.cluster.power_cap_w
    rounded = problem.cluster.model_copy(update={"power_cap_w": None if cap_w is None else float(f"{cap_w:.9g}")})
    digest = hashlib.sha256(rounded.model_dump_json(exclude={"host_w", "max_mix_distance"}).encode())
    digest.update(f"{problem.unused_gpu_power_w:.9g}".encode())
    for pool in problem.pools:
        digest.update(f"\n{pool.model} {pool.request_class} {pool.rate_rps:.9g} {pool.gpu_power_w:.9g}".encode())
        for option in pool.options:
            numbers = " ".join(f"{v:.9g}" for v in np.concatenate([option.rate_rps, option.power_w]).tolist())
            digest.update(f"\n{option.tp} {option.frequency_mhz} {numbers}".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def shipped_profile() -> Profile:
    """Return the profile of the windows' cases, read once."""
    return read_profile(PROFILE)


@lru_cache(maxsize=2)
def shipped_demand(name: str) -> Demand:
    """Return a shipped week, read once."""
    return read_demand(name)


def window_problem(name: str, number: int) -> Problem:
    """Pose the problem of one window of a shipped week, as `dynaopt plan --mix-distance 0` does."""
    return shipped_demand(name).window(number).problem(shipped_profile(), num_gpus=NUM_GPUS, max_mix_distance=0.0)


def _windows(name: str) -> Iterator[Case]:
    family = name.rpartition("-")[2]
    # Every second window of the sample on which `greedy` is held against proofs (`benchmarks/greedy_quality.py`).
    sampled = sample_windows(shipped_demand(name), SAMPLED_PER_WEEK)[::2]
    quick = {sampled[round(at)] for at in np.linspace(0, len(sampled) - 1, QUICK_PER_WEEK)}
    for number in sampled:
        rate_rps = shipped_demand(name).total_rates_rps[number].sum()
        yield Case(
            name=f"{family}-w{number:04d}",
            family=family,
            level=f"{rate_rps:.1f}",
            quick=number in quick,
            build=partial(window_problem, name, number),
        )


def _generated(
    family: str, levels: Sequence[int | float | str], build: Callable[..., Problem], quick: Sequence[int | float | str]
) -> Iterator[Case]:
    for level, seed in product(levels, range(4)):
        yield Case(
            name=f"{family}-{level}-s{seed}",
            family=family,
            level=str(level),
            quick=level in quick and seed == 0,
            build=partial(build, level, seed),
        )


FAMILIES = (
    *(
        CaseFamily(name=name.rpartition("-")[2], axis="requests/s of a window", cases=partial(_windows, name))
        for name in demand_names()
    ),
    CaseFamily(
        name="classes",
        axis="classes with demand",
        cases=partial(_generated, "classes", NUM_CLASSES, classes_problem, (1, 3, 9)),
    ),
    CaseFamily(
        name="configurations",
        axis="configurations of the profile",
        cases=partial(_generated, "configurations", NUM_CONFIGURATIONS, configurations_problem, (3, 21, 63)),
    ),
    CaseFamily(
        name="tightness",
        axis="demand / capacity",
        cases=partial(_generated, "tightness", TIGHTNESS, tightness_problem, (0.2, 0.95, 1.0, 1.2)),
    ),
    CaseFamily(
        name="operation",
        axis="what the operator asks for",
        cases=partial(_generated, "operation", OPERATIONS, operation_problem, OPERATIONS[:4]),
    ),
)
