"""Tests which mixed pools a window's problem offers, and what stands in them."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile, make_window, with_mix

from dynaopt.problem import Problem
from dynaopt.profile import Profile, slo_rates_rps
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES

POINTS = [(0.0, 100.0), (2.0, 300.0)]
MM, LS, LL = (REQUEST_CLASSES.index(name) for name in ("MM", "LS", "LL"))


def make_mixed_profile(
    shares: dict[str, float], *, ttft_p99_s: float = 0.01, model: str = "tiny-model", name: str = "ALL-a"
) -> Profile:
    """Make a profile with one curve for MM, LS and LL each, and one for a mix."""
    profile = make_profile([make_curve(2, 1000, c, POINTS) for c in ("MM", "LS", "LL")], model=model)
    curve = make_curve(2, 1000, name, POINTS, ttft_p99_s=[ttft_p99_s] * 2)
    return with_mix(profile, name, shares, [curve])


def offered(problem: Problem) -> list[str]:
    """Return the names of the mixed pools."""
    return [pool.request_class for pool in problem.pools[len(problem.classes) :]]


def test_a_mixed_pool_knows_its_members() -> None:
    """Tests a mix of LS and LL, and LM that does not come: members by index, their arrivals together, its own curve.

    The curve ends at 2 requests/s, by a peak factor of 1.25 and a headroom of 0.6 at 1.
    """
    profile = make_mixed_profile({"LS": 0.5, "LM": 0.05, "LL": 0.45})
    problem = make_problem(profile, {"MM": 3.0, "LS": 1.1, "LL": 0.9}, peak_factor=1.25, headroom=0.6)
    assert [pool.request_class for pool in problem.classes] == list(REQUEST_CLASSES)
    assert len(problem.pools) == 10
    pool = problem.pools[9]
    assert (pool.request_class, pool.members, pool.rate_rps) == ("ALL-a", (LS, LL), pytest.approx(2.0))
    assert [(k.tp, k.capacity_rps) for k in pool.options] == [(2, 1.0)]
    assert problem.ways[-2:] == ((LS, 9), (LL, 9))
    assert all(p < 9 for _, p in problem.promotions)
    assert "5.0 requests/s" in repr(problem)


@pytest.mark.parametrize(
    ("rates", "limit", "is_offered"),
    [
        ({"LS": 0.6, "LL": 0.4}, 0.1, True),  # half of 0.1 + 0.1
        ({"LS": 0.6, "LL": 0.4}, 0.09, False),
        ({"LS": 0.6, "LL": 0.4, "MM": 9.0}, 0.1, True),  # what is no member does not count
        ({"LS": 1.0}, 1.0, False),  # with one class it is no mix
        ({"LS": 1.0, "LL": 1.0}, 0.0, False),  # 0 is for none, and no rounding makes it otherwise
        ({}, 1.0, False),
    ],
)
def test_what_is_near_enough_is_offered(rates: dict[str, float], limit: float, is_offered: bool) -> None:
    """Tests a mix of halves of LS and LL at several distances."""
    problem = make_problem(make_mixed_profile({"LS": 0.5, "LL": 0.5}), rates, max_mix_distance=limit)
    assert offered(problem) == ["ALL-a"] * is_offered


def test_what_keeps_no_slo_is_not_offered() -> None:
    """Tests that a mix whose unloaded instance is too slow for LS has no pool."""
    slow = make_mixed_profile({"LS": 0.5, "LL": 0.5}, ttft_p99_s=3.0)
    assert offered(make_problem(slow, {"LS": 1.0, "LL": 1.0})) == []


def test_of_mixes_with_the_same_members_the_nearest_is_offered() -> None:
    """Tests b, of 0.55 and 0.45, beside a, of halves; and c, which has MM too, beside either."""
    profile = make_mixed_profile({"LS": 0.5, "LL": 0.5})
    curve = make_curve(2, 1000, "ALL-b", POINTS)
    profile = with_mix(profile, "ALL-b", {"LS": 0.55, "LL": 0.45}, [curve])
    profile = with_mix(profile, "ALL-c", {"LS": 0.3, "LL": 0.3, "MM": 0.4}, [curve])
    options = {"max_mix_distance": 0.5}
    assert offered(make_problem(profile, {"LS": 0.52, "LL": 0.48}, **options)) == ["ALL-a"]
    assert offered(make_problem(profile, {"LS": 0.53, "LL": 0.47}, **options)) == ["ALL-b"]
    assert offered(make_problem(profile, {"LS": 0.52, "LL": 0.48, "MM": 1.0}, **options)) == ["ALL-a", "ALL-c"]


def test_mixed_pools_of_two_models_come_after_all_classes() -> None:
    """Tests that indices of classes stay what they are, and members are those of the pool's own model."""
    shares = {"MM": 0.5, "LL": 0.5}
    profiles = [make_mixed_profile(shares, model="a"), make_mixed_profile(shares, model="b")]
    window = make_window({"MM": 1.0, "LL": 1.0}, model="a")
    rates = window.rate_rps["a"]
    both = replace(window, rate_rps={"a": rates, "b": np.array(rates)}, peak_factor={"a": 1.0, "b": 1.0})
    problem = both.problem(profiles)
    assert [(pool.model, pool.members) for pool in problem.pools[18:]] == [("a", (MM, LL)), ("b", (9 + MM, 9 + LL))]
    assert {p for c, p in problem.ways if c >= 9} == {*range(9, 18), 19}


def test_curves_are_cut_at_the_stretch() -> None:
    """Tests every option of the shipped profile against its curve read by NumPy, at a peak that is no round number.

    Problems of the same stretch share their options, which nobody may change.
    """
    profile = read_profile("llama2-70b-h100")
    rates = dict.fromkeys(REQUEST_CLASSES, 1.0)
    one, two = (make_problem(profile, rates, peak_factor=1.0918, headroom=0.1) for _ in range(2))
    slo_rates = slo_rates_rps(profile, one.slo)
    assert sum(len(pool.options) for pool in one.classes) > 100
    for pool, same in zip(one.classes, two.classes, strict=True):
        assert pool.options is same.options
        for option in pool.options:
            curve = profile.curve(option.tp, option.frequency_mhz, pool.request_class)
            rate = slo_rates[option.tp, option.frequency_mhz, pool.request_class]
            assert option.capacity_rps == pytest.approx(rate / (1.0918 * 1.1), rel=1e-12)
            assert (np.diff(option.rate_rps) > 0).all()
            expected = np.interp(option.rate_rps, curve.rate_rps, curve.power_w)
            assert option.power_w == pytest.approx(expected, rel=1e-6)
            assert not option.power_w.flags.writeable
