"""Tests of `dynaopt.pruning`: what is dropped, what must stay, and when a rule does not apply."""

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile

from dynaopt.demand import read_demand
from dynaopt.problem import Problem
from dynaopt.profile_io import read_profile
from dynaopt.pruning import PrunedPool, Segment, gpu_price_w, prune

Curves = dict[tuple[int, int], list[tuple[float, float]]]


def prune_ss(curves: Curves, rate: float = 10.0, **options: object) -> PrunedPool:
    """Prune the only pool of a problem with these curves for SS."""
    host_w = options.pop("host_w", 0.0)
    profile = make_profile([make_curve(*key, "SS", points) for key, points in curves.items()], host_w=host_w)
    pools = prune(make_problem(profile, {"SS": rate}, **options))  # type: ignore[arg-type]
    assert len(pools) == 1
    return pools[0]


def points_of(pool: PrunedPool) -> list[tuple[int, int, float]]:
    """Return (tp, MHz, load) of every point."""
    return [(s.option.tp, s.option.frequency_mhz, round(s.lower_rps, 9)) for s in pool.points]


def stretches_of(pool: PrunedPool) -> list[tuple[int, int, float, float]]:
    """Return (tp, MHz, lower, upper) of every stretch."""
    return [(s.option.tp, s.option.frequency_mhz, round(s.lower_rps, 9), round(s.upper_rps, 9)) for s in pool.stretches]


def test_points_are_capacity_and_rising_slopes() -> None:
    """Tests that a breakpoint is a point where the slope rises, and not where it falls; 0 is of no use."""
    pool = prune_ss({(2, 1000): [(0, 100), (1, 150), (2, 300), (3, 350)]})
    assert points_of(pool) == [(2, 1000, 1.0), (2, 1000, 3.0)]
    assert stretches_of(pool) == [(2, 1000, 0.0, 1.0), (2, 1000, 1.0, 2.0), (2, 1000, 2.0, 3.0)]


def test_segments_carry_the_power_that_an_instance_adds() -> None:
    """Tests that powers hold the share of the host and are net of what the GPUs draw unused."""
    pool = prune_ss({(2, 1000): [(0, 200), (2, 300)]}, host_w=800.0, unused_gpus="on")
    (stretch,) = pool.stretches
    # Two GPUs: + 2 · 100 W of the host, - 2 · 70 W unused.
    assert (stretch.lower_power_w, stretch.upper_power_w) == (260.0, 360.0)
    assert not stretch.is_point
    assert pool.points[-1].is_point
    assert pool.segments == pool.points + pool.stretches


def test_dominated_configuration_never_reaches_a_solver() -> None:
    """Tests that an option with another of no more GPUs, no less capacity and no more power leaves nothing."""
    pool = prune_ss({(2, 1000): [(0, 100), (2, 200)], (2, 1980): [(0, 120), (2, 210)], (4, 1000): [(0, 200), (1, 300)]})
    assert {(s.option.tp, s.option.frequency_mhz) for s in pool.segments} == {(2, 1000)}


def test_equal_configurations_leave_one() -> None:
    """Tests that of two options with the same curve the first stays, and not none."""
    curve = [(0, 100), (2, 200)]
    assert points_of(prune_ss({(2, 1000): curve, (2, 1980): curve})) == [(2, 1000, 2.0)]


def test_part_of_a_curve_is_dropped() -> None:
    """Tests that an option loses the loads at which another draws no more, and keeps those it is needed for."""
    pool = prune_ss({(2, 1000): [(0, 100), (1, 150)], (2, 1980): [(0, 140), (1, 220), (3, 400)]})
    assert stretches_of(pool) == [(2, 1000, 0.0, 1.0), (2, 1980, 1.0, 3.0)]
    assert points_of(pool) == [(2, 1000, 1.0), (2, 1980, 3.0)]


def test_crossing_inside_a_part_keeps_both() -> None:
    """Tests that where two straight parts cross neither is dropped between the neighbouring breakpoints."""
    pool = prune_ss({(2, 1000): [(0, 100), (2, 300)], (2, 1980): [(0, 200), (2, 250)]})
    assert {s[:2] for s in stretches_of(pool)} == {(2, 1000), (2, 1980)}


def test_fewer_gpus_are_worth_keeping() -> None:
    """Tests that an option that draws more stays when it takes fewer GPUs."""
    pool = prune_ss({(2, 1000): [(0, 300), (2, 500)], (4, 1000): [(0, 100), (2, 200)]})
    assert {s.option.tp for s in pool.segments} == {2, 4}


def test_split_replaces_a_larger_instance() -> None:
    """Tests that a TP4 goes that two TP2 undercut at every load, one of them full above 1 request/s."""
    curves: Curves = {(2, 1000): [(0, 50), (1, 100)], (4, 1000): [(0, 200), (2, 400)]}
    assert {s.option.tp for s in prune_ss(curves).segments} == {2}


def test_split_keeps_loads_it_cannot_carry() -> None:
    """Tests that a TP4 stays where two TP2 do not reach."""
    pool = prune_ss({(2, 1000): [(0, 50), (1, 100)], (4, 1000): [(0, 200), (2, 400), (3, 490)]})
    assert (4, 1000, 2.0, 3.0) in stretches_of(pool)
    assert (4, 1000, 1.0, 2.0) not in stretches_of(pool)


def test_split_looks_inside_the_interval() -> None:
    """Tests that a stretch stays which two instances undercut at both ends and not between.

    Two TP2 with P(0, 0.1, 1) = 50, 140, 150 W draw 150 + P(r − 1) at a load r of 1 to 2; the TP4 draws 201 to 301 W.
    At 1 that is 200 < 201 and at 2 it is 300 < 301, but at 1.1 it is 290 > 211.
    """
    pool = prune_ss({(2, 1000): [(0, 50), (0.1, 140), (1, 150)], (4, 1000): [(0, 101), (2, 301)]})
    assert any(s[0] == 4 and s[2] <= 1.1 <= s[3] for s in stretches_of(pool))


def test_fixed_mix_compares_equal_degrees_only() -> None:
    """Tests that with a fixed mix a TP4 stays that a TP2 dominates, and idle instances are possible."""
    curves: Curves = {(2, 1000): [(0, 100), (2, 200)], (4, 1000): [(0, 200), (2, 300)]}
    pool = prune_ss(curves, fixed_mix={"tiny-model": {4: 1}})
    assert {s.option.tp for s in pool.segments} == {2, 4}
    assert (4, 1000, 0.0) in points_of(pool)


@pytest.mark.parametrize("reserve", [0.2, "n+1"])
def test_reserve_keeps_capacity(reserve: float | str) -> None:
    """Tests that where capacity counts an option stays that draws more and has more of it, and may idle."""
    curves: Curves = {(2, 1000): [(0, 100), (1, 150)], (2, 1980): [(0, 120), (1, 200), (3, 400)]}
    pool = prune_ss(curves, 0.5, reserve=reserve)
    assert (2, 1980, 0.0) in points_of(pool)
    assert (2, 1980, 0.0) not in points_of(prune_ss(curves, 0.5))


def test_idling_stays_where_it_saves() -> None:
    """Tests that an idle instance stays possible that draws less than its GPUs do unused: 100 W of 140 W."""
    pool = prune_ss({(2, 1000): [(0, 100), (2, 300)]}, unused_gpus="on")
    assert (2, 1000, 0.0) in points_of(pool)


def test_no_more_than_may_come() -> None:
    """Tests that segments end at all that may come to the pool, and points beyond it are dropped."""
    pool = prune_ss({(2, 1000): [(0, 100), (2, 200), (4, 500)]}, 1.0)
    assert pool.max_load_rps == 1.0
    assert points_of(pool) == []
    (stretch,) = pool.stretches
    assert stretch.upper_rps == pytest.approx(1.0)
    assert stretch.upper_power_w == pytest.approx(150.0)


def test_promotions_add_to_the_load() -> None:
    """Tests that a pool counts the arrivals of every class that can be promoted to it."""
    profile = make_profile([make_curve(2, 1000, c, [(0, 100), (9, 300)]) for c in ("SS", "SL", "LS", "LL")])
    pools = prune(make_problem(profile, {"SS": 1.0, "SL": 2.0, "LS": 4.0}))
    assert [p.max_load_rps for p in pools] == [1.0, 3.0, 5.0, 7.0]


def test_pools_without_use_are_left_out() -> None:
    """Tests that a pool to which nothing may come is left out, unless a fixed mix may need it."""
    profile = make_profile([make_curve(2, 1000, c, [(0, 100), (9, 300)]) for c in ("SS", "LL")])
    assert [p.pool for p in prune(make_problem(profile, {"LL": 1.0}))] == [8]
    with_mix = make_problem(profile, {"LL": 1.0}, fixed_mix={"tiny-model": {2: 3}})
    assert [p.pool for p in prune(with_mix)] == [0, 8]


def test_gpu_price() -> None:
    """Tests that the price of a GPU is its share of the host less what it draws unused."""
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 100), (9, 300)])], host_w=800.0)
    problem = make_problem(profile, {"SS": 1.0}, unused_gpus="on")
    assert gpu_price_w(problem, problem.pools[0]) == 100.0 - 70.0


@pytest.fixture(scope="module")
def shipped() -> Problem:
    """Return the problem of a shipped window."""
    return read_demand("azure-2024-conversation").window(500).problem(read_profile("llama2-70b-h100"))


def test_shipped_window_is_a_fifth(shipped: Problem) -> None:
    """Tests that at most a fifth of the segments of a shipped window reach a solver."""
    before = sum(len(k.rate_rps) - 1 for pool in shipped.pools for k in pool.options)
    assert sum(len(p.stretches) for p in prune(shipped)) < before / 5


def test_shipped_segments_lie_on_their_curves(shipped: Problem) -> None:
    """Tests that the ends of every segment have the power of the option's curve, and stretches are straight."""
    for pool in prune(shipped):
        price_w = gpu_price_w(shipped, shipped.pools[pool.pool])
        for s in pool.segments:
            middle_rps = (s.lower_rps + s.upper_rps) / 2
            powers = np.interp([s.lower_rps, middle_rps, s.upper_rps], s.option.rate_rps, s.option.power_w)
            expected = np.array([s.lower_power_w, (s.lower_power_w + s.upper_power_w) / 2, s.upper_power_w])
            np.testing.assert_allclose(powers + s.option.tp * price_w, expected, rtol=1e-9)


def test_each_load_can_still_be_carried_at_the_least_power(shipped: Problem) -> None:
    """Tests that at every load of a single instance the least power over all options is still there."""
    for pool in prune(shipped):
        options = shipped.pools[pool.pool].options
        top = min(max(k.capacity_rps for k in options), pool.max_load_rps)
        for rate in np.linspace(0.01, 0.99, 40) * top:
            least = min(np.interp(rate, k.rate_rps, k.power_w) for k in options if k.capacity_rps >= rate)
            kept = [_power_at(s, rate) for s in pool.stretches if s.lower_rps <= rate <= s.upper_rps]
            # Two instances may undercut the one, where rule 3 dropped it.
            assert min(kept, default=np.inf) == pytest.approx(least, rel=1e-9) or _two(pool, rate) <= least * (1 + 1e-9)


def _power_at(segment: Segment, rate: float) -> float:
    ends = [segment.lower_rps, segment.upper_rps]
    return float(np.interp(rate, ends, [segment.lower_power_w, segment.upper_power_w]))


def _two(pool: PrunedPool, rate: float) -> float:
    return min(
        (
            first.lower_power_w + _power_at(s, rate - first.lower_rps)
            for first in pool.points
            for s in pool.stretches
            if s.lower_rps <= rate - first.lower_rps <= s.upper_rps
        ),
        default=np.inf,
    )
