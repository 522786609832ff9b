"""Tests of plans for money and carbon: a case worked by hand, what must hold of any, and what is written."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import OPTIONS as SMALL
from planning import make_small_profile, make_week
from two_windows import OPTIONS, hourly, two_demand, two_objective, two_profile

from dynaopt.accounts import objective_of, priced
from dynaopt.check import check
from dynaopt.errors import InvalidInputError
from dynaopt.horizon import plan
from dynaopt.objective import Objective
from dynaopt.price_series import PriceSeries
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, write_schedule


def plan_two(objective: Objective | None) -> Schedule:
    """Plan the two windows."""
    return plan(two_demand(), two_profile(), objective=objective, **OPTIONS)


def test_two_windows_by_hand() -> None:
    """Tests cost and carbon of 4 and then 7 requests/s, energy at 0.20 and 0.10 a kWh, GPUs at 0.05 an hour, PUE 1.5.

    Window 1: a slow instance draws 400 + 2 · 10 = 420 W: 0.2 · 1.5 · 0.42 + 2 · 0.05 = 0.226. (A fast one draws 920 W.)
    Window 2, least energy: two slow instances, 790 W on 4 GPUs, one of them started cold: 110 W · 2 · 400 s = 88,000 J.
    0.1 · 1.5 · (0.79 + 0.02444) + 4 · 0.05 = 0.32217.
    Window 2, least cost: a fast instance, 1,220 W on 2 GPUs, none started: 0.1 · 1.5 · 1.22 + 2 · 0.05 = 0.283.
    Carbon at 300 g: 450 · (0.42 + 0.79 + 0.02444) = 555.5 g and 450 · (0.42 + 1.22) = 738 g.
    """
    objective = two_objective()
    energy, cost = priced(plan_two(None), objective), plan_two(objective)
    assert energy.accounts is not None
    assert cost.accounts is not None
    assert energy.accounts["cost"].tolist() == pytest.approx([0.226, 0.15 * (0.79 + 88_000 / 3.6e6) + 0.2])
    assert cost.accounts["cost"].tolist() == pytest.approx([0.226, 0.283])
    assert energy.summary()["carbon_g"] == pytest.approx(450 * (1.21 + 88_000 / 3.6e6))
    assert cost.summary()["carbon_g"] == pytest.approx(738)
    assert cost.energy_j == pytest.approx(1640 * 3600)
    assert cost.summary()["facility_energy_j"] == pytest.approx(1.5 * 1640 * 3600)
    assert check(cost, profiles=[two_profile()]) == []


def test_the_proof_is_of_what_was_minimised() -> None:
    """Tests that with a price of GPUs nothing is claimed of energy, and the bound of the cost lies just below it."""
    cost = plan_two(two_objective())
    assert cost.lower_bound_j is None
    assert cost.windows["lower_bound_j"].isna().all()
    sums = cost.objective_totals()
    assert sums is not None
    assert sums.objective_bound <= sums.serving_objective * (1 + 1e-9)
    assert sums.objective_bound == pytest.approx(0.509, rel=1e-4)
    assert cost.gap is not None
    assert cost.gap < 1e-4


def test_without_a_price_of_gpus_the_bound_holds_for_energy_too() -> None:
    """Tests that the least cost is then that of the least energy, whatever the prices do over time."""
    energy, cost = plan_two(None), plan_two(two_objective(price_per_gpu_hour=0.0))
    assert cost.allocations.equals(energy.allocations)
    assert cost.lower_bound_j == energy.lower_bound_j
    assert cost.accounts is not None
    bound = energy.windows["lower_bound_j"] / 3.6e6 * 1.5 * [0.2, 0.1]
    assert cost.accounts["objective_bound"].tolist() == pytest.approx(bound.tolist())


SETTINGS = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PRICES = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2)


@SETTINGS
@given(prices=PRICES, gpu_price=st.floats(0.0, 0.5), seed=st.integers(0, 50))
def test_each_plan_is_best_at_what_it_minimises(prices: list[float], gpu_price: float, seed: int) -> None:
    """Tests cost of the cost plan <= that of the energy plan and the other way round, serving alone, by the bounds."""
    demand, profile = make_week(12, seed=seed), make_small_profile()
    objective = two_objective(price_per_kwh=hourly(*prices), price_per_gpu_hour=gpu_price)
    energy = plan(demand, profile, solver="highs", workers=1, **SMALL)
    cost = plan(demand, profile, solver="highs", workers=1, objective=objective, **SMALL)
    other, own = priced(energy, objective).objective_totals(), cost.objective_totals()
    assert own is not None
    assert other is not None
    assert own.serving_objective <= other.serving_objective * (1 + 2e-4)
    assert energy.serving_energy_j <= cost.serving_energy_j * (1 + 2e-4)
    assert own.objective_bound <= other.serving_objective * (1 + 1e-9)
    assert check(cost, profiles=[profile]) == []


@SETTINGS
@given(factor=st.sampled_from([0.25, 4.0, 1024.0]), seed=st.integers(0, 20))
def test_the_unit_of_money_does_not_matter(factor: float, seed: int) -> None:
    """Tests that all prices times a power of two give the very same plan, and that much more cost."""
    demand, profile = make_week(6, seed=seed), make_small_profile()
    plans = [
        plan(
            demand,
            profile,
            workers=1,
            objective=two_objective(price_per_kwh=hourly(0.2 * f, 0.1 * f), price_per_gpu_hour=0.05 * f),
            **SMALL,
        )
        for f in (1.0, factor)
    ]
    assert plans[0].allocations.equals(plans[1].allocations)
    assert plans[1].summary()["cost"] == pytest.approx(factor * (plans[0].summary()["cost"] or 0.0))


@pytest.mark.parametrize("pue", [1.0, 1.25, 2.0])
def test_constant_carbon_gives_the_plan_of_least_energy(pue: float) -> None:
    """Tests plan and amount: PUE times energy times grams."""
    demand, profile = make_week(6), make_small_profile()
    energy = plan(demand, profile, workers=1, **SMALL)
    objective = Objective(minimise="carbon", carbon_g_per_kwh=400.0, pue=pue)
    carbon = plan(demand, profile, workers=1, objective=objective, **SMALL)
    assert carbon.allocations.equals(energy.allocations)
    assert carbon.energy_j == energy.energy_j
    assert carbon.summary()["carbon_g"] == pytest.approx(pue * energy.energy_j / 3.6e6 * 400)


def test_a_window_without_an_answer_has_no_accounts() -> None:
    """Tests that its cells are empty, that sums leave it out, and that check agrees."""
    profile = make_small_profile()
    schedule = plan(make_week(4, too_much=(2,)), profile, workers=1, objective=two_objective(), **SMALL)
    assert schedule.accounts is not None
    assert schedule.accounts["objective"].isna().tolist() == [False, False, True, False]
    assert schedule.accounts["price_per_kwh"].notna().all()
    assert {v.kind.name for v in check(schedule, profiles=[profile])} == {"NO_ANSWER"}


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Tests format version 2: accounts, metadata and totals come back, and the folder checks by itself."""
    schedule = plan(two_demand(), two_profile(), objective=two_objective(), out=tmp_path, **OPTIONS)
    found = read_schedule(tmp_path)
    assert found.metadata == schedule.metadata
    assert found.metadata.format_version == 2
    assert found.summary() == schedule.summary()
    assert check(found, profiles=[two_profile()]) == []
    written = json.loads((tmp_path / "schedule.json").read_text())
    assert written["objective"]["kind"] == "cost"
    assert written["totals"]["objective"]["cost"] == pytest.approx(0.509)
    again = plan(two_demand(), two_profile(), objective=two_objective(), out=tmp_path, **OPTIONS)
    assert again.summary() == schedule.summary()


def test_without_an_objective_nothing_of_it_is_written(tmp_path: Path) -> None:
    """Tests that the files are those of version 1, with no table of accounts, also where there was one before."""
    plan(two_demand(), two_profile(), objective=two_objective(), out=tmp_path, **OPTIONS)
    plan(two_demand(), two_profile(), out=tmp_path, overwrite=True, **OPTIONS)
    written = json.loads((tmp_path / "schedule.json").read_text())
    assert written["format_version"] == 1
    assert "objective" not in written
    assert "objective" not in written["totals"]
    assert not (tmp_path / "accounts.csv").exists()
    assert read_schedule(tmp_path).accounts is None


@pytest.mark.parametrize(
    "change", [{"pue": 1.6}, {"minimise": "carbon"}, {"price_per_kwh": hourly(0.2, 0.11)}, {"price_per_gpu_hour": 0.06}]
)
def test_another_objective_is_another_plan(tmp_path: Path, change: dict[str, object]) -> None:
    """Tests that a folder with the plan of one objective is refused to that of another, in words."""
    plan(two_demand(), two_profile(), objective=two_objective(), out=tmp_path, **OPTIONS)
    with pytest.raises(InvalidInputError, match=r"objective|pue|price_per|minimise"):
        plan(two_demand(), two_profile(), objective=two_objective(**change), out=tmp_path, **OPTIONS)


@pytest.mark.parametrize("change", ["version", "rows", "missing"])
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, change: str) -> None:
    """Tests version 2 without an objective, accounts of other windows, and no accounts."""
    write_schedule(plan_two(two_objective()), tmp_path)
    accounts = tmp_path / "accounts.csv"
    if change == "version":
        content = json.loads((tmp_path / "schedule.json").read_text())
        del content["objective"]
        (tmp_path / "schedule.json").write_text(json.dumps(content))
    elif change == "rows":
        accounts.write_text("\n".join(accounts.read_text().splitlines()[:-1]) + "\n")
    else:
        accounts.unlink()
    with pytest.raises((InvalidInputError, FileNotFoundError)):
        read_schedule(tmp_path)


def test_the_objective_of_a_schedule_prices_another_one() -> None:
    """Tests that it can be had back, series included, and charges what the first did."""
    cost = plan_two(two_objective())
    objective = objective_of(cost)
    assert objective is not None
    assert isinstance(objective.price_per_kwh, PriceSeries)
    assert priced(plan_two(None), objective).summary()["cost"] == pytest.approx(0.226 + 0.15 * (0.79 + 0.0244444) + 0.2)
    assert objective_of(plan_two(None)) is None


def test_a_series_that_does_not_cover_the_demand_is_refused_at_once() -> None:
    """Tests that the plan of three hours with prices of two is refused."""
    with pytest.raises(InvalidInputError, match="which is planned"):
        plan(two_demand((4.0, 7.0, 4.0)), two_profile(), objective=two_objective(), **OPTIONS)


def test_accounts_are_in_the_order_of_the_windows() -> None:
    """Tests that the table has the starts of the windows, and its rows those windows' prices."""
    schedule = plan_two(two_objective())
    assert schedule.accounts is not None
    assert pd.DatetimeIndex(schedule.accounts["window_start"]).equals(
        pd.DatetimeIndex(schedule.windows["window_start"])
    )
    assert schedule.accounts["price_per_kwh"].tolist() == [0.2, 0.1]
    assert replace(schedule, accounts=None).objective_totals() is None
