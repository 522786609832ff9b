"""Tests of `dynaopt.relaxations`: what is found is enough, and a step less is not."""

import pandas as pd
import pytest
from builders import make_curve, make_problem, make_profile
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import OPTIONS, make_small_profile, make_week
from two_windows import two_profile

import dynaopt
from dynaopt.horizon import plan
from dynaopt.problem import Problem
from dynaopt.profile import LoadCurve
from dynaopt.relaxation_levers import levers
from dynaopt.relaxations import RELAXATION_COLUMNS, Relaxation, relaxation_table, relaxations

PLAIN = [(0, 100), (1, 200), (2, 300)]


def curve(request_class: str, ttft_s: float) -> LoadCurve:
    """Return the plain curve with a TTFT that rises in a line from 0 to `ttft_s` at 2 requests/s."""
    return make_curve(2, 1000, request_class, PLAIN, ttft_p99_s=[1e-9, ttft_s / 2, ttft_s])


def pose(rates: dict[str, float], ttft_s: float = 0.02, **options: object) -> Problem:
    """Pose a problem with that curve for each class that arrives, on 4 GPUs."""
    profile = make_profile([curve(c, ttft_s) for c in rates])
    return make_problem(profile, rates, **{"num_gpus": 4, **options})  # type: ignore[arg-type]


def by_kind(problem: Problem, **options: object) -> dict[str, Relaxation]:
    """Return the relaxations of a problem by kind, each of which is there once."""
    found = relaxations(problem, **options)  # type: ignore[arg-type]
    assert len({(r.kind, r.item) for r in found}) == len(found)
    return {r.kind: r for r in found}


def test_gpus_and_arrivals_by_hand() -> None:
    """Tests 5 requests/s of LL on two TP2 of 2 each: three TP2, or 4 of the 5 requests/s, 0.8 of all."""
    found = by_kind(pose({"LL": 5.0}))
    assert {kind: r.to_value for kind, r in found.items()} == {"gpu": 6.0, "arrivals": 0.8, "request_class": 4.0}
    assert all(r.is_proved for r in found.values())
    assert (found["gpu"].from_value, found["gpu"].unit) == (4.0, "GPUs")
    assert (found["request_class"].model, found["request_class"].item) == ("tiny-model", "LL")


def test_ttft_by_hand() -> None:
    """Tests a TTFT of 2 s per request/s: two instances for 3.61 requests/s need 3.61 s each, or 1.805 times 2 s.

    TBT alone does not help; of both together 1.805 times is enough, too.
    """
    found = by_kind(pose({"LL": 3.61}, ttft_s=4.0))
    assert found["ttft"].to_value == pytest.approx(1.805)
    assert found["ttft_and_tbt"].to_value == pytest.approx(1.805)
    assert "tbt" not in found
    assert found["gpu"].to_value == 8.0


def test_headroom_and_peak_by_hand() -> None:
    """Tests 3.3 requests/s · 1.1 at the busiest minute on 4 with headroom 0.4: 3.63 (1 + h) ≤ 4 gives h = 0.101.

    And 3.3 p · 1.4 ≤ 4 a peak factor below 1, so that no peak would be enough.
    """
    found = by_kind(pose({"LL": 3.3}, headroom=0.4, peak_factor=1.1))
    assert found["headroom"].to_value == pytest.approx(0.101)
    assert "peak_factor" not in found
    calmer = by_kind(pose({"LL": 3.3}, headroom=0.1, peak_factor=1.2))
    assert calmer["peak_factor"].to_value == pytest.approx(1.101)


def test_reserve_by_hand() -> None:
    """Tests 3 requests/s of a capacity of 4: a reserve of a quarter at most."""
    assert by_kind(pose({"LL": 3.0}, reserve=0.4))["reserve"].to_value == pytest.approx(0.25)


def test_n_plus_one() -> None:
    """Tests that two instances for 3 requests/s leave none spare: n+1 given up, or 6 GPUs."""
    found = by_kind(pose({"LL": 3.0}, reserve="n+1"))
    assert (found["spare_instances"].to_value, found["gpu"].to_value) == (0.0, 6.0)


def test_power_cap_by_hand() -> None:
    """Tests 1.5 requests/s in 250 W under a cap of 200.5 W: a cap of 250 W, or 1 request/s at 200 W and a bit more."""
    found = by_kind(pose({"LL": 1.5}, power_cap_w=200.5))
    assert found["power_cap"].to_value == 250.0
    assert found["request_class"].to_value == pytest.approx(1.0)
    assert found["arrivals"].to_value == pytest.approx(0.67)
    assert "gpu" not in found


def test_fixed_mix() -> None:
    """Tests that one TP2 carries 2 of 3 requests/s: freed, or two thirds of the arrivals."""
    found = by_kind(pose({"LL": 3.0}, fixed_mix={"tiny-model": {2: 1}}))
    assert (found["fixed_mix"].from_value, found["fixed_mix"].to_value) == (1.0, 0.0)
    assert found["arrivals"].to_value == pytest.approx(0.666)
    assert "gpu" not in found


def test_a_problem_with_an_answer_needs_nothing() -> None:
    """Tests that nothing has to give way."""
    assert relaxations(pose({"LL": 4.0})) == ()


def test_where_no_single_thing_is_enough() -> None:
    """Tests a class that the profile has no curve of, and a cap beside too few GPUs: only less of it helps."""
    profile = make_profile([curve("SS", 0.02)])
    found = relaxations(make_problem(profile, {"SS": 1.0, "LL": 1.0}))
    assert [(r.kind, r.item, r.to_value) for r in found] == [("arrivals", "all", 0.0), ("request_class", "LL", 0.0)]
    both = by_kind(pose({"LL": 5.0}, power_cap_w=200.0))
    assert set(both) == {"arrivals", "request_class"}


def test_kinds_can_be_chosen() -> None:
    """Tests that only what is asked for is looked for."""
    assert set(by_kind(pose({"LL": 5.0}), kinds=["arrivals"])) == {"arrivals"}


@given(
    ss=st.integers(1, 30),
    ll=st.integers(1, 30),
    num_gpus=st.integers(2, 12),
    headroom=st.sampled_from([0.0, 0.1]),
    cap_w=st.sampled_from([None, 700.0]),
)
@settings(max_examples=10, deadline=None)
def test_enough_and_no_more_than_enough(ss: int, ll: int, num_gpus: int, headroom: float, cap_w: float | None) -> None:
    """Tests with HiGHS that each relaxation is enough, and that a step less, where that is claimed, is not."""
    rates = {"SS": ss / 4, "LL": ll / 4}
    problem = pose(rates, 4.0, num_gpus=num_gpus, headroom=headroom, power_cap_w=cap_w)
    found = {(r.kind, r.item): r for r in relaxations(problem)}
    if not found:
        assert dynaopt.solve(problem, solver="highs").termination.has_solution
    for lever in levers(problem):
        own = found.pop((lever.kind, lever.item), None)
        if own is None:
            assert not found or not dynaopt.solve(lever.at(lever.most), solver="highs").termination.has_solution
            continue
        assert dynaopt.solve(lever.apply(own.to_value), solver="highs").termination.has_solution, own
        steps = next(n for n in range(lever.most + 1) if lever.value(n) == own.to_value)
        assert own.is_proved
        assert not dynaopt.solve(lever.at(steps - 1), solver="highs").termination.has_solution, own


def test_a_schedule_tells_what_its_windows_lack() -> None:
    """Tests the method and its columns: of eight windows two have no answer, 600 requests/s of each of three classes.

    For those 64 GPUs carry too little whatever the objectives are; others are left out even where asked for.
    """
    schedule = plan(make_week(8, too_much=(3, 5)), make_small_profile(), solver="greedy", workers=1, **OPTIONS)
    table = schedule.relaxations()
    assert table["window_start"].unique().tolist() == [schedule.demand.starts[n] for n in (3, 5)]
    assert list(table.columns) == list(RELAXATION_COLUMNS)
    assert set(table["kind"]) == {"gpu", "arrivals"}
    one = relaxation_table(schedule, windows=[0, 5])
    assert one.equals(table[table["window_start"] == schedule.demand.starts[5]].reset_index(drop=True))
    problem = schedule.demand.window(5).problem(make_small_profile(), **OPTIONS)
    needed = int(one.loc[one["kind"] == "gpu", "to_value"].iloc[0])
    assert dynaopt.solve(problem.replace(num_gpus=needed), solver="highs").termination.has_solution
    assert not dynaopt.solve(problem.replace(num_gpus=needed - 1), solver="highs").termination.has_solution


def test_a_schedule_with_an_answer_everywhere_lacks_nothing() -> None:
    """Tests an empty table that has its columns."""
    schedule = plan(make_week(2), make_small_profile(), solver="greedy", workers=1, **OPTIONS)
    table = schedule.relaxations()
    assert table.empty
    assert list(table.columns) == list(RELAXATION_COLUMNS)


def test_gpu_prices_do_not_matter_for_a_power_cap() -> None:
    """Tests that what keeps the cap is the least power, whatever GPUs cost: 840 W for 8 requests/s."""
    problem = make_problem(two_profile(), {"SS": 8.0}, num_gpus=16, power_cap_w=800.0).replace(gpu_price_w=300.0)
    found = by_kind(problem, kinds=["power_cap"])
    assert found["power_cap"].to_value == 840.0
    assert isinstance(pd.DataFrame(found.values()), pd.DataFrame)
