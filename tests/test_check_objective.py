"""Tests that the check counts money, carbon and objective itself: each false number is told, and no right one."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from two_windows import OPTIONS, two_demand, two_objective, two_profile

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.horizon import plan
from dynaopt.schedule import Schedule
from dynaopt.violations import ViolationKind as K


@lru_cache
def planned(gpu_price: float = 0.05) -> Schedule:
    """Plan the two windows for money."""
    return plan(two_demand(), two_profile(), objective=two_objective(price_per_gpu_hour=gpu_price), **OPTIONS)


def kinds(schedule: Schedule) -> set[K]:
    """Return what is found wrong."""
    return {violation.kind for violation in check(schedule, profiles=[two_profile()])}


def with_cell(schedule: Schedule, table: str, column: str, value: float) -> Schedule:
    """Return it with another number in the second window."""
    frame = getattr(schedule, table).copy()
    frame.loc[1, column] = value
    return replace(schedule, **{table: frame})


def with_total(schedule: Schedule, **changes: Any) -> Schedule:
    """Return it with other totals of the objective, or of all."""
    totals = schedule.metadata.totals
    own = {name: changes.pop(name) for name in ("cost", "carbon_g", "objective", "objective_bound") if name in changes}
    assert totals.objective is not None
    totals = totals.model_copy(update={"objective": totals.objective.model_copy(update=own), **changes})
    return replace(schedule, metadata=schedule.metadata.model_copy(update={"totals": totals}))


def with_objective(schedule: Schedule, **changes: Any) -> Schedule:
    """Return it with another objective in its metadata."""
    assert schedule.metadata.objective is not None
    objective = schedule.metadata.objective.model_copy(update=changes)
    return replace(schedule, metadata=schedule.metadata.model_copy(update={"objective": objective}))


@pytest.mark.parametrize("gpu_price", [0.05, 0.0])
def test_a_right_schedule_has_no_violation(gpu_price: float) -> None:
    """Tests both sides of what is proved of energy."""
    assert kinds(planned(gpu_price)) == set()


FAULTS: dict[str, tuple[Callable[[Schedule], Schedule], set[K]]] = {
    "cost": (lambda s: with_cell(s, "accounts", "cost", 0.2831), {K.COST}),
    "no cost": (lambda s: with_cell(s, "accounts", "cost", np.nan), {K.COST}),
    "carbon": (lambda s: with_cell(s, "accounts", "carbon_g", 500.0), {K.CARBON}),
    "objective": (lambda s: with_cell(s, "accounts", "objective", 0.2), {K.OBJECTIVE}),
    "serving": (lambda s: with_cell(s, "accounts", "serving_objective", 0.2), {K.OBJECTIVE}),
    "price": (
        lambda s: with_cell(s, "accounts", "price_per_kwh", 0.05),
        {K.PRICE, K.COST, K.OBJECTIVE, K.TOTAL, K.GAP, K.LOWER_BOUND},
    ),
    "intensity": (lambda s: with_cell(s, "accounts", "carbon_g_per_kwh", 100.0), {K.PRICE, K.CARBON, K.TOTAL}),
    "bound": (lambda s: with_cell(s, "accounts", "objective_bound", 0.3), {K.LOWER_BOUND, K.TOTAL}),
    "low bound": (lambda s: with_cell(s, "accounts", "objective_bound", 0.2), {K.GAP, K.OPTIMALITY, K.TOTAL}),
    "energy bound": (lambda s: with_cell(s, "windows", "lower_bound_j", 100.0), {K.LOWER_BOUND}),
    "gap": (lambda s: with_cell(s, "windows", "gap", 0.01), {K.GAP}),
    "no table": (lambda s: replace(s, accounts=None), {K.OBJECTIVE}),
    "total cost": (lambda s: with_total(s, cost=1.0), {K.TOTAL}),
    "total carbon": (lambda s: with_total(s, carbon_g=None), {K.TOTAL}),
    "total objective": (lambda s: with_total(s, objective=0.4), {K.TOTAL}),
    "total bound": (lambda s: with_total(s, objective_bound=0.4), {K.TOTAL}),
    "total energy bound": (lambda s: with_total(s, lower_bound_j=5.0), {K.TOTAL}),
    "total gap": (lambda s: with_total(s, gap=0.5), {K.TOTAL}),
    "pue": (lambda s: with_objective(s, pue=1.4), {K.COST, K.CARBON, K.OBJECTIVE, K.TOTAL, K.LOWER_BOUND}),
    "gpu price": (lambda s: with_objective(s, price_per_gpu_hour=0.06), {K.COST, K.OBJECTIVE, K.GAP, K.TOTAL}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_false_number_is_told(fault: str) -> None:
    """Tests each number of the accounts, falsified by itself: its own kind is among what is found, and no stranger."""
    change, expected = FAULTS[fault]
    found = kinds(change(planned()))
    assert found
    assert found <= expected | {K.OPTIMALITY}
    first = {"price": K.PRICE, "intensity": K.PRICE, "pue": K.COST, "gpu price": K.COST}.get(fault)
    assert first in found if first else found & expected


def test_the_message_tells_what_should_stand_there() -> None:
    """Tests place and numbers of a falsified cost."""
    (violation,) = check(with_cell(planned(), "accounts", "cost", 0.3), profiles=[two_profile()])
    assert str(violation) == "2024-05-12 01:00: money of a window: expected cost 0.283, found 0.3"


def test_a_bound_of_energy_that_was_not_priced_right_is_told() -> None:
    """Tests, without a price of GPUs, that the bound of the objective must be that of energy at its price."""
    assert kinds(with_cell(planned(0.0), "accounts", "objective_bound", 0.01)) >= {K.LOWER_BOUND}


@lru_cache
def planned_for_quarters() -> Schedule:
    """Plan the same rates for money in windows of a quarter of an hour."""
    hours = two_demand()
    starts = pd.date_range(hours.starts[0], periods=2, freq="15min", unit="us")
    demand = Demand("quarters", 900.0, hours.table.assign(window_start=starts), starts=starts)
    return plan(demand, two_profile(), objective=two_objective(), **OPTIONS)


def test_gpus_are_counted_by_the_hour_in_shorter_windows_too() -> None:
    """Tests that a quarter of an hour costs a quarter of 0.226 of an hour, and that the check finds that right."""
    schedule = planned_for_quarters()
    assert schedule.accounts is not None
    assert schedule.accounts["cost"][0] == pytest.approx(0.226 / 4)
    assert kinds(schedule) == set()


def test_a_price_that_was_not_given_is_told() -> None:
    """Tests that an intensity in the accounts of a plan for money alone is a fault."""
    objective = two_objective(carbon_g_per_kwh=None)
    schedule = plan(two_demand(), two_profile(), objective=objective, **OPTIONS)
    assert kinds(schedule) == set()
    assert K.PRICE in kinds(with_cell(schedule, "accounts", "carbon_g_per_kwh", 300.0))


def test_a_window_without_an_answer_has_no_accounts() -> None:
    """Tests a second window of too many requests for 16 GPUs, with each amount written into it all the same."""
    schedule = plan(two_demand((4.0, 1000.0)), two_profile(), objective=two_objective(), **OPTIONS)
    (unanswered,) = check(schedule, profiles=[two_profile()])
    for name in ("cost", "carbon_g", "serving_objective", "objective", "objective_bound"):
        found = check(with_cell(schedule, "accounts", name, 0.1), profiles=[two_profile()])
        assert [v.where for v in found if v != unanswered and v.kind is K.NO_ANSWER] == [name]


def test_optimal_is_held_to_the_gap_of_the_objective() -> None:
    """Tests an answer that claims to be optimal while its bound is 0.2 of 0.283, the gap told as it is."""
    schedule = with_cell(planned(), "accounts", "objective_bound", 0.2)
    windows = schedule.windows.copy()
    windows.loc[1, ["gap", "termination"]] = [(0.283 - 0.2) / 0.283, "optimal"]
    assert K.OPTIMALITY in kinds(replace(schedule, windows=windows))
    assert K.GAP not in kinds(replace(schedule, windows=windows))


def test_a_bound_above_the_objective_is_told_as_such() -> None:
    """Tests 0.3 as the bound of 0.283: the bound itself is a fault, beside the total that no longer adds up."""
    assert kinds(with_cell(planned(), "accounts", "objective_bound", 0.3)) >= {K.LOWER_BOUND}
