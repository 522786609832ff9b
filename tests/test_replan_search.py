"""Tests the search that charges for starts."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planner_builders import Running, running, two_size_profile
from search_builders import two_size_problem

import dynaopt
from dynaopt.check import check_allocation
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.replan_search import Found, Pace, answer_j, search_answer
from dynaopt.start_charges import StartCharges

PROFILES = {"tiny-model": two_size_profile()}
ROOM = Workspace()


def search(
    problem: Problem, before: dynaopt.Allocation | None, payback_s: float = 300.0, seconds: float = 1.0
) -> Found:
    """Search, and check the rows of the answer and the bounds."""
    charges = StartCharges.beyond(before, PROFILES)
    deadline_s = time.perf_counter() + seconds
    found = search_answer(problem, charges, ROOM, Pace(), payback_s=payback_s, gap=1e-4, deadline_s=deadline_s)
    if found.allocation is not None:
        assert not check_allocation(problem, found.allocation)
        assert found.objective_j == pytest.approx(answer_j(found.allocation, charges, payback_s))
        assert found.lower_bound_j <= found.objective_j
        assert found.lower_bound_w <= found.allocation.objective_w
    return found


def test_a_start_must_pay() -> None:
    """Tests SS 3.0, served by three TP2 at 300 W, where a TP8 takes 280 W and 91,300 J to start (`test_start_charges`).

    In 300 s it saves 20 W x 300 s = 6,000 J, in two hours 144,000 J.
    """
    problem, before = two_size_problem({"SS": 3.0}), running(("SS", 2, 3, 1.0))
    soon, late = search(problem, before), search(problem, before, payback_s=7200.0)
    assert soon.allocation is not None
    assert late.allocation is not None
    assert soon.objective_j == pytest.approx(300.0 * 300)
    assert soon.lower_bound_j == pytest.approx(300.0 * 300, rel=1e-4)
    assert late.objective_j == pytest.approx(280.0 * 7200 + 91_300)
    assert soon.lower_bound_w == pytest.approx(280.0)


def test_without_charges_it_is_the_problem_itself() -> None:
    """Tests that from nothing the answer is that of greedy, and the bound its times the payback time."""
    problem = two_size_problem({"SS": 2.3, "MM": 3.1, "LL": 0.35})
    found, alone = search(problem, None), dynaopt.solve(problem, solver="greedy")
    assert found.objective_j == pytest.approx(300 * alone.power_w)
    assert found.lower_bound_j == pytest.approx(300 * alone.power_w, rel=1e-4)


def test_what_cannot_be_is_proved() -> None:
    """Tests too few GPUs, and too little power."""
    for options in ({"num_gpus": 4}, {"power_cap_w": 279.0}):
        found = search(two_size_problem({"SS": 3.0}, **options), running(("SS", 2, 3, 1.0)))
        assert found.allocation is None
        assert np.isinf(found.lower_bound_j)


def least_by_highs(problem: Problem, charges: StartCharges, payback_s: float) -> tuple[float, float]:
    """Return the least that any mix of degrees takes, by HiGHS for each fixed mix, and the bound it proves."""
    best, bound = np.inf, np.inf
    for few in range(6):
        for many in range(3):
            fixed = problem.replace(fixed_mix={"tiny-model": {2: few, 8: many}})
            result = dynaopt.solve(fixed, solver="highs", gap_tolerance=0.0)
            if result.allocation is not None:
                taken_j = charges.of(result.allocation)
                best = min(best, result.power_w * payback_s + taken_j)
                bound = min(bound, result.lower_bound_w * payback_s + taken_j)
    return best, bound


@pytest.mark.parametrize(
    ("rates", "before", "payback_s"),
    [
        ({"SS": 2.4, "LL": 0.9}, [("SS", 2, 2, 1.0)], 300.0),
        ({"SS": 2.4, "LL": 0.9}, [("SS", 8, 1, 1.0)], 3000.0),
        ({"MM": 1.2, "LL": 2.1}, [("MM", 2, 1, 1.0), ("LL", 2, 3, 1.0)], 1000.0),
        ({"SS": 0.4}, [("LL", 8, 1, 1.0)], 2000.0),
    ],
)
def test_bound_and_answer_against_highs(rates: dict[str, float], before: list[Running], payback_s: float) -> None:
    """Tests that no answer is below what HiGHS finds over all mixes of degrees, and no bound above it."""
    problem, charges = two_size_problem(rates, num_gpus=26), StartCharges.beyond(running(*before), PROFILES)
    found = search(problem, running(*before), payback_s)
    best, bound = least_by_highs(problem, charges, payback_s)
    assert found.objective_j >= bound * (1 - 1e-6)
    assert found.lower_bound_j <= best * (1 + 1e-6)
    assert found.objective_j <= best * 1.02


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    rates=st.dictionaries(st.sampled_from(["SS", "MM", "LL"]), st.floats(0.05, 6.0), min_size=1),
    few=st.integers(0, 5),
    many=st.integers(0, 2),
    reserve=st.sampled_from([0.0, 0.2, "n+1"]),
)
def test_time_changes_the_gap_but_no_bound(rates: dict[str, float], few: int, many: int, reserve: float | str) -> None:
    """Tests that an answer with no time at all is an answer, and lies above what more time proves."""
    problem = two_size_problem(rates, reserve=reserve)
    before = running(("SS", 2, few, 0.5), ("MM", 8, many, 0.5))
    hasty, patient = search(problem, before, seconds=0.0), search(problem, before)
    assert hasty.allocation is not None
    assert patient.objective_j <= hasty.objective_j * (1 + 1e-9)
    assert max(hasty.lower_bound_j, patient.lower_bound_j) <= patient.objective_j * (1 + 1e-9)


def test_no_search_is_begun_without_time_for_it() -> None:
    """Tests that with an answer known and searches that take 1 s, 0.1 s is no time for one; without, it is done."""
    problem, pace = two_size_problem({"SS": 3.0}), Pace()
    pace.note(1.0)
    options = {"payback_s": 300.0, "gap": 1e-4}
    charges = StartCharges.beyond(None, PROFILES)
    soon = time.perf_counter() + 0.1
    known = search_answer(problem, charges, ROOM, pace, deadline_s=soon, known_j=1e9, **options)
    assert known.allocation is None
    assert search_answer(problem, charges, ROOM, pace, deadline_s=soon, **options).allocation is not None


def test_pace_forgets() -> None:
    """Tests that one slow search counts four times the usual at most, and that searches not tried become likelier."""
    pace = Pace()
    assert pace.fits(0.0)
    pace.note(1.0)
    pace.note(100.0)
    assert pace.search_s == pytest.approx(2.5)
    assert not pace.fits(2.4)
    pace.fade()
    assert pace.fits(2.4)
    assert not pace.fits(2.4, times=2.0)
