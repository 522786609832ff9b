"""Solvers against each other and against what must hold of every optimum, on random small problems."""

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import curves, problems

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.profile import LoadCurve
from dynaopt.result import Result, Termination
from dynaopt.solvers import get_solver

quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# CP-SAT proves to a little more than its scaling error, and `greedy` promises no gap.
GAP = 1e-6
LOOSE = 3e-4


def _solve(problem: Problem, solver: str) -> Result:
    exact = solver not in ("cp-sat", "greedy")
    return dynaopt.solve(problem, solver=solver, time_limit_s=10.0, gap_tolerance=GAP if exact else 1e-4)


def _power(problem: Problem, solver: str = "highs") -> float:
    """Return the least power, infinite where nothing is feasible."""
    result = _solve(problem, solver)
    assert result.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)
    return result.power_w if result.termination.has_solution else float("inf")


@quick
@given(problem=problems())
def test_all_agree_with_the_exhaustive_search(problem: Problem, chosen_solvers: list[str]) -> None:
    """Tests that every solver finds the least power of the exhaustive search, or infeasible where it does."""
    oracle = _solve(problem, "exhaustive")
    assert oracle.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)
    for name in chosen_solvers:
        result = _solve(problem, name)
        assert result.termination.has_solution == oracle.termination.has_solution, name
        if result.allocation is None:
            assert result.reason, name
            continue
        assert not check_allocation(problem, result.allocation), name
        assert result.lower_bound_w <= oracle.power_w * (1 + 1e-6) + 1e-6, name
        assert result.power_w >= oracle.power_w * (1 - 2e-6) - 1e-6, name
        if get_solver(name).proves:
            assert result.power_w == pytest.approx(oracle.power_w, rel=LOOSE if name == "cp-sat" else 2e-6), name


@quick
@given(problem=problems(), reserve=st.sampled_from([0.1, 0.4, "n+1"]))
def test_exact_agrees_on_spare_capacity(problem: Problem, reserve: float | Literal["n+1"]) -> None:
    """Tests tables of pools against HiGHS, where there are GPUs enough to have spare ones."""
    asked = problem.replace(reserve=reserve, fixed_mix={}, power_cap_w=None, num_gpus=problem.num_gpus + 8)
    assert _power(asked, "exact") == pytest.approx(_power(asked), rel=3 * GAP, abs=1e-6)


@quick
@given(problem=problems())
def test_more_gpus_never_cost_more(problem: Problem) -> None:
    """Tests that the power does not rise with the GPUs, where unused ones draw nothing."""
    assume(problem.cluster.unused_gpus == "released")
    assert _power(problem.replace(num_gpus=problem.num_gpus + 2)) <= _power(problem) * (1 + 3 * GAP)


@quick
@given(problem=problems())
def test_looser_slo_never_costs_more(problem: Problem) -> None:
    """Tests that the power does not rise when every objective is looser; the curves' ends bind here."""
    shorter = _with_latency(problem)
    assert _power(shorter.replace(slo=problem.slo.scaled(1.3))) <= _power(shorter) * (1 + 3 * GAP)


def _with_latency(problem: Problem) -> Problem:
    """Let the P99 TTFT of every curve rise from a tenth of the objective to twice as much."""
    profile = next(iter(problem.profiles.values()))
    steeper = {}
    for key, curve in profile.curves.items():
        rise = 0.1 + 1.9 * curve.rate_rps / curve.rate_rps[-1]
        seen = {c: (problem.slo.of(c)[0] * rise, curve.tbt_p99_s) for c in curve.class_latencies or [key[2]]}
        ttft_s = next(iter(seen.values()))[0]
        own = seen if curve.class_latencies else {}
        steeper[key] = replace(curve, ttft_p99_s=ttft_s, ttft_p50_s=ttft_s / 2, class_latencies=own)
    return problem.replace(profiles={profile.model: replace(profile, curves=steeper)})


@quick
@given(problem=problems(), extra=curves(2, 1600, "LL"))
def test_one_more_configuration_never_costs_more(problem: Problem, extra: LoadCurve) -> None:
    """Tests that the power does not rise when there is one more configuration to choose from."""
    profile = next(iter(problem.profiles.values()))
    more = replace(profile, curves={**profile.curves, (2, 1600, "LL"): extra})
    assume(2 in profile.tps)
    assert _power(problem.replace(profiles={profile.model: more})) <= _power(problem) * (1 + 3 * GAP)


@quick
@given(problem=problems())
def test_mixed_pools_on_offer_never_cost_more(problem: Problem) -> None:
    """Tests that the power does not rise when mixed pools may be used, whatever comes."""
    with_any, with_none = (problem.replace(max_mix_distance=distance) for distance in (1.0, 0.0))
    assert _power(with_any) <= _power(with_none) * (1 + 3 * GAP)


@quick
@given(problem=problems())
def test_less_reserve_never_costs_more(problem: Problem) -> None:
    """Tests that the power does not rise when neither reserve nor headroom is asked for."""
    assert _power(problem.replace(reserve=0.0, headroom=0.0)) <= _power(problem) * (1 + 3 * GAP)
