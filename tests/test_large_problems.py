"""Tests large problems: the same each time, as large and as tight as asked for, and solved."""

import numpy as np
import pytest

from dynaopt.bench_cases import problem_digest
from dynaopt.check import check_allocation
from dynaopt.large_problems import (
    MAX_MODELS,
    ROOMS,
    USED,
    Room,
    gpus_needed,
    large_problem,
    large_profiles,
    same_size_profiles,
)
from dynaopt.pool import Pool, PoolOption
from dynaopt.problem import Problem
from dynaopt.solvers import solve

MOST_GAP = 1e-3


def least_gpus(_: Pool, option: PoolOption) -> float:
    """Rank by GPUs for a request/s."""
    return option.tp / option.capacity_rps


def least_power(pool: Pool, option: PoolOption) -> float:
    """Rank by power for a request/s."""
    return float(option.power_w[-1] + option.tp * pool.gpu_power_w) / option.capacity_rps


def test_ten_models_on_one_kind_of_gpu() -> None:
    """Tests ten names, one GPU, two shipped profiles, and hosts that are the same for all."""
    profiles = large_profiles()
    assert len({profile.model for profile in profiles}) == len(profiles) == MAX_MODELS
    assert {profile.metadata.gpu for profile in profiles} == {"H100-SXM-80GB"}
    assert [profile.name for profile in profiles[:2]] == ["llama2-70b-h100", "llama-3.1-70b-h100"]
    assert len({profile.metadata.power for profile in profiles}) == 1


def test_kin_serve_more_or_fewer_at_the_same_latencies() -> None:
    """Tests the first: 0.6 times the requests/s at the same latencies and idle power, 1.05 times the rest."""
    shipped, _, kin, *_ = large_profiles()
    assert kin.model == "llama2-70b-kin-1"
    for key in ((2, 1980, "SS"), (8, 1400, "LL")):
        one, other = shipped.curves[key], kin.curves[key]
        assert other.rate_rps == pytest.approx(0.6 * one.rate_rps)
        assert other.power_w - other.power_w[0] == pytest.approx(1.05 * (one.power_w - one.power_w[0]))
        assert other.power_w[0] == pytest.approx(one.power_w[0])
        assert other.ttft_p99_s == pytest.approx(one.ttft_p99_s)
        assert other.tbt_p99_s == pytest.approx(one.tbt_p99_s)


@pytest.mark.parametrize("number", [3, 63])
def test_profiles_of_so_many_configurations(number: int) -> None:
    """Tests the configurations of all ten."""
    for profile in same_size_profiles(number):
        assert len({(tp, mhz) for tp, mhz, _ in profile.curves}) == number


@pytest.mark.parametrize("room", ROOMS)
def test_a_problem_is_the_same_each_time(room: Room) -> None:
    """Tests digests of a seed twice and of another."""
    one, again, other = (large_problem(seed, room, num_gpus=512) for seed in (3, 3, 4))
    assert problem_digest(one) == problem_digest(again) != problem_digest(other)


@pytest.mark.parametrize(("room", "rank"), [("slack", least_power), ("bound", least_gpus)])
@pytest.mark.parametrize("num_models", [1, 4])
def test_demand_needs_so_much_of_the_gpus(room: Room, rank: object, num_models: int) -> None:
    """Tests that divisible instances would need 80 % of the GPUs at least power, or 97 % at fewest GPUs."""
    problem = large_problem(1, room, num_gpus=2048, num_models=num_models)
    needed = gpus_needed(problem, rank)  # type: ignore[arg-type]
    assert sum(needed.values()) == pytest.approx(USED[room] * 2048)
    assert min(needed.values()) > 0


def test_demand_is_in_proportion() -> None:
    """Tests that four times the GPUs have four times the arrivals of every class of every model, and the same peaks."""
    small, large = (large_problem(5, "bound", num_gpus=n).demand for n in (640, 2560))
    for model, rates in small.rate_rps.items():
        assert large.rate_rps[model] == pytest.approx(4 * rates)
    assert small.peak_factor == large.peak_factor


def test_a_reserve_takes_its_share_of_the_demand() -> None:
    """Tests that with a quarter in reserve three quarters of the demand arrive."""
    without, with_reserve = (
        large_problem(2, "slack", num_gpus=640, num_models=2, reserve=reserve) for reserve in (0.0, 0.25)
    )
    for model, rates in without.demand.rate_rps.items():
        assert with_reserve.demand.rate_rps[model] == pytest.approx(0.75 * rates)


@pytest.mark.parametrize("num_classes", [1, 5])
def test_so_many_classes_arrive(num_classes: int) -> None:
    """Tests the classes of all models, and that they are a window's most frequent ones."""
    some = large_problem(6, "slack", num_gpus=640, num_classes=num_classes).demand.rate_rps
    every = large_problem(6, "slack", num_gpus=640).demand.rate_rps
    for model, rates in some.items():
        assert np.count_nonzero(rates) == num_classes
        assert every[model][rates > 0].min() >= every[model][rates == 0].max()


def test_more_models_than_there_are() -> None:
    """Tests that the message names how many there are."""
    with pytest.raises(ValueError, match=r"\[1, 10\], got 11"):
        large_problem(0, "slack", num_models=11)


@pytest.fixture(scope="module", params=[("slack", 1), ("bound", 1), ("bound", 10)], ids=str)
def largest(request: pytest.FixtureRequest) -> Problem:
    """Give problems of 10,240 GPUs."""
    room, num_models = request.param
    return large_problem(0, room, num_models=num_models)


def test_the_largest_are_solved(largest: Problem) -> None:
    """Tests that answers are right and proved to a thousandth, on all GPUs where they bind and on 80 % elsewhere."""
    result = solve(largest, solver="greedy", gap_tolerance=MOST_GAP)
    assert result.allocation is not None
    assert check_allocation(largest, result.allocation) == []
    assert result.gap <= MOST_GAP
    needed = sum(gpus_needed(largest, least_gpus).values()) / largest.num_gpus
    used = result.allocation.num_gpus / largest.num_gpus
    assert used == pytest.approx(0.8, abs=0.01) if needed < 0.9 else used > 0.999


@pytest.mark.parametrize("reserve", [0.1, "n+1"])
def test_reserves_are_kept_by_hundreds_of_instances(reserve: float | str) -> None:
    """Tests one model on 10,240 GPUs: the answer passes the check, and its gap is below a twentieth."""
    problem = large_problem(0, "slack", num_models=1, reserve=reserve)
    result = solve(problem, solver="greedy")
    assert result.allocation is not None
    assert check_allocation(problem, result.allocation) == []
    assert result.gap < 0.05
