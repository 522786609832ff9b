"""Tests of objectives: what they charge in a window, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_windows import START, hourly, two_objective

from dynaopt.errors import InvalidInputError
from dynaopt.objective import Objective, WindowPrices

STARTS = pd.date_range(START, periods=2, freq="1h")


def over(**changes: Any) -> WindowPrices:
    """Return what the objective of the two windows charges."""
    return two_objective(**changes).over(STARTS, 3600.0)


def test_what_a_window_costs_by_hand() -> None:
    """Tests 1 kWh and 4 GPUs in each hour, at PUE 1.5.

    Cost: 0.2 · 1.5 + 4 · 0.05 = 0.50 and 0.1 · 1.5 + 4 · 0.05 = 0.35. Carbon: 300 · 1.5 = 450 g.
    """
    energy_j, gpus = np.full(2, 3.6e6), np.full(2, 4.0)
    assert over().cost(energy_j, gpus) == pytest.approx([0.50, 0.35])
    assert over().carbon_g(energy_j, gpus) == pytest.approx([450, 450])
    assert over().objective(energy_j, gpus) == pytest.approx([0.50, 0.35])
    assert over(minimise="carbon", carbon_g_per_gpu_hour=5.0).objective(energy_j, gpus) == pytest.approx([470, 470])
    assert over(minimise="energy").objective(energy_j, gpus) == pytest.approx([1.5, 1.5])


def test_a_weighting_is_the_sum_of_its_parts() -> None:
    """Tests 2 for a kWh, 3 for a unit of money and 0.01 for a gram: 2 · 1.5 + 3 · 0.5 + 0.01 · 450 = 9 in hour one."""
    prices = over(minimise={"energy": 2.0, "cost": 3.0, "carbon": 0.01})
    assert prices.objective(np.full(2, 3.6e6), np.full(2, 4.0))[0] == pytest.approx(9.0)


def test_the_price_of_a_gpu_in_watts() -> None:
    """Tests 0.05 / (1.5 · 0.2) kW = 166.7 W and 0.05 / (1.5 · 0.1) kW = 333.3 W; none where energy is minimised."""
    assert over().gpu_price_w == pytest.approx([500 / 3, 1000 / 3])
    assert over(minimise="energy").gpu_price_w.tolist() == [0.0, 0.0]
    assert over(minimise="carbon", carbon_g_per_gpu_hour=9.0).gpu_price_w == pytest.approx([20, 20])


@given(
    weights=st.fixed_dictionaries({"energy": st.floats(0.01, 9), "cost": st.floats(0, 9), "carbon": st.floats(0, 9)}),
    power_w=st.floats(0, 1e5),
    gpus=st.integers(0, 320),
)
def test_every_objective_is_a_factor_times_power_and_priced_gpus(
    weights: dict[str, float], power_w: float, gpus: int
) -> None:
    """Tests the identity on which all rests: objective = factor · (power + price · GPUs) · hours."""
    prices = over(minimise=weights, carbon_g_per_gpu_hour=7.0)
    value = prices.objective(np.full(2, power_w * 3600), np.full(2, float(gpus)))
    assert value == pytest.approx(prices.factor_per_kwh / 1000 * (power_w + prices.gpu_price_w * gpus))


def test_what_has_no_price_is_no_number() -> None:
    """Tests that money and carbon without a price are NaN and not 0, and do not spoil what is minimised."""
    prices = Objective().over(STARTS, 3600.0)
    nothing = np.zeros(2)
    assert np.isnan(prices.cost(nothing, nothing)).all()
    assert np.isnan(prices.carbon_g(nothing, nothing)).all()
    assert prices.objective(np.full(2, 3.6e6), nothing).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minimise": "money"}, "option objective: expected one of energy, cost, carbon, got 'money'"),
        ({"minimise": {"water": 1.0}}, "option weights"),
        ({"minimise": {"cost": 0.0}}, "expected a weight above 0"),
        ({"minimise": {"energy": -1.0}}, "option weights, energy"),
        ({"minimise": "cost"}, "option price_per_kwh: expected a number or a series, for cost is minimised, got none"),
        ({"minimise": {"carbon": 1.0}}, "option carbon_g_per_kwh"),
        ({"price_per_gpu_hour": 1.0}, "for GPUs in use have a price of it"),
        ({"carbon_g_per_gpu_hour": 1.0}, "option carbon_g_per_kwh"),
        ({"pue": 0.99}, "option pue: expected a number of at least 1"),
        ({"price_per_kwh": -0.1}, "option price_per_kwh"),
        ({"price_per_kwh": float("nan")}, "option price_per_kwh"),
        ({"price_per_kwh": 1.0, "price_per_gpu_hour": -1.0}, "option price_per_gpu_hour"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    """Tests each kind of fault, told with the option."""
    with pytest.raises(InvalidInputError) as caught:
        Objective(**fields)
    assert message in str(caught.value)


def test_free_energy_is_refused_where_gpus_have_a_price() -> None:
    """Tests that the window is told; without a price of GPUs free energy is allowed."""
    with pytest.raises(InvalidInputError, match="2024-05-12T01:00:00"):
        over(price_per_kwh=hourly(0.2, 0.0))
    assert over(price_per_kwh=hourly(0.2, 0.0), price_per_gpu_hour=0.0).gpu_price_w.tolist() == [0.0, 0.0]


def test_its_kind_and_unit() -> None:
    """Tests the words for people."""
    assert (two_objective().kind, two_objective().unit) == ("cost", "money")
    assert (Objective().kind, Objective().unit) == ("energy", "kWh")
    weighted = two_objective(minimise={"cost": 1.0, "carbon": 0.0})
    assert (weighted.kind, weighted.unit, weighted.weights) == ("weighted", "", {"cost": 1.0})


def test_gpus_are_charged_for_by_the_hour_whatever_the_window() -> None:
    """Tests 4 GPUs and a twelfth of a kWh in windows of 5 minutes: a twelfth of 0.50 and of 450 + 4 · 5 = 470 g."""
    starts = pd.date_range(START, periods=2, freq="5min")
    energy_j, gpus = np.full(2, 3.6e6 / 12), np.full(2, 4.0)
    prices = two_objective(carbon_g_per_gpu_hour=5.0).over(starts, 300.0)
    assert prices.cost(energy_j, gpus) == pytest.approx([0.50 / 12, 0.50 / 12])
    assert prices.objective(energy_j, gpus) == pytest.approx([0.50 / 12, 0.50 / 12])
    assert prices.carbon_g(energy_j, gpus) == pytest.approx([470 / 12, 470 / 12])


def test_a_weighting_counts_both_prices_of_a_gpu() -> None:
    """Tests 3 for money and 0.01 for a gram: a GPU-hour counts 3 · 0.05 + 0.01 · 5 = 0.2.

    A kWh counts 1.5 · (3 · 0.2 + 0.01 · 300) = 5.4, so a GPU is worth 1000 · 0.2 / 5.4 W.
    """
    prices = over(minimise={"cost": 3.0, "carbon": 0.01}, carbon_g_per_gpu_hour=5.0)
    assert prices.rate_per_gpu_hour == pytest.approx(0.2)
    assert prices.factor_per_kwh[0] == pytest.approx(5.4)
    assert prices.gpu_price_w[0] == pytest.approx(1000 * 0.2 / 5.4)
    assert prices.objective(np.full(2, 3.6e6), np.full(2, 4.0))[0] == pytest.approx(5.4 + 4 * 0.2)
