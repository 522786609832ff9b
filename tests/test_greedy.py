"""Tests the heuristic."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_builders import two_size_problem

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.generated_problems import operation_problem, tightness_problem
from dynaopt.problem import Problem
from dynaopt.result import Result, Termination
from dynaopt.solvers.greedy import Greedy


def solve(problem: Problem, gap_tolerance: float = 1e-4) -> Result:
    """Solve and check the rows of the answer, the bound, and what is claimed."""
    result = Greedy().solve(problem, gap_tolerance=gap_tolerance)
    if result.allocation is not None:
        assert not check_allocation(problem, result.allocation)
        assert result.lower_bound_w <= result.power_w
        assert (result.termination is Termination.OPTIMAL) == (result.gap <= gap_tolerance + 1e-8)
    else:
        assert result.reason
    return result


def test_promotion_saves_a_pool() -> None:
    """Tests SS 0.2 and MM 3.0, worked out in `test_load_split`: together on a TP8 in MM, 1.1 x (200 + 2.2 x 40) W."""
    result = solve(two_size_problem({"SS": 0.2, "MM": 3.0}))
    assert result.termination is Termination.OPTIMAL
    assert result.power_w == pytest.approx(316.8)
    assert result.allocation is not None
    assert [(r.request_class, r.pool, r.rate_rps) for r in result.allocation.routes] == [
        ("SS", "MM", pytest.approx(0.2)),
        ("MM", "MM", pytest.approx(3.0)),
    ]


def test_peak_and_headroom_take_capacity() -> None:
    """Tests SS 0.8 at a peak factor of 1.5: a TP2 carries 1 / 1.5 = 0.667, so two are needed, one of them full.

    At 0.667 it draws 50 + 33.3 W, at 0.133 50 + 6.7 W: 140 W. A TP8 would draw 180 W.
    """
    curve = make_curve(2, 1000, "SS", [(0, 50), (1, 100)])
    result = solve(make_problem(make_profile([curve]), {"SS": 0.8}, peak_factor=1.5))
    assert result.power_w == pytest.approx(140.0)


def test_idle_instances_replace_unused_gpus_that_draw_more() -> None:
    """Tests a TP2 at 100 W; 64 GPUs more (70 W each) become eight idle TP8 of 100 W, 6 more three TP2 of 50 W."""
    result = solve(two_size_problem({"SS": 1.0}, unused_gpus="on", num_gpus=66))
    assert result.power_w == pytest.approx(100 + 8 * 100)
    assert result.termination is Termination.OPTIMAL
    assert solve(two_size_problem({"SS": 1.0}, unused_gpus="on", num_gpus=8)).power_w <= 100 + 3 * 50


def test_nothing_arrives() -> None:
    """Tests that no instance runs and 0 W are proved."""
    result = solve(two_size_problem({}))
    assert (result.power_w, result.termination) == (0.0, Termination.OPTIMAL)
    assert result.allocation is not None
    assert result.allocation.groups == ()


@pytest.mark.parametrize(
    ("rates", "cluster"),
    [
        ({"LM": 1.0, "ML": 1.0}, {"num_gpus": 2}),  # together in LL they need 4
        ({"SS": 1.0}, {"power_cap_w": 99.0}),
        ({"SS": 5.0}, {"fixed_mix": {"tiny-model": {2: 4}}}),
        ({"SS": 0.5}, {"reserve": "n+1", "num_gpus": 3}),
        ({"SS": 0.5}, {"num_gpus": 8, "fixed_mix": {"tiny-model": {2: 1, 8: 1}}}),
    ],
)
def test_infeasible_is_proved_and_explained(rates: dict[str, float], cluster: dict[str, object]) -> None:
    """Tests one limit after the other that cannot hold."""
    result = solve(two_size_problem(rates, **cluster))
    assert result.termination is Termination.INFEASIBLE
    assert result.reason


def test_a_power_cap_at_the_optimum_is_met() -> None:
    """Tests SS 1.0 with 100 W, all of which it needs."""
    assert solve(two_size_problem({"SS": 1.0}, power_cap_w=100.0)).power_w == pytest.approx(100.0)


def test_a_fixed_mix_runs_as_it_is() -> None:
    """Tests that idle instances make up the numbers: 4 on a TP8, 0.5 on a TP2, and a TP8 and two TP2 idle."""
    problem = two_size_problem({"SS": 4.5}, fixed_mix={"tiny-model": {2: 3, 8: 2}})
    result = solve(problem)
    assert result.allocation is not None
    assert result.allocation.num_gpus == 22
    assert result.power_w == pytest.approx(320 + 75 + 100 + 2 * 50)


def test_no_proof_without_the_gap() -> None:
    """Tests that an answer with a gap claims no more than feasible: 7 GPUs, where the bound is half-way."""
    result = solve(two_size_problem({"SS": 3.0}, num_gpus=7))
    assert result.termination is Termination.FEASIBLE
    assert result.power_w == pytest.approx(300.0)


def test_same_problem_same_answer() -> None:
    """Tests that two solvers, one used before, answer alike."""
    used, fresh = Greedy(), Greedy()
    used.solve(two_size_problem({"SS": 9.0}))
    problem = two_size_problem({"SS": 2.3, "MM": 1.9, "LL": 0.35}, num_gpus=18)
    one, other = (replace(solver.solve(problem), runtime_s=0.0) for solver in (used, fresh))
    assert one == other


def test_two_models_share_gpus() -> None:
    """Tests two models of SS 3.0 each on 14 GPUs: one has a TP8 (280 W on 8), the other three TP2 (300 W on 6)."""
    problem = two_size_problem({"SS": 3.0}, num_gpus=14)
    profile = next(iter(problem.profiles.values()))
    other = replace(profile, metadata=profile.metadata.model_copy(update={"model": "other"}))
    rates = problem.demand.rate_rps["tiny-model"]
    demand = replace(
        problem.demand, rate_rps={"tiny-model": rates, "other": rates}, peak_factor={"tiny-model": 1.0, "other": 1.0}
    )
    result = solve(problem.replace(demand=demand, profiles={"tiny-model": profile, "other": other}))
    assert result.power_w == pytest.approx(580.0)


def exact(problem: Problem) -> Result:
    """Solve with HiGHS."""
    return dynaopt.solve(problem, solver="highs", time_limit_s=20.0, gap_tolerance=1e-4)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tightness", [0.5, 0.8, 1.05])
def test_generated_problems_up_to_infeasible(tightness: float, seed: int) -> None:
    """Tests that an answer is found if and only if HiGHS finds one, at most 0.5 % above, and never a bound above it."""
    problem = tightness_problem(tightness, seed)
    result, reference = solve(problem), exact(problem)
    assert result.termination.has_solution == reference.termination.has_solution
    if reference.allocation is not None:
        assert result.power_w <= reference.power_w * 1.005
        assert result.lower_bound_w <= reference.power_w * (1 + 1e-9)


@pytest.mark.parametrize("operation", ["power-cap", "unused-on", "two-models"])
@pytest.mark.parametrize("seed", [1])
def test_generated_problems_with_options(operation: str, seed: int) -> None:
    """Tests the same where the operator asks for something."""
    problem = operation_problem(operation, seed)
    result, reference = solve(problem), exact(problem)
    assert result.termination.has_solution == reference.termination.has_solution
    if reference.allocation is not None:
        assert result.power_w <= reference.power_w * 1.005
        assert result.lower_bound_w <= reference.power_w * (1 + 1e-9)


def least_gpus(rates: dict[str, float]) -> int:
    """Return the fewest GPUs on which HiGHS finds an answer."""
    return next(n for n in range(2, 65, 2) if exact(two_size_problem(rates, num_gpus=n)).termination.has_solution)


def test_every_window_is_answered_on_the_fewest_gpus() -> None:
    """Tests the success rate where it is hardest, at the fewest GPUs and the next eight: all 30 are answered."""
    rng = np.random.default_rng(3)
    answered = tried = 0
    for _ in range(6):
        rates = dict(zip(("SS", "MM", "LL"), rng.uniform(0.1, 3.0, 3).tolist(), strict=True))
        fewest = least_gpus(rates)
        assert solve(two_size_problem(rates, num_gpus=fewest - 1)).termination is Termination.INFEASIBLE
        for num_gpus in range(fewest, fewest + 9, 2):
            problem = two_size_problem(rates, num_gpus=num_gpus)
            result, tried = solve(problem), tried + 1
            answered += result.termination.has_solution
            assert result.power_w <= exact(problem).power_w * 1.005
    assert answered == tried == 30


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    rates=st.dictionaries(st.sampled_from(["SS", "SM", "MM", "LL"]), st.floats(0.01, 6.0), min_size=1),
    num_gpus=st.integers(4, 40),
    reserve=st.sampled_from([0.0, 0.2, "n+1"]),
)
def test_more_gpus_never_hurt(rates: dict[str, float], num_gpus: int, reserve: float | str) -> None:
    """Tests that two more GPUs neither lose an answer nor raise its power beyond what its gap allows."""
    classes = ("SS", "SM", "MM", "LL")
    few = solve(two_size_problem(rates, classes, num_gpus=num_gpus, reserve=reserve))
    more = solve(two_size_problem(rates, classes, num_gpus=num_gpus + 2, reserve=reserve))
    if few.allocation is not None:
        assert more.allocation is not None
        assert more.lower_bound_w <= few.power_w * (1 + 1e-9)
        assert more.power_w <= few.power_w * (1.0001 + few.gap)
