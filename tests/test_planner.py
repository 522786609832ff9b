"""Tests the planner that is asked again and again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import make_window
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planner_builders import running, two_size_profile
from search_builders import three_mixes_problem

import dynaopt
from dynaopt.allocation import Allocation
from dynaopt.check import check_allocation
from dynaopt.generated_profiles import make_profile as generated
from dynaopt.planner import Planner
from dynaopt.problem import Problem
from dynaopt.refill import refill
from dynaopt.replan import Replan
from dynaopt.replan_search import answer_j
from dynaopt.result import Termination
from dynaopt.start_charges import StartCharges

PLENTY_S = 2.0
CLASSES = ("SS", "MM", "LL")
RATES = st.dictionaries(st.sampled_from(CLASSES), st.floats(0.05, 6.0), min_size=1)


def make(**options: Any) -> Planner:
    """Make a planner of TP2 and TP8 on 64 GPUs."""
    return Planner(two_size_profile(), **{"num_gpus": 64, "headroom": 0.0, **options})


def ask(planner: Planner, demand: Any, **options: Any) -> Replan:
    """Ask; an answer must keep every rule, claim what it proved, and be what runs from now on."""
    before = planner.running
    answer = planner.replan(demand, **{"deadline_s": PLENTY_S, **options})
    assert answer.before is before
    if answer.allocation is None:
        assert answer.reason
        assert planner.running is before
        return answer
    assert not check_allocation(answer.problem, answer.allocation)
    assert answer.lower_bound_j <= answer.objective_j
    assert (answer.termination is Termination.OPTIMAL) == (answer.gap <= 1e-4 + 1e-8)
    assert answer.transition_energy_j == pytest.approx(started_j(answer))
    assert planner.running is answer.allocation
    assert planner.last is answer
    return answer


def started_j(answer: Replan) -> float:
    """Return what its starts take."""
    assert answer.allocation is not None
    return StartCharges.beyond(answer.before, answer.problem.profiles).of(answer.allocation)


def keeping_j(answer: Replan) -> float:
    """Return what it would have taken to keep what ran; infinite where that does not serve."""
    if answer.before is None:
        return np.inf
    kept = refill(answer.problem, answer.before).allocation
    charges = StartCharges.beyond(answer.before, answer.problem.profiles)
    return np.inf if kept is None else answer_j(kept, charges, answer.payback_s)


def test_a_start_must_pay_within_the_window_or_as_told() -> None:
    """Tests three TP2 (300 W) and one TP8 (280 W, 91,300 J): 20 W pay in 4,565 s, so not in 300 s but in two hours."""
    before = running(("SS", 2, 3, 1.0), routes={("SS", "SS"): 3.0})
    for payback_s, by, objective_j in ((None, "kept", 90_000.0), (7200.0, "search", 280 * 7200 + 91_300.0)):
        planner = make(payback_s=payback_s)
        planner.adopt(before)
        answer = ask(planner, {"SS": 3.0})
        assert answer.answered_by == by
        assert answer.objective_j == pytest.approx(objective_j)
        assert answer.termination is Termination.OPTIMAL
    assert "paid back in 76.1 min" in str(answer.explain())


def test_the_first_answer_is_the_optimum_and_free() -> None:
    """Tests it against `solve`."""
    answer = ask(make(), {"SS": 2.3, "MM": 3.1, "LL": 0.35})
    alone = dynaopt.solve(answer.problem, solver="highs")
    assert answer.power_w == pytest.approx(alone.power_w, rel=1e-4)
    assert answer.transition_energy_j == 0.0


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=RATES,
    then=RATES,
    peaks=st.tuples(st.floats(1, 1.5), st.floats(1, 1.5)),
    options=st.sampled_from(
        [{}, {"num_gpus": 34}, {"reserve": 0.2}, {"reserve": "n+1"}, {"power_cap_w": 2000.0}, {"unused_gpus": "on"}]
    ),
    payback_s=st.sampled_from([60.0, 300.0, 7200.0]),
    deadline_s=st.sampled_from([1e-9, 0.01, PLENTY_S]),
)
def test_never_worse_than_keeping(
    first: dict[str, float],
    then: dict[str, float],
    peaks: tuple[float, float],
    options: dict[str, Any],
    payback_s: float,
    deadline_s: float,
) -> None:
    """Tests that, in what it minimises, no answer exceeds keeping the last one, whatever time there is.

    And that there is one wherever a solver finds one; `ask` tests that it keeps every rule.
    """
    planner = make(payback_s=payback_s, **options)
    ask(planner, first, peak_factor=peaks[0])
    answer = ask(planner, then, peak_factor=peaks[1], deadline_s=deadline_s)
    if answer.allocation is None:
        assert answer.termination is Termination.INFEASIBLE
        assert dynaopt.solve(answer.problem, solver="highs").termination is Termination.INFEASIBLE
    else:
        assert answer.objective_j <= keeping_j(answer) * (1 + 1e-9)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(rates=st.lists(RATES, min_size=1, max_size=3), payback_s=st.sampled_from([60.0, 300.0, 7200.0]))
def test_unchanged_demand_gives_the_same_answer(rates: list[dict[str, float]], payback_s: float) -> None:
    """Tests that after any history an answer that was proved stands when it is asked for again: nothing flaps."""
    planner = make(payback_s=payback_s)
    for demand in rates:
        answer = ask(planner, demand)
    again = ask(planner, rates[-1])
    if answer.termination is Termination.OPTIMAL:
        assert again.allocation == answer.allocation
        assert again.answered_by == "kept"
    assert again.objective_j <= answer.objective_j * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_generated_profiles_against_highs(seed: int) -> None:
    """Tests concave, mixed and convex curves: the bound without starts holds, and so does never worse than keeping."""
    profile = generated(seed, 12, ("concave", "mixed", "convex")[seed])
    planner, rng = Planner(profile, num_gpus=48), np.random.default_rng(seed)
    rates = rng.dirichlet(np.ones(9)) * 20
    for _ in range(3):
        rates = rates * rng.uniform(0.7, 1.3, 9)
        answer = ask(planner, rates, peak_factor=float(rng.uniform(1, 1.3)))
        if answer.allocation is None:
            assert answer.termination is Termination.INFEASIBLE
            continue
        reference = dynaopt.solve(answer.problem, solver="highs", time_limit_s=20.0)
        assert answer.lower_bound_w <= reference.power_w * (1 + 1e-9)
        assert answer.power_w >= reference.lower_bound_w * (1 - 1e-9)
        assert answer.objective_j <= keeping_j(answer) * (1 + 1e-9)


def test_infeasible_windows_and_bad_input_leave_the_last_answer() -> None:
    """Tests a demand for which 64 GPUs do not suffice, one that is none, and what comes after."""
    planner = make()
    good = ask(planner, {"SS": 3.0})
    bad = ask(planner, {"SS": 500.0})
    assert bad.termination is Termination.INFEASIBLE
    assert bad.answered_by == ""
    assert "GPUs" in bad.reason
    for demand, options in (({"SS": -1.0}, {}), ({"XX": 1.0}, {}), ({"SS": 1.0}, {"deadline_s": 0.0})):
        with pytest.raises(dynaopt.InputError):
            planner.replan(demand, **options)
    assert planner.last is good
    assert ask(planner, {"SS": 3.0}).allocation == good.allocation


def test_an_answer_matters_more_than_the_deadline() -> None:
    """Tests one nanosecond: where the last answer serves it stays, else there is a new one; both are late."""
    planner = make()
    first = ask(planner, {"SS": 3.0}, deadline_s=1e-9)
    assert first.is_late
    kept = ask(planner, {"SS": 2.5}, deadline_s=1e-9)
    assert kept.answered_by == "kept"
    assert kept.gap == pytest.approx(1 - 200 / 260)  # a full TP8 takes 80 W for each request/s
    assert "no time for a search" in kept.reason
    more = ask(planner, {"SS": 30.0}, deadline_s=1e-9)
    assert more.allocation is not None


def test_a_solver_helps_out_where_the_search_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that it then gets its time and its name stands in the answer."""
    planner = make()
    monkeypatch.setattr("dynaopt.replan_search.search_groups", lambda *_: (None, 0.0))
    answer = ask(planner, {"SS": 3.0}, deadline_s=0.01)
    assert answer.answered_by not in ("search", "kept", "")
    assert answer.power_w == pytest.approx(280.0)
    assert answer.lower_bound_w == pytest.approx(280.0, rel=1e-3)


def test_two_models_share_gpus() -> None:
    """Tests that each keeps its instances: the other's GPUs do not make its starts warm."""
    one = two_size_profile()
    other = replace(one, metadata=one.metadata.model_copy(update={"model": "other"}))
    planner = Planner([one, other], num_gpus=64, headroom=0.0)
    ask(planner, {"tiny-model": {"SS": 3.0}})
    answer = ask(planner, {"other": {"SS": 3.0}})
    assert answer.transition_energy_j == pytest.approx(110.0 * 400.0 * 6)  # three TP2: six cold GPUs beat eight
    assert {g.model for g in answer.allocation.groups} == {"other"}  # type: ignore[union-attr]


def test_a_fixed_mix_never_starts_anything() -> None:
    """Tests that its instances change pools only."""
    planner = make(fixed_mix={"tiny-model": {2: 3, 8: 1}})
    ask(planner, {"SS": 3.0})
    answer = ask(planner, {"LL": 4.5})
    assert answer.transition_energy_j == 0.0
    assert answer.allocation is not None
    assert answer.allocation.num_gpus == 14


def test_mixed_pools_are_planned_and_kept() -> None:
    """Tests ALL-S of SM and SL, whose one TP2 serves both; a little more of both, and it goes on."""
    profile = three_mixes_problem({}).profiles["tiny-model"]
    planner = Planner(profile, num_gpus=16, headroom=0.0, max_mix_distance=1.0)
    first = ask(planner, {"SM": 0.3, "SL": 0.3})
    assert [g.pool for g in first.allocation.groups] == ["ALL-S"]  # type: ignore[union-attr]
    second = ask(planner, {"SM": 0.4, "SL": 0.35})
    assert second.power_w == pytest.approx(50 + 50 * 0.75)
    assert second.answered_by == "kept"


def test_gpus_may_have_a_price() -> None:
    """Tests that an objective's price of GPUs reaches the problem, as `Objective.applied` puts it there."""
    objective = dynaopt.Objective(minimise="cost", price_per_kwh=0.2, price_per_gpu_hour=0.01)
    window = make_window({"SS": 3.0})
    answer = ask(make(objective=objective), window)
    plain = window.problem(two_size_profile(), num_gpus=64, headroom=0.0)
    applied: Problem = objective.applied(plain)
    assert answer.problem.gpu_price_w == pytest.approx(applied.gpu_price_w)
    assert answer.objective_j == pytest.approx(300 * dynaopt.solve(applied, solver="greedy").objective_w)


@pytest.mark.parametrize(
    "options",
    [{"window_s": 0.0}, {"payback_s": -1.0}, {"gap_tolerance": -0.1}, {"least_saving": float("nan")}, {"num_gpus": 0}],
)
def test_what_is_no_option(options: dict[str, Any]) -> None:
    """Tests that a bad option is named."""
    with pytest.raises(dynaopt.InputError, match=f"option {next(iter(options))}"):
        make(**options)


def test_no_profile_is_no_planner() -> None:
    """Tests an empty list."""
    with pytest.raises(dynaopt.InputError, match="profiles"):
        Planner([])


@pytest.mark.parametrize("group", [("SX", 2), ("SS", 16)])
def test_only_what_there_can_be_is_adopted(group: tuple[str, int]) -> None:
    """Tests an unknown pool and an unknown degree; what ran before stays."""
    planner = make()
    last = ask(planner, {"SS": 1.0})
    with pytest.raises(dynaopt.InputError, match="running instances"):
        planner.adopt(running((*group, 1, 1.0)))
    assert planner.running is last.allocation
    planner.adopt(None)
    assert ask(planner, {"SS": 9.0}).transition_energy_j == 0.0


def test_the_shipped_week_within_its_bounds() -> None:
    """Tests two hours of the conversation week: every answer checked, none worse than keeping, gaps as promised."""
    demand = dynaopt.read_demand("azure-2024-conversation")
    planner = Planner(dynaopt.read_profile("llama2-70b-h100"), num_gpus=320)
    gaps = []
    for number in range(90, 114):
        answer = ask(planner, demand.window(number), deadline_s=0.5)
        assert isinstance(answer.allocation, Allocation)
        assert answer.objective_j <= keeping_j(answer) * (1 + 1e-9)
        gaps.append(answer.gap)
    assert max(gaps) < 5e-3
