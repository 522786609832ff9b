"""Tests of `dynaopt.prices`: worked by hand, and the difference of two solves by another solver too."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_problem, make_profile, same_for_all_classes
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import OPTIONS, make_small_profile, make_week
from two_windows import OPTIONS as TWO_OPTIONS
from two_windows import two_demand, two_objective, two_profile

import dynaopt
from dynaopt.errors import InvalidInputError
from dynaopt.horizon import plan
from dynaopt.price_changes import make_changes
from dynaopt.prices import PRICE_COLUMNS, REASON_COLUMNS, prices, problem_prices
from dynaopt.problem import Problem
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, write_schedule

GREEDY = {"solver": "greedy", "time_limit_s": None}
ENERGY = ["energy_wh", "lower_wh", "upper_wh"]


def wh(table: pd.DataFrame, kind: str, item: str, step: float) -> list[float]:
    """Return a price and its ends, in Wh."""
    row = table[(table["kind"] == kind) & (table["item"] == item) & np.isclose(table["step"], step)]
    assert len(row) == 1
    return row[ENERGY].iloc[0].astype(float).tolist()


def test_one_more_request_by_hand() -> None:
    """Tests 10 requests/s of SS: one full TP2 of 600 W; an eleventh takes a second one, 100 + 1 · 60 W = 160 W.

    In 300 s that is 160 · 300 / 3600 = 13.33 Wh. A GPU, a server or 10 ms more change nothing.
    """
    problem = make_problem(make_small_profile(), {"SS": 10.0})
    table = problem_prices(problem, **GREEDY)
    assert wh(table, "request_class", "SS", 1) == pytest.approx([13.3333] * 3, abs=1e-3)
    for kind, item, step in (
        ("gpu", "cluster", 1),
        ("gpu", "cluster", 8),
        ("ttft", "all", 0.01),
        ("tbt", "all", -0.01),
    ):
        assert wh(table, kind, item, step) == pytest.approx([0, 0, 0], abs=1e-4)
    assert list(table.columns) == [*PRICE_COLUMNS, *REASON_COLUMNS]


def test_gpus_by_hand() -> None:
    """Tests 2 requests/s on two GPUs: a TP2 of 300 W, where a TP4 of 100 W would do.

    One GPU more is of no use, two save 200 W: 200 · 300 / 3600 = 16.67 Wh. With one less nothing serves, and two less
    there are none left.
    """
    curves = [make_curve(2, 1000, "SS", [(0, 100), (2, 300)]), make_curve(4, 1000, "SS", [(0, 50), (2, 100)])]
    problem = make_problem(make_profile(curves), {"SS": 2.0}, num_gpus=2)
    table = problem_prices(problem, kinds=["gpu"], steps={"gpu": (1, 2, -1, -2)}, **GREEDY)
    assert wh(table, "gpu", "cluster", 1)[::2] == [0.0, 0.0]
    assert wh(table, "gpu", "cluster", 2) == pytest.approx([-16.6667] * 3, abs=1e-3)
    rest = table.set_index("step").loc[[-1, -2]]
    assert rest[ENERGY].isna().all(axis=None)
    assert rest["termination"].iloc[0] == "infeasible"
    assert pd.isna(rest["termination"].iloc[1])
    assert "needs 2 GPUs of 1" in rest["reason"].iloc[0]
    assert "num_gpus" in rest["reason"].iloc[1]


def test_ttft_by_hand() -> None:
    """Tests 1 request/s of LL on a curve whose TTFT is 0.01 + 1.995 r s: at 2 s it ends at 0.9975 requests/s.

    So a second instance idles almost: 2 · 100 + 1 · 100 = 300 W. With 10 ms more it ends at 1.0025, and one instance of
    200 W does: 100 W less, 8.33 Wh. With 10 ms less the two of them stay.
    """
    curve = make_curve(2, 1000, "LL", [(0, 100), (1, 200), (2, 300)], ttft_p99_s=[0.01, 2.005, 4.0])
    table = problem_prices(make_problem(make_profile([curve]), {"LL": 1.0}), slo_of="each", kinds=["ttft"], **GREEDY)
    assert wh(table, "ttft", "LL", 0.01) == pytest.approx([-8.3333] * 3, abs=1e-3)
    assert wh(table, "ttft", "LL", -0.01) == pytest.approx([0, 0, 0], abs=1e-3)
    assert wh(table, "ttft", "SS", 0.01) == pytest.approx([0, 0, 0], abs=1e-3)


def test_a_power_cap_is_worth_something_where_gpus_have_a_price() -> None:
    """Tests 8 requests/s where a GPU costs 300 W: one fast TP2 takes 1,320 W, two slow ones 840 W.

    With the GPUs the fast one costs 1,920 W, the slow ones 2,040 W. A cap of 1,319 W forbids the fast one; a watt more
    saves 120 W of objective and takes 480 W of power more, 40 Wh. Of energy alone nothing is proved.
    """
    problem = make_problem(two_profile(), {"SS": 8.0}, num_gpus=16, power_cap_w=1319.0).replace(gpu_price_w=300.0)
    table = problem_prices(problem, kinds=["power_cap"], solver="highs", time_limit_s=None)
    energy, low, high = wh(table, "power_cap", "cluster", 1)
    assert energy == pytest.approx(40.0, abs=1e-3)
    assert np.isnan(low)
    assert np.isnan(high)


def test_a_power_cap_of_a_plan_for_energy_is_worth_nothing() -> None:
    """Tests that the least power keeps a cap or nothing does, so that a watt more changes nothing."""
    problem = make_problem(make_small_profile(), {"SS": 10.0}, power_cap_w=601.0)
    table = problem_prices(problem, steps={"power_cap": (1, -1, -2)}, kinds=["power_cap"], **GREEDY)
    assert wh(table, "power_cap", "cluster", 1)[::2] == [0.0, 0.0]
    assert wh(table, "power_cap", "cluster", -1)[0] == 0.0
    assert table["termination"].iloc[2] == "infeasible"


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    """Return a plan of eight windows of which one has no answer."""
    return plan(make_week(8, too_much=(3,)), make_small_profile(), solver="greedy", workers=1, **OPTIONS)


def test_a_schedule_tells_its_prices(schedule: Schedule) -> None:
    """Tests the method, that it is the function, and a row for each of 8 windows and 15 changes."""
    table = schedule.prices(workers=1, **GREEDY)
    assert len(table) == 8 * 15
    assert table.equals(prices(schedule, workers=1, **GREEDY))
    assert not set(table.columns) & {"objective", "objective_lower"}


def test_windows_without_an_answer_have_no_prices(schedule: Schedule) -> None:
    """Tests that their rows are there, empty, and say why."""
    table = schedule.prices(windows=[3], **GREEDY)
    assert table[ENERGY].isna().all(axis=None)
    assert table["reason"].str.startswith("nothing to compare with: window 2024-05-12 00:15 needs").all()
    assert (table["termination"] == "infeasible").all()


def test_workers_change_nothing(schedule: Schedule) -> None:
    """Tests two processes against one."""
    options = {"windows": [0, 1, 3], "kinds": ["request_class", "gpu"], **GREEDY}
    assert schedule.prices(workers=2, **options).equals(schedule.prices(workers=1, **options))


def test_a_schedule_that_was_read_has_the_same_prices(schedule: Schedule, tmp_path: Path) -> None:
    """Tests that inputs given again do what those at hand did."""
    write_schedule(schedule, tmp_path)
    again = read_schedule(tmp_path).prices(windows=[0], profiles=make_small_profile(), **GREEDY)
    assert again.equals(schedule.prices(windows=[0], **GREEDY))


def test_prices_in_money() -> None:
    """Tests that an objective's prices are in its unit: 7 requests/s for an hour at 0.10 a kWh, PUE 1.5.

    A GPU costs 0.05 / 0.15 kWh = 333.3 W. An eighth request stays on the one fast instance that seven are on,
    100 W more, so 100 Wh and 0.1 kWh · 1.5 · 0.10 = 0.015.
    """
    planned = plan(two_demand(), two_profile(), objective=two_objective(), **TWO_OPTIONS)
    table = planned.prices(windows=[1], kinds=["request_class"], solver="highs", time_limit_s=None)
    row = table[table["item"] == "SS"].iloc[0]
    assert row["energy_wh"] == pytest.approx(100, abs=0.01)
    assert [row[n] for n in ("objective", "objective_lower", "objective_upper")] == pytest.approx([0.015] * 3, abs=1e-5)
    assert np.isnan(row["lower_wh"])


def test_no_windows_no_rows(schedule: Schedule) -> None:
    """Tests an empty choice."""
    assert schedule.prices(windows=[], **GREEDY).empty


def test_unknown_kinds_are_refused(schedule: Schedule) -> None:
    """Tests that the schedule has no cap to price."""
    with pytest.raises(InvalidInputError, match="power_cap and no cap"):
        schedule.prices(kinds=["power_cap"])


def independent(problem: Problem, solver: str) -> list[tuple[float, float]]:
    """Return for each change what another solver leaves open, in Wh; NaN where it has no answer."""
    before = dynaopt.solve(problem, solver=solver, gap_tolerance=1e-6)
    found = []
    for change in make_changes(list(problem.demand.rate_rps), problem.cluster):
        changed = problem.replace(**change.replacements(problem.demand, problem.slo, problem.cluster))
        after = dynaopt.solve(changed, solver=solver, gap_tolerance=1e-6)
        if before.allocation is None or after.allocation is None:
            found.append((np.nan, np.nan))
            continue
        ends_w = after.lower_bound_w - before.power_w, after.power_w - before.lower_bound_w
        found.append((ends_w[0] * 300 / 3600, ends_w[1] * 300 / 3600))
    return found


TIGHT = make_profile(
    [
        *same_for_all_classes(2, 1000, [(0, 100), (3, 500)]),
        *same_for_all_classes(4, 1000, [(0, 90), (4, 300)]),
        *same_for_all_classes(8, 1980, [(0, 200), (9, 800)]),
    ]
)
rates = st.integers(0, 48).map(lambda quarters: quarters / 4)


@given(ss=rates, ll=rates, num_gpus=st.integers(8, 30))
@settings(max_examples=12, deadline=None)
def test_prices_are_those_of_another_solver(ss: float, ll: float, num_gpus: int) -> None:
    """Tests scarce GPUs: what HiGHS leaves open meets the interval, and signs are as they must be.

    More requests never cost less, GPUs and looser objectives never cost, tighter ones never save.
    """
    problem = make_problem(TIGHT, {"SS": ss, "LL": ll}, num_gpus=num_gpus)
    table = problem_prices(problem, solver="exact", time_limit_s=None)
    for row, (low, high) in zip(table.to_dict(orient="records"), independent(problem, "highs"), strict=True):
        assert np.isnan(row["energy_wh"]) == np.isnan(low), row
        if np.isnan(low):
            continue
        assert row["lower_wh"] <= row["energy_wh"] + 1e-9 <= row["upper_wh"] + 2e-9
        assert max(row["lower_wh"], low) <= min(row["upper_wh"], high) + 1e-3, row
        sign = 1 if row["kind"] == "request_class" or row["step"] < 0 else -1
        assert sign * row["energy_wh"] >= -1e-3, row


@pytest.mark.parametrize("number", [43])
def test_prices_of_a_real_window(number: int) -> None:
    """Tests a night window of the shipped week: HiGHS finds the same for a request, a GPU and 10 ms."""
    profile, demand = dynaopt.read_profile("llama2-70b-h100"), dynaopt.read_demand("azure-2024-conversation")
    problem = demand.window(number).problem(profile, num_gpus=320)
    table = problem_prices(problem, kinds=["gpu", "ttft"], steps={"gpu": (1,), "ttft": (0.01,)}, **GREEDY)
    before = dynaopt.solve(problem, solver="highs", gap_tolerance=1e-5)
    for row, changed in zip(
        table.to_dict(orient="records"),
        (problem.replace(num_gpus=321), problem.replace(slo=problem.slo.shifted(ttft_s=0.01))),
        strict=True,
    ):
        after = dynaopt.solve(changed, solver="highs", gap_tolerance=1e-5)
        assert row["lower_wh"] <= (after.power_w - before.lower_bound_w) / 12 + 1e-6
        assert row["upper_wh"] >= (after.lower_bound_w - before.power_w) / 12 - 1e-6
        assert row["upper_wh"] - row["lower_wh"] < 1e-3
