"""Tests of `dynaopt.capacity_program`: the least GPUs and the most arrivals that capacities allow."""

import math
from collections.abc import Mapping

import pytest
from builders import make_curve, make_problem, make_profile, with_mix

from dynaopt.capacity_program import capacities, solve_program
from dynaopt.problem import Problem

TP2 = [(0, 100), (1, 200), (2, 300)]
TP4 = [(0, 150), (5, 600)]


def pose(rates: dict[str, float], **options: object) -> Problem:
    """Pose a problem with a TP2 that carries 2 requests/s and a TP4 that carries 5, for each class that arrives."""
    curves = [make_curve(tp, 1000, c, points) for c in rates for tp, points in ((2, TP2), (4, TP4))]
    return make_problem(make_profile(curves), rates, **{"num_gpus": 8, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate_rps", "gpus"),
    [(1.0, 2), (2.0, 2), (2.1, 4), (5.0, 4), (5.1, 6), (7.0, 6), (7.1, 8), (10.0, 8), (12.0, 10)],
)
def test_fewest_gpus(rate_rps: float, gpus: int) -> None:
    """Tests the fewest GPUs: a TP2 for 2 requests/s and a TP4 for 5, whichever mix carries the load."""
    found = solve_program(capacities(pose({"LL": rate_rps}), wanted="gpus"), 5.0)
    assert found is not None
    assert found.value == pytest.approx(gpus)
    assert found.bound == pytest.approx(gpus)


def test_promotion_saves_gpus() -> None:
    """Tests that classes share instances: 1 + 1 requests/s of SS and LL go to one TP2 of LL."""
    found = solve_program(capacities(pose({"SS": 1.0, "LL": 1.0}), wanted="gpus"), 5.0)
    assert found is not None
    assert found.value == pytest.approx(2)


@pytest.mark.parametrize(
    ("wanted", "value"),
    [("gpus", 2.0), ("share", -1.0), ("fit", 0.0)],
)
def test_a_mixed_pool_carries_all_its_classes(wanted: str, value: float) -> None:
    """Tests 1 + 1 requests/s of SL and LS, which may not serve each other: together on one TP2, on 2 GPUs."""
    found = solve_program(capacities(pose_mixed(), wanted=wanted), 5.0)
    assert found is not None
    assert found.value == pytest.approx(value)


def test_a_mixed_pool_carries_all_or_nothing() -> None:
    """Tests that 3 + 1 requests/s take two TP2 of the mix, on 4 GPUs, and that one carries half of each class."""
    for num_gpus, share in ((4, 1.0), (2, 0.5)):
        found = solve_program(capacities(pose_mixed({"SL": 3.0, "LS": 1.0}, num_gpus=num_gpus), wanted="share"), 5.0)
        assert found is not None
        assert -found.value == pytest.approx(share)


def pose_mixed(rates: Mapping[str, float] = {"SL": 1.0, "LS": 1.0}, num_gpus: int = 2) -> Problem:
    """Pose a problem with a TP2 that carries 2 requests/s, of either class or of both together."""
    profile = make_profile([make_curve(2, 1000, c, TP2) for c in rates])
    profile = with_mix(profile, "ALL-a", {"SL": 0.5, "LS": 0.5}, [make_curve(2, 1000, "ALL-a", TP2)])
    return make_problem(profile, rates, num_gpus=num_gpus, max_mix_distance=1.0)


@pytest.mark.parametrize(("num_gpus", "fits"), [(4, False), (6, True)])
def test_fits_within_the_gpus(num_gpus: int, fits: bool) -> None:
    """Tests that 5.5 requests/s fit on six GPUs, TP4 and TP2, and not on four."""
    found = solve_program(capacities(pose({"LL": 5.5}, num_gpus=num_gpus), wanted="fit"), 5.0)
    assert (found is not None) == fits


def test_share_that_is_carried() -> None:
    """Tests that a fixed mix of two TP2 carries 4 of 8 requests/s: half."""
    problem = pose({"LL": 8.0})
    model = next(iter(problem.profiles))
    fixed = problem.replace(fixed_mix={model: {2: 2}})
    found = solve_program(capacities(fixed, wanted="share"), 5.0)
    assert found is not None
    assert -found.bound == pytest.approx(0.5)


def test_n_plus_one() -> None:
    """Tests that with n+1 what is left without the largest instance carries all: 2 requests/s need two TP2."""
    found = solve_program(capacities(pose({"LL": 2.0}, reserve="n+1"), wanted="gpus"), 5.0)
    assert found is not None
    assert found.value == pytest.approx(4)


def test_reserve() -> None:
    """Tests that a reserve of 20 % leaves 1.6 of a TP2's 2 requests/s."""
    for rate_rps, gpus in ((1.6, 2), (1.61, 4)):
        found = solve_program(capacities(pose({"LL": rate_rps}, reserve=0.2), wanted="gpus"), 5.0)
        assert found is not None
        assert found.value == pytest.approx(gpus)


def test_no_pool() -> None:
    """Tests that there is no program where a class has no pool, and that no program means infeasible."""
    problem = pose({"LL": 1.0})
    assert capacities(problem.replace(slo=problem.slo.scaled(1e-6)), wanted="gpus") is None
    assert solve_program(None, 1.0) is None


def test_time_runs_out() -> None:
    """Tests that a program stopped at once has no value below what it needs."""
    found = solve_program(capacities(pose({"LL": 7.1}), wanted="gpus"), 1e-9)
    assert found is not None
    assert found.bound <= 8 <= found.value or math.isinf(found.value)
