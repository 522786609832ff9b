"""Tests of `dynaopt.robustness`."""

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_profile
from planning import OPTIONS, START, make_small_profile, make_week

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.horizon import plan
from dynaopt.perturbation import Perturbation
from dynaopt.profile import Profile
from dynaopt.robustness import (
    MARGIN_SHARES,
    Robustness,
    busiest_day,
    perturb,
    perturb_busiest_day,
    true_energy_j,
)
from dynaopt.schedule import Schedule


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Return TP2 at 300 W and TP4 at 320 W for 2 requests/s of LL, with half the TTFT that is allowed."""
    curves = [
        make_curve(tp, 1000, "LL", [(0.0, idle_w), (2.0, idle_w + 200)], ttft_p99_s=[1.0, 1.0])
        for tp, idle_w in ((2, 100.0), (4, 120.0))
    ]
    return make_profile(curves)


@pytest.fixture(scope="module")
def schedule(profile: Profile) -> Schedule:
    """Return the plan of two windows with 2 requests/s."""
    starts = pd.date_range(START, periods=2, freq="300s", unit="us")
    columns = {"model": "", "request_class": "LL", "rate_rps": 2.0, "input_tokens": 3000.0, "output_tokens": 400.0}
    demand = Demand("one class", 300.0, pd.DataFrame({"window_start": starts, **columns, "peak_factor": 1.0}))
    return plan(demand, profile, workers=1, **OPTIONS)


def test_the_plan_as_it_is(schedule: Schedule) -> None:
    """Tests what the cases below rest on: one instance of TP2 in each of two windows, at 300 W."""
    assert schedule.allocations["tp"].tolist() == [2, 2]
    assert schedule.serving_energy_j == pytest.approx(2 * 300 * 300)


def test_true_energy_by_hand(profile: Profile, schedule: Schedule) -> None:
    """Tests idle power up by a tenth: 10 W more in 600 s; starts cost what they did."""
    assert true_energy_j(schedule, [profile]) == pytest.approx(schedule.energy_j)
    found = perturb(schedule, profile, changes=[Perturbation(name="x", idle=1.1)])
    assert found.changes.loc[0, "energy_j"] == pytest.approx(schedule.energy_j + 10 * 600)


def test_regret_by_hand(profile: Profile, schedule: Schedule) -> None:
    """Tests TP2 at 330 W instead of 300: knowing it, TP4 at 320 W would have been taken; 330 / 320 - 1 is 3.1 %."""
    found = perturb(schedule, profile, changes=[Perturbation(name="x", idle=1.1, slope=1.1, tp=2)])
    row = found.changes.loc[0]
    assert schedule.transition_energy_j == 0
    assert row["energy_j"] == pytest.approx(330 * 600)
    assert row["best_lower_bound_j"] == pytest.approx(320 * 600, rel=1e-4)
    assert row["best_energy_j"] == pytest.approx(320 * 600)
    assert row["regret"] == pytest.approx(330 / 320 - 1)
    assert row["num_broken_instances"] == 0
    assert found.worst_regret == row["regret"]


def test_an_error_that_all_share_costs_nothing(profile: Profile, schedule: Schedule) -> None:
    """Tests that all power being higher changes the energy and not the plan."""
    found = perturb(schedule, profile, changes=[Perturbation(name="x", idle=1.2, slope=1.2)])
    assert found.changes.loc[0, "regret"] == pytest.approx(0, abs=1e-12)


def test_slower_truths_break_instances(profile: Profile, schedule: Schedule) -> None:
    """Tests latencies of 2.1 and of 1.9 times: the bound is 2 times; nothing can be planned once no SLO can be kept."""
    changes = [Perturbation(name="late", latency=2.1), Perturbation(name="in time", latency=1.9)]
    found = perturb(schedule, profile, changes=changes).changes.set_index("change")
    assert found["num_broken_instances"].to_dict() == {"late": 2, "in time": 0}
    assert found["num_broken_windows"].to_dict() == {"late": 2, "in time": 0}
    assert found["num_instances"].tolist() == [2, 2]
    assert found["num_unsolved"].to_dict() == {"late": 2, "in time": 0}
    assert np.isnan(found.loc["late", "regret"])


def test_one_degree_alone_breaks_what_runs_on_it(profile: Profile, schedule: Schedule) -> None:
    """Tests that a slow TP4, of which nothing runs, breaks nothing, and a slow TP2 all."""
    changes = [Perturbation(name=f"TP{tp}", latency=2.1, tp=tp) for tp in (2, 4)]
    found = perturb(schedule, profile, changes=changes).changes.set_index("change")
    assert found["num_broken_instances"].to_dict() == {"TP2": 2, "TP4": 0}
    assert found.loc["TP2", "best_lower_bound_j"] == pytest.approx(320 * 600, rel=1e-4)


def test_margins_of_the_whole(profile: Profile, schedule: Schedule) -> None:
    """Tests that latencies may double, and that at the end of a curve iterations may not get longer."""
    found = perturb(schedule, profile, changes=[Perturbation(name="late", latency=2.1)])
    assert found.latency_margin == pytest.approx(1.0)
    assert found.duration_margin == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.worst_regret)
    table = found.margin_table()
    assert tuple(table["share"]) == MARGIN_SHARES
    assert table["latency_margin"].tolist() == pytest.approx([1.0] * len(MARGIN_SHARES))


def test_a_week_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests random windows under all changes: regret only where nothing breaks, progress, and a telling repr."""
    small = make_small_profile()
    schedule = plan(make_week(10), small, workers=1, **OPTIONS)
    seen: list[tuple[int, int, str]] = []
    found = perturb(schedule, small, size=0.2, progress=lambda *args: seen.append(args))
    assert isinstance(found, Robustness)
    assert len(found.changes) == len(seen) == 20
    assert seen[-1][:2] == (20, 20)
    kept = found.changes[found.changes["num_broken_instances"] == 0]
    power = kept[kept["change"].str.contains("power")]
    assert len(power) == 12
    # By the solver's gap at most better, for the best plan is among those that it looks for.
    assert power["regret"].min() > -0.01
    assert power["regret"].max() > 0.001
    assert "off by 20% in 20 ways" in repr(found)


def test_the_busiest_day_by_hand() -> None:
    """Tests five days of which one hour in the middle of the third has all the requests but a few."""
    starts = pd.date_range(START, periods=5 * 24, freq="1h", unit="us")
    rates = np.where(np.arange(5 * 24) == 60, 9.0, 1.0)
    columns = {"model": "", "request_class": "LL", "input_tokens": 3000.0, "output_tokens": 400.0, "peak_factor": 1.0}
    demand = Demand("hours", 3600.0, pd.DataFrame({"window_start": starts, "rate_rps": rates, **columns}))
    day = busiest_day(demand)
    assert day.num_windows == 24
    assert starts[60] in day.starts
    assert day.num_requests == (23 + 9) * 3600
    assert busiest_day(day) is day


def test_a_day_is_planned_and_judged(profile: Profile, schedule: Schedule) -> None:
    """Tests that demand and options go into the plan, and that its robustness is that of `perturb`."""
    planned, found = perturb_busiest_day(schedule.demand, profile, size=0.3, workers=1, **OPTIONS)
    pd.testing.assert_frame_equal(planned.allocations, schedule.allocations)
    pd.testing.assert_frame_equal(found.changes, perturb(schedule, profile, size=0.3).changes)


def test_another_way_to_plan(profile: Profile, schedule: Schedule) -> None:
    """Tests that whoever compares policies may say how the informed plan is made."""
    asked: list[float] = []

    def replan(given: Schedule, truth: list[Profile]) -> Schedule:
        asked.append(float(truth[0].curves[2, 1000, "LL"].power_w[0]))
        return given

    found = perturb(schedule, profile, changes=[Perturbation(name="x", idle=1.5)], replan=replan)
    assert asked == [150.0]
    assert found.changes.loc[0, "best_energy_j"] == schedule.energy_j


def test_a_size_that_makes_no_sense(profile: Profile, schedule: Schedule) -> None:
    """Tests that 1000 % is refused before anything is planned."""
    with pytest.raises(InvalidInputError, match="option perturb"):
        perturb(schedule, profile, size=10)
