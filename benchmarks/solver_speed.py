"""Time the code: one window by each fast solver, the program's build, the check of a week.

    pytest benchmarks/solver_speed.py -o addopts= --benchmark-only --benchmark-autosave

Each answer that is timed is also held against the best known, so that speed is not bought with quality. Compare runs
on one machine with ``pytest-benchmark compare``.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dynaopt.bench_cases import Case, find_cases, problem_digest, shipped_demand, shipped_profile
from dynaopt.best_known import find_best_known, read_best_known
from dynaopt.check import check
from dynaopt.formulation import formulate
from dynaopt.horizon import plan
from dynaopt.problem import Problem
from dynaopt.schedule import Schedule
from dynaopt.solvers import solve

CASES = {case.name: case for case in find_cases(["conversation", "coding"])}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Give each quick window."""
    return CASES[request.param]


def hold_against_best_known(name: str, problem: Problem, power_w: float) -> None:
    """Assert that an answer is within 3 % of the best known."""
    best = read_best_known(find_best_known())[name]
    assert best.problem_sha256 == problem_digest(problem), "the file of best-known answers is of other problems"
    assert best.power_w is not None
    assert power_w <= 1.03 * best.power_w


def test_greedy(benchmark: BenchmarkFixture, case: Case) -> None:
    """Times `greedy` on a window."""
    problem = case.build()
    solve(problem, solver="greedy")
    result = benchmark(solve, problem, solver="greedy")
    hold_against_best_known(case.name, problem, result.power_w)


def test_highs(benchmark: BenchmarkFixture, case: Case) -> None:
    """Times the proof of a window to 1e-4."""
    problem = case.build()
    result = benchmark.pedantic(solve, (problem,), {"solver": "highs", "time_limit_s": 60.0}, rounds=2)
    hold_against_best_known(case.name, problem, result.power_w)


def test_formulate(benchmark: BenchmarkFixture, case: Case) -> None:
    """Times pruning and writing the program."""
    formulation = benchmark(formulate, case.build())
    assert formulation.pools


def test_build_problem(benchmark: BenchmarkFixture, case: Case) -> None:
    """Times posing the problem of a window."""
    assert benchmark(case.build).pools


@pytest.fixture(scope="module")
def week() -> Schedule:
    """Plan the conversation week with `greedy`."""
    return plan(shipped_demand("azure-2024-conversation"), shipped_profile(), num_gpus=320, solver="greedy")


def test_check_week(benchmark: BenchmarkFixture, week: Schedule) -> None:
    """Times the independent check of 2,016 windows."""
    assert benchmark(check, week, profiles=[shipped_profile()]) == []
