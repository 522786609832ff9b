"""Tests the library of cases: stable names, the same problems each time, and axes that are what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dynaopt import bench_cases
from dynaopt.bench_cases import FAMILIES, find_cases, problem_digest, sample_windows
from dynaopt.demand import read_demand
from dynaopt.errors import UnknownNameError
from dynaopt.generated_problems import classes_problem, configurations_problem, operation_problem, tightness_problem
from dynaopt.generated_profiles import TPS, make_profile
from dynaopt.problem import Problem
from dynaopt.request_class import is_promotable

GENERATED = ["classes", "configurations", "tightness", "operation"]


def test_the_library_has_the_axes() -> None:
    """Tests the families and their number of cases."""
    counts = {family.name: len(list(family.cases())) for family in FAMILIES}
    assert counts == {
        "conversation": 50,
        "coding": 50,
        "classes": 36,
        "configurations": 24,
        "tightness": 36,
        "operation": 24,
    }


def test_names_are_unique() -> None:
    """Tests that no two cases share a name."""
    names = [case.name for case in find_cases(full=True)]
    assert len(set(names)) == len(names) == 220


def test_a_quick_run_takes_a_few_of_every_family() -> None:
    """Tests that the quick cases are about 20, from all families."""
    quick = find_cases()
    assert len(quick) == 20
    assert {case.family for case in quick} == {family.name for family in FAMILIES}


def test_an_unknown_family_is_refused() -> None:
    """Tests that the message lists the families."""
    with pytest.raises(UnknownNameError, match="classes, configurations, tightness, operation"):
        find_cases(["clases"])


@pytest.mark.parametrize("family", GENERATED)
def test_a_case_is_the_same_each_time(family: str) -> None:
    """Tests that building a case twice gives one digest, and different cases different ones."""
    cases = find_cases([family])
    digests = [problem_digest(case.build()) for case in cases]
    assert digests == [problem_digest(case.build()) for case in cases]
    assert len(set(digests)) == len(cases)


def test_the_digest_sees_what_solvers_see() -> None:
    """Tests that each input that a solver reads changes the digest, and the last bit of a power does not."""
    problem = classes_problem(3, 0)
    changed = [
        problem.replace(num_gpus=63),
        problem.replace(headroom=0.2),
        problem.replace(unused_gpus="on"),
        problem.replace(slo=problem.slo.scaled(0.5)),
        problem.replace(demand=replace(problem.demand, rate_rps={"generated": np.full(9, 0.1)})),
        problem.replace(demand=replace(problem.demand, peak_factor={"generated": 1.9})),
        problem.replace(profiles={"generated": make_profile(7, 21, "concave")}),
    ]
    assert len({problem_digest(p) for p in [problem, *changed]}) == len(changed) + 1
    nudged = replace(
        problem.demand, rate_rps={m: np.nextafter(r, np.inf) * (r > 0) for m, r in problem.demand.rate_rps.items()}
    )
    assert problem_digest(problem.replace(demand=nudged)) == problem_digest(problem)


@pytest.mark.parametrize("name", ["azure-2024-conversation", "azure-2024-coding"])
def test_windows_are_sampled_evenly_over_load(name: str) -> None:
    """Tests that one window comes from each part of the load's order, and the same seed gives the same windows."""
    demand = read_demand(name)
    rank = np.argsort(np.argsort(demand.total_rates_rps.sum(axis=1), kind="stable"))
    sampled = sample_windows(demand, 42)
    assert [rank[n] * 42 // 2016 for n in sampled] == list(range(42))
    assert sampled == sample_windows(demand, 42)
    assert sampled != sample_windows(demand, 42, seed=1)


def test_a_window_case_is_that_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the case poses the window that its name says, on 320 GPUs."""
    monkeypatch.setattr(bench_cases, "shipped_profile", lambda: make_profile(0, 3, "concave", model="any"))
    case = find_cases(["coding"])[1]
    demand = read_demand("azure-2024-coding")
    number = int(case.name.removeprefix("coding-w"))
    problem = case.build()
    assert problem.num_gpus == 320
    assert problem.demand.start == demand.starts[number]
    assert [p.rate_rps for p in problem.pools] == demand.total_rates_rps[number].tolist()
    assert float(case.level) == pytest.approx(demand.total_rates_rps[number].sum(), abs=0.05)


@pytest.mark.parametrize("num_classes", range(1, 10))
def test_as_many_classes_arrive_as_the_axis_says(num_classes: int) -> None:
    """Tests the number of classes with demand."""
    problem = classes_problem(num_classes, 2)
    assert sum(pool.rate_rps > 0 for pool in problem.pools) == num_classes


@pytest.mark.parametrize("num_configurations", [3, 6, 12, 21, 42, 63])
def test_profiles_have_as_many_configurations_as_the_axis_says(num_configurations: int) -> None:
    """Tests the number of configurations, the same number for each TP."""
    profile = next(iter(configurations_problem(num_configurations, 0).profiles.values()))
    assert len({(tp, mhz) for tp, mhz, _ in profile.curves}) == num_configurations
    assert profile.tps == TPS
    assert len(profile.frequencies_mhz) == num_configurations // 3


def divisible_gpus(problem: Problem) -> float:
    """Return the GPUs that a demand needs if instances were divisible, worked out anew."""
    total = 0.0
    for own in problem.pools:
        options = [
            o for pool in problem.pools if is_promotable(own.request_class, pool.request_class) for o in pool.options
        ]
        total += own.rate_rps * min(o.tp / o.capacity_rps for o in options)
    return total


@pytest.mark.parametrize("tightness", [0.2, 0.95, 1.2])
def test_tightness_is_demand_over_capacity(tightness: float) -> None:
    """Tests that the GPUs needed, if instances were divisible, are that share of those there."""
    problem = tightness_problem(tightness, 1)
    assert divisible_gpus(problem) / problem.num_gpus == pytest.approx(tightness)


def test_each_operation_asks_for_something_else() -> None:
    """Tests that the operator's options are in the problems."""
    assert operation_problem("reserve", 0).cluster.reserve == 0.2
    assert operation_problem("n+1", 0).cluster.reserve == "n+1"
    assert operation_problem("power-cap", 0).cluster.power_cap_w
    assert operation_problem("fixed-mix", 1).cluster.fixed_mix == {"generated": {2: 5, 4: 3, 8: 5}}
    assert operation_problem("unused-on", 0).unused_gpu_power_w == 70.0
    assert {pool.model for pool in operation_problem("two-models", 0).pools} == {"generated", "generated-too"}


@pytest.mark.parametrize("shape", ["concave", "convex", "mixed"])
def test_generated_curves_are_what_their_shape_says(shape: str) -> None:
    """Tests that power rises along every curve and bends as told; mixed profiles hold both kinds."""
    bends = []
    for curve in make_profile(3, 21, shape).curves.values():  # type: ignore[arg-type]
        slopes = np.diff(curve.power_w) / np.diff(curve.rate_rps)
        assert (slopes > 0).all()
        bends.append(int(np.sign(slopes[-1] - slopes[0])))
        assert all(b > a for a, b in pairwise(curve.rate_rps))
    assert set(bends) == {"concave": {-1}, "convex": {1}, "mixed": {-1, 1}}[shape]


def test_a_number_of_configurations_that_cannot_be_is_refused() -> None:
    """Tests that it must be a multiple of the three degrees."""
    with pytest.raises(ValueError, match="multiple of 3, got 20"):
        make_profile(0, 20, "concave")
