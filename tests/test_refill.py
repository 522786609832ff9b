"""Tests what instances that run serve of another demand."""

import numpy as np
import pytest
from builders import make_problem
from hypothesis import given
from hypothesis import strategies as st
from planner_builders import running, two_size_profile
from search_builders import three_mixes_problem, two_size_problem

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.refill import Refilled, refill
from dynaopt.solvers.greedy import Greedy

CLASSES = ("SS", "MM", "LL")


def refilled(problem: Problem, before: dynaopt.Allocation) -> Refilled:
    """Refill; an answer must keep every rule and consist of the same instances."""
    found = refill(problem, before)
    if found.allocation is not None:
        assert not check_allocation(problem, found.allocation)
        assert counts(found.allocation) == counts(before)
    assert (found.allocation is None) == bool(found.reason)
    return found


def counts(allocation: dynaopt.Allocation) -> dict[tuple[str, int], int]:
    """Count instances by pool and degree."""
    found: dict[tuple[str, int], int] = {}
    for group in allocation.groups:
        found[group.pool, group.tp] = found.get((group.pool, group.tp), 0) + group.num_instances
    return found


def test_less_of_the_same_demand() -> None:
    """Tests two TP2 of SS at 1 request/s of which 1.5 are left: one full at 100 W, one at 0.5 and 75 W."""
    before = running(("SS", 2, 2, 1.0), routes={("SS", "SS"): 2.0})
    found = refilled(two_size_problem({"SS": 1.5}), before)
    assert found.allocation is not None
    assert found.allocation.power_w == pytest.approx(175.0)


def test_the_same_demand_gives_the_same_allocation() -> None:
    """Tests that an answer of greedy comes back as it is."""
    problem = two_size_problem({"SS": 2.3, "MM": 3.1, "LL": 0.35})
    before = Greedy().solve(problem).allocation
    assert before is not None
    assert refilled(problem, before).allocation == before


def test_what_does_not_fit_goes_to_a_longer_class() -> None:
    """Tests 1.5 of SS where its pool carries 1 and that of LL 1, with 0.5 of LL: 0.5 of SS go there."""
    before = running(("SS", 2, 1, 0.5), ("LL", 2, 1, 0.5), routes={("SS", "SS"): 0.5, ("LL", "LL"): 0.5})
    found = refilled(two_size_problem({"SS": 1.5, "LL": 0.5}), before)
    assert found.allocation is not None
    assert {(r.request_class, r.pool): r.rate_rps for r in found.allocation.routes} == {
        ("SS", "SS"): pytest.approx(1.0),
        ("SS", "LL"): pytest.approx(0.5),
        ("LL", "LL"): pytest.approx(0.5),
    }


@pytest.mark.parametrize(
    ("rates", "options", "reason"),
    [
        ({"SS": 2.1}, {}, "pool SS would get 2.1 requests/s and can carry 2"),
        ({"LL": 0.1}, {}, "pool LL"),
        ({"SS": 1.5}, {"reserve": "n+1"}, "can carry 1"),
        ({"SS": 1.9}, {"reserve": 0.1}, "can carry 1.8"),
        ({"SS": 1.5}, {"num_gpus": 3}, "it takes 4 GPUs of 3"),
        ({"SS": 1.5}, {"power_cap_w": 174.0}, "would draw 175 W of 174 W"),
        ({"SS": 1.5}, {"fixed_mix": {"tiny-model": {2: 3}}}, "not the fixed mix"),
    ],
)
def test_why_it_does_not_serve(rates: dict[str, float], options: dict[str, object], reason: str) -> None:
    """Tests two TP2 of SS, 2 requests/s, against one limit after the other."""
    before = running(("SS", 2, 2, 0.5), routes={("SS", "SS"): 1.0})
    assert reason in refilled(two_size_problem(rates, **options), before).reason


def test_a_higher_peak_takes_capacity() -> None:
    """Tests 1.5 requests/s at a peak of 1.4: two TP2 carry 2 / 1.4 = 1.43."""
    before = running(("SS", 2, 2, 0.75), routes={("SS", "SS"): 1.5})
    problem = make_problem(two_size_profile(), {"SS": 1.5}, peak_factor=1.4)
    assert "can carry 1.43" in refilled(problem, before).reason
    assert refilled(make_problem(two_size_profile(), {"SS": 1.5}, peak_factor=1.3), before).allocation is not None


def test_a_mixed_pool_serves_its_classes_whole_or_not_at_all() -> None:
    """Tests ALL-S of SM and SL: 0.7 requests/s fit one TP2 (85 W), 1.1 do not; without SL it is no mix."""
    before = running(("ALL-S", 2, 1, 0.5), routes={("SM", "ALL-S"): 0.25, ("SL", "ALL-S"): 0.25})
    found = refilled(three_mixes_problem({"SM": 0.3, "SL": 0.4}), before)
    assert found.allocation is not None
    assert found.allocation.power_w == pytest.approx(85.0)
    assert "can carry 1" in refilled(three_mixes_problem({"SM": 0.6, "SL": 0.5}), before).reason
    assert "not on offer" in refilled(three_mixes_problem({"SM": 0.3}), before).reason


def test_nothing_arrives() -> None:
    """Tests that idle instances serve it, at 50 W each."""
    found = refilled(two_size_problem({}), running(("SS", 2, 2, 0.5), routes={("SS", "SS"): 1.0}))
    assert found.allocation is not None
    assert found.allocation.power_w == pytest.approx(100.0)


@given(
    st.dictionaries(st.sampled_from(CLASSES), st.floats(0.05, 6.0), min_size=1),
    st.dictionaries(st.sampled_from(CLASSES), st.floats(0.05, 6.0), min_size=1),
)
def test_it_serves_wherever_that_is_possible(first: dict[str, float], then: dict[str, float]) -> None:
    """Tests against the condition for pools in a chain: what must go to the longest pools fits into them.

    SS may go anywhere, MM to MM and LL, LL to LL only.
    """
    before = Greedy().solve(two_size_problem(first)).allocation
    assert before is not None
    room = dict.fromkeys(CLASSES, 0.0)
    for group in before.groups:
        room[group.pool] += group.num_instances * {2: 1.0, 8: 4.0}[group.tp]
    needed, free = np.cumsum([[then.get(c, 0.0), room[c]] for c in reversed(CLASSES)], axis=0).T
    fits = bool((needed <= free * (1 + 1e-9)).all())
    assert (refilled(two_size_problem(then), before).allocation is not None) == fits


@given(st.floats(0.05, 1.0), st.dictionaries(st.sampled_from(CLASSES), st.floats(0.05, 6.0), min_size=1))
def test_no_worse_than_every_load_in_proportion(factor: float, rates: dict[str, float]) -> None:
    """Tests that less of every class draws no more than the same instances with loads scaled down."""
    before = Greedy().solve(two_size_problem(rates)).allocation
    assert before is not None
    found = refilled(two_size_problem({c: factor * rate for c, rate in rates.items()}), before)
    assert found.allocation is not None
    profile = two_size_profile()
    scaled_w = sum(
        g.num_instances * profile.curve(g.tp, 1000, g.pool).power_at_w(factor * g.rate_per_instance_rps)
        for g in before.groups
    )
    assert found.allocation.power_w <= scaled_w * (1 + 1e-9)
