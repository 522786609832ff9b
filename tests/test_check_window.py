"""Tests the independent check of one window: a right answer passes, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile, make_window
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.allocation import Allocation, InstanceGroup, Route
from dynaopt.check import check_allocation
from dynaopt.problem import Problem
from dynaopt.profile import Profile
from dynaopt.request_class import REQUEST_CLASSES, is_promotable
from dynaopt.slo import Slo
from dynaopt.violations import Violation, ViolationKind

K = ViolationKind
TP2, TP8 = [(0, 200), (10, 600)], [(0, 700), (20, 1500), (40, 2000)]
SMALL = InstanceGroup(
    model="tiny-model",
    pool="SS",
    tp=2,
    frequency_mhz=1000,
    num_instances=1,
    rate_per_instance_rps=5.0,
    power_per_instance_w=400.0,
)
LARGE = replace(SMALL, pool="ML", num_instances=2, rate_per_instance_rps=2.0, power_per_instance_w=280.0)
ROUTES = (
    Route(model="tiny-model", request_class="SS", pool="SS", rate_rps=5.0),
    Route(model="tiny-model", request_class="SS", pool="ML", rate_rps=1.0),
    Route(model="tiny-model", request_class="ML", pool="ML", rate_rps=3.0),
)
ANSWER = Allocation(groups=(SMALL, LARGE), routes=ROUTES, power_w=1260.0)


def tiny_profile(**power: float) -> Profile:
    """TP2 and TP8 for every class; TTFT runs from 0.05 s to 0.45 s and TBT from 0.02 s to 0.18 s along TP2's curve."""
    curves = []
    for c in REQUEST_CLASSES:
        curves.append(make_curve(2, 1000, c, TP2, ttft_p99_s=(0.05, 0.45), tbt_p99_s=(0.02, 0.18)))
        curves.append(make_curve(8, 1000, c, TP8))
    return make_profile(curves, **{"host_w": 400.0, **power})


def tiny_problem(*, rates: dict[str, float] | None = None, peak_factor: float = 1.0, **cluster: object) -> Problem:
    """6 requests/s of SS and 3 of ML, unless given."""
    profile = tiny_profile()
    return make_problem(profile, rates or {"SS": 6.0, "ML": 3.0}, peak_factor=peak_factor, **cluster)


def kinds(violations: list[Violation]) -> set[ViolationKind]:
    """Return the kinds of violations."""
    return {v.kind for v in violations}


def change_group(at: int, **fields: object) -> Allocation:
    """Return the right answer with fields of one group changed."""
    groups = list(ANSWER.groups)
    groups[at] = replace(groups[at], **fields)  # type: ignore[arg-type]
    return replace(ANSWER, groups=tuple(groups))


def change_route(at: int, **fields: object) -> Allocation:
    """Return the right answer with fields of one route changed."""
    routes = list(ANSWER.routes)
    routes[at] = replace(routes[at], **fields)  # type: ignore[arg-type]
    return replace(ANSWER, routes=tuple(routes))


def test_a_right_answer_passes() -> None:
    """Tests that 400 + 2 x 280 W and 6 GPUs at 400 / 8 W of host, together 1260 W, is accepted."""
    assert check_allocation(tiny_problem(), ANSWER) == []


def test_unused_gpus_that_stay_on_are_part_of_the_power() -> None:
    """Tests that 58 GPUs at 70 W are asked for: 1260 + 4060 = 5320 W."""
    problem = tiny_problem(unused_gpus="on")
    assert kinds(check_allocation(problem, ANSWER)) == {K.WINDOW_POWER}
    assert check_allocation(problem, replace(ANSWER, power_w=5320.0)) == []


FAULTS: list[tuple[str, Allocation, set[ViolationKind]]] = [
    ("a route too small", change_route(0, rate_rps=4.9), {K.UNSERVED_DEMAND, K.POOL_LOAD}),
    ("a route too large", change_route(2, rate_rps=3.1), {K.INVENTED_DEMAND, K.POOL_LOAD}),
    ("a class left out", replace(ANSWER, routes=ROUTES[:2]), {K.UNSERVED_DEMAND, K.POOL_LOAD}),
    ("a class that did not arrive", change_route(2, request_class="MS"), {K.UNSERVED_DEMAND, K.INVENTED_DEMAND}),
    ("promotion to shorter inputs", change_route(2, pool="SS"), {K.PROMOTION, K.POOL_LOAD}),
    ("promotion to shorter outputs", change_route(2, pool="LS"), {K.PROMOTION, K.POOL_LOAD}),
    ("a negative rate", change_route(1, rate_rps=-1.0), {K.IMPOSSIBLE_NUMBER, K.UNSERVED_DEMAND, K.POOL_LOAD}),
    (
        "instances that carry less than is routed",
        change_group(1, rate_per_instance_rps=1.9, power_per_instance_w=276.0),
        {K.POOL_LOAD, K.WINDOW_POWER},
    ),
    (
        "instances of no pool that gets load",
        change_group(0, pool="LL"),
        {K.POOL_LOAD},
    ),
    ("an unknown clock", change_group(0, frequency_mhz=999), {K.UNKNOWN_NAME, K.WINDOW_POWER}),
    ("an unknown TP", change_group(0, tp=4), {K.UNKNOWN_NAME, K.WINDOW_POWER}),
    ("an unknown pool", change_group(0, pool="XL"), {K.UNKNOWN_NAME, K.WINDOW_POWER, K.POOL_LOAD}),
    ("an unknown model", change_group(0, model="other"), {K.UNKNOWN_NAME, K.WINDOW_POWER, K.POOL_LOAD}),
    ("an unknown class", change_route(0, request_class="XL"), {K.UNKNOWN_NAME, K.UNSERVED_DEMAND}),
    ("a negative count", change_group(1, num_instances=-2), {K.IMPOSSIBLE_NUMBER, K.POOL_LOAD, K.WINDOW_POWER}),
    ("a fractional count", change_group(0, num_instances=1.5), {K.IMPOSSIBLE_NUMBER, K.POOL_LOAD, K.WINDOW_POWER}),
    ("power off the curve", change_group(0, power_per_instance_w=399.0), {K.INSTANCE_POWER}),
    ("a wrong power of the window", replace(ANSWER, power_w=1259.9), {K.WINDOW_POWER}),
    ("a power that is no number", replace(ANSWER, power_w=float("nan")), {K.WINDOW_POWER}),
]


@pytest.mark.parametrize(("answer", "expected"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_found(answer: Allocation, expected: set[ViolationKind]) -> None:
    """Tests that one fault gives exactly the violations that follow from it."""
    assert kinds(check_allocation(tiny_problem(), answer)) == expected


OPTIONS: list[tuple[str, dict[str, object], set[ViolationKind]]] = [
    ("more GPUs than 5", {"num_gpus": 5}, {K.GPU_LIMIT}),
    ("6 GPUs are enough", {"num_gpus": 6}, set()),
    ("more than 1259 W", {"power_cap_w": 1259.0}, {K.POWER_CAP}),
    ("1260 W are kept", {"power_cap_w": 1260.0}, set()),
    # Both curves keep their objectives (0.25 s for SS, 0.40 s for ML; TBT 0.1 s) up to 5 requests/s.
    ("ML has 10 requests/s for its 4, SS 5 for its 5", {"reserve": 0.01}, {K.RESERVE}),
    ("SS cannot lose an instance", {"reserve": "n+1"}, {K.RESERVE}),
    ("another mix", {"fixed_mix": {"tiny-model": {2: 3, 8: 1}}}, {K.FIXED_MIX}),
    ("a mix that says nothing of TP8", {"fixed_mix": {"tiny-model": {2: 3}}}, set()),
    ("a mix without TP2", {"fixed_mix": {"tiny-model": {8: 0}}}, {K.FIXED_MIX}),
    ("5 requests/s are all that TP2 can take", {"headroom": 0.01}, {K.TTFT, K.TBT}),
]


@pytest.mark.parametrize(("options", "expected"), [o[1:] for o in OPTIONS], ids=[o[0] for o in OPTIONS])
def test_each_limit_of_the_cluster_is_checked(options: dict[str, object], expected: set[ViolationKind]) -> None:
    """Tests limits just kept and just broken."""
    assert kinds(check_allocation(tiny_problem(**options), ANSWER)) == expected


def test_reserve_names_the_pool_that_lacks_it() -> None:
    """Tests that with N+1 ML's second instance suffices (5 of 4 requests/s) and only SS is named."""
    found = check_allocation(tiny_problem(reserve="n+1"), ANSWER)
    assert [v.where for v in found] == ["tiny-model, SS"]


def test_n_plus_one_takes_away_the_largest_instance() -> None:
    """Tests that beside one TP8 (40 requests/s) a TP2 (5) that would stay is too little for 6 requests/s."""
    big = replace(SMALL, tp=8, rate_per_instance_rps=2.0, power_per_instance_w=780.0)
    small = replace(SMALL, rate_per_instance_rps=4.0, power_per_instance_w=360.0)
    route = replace(ROUTES[0], rate_rps=6.0)
    answer = Allocation(groups=(small, big), routes=(route,), power_w=360.0 + 780.0 + 10 * 50.0)
    problem = tiny_problem(rates={"SS": 6.0}, reserve="n+1")
    assert kinds(check_allocation(problem, answer)) == {K.RESERVE}
    assert check_allocation(problem.replace(reserve=0.5), answer) == []


def test_latency_is_read_at_the_peak_with_headroom() -> None:
    """Tests that 4 requests/s at a peak factor of 1.1 and 15 % headroom (5.06) breaks both, and at 13 % (4.97) none."""
    group = replace(SMALL, rate_per_instance_rps=4.0, power_per_instance_w=360.0)
    route = replace(ROUTES[0], rate_rps=4.0)
    answer = Allocation(groups=(group,), routes=(route,), power_w=460.0)
    problem = tiny_problem(rates={"SS": 4.0}, peak_factor=1.1, headroom=0.15)
    # TTFT at 5.06 is 0.05 + 0.4 x 0.506 = 0.2524 s of 0.25 s; TBT 0.02 + 0.16 x 0.506 = 0.10096 s of 0.1 s.
    found = check_allocation(problem, answer)
    assert [(v.kind, v.found) for v in found] == [(K.TTFT, "0.2524"), (K.TBT, "0.10096")]
    assert check_allocation(problem.replace(headroom=0.13), answer) == []


def test_one_objective_can_break_alone() -> None:
    """Tests that TTFT and TBT are told apart."""
    tight = Slo(ttft_s=(0.2,) * 9, tbt_s=(0.1,) * 9)
    assert kinds(check_allocation(tiny_problem().replace(slo=tight), ANSWER)) == {K.TTFT}
    tight = Slo(ttft_s=(0.4,) * 9, tbt_s=(0.09,) * 9)
    assert kinds(check_allocation(tiny_problem().replace(slo=tight), ANSWER)) == {K.TBT}


def test_nothing_is_known_beyond_the_curve() -> None:
    """Tests that a load whose peak lies past the last row is refused, whatever its latency."""
    group = replace(SMALL, tp=8, rate_per_instance_rps=38.0, power_per_instance_w=1950.0)
    route = replace(ROUTES[0], rate_rps=38.0)
    answer = Allocation(groups=(group,), routes=(route,), power_w=1950.0 + 400.0)
    problem = tiny_problem(rates={"SS": 38.0}, peak_factor=1.1)
    assert kinds(check_allocation(problem, answer)) == {K.BEYOND_CURVE}
    assert check_allocation(problem.replace(demand=make_window({"SS": 38.0}, peak_factor=1.05)), answer) == []


def test_a_latency_that_falls_again_does_not_hide_its_hump() -> None:
    """Tests that an instance must keep its objective at every load up to the peak, not only at it."""
    hump = make_curve(2, 1000, "SS", [(0, 200), (5, 400), (10, 600)], ttft_p99_s=(0.1, 0.3, 0.1))
    problem = make_problem(make_profile([hump]), {"SS": 9.0})
    group = replace(SMALL, rate_per_instance_rps=9.0, power_per_instance_w=560.0)
    answer = Allocation(groups=(group,), routes=(replace(ROUTES[0], rate_rps=9.0),), power_w=560.0)
    assert [(v.kind, v.found) for v in check_allocation(problem, answer)] == [(K.TTFT, "0.3")]


def test_two_models_share_the_gpus() -> None:
    """Tests that loads of equal classes of two models are kept apart and their GPUs added up."""
    first = tiny_profile()
    second = make_profile(list(first.curves.values()), name="other", model="other-model")
    window = make_window({"SS": 5.0})
    rates = {**window.rate_rps, "other-model": np.array([0.0] * 8 + [4.0])}
    demand = replace(window, rate_rps=rates, peak_factor={"tiny-model": 1.0, "other-model": 1.0})
    problem = demand.problem([first, second], num_gpus=4, headroom=0.0)
    other = replace(LARGE, model="other-model", pool="LL", num_instances=1, rate_per_instance_rps=4.0)
    other = replace(other, power_per_instance_w=360.0)
    route = Route(model="other-model", request_class="LL", pool="LL", rate_rps=4.0)
    answer = Allocation(groups=(SMALL, other), routes=(ROUTES[0], route), power_w=400.0 + 100.0 + 360.0)
    assert check_allocation(problem, answer) == []
    assert kinds(check_allocation(problem.replace(num_gpus=3), answer)) == {K.GPU_LIMIT}
    swapped = replace(answer, routes=(replace(ROUTES[0], model="other-model"), replace(route, model="tiny-model")))
    assert kinds(check_allocation(problem, swapped)) == {K.UNSERVED_DEMAND, K.INVENTED_DEMAND, K.POOL_LOAD}


def test_all_violations_are_returned() -> None:
    """Tests that three independent faults give three findings, and each is readable."""
    answer = change_route(0, rate_rps=4.0)
    answer = replace(answer, power_w=1.0)
    found = check_allocation(tiny_problem(num_gpus=5), answer)
    assert kinds(found) == {K.UNSERVED_DEMAND, K.POOL_LOAD, K.GPU_LIMIT, K.WINDOW_POWER}
    assert str(found[0]) == (
        "2024-05-14 18:05, tiny-model, SS: demand that is not served: expected 6 requests/s routed, found 5"
    )


@pytest.mark.parametrize("request_class", REQUEST_CLASSES)
@pytest.mark.parametrize("pool", REQUEST_CLASSES)
def test_promotion_follows_both_lengths(request_class: str, pool: str) -> None:
    """Tests all 81 pairs of class and pool against the definition."""
    group = replace(SMALL, pool=pool)
    route = replace(ROUTES[0], request_class=request_class, pool=pool)
    answer = Allocation(groups=(group,), routes=(route,), power_w=500.0)
    found = kinds(check_allocation(tiny_problem(rates={request_class: 5.0}), answer))
    assert found == (set() if is_promotable(request_class, pool) else {K.PROMOTION})


Fault = Callable[[Allocation, float], Allocation]
CELLS: dict[str, Fault] = {
    "power_w": lambda a, f: replace(a, power_w=a.power_w * f),
    **{
        f"group {at} {name}": (
            lambda a, f, at=at, name=name: change_group(at, **{name: getattr(a.groups[at], name) * f})
        )
        for at in (0, 1)
        for name in ("rate_per_instance_rps", "power_per_instance_w")
    },
    **{f"route {at}": (lambda a, f, at=at: change_route(at, rate_rps=a.routes[at].rate_rps * f)) for at in (0, 1, 2)},
}


@settings(max_examples=60, deadline=None)
@given(
    cell=st.sampled_from(sorted(CELLS)),
    factor=st.one_of(st.floats(0.5, 1 - 1e-5), st.floats(1 + 1e-5, 2.0)),
)
def test_a_small_change_of_any_number_is_found(cell: str, factor: float) -> None:
    """Tests that every number of an answer is pinned down to 1e-5 of itself."""
    assert check_allocation(tiny_problem(), CELLS[cell](ANSWER, factor))


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_rounding_is_not_a_violation(cell: str) -> None:
    """Tests that a change of a ten-millionth, such as sums in another order leave, passes."""
    assert check_allocation(tiny_problem(), CELLS[cell](ANSWER, 1 + 1e-7)) == []


def test_nothing_for_nothing_is_right() -> None:
    """Tests that without demand an empty answer of 0 W passes, and with idle GPUs on one of 64 x 70 W."""
    nothing = Allocation(groups=(), routes=(), power_w=0.0)
    problem = make_problem(tiny_profile(), {})
    assert check_allocation(problem, nothing) == []
    assert check_allocation(problem.replace(unused_gpus="on", reserve="n+1"), replace(nothing, power_w=4480.0)) == []


def test_nothing_for_something_is_wrong() -> None:
    """Tests that an empty answer leaves both classes unserved."""
    found = check_allocation(tiny_problem(), Allocation(groups=(), routes=(), power_w=0.0))
    assert [(v.kind, v.where) for v in found] == [
        (K.UNSERVED_DEMAND, "tiny-model, SS"),
        (K.UNSERVED_DEMAND, "tiny-model, ML"),
    ]


def test_an_idle_instance_costs_its_idle_power() -> None:
    """Tests that a pool may hold an instance without load, at 200 W and two GPUs' share of a host, 100 W."""
    idle = replace(SMALL, pool="LL", rate_per_instance_rps=0.0, power_per_instance_w=200.0)
    answer = replace(ANSWER, groups=(*ANSWER.groups, idle), power_w=1560.0)
    assert check_allocation(tiny_problem(), answer) == []
    assert kinds(check_allocation(tiny_problem(), replace(answer, power_w=1260.0))) == {K.WINDOW_POWER}


def test_an_idle_instance_must_be_able_to_serve() -> None:
    """Tests that even without load an instance whose unloaded latency breaks the objective is refused."""
    slow = make_curve(2, 1000, "SS", TP2, ttft_p99_s=(0.3, 0.5))
    problem = make_problem(make_profile([slow]), {})
    idle = replace(SMALL, rate_per_instance_rps=0.0, power_per_instance_w=200.0)
    answer = Allocation(groups=(idle,), routes=(), power_w=200.0)
    assert kinds(check_allocation(problem, answer)) == {K.TTFT}


def test_unequal_loads_of_one_configuration_are_allowed() -> None:
    """Tests that instances of one configuration may carry 5 and 1 requests/s instead of 3 each."""
    full = replace(SMALL, power_per_instance_w=400.0)
    part = replace(SMALL, rate_per_instance_rps=1.0, power_per_instance_w=240.0)
    route = replace(ROUTES[0], rate_rps=6.0)
    answer = Allocation(groups=(full, part), routes=(route,), power_w=400.0 + 240.0 + 200.0)
    assert check_allocation(tiny_problem(rates={"SS": 6.0}), answer) == []


def test_a_route_in_two_rows_adds_up() -> None:
    """Tests that what matters is the sum over rows."""
    half = replace(ROUTES[0], rate_rps=2.5)
    assert check_allocation(tiny_problem(), replace(ANSWER, routes=(half, half, *ROUTES[1:]))) == []


@pytest.mark.parametrize("rate_rps", [float("nan"), float("inf")])
def test_a_rate_that_is_no_number_is_impossible(rate_rps: float) -> None:
    """Tests that NaN and infinity do not slip through comparisons."""
    assert K.IMPOSSIBLE_NUMBER in kinds(check_allocation(tiny_problem(), change_route(0, rate_rps=rate_rps)))
    found = kinds(check_allocation(tiny_problem(), change_group(0, rate_per_instance_rps=rate_rps)))
    assert {K.IMPOSSIBLE_NUMBER, K.POOL_LOAD} <= found


def test_a_profile_whose_model_gets_no_demand_is_allowed() -> None:
    """Tests a cluster with a second model that nothing arrives for."""
    first = tiny_profile()
    second = make_profile(list(first.curves.values()), name="other", model="other-model")
    problem = make_window({"SS": 6.0, "ML": 3.0}).problem([first, second], num_gpus=64, headroom=0.0)
    assert check_allocation(problem, ANSWER) == []
