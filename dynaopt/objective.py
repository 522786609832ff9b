"""What a plan minimises: energy, money, carbon, or a weighting of them, at prices that change over time.

Let P be what a cluster draws (W), G its GPUs in use, and E = PUE P / 1000 what its building draws (kW). In an hour

    energy  E                                               kWh
    cost    price_per_kwh E + price_per_gpu_hour G          money
    carbon  carbon_g_per_kwh E + carbon_g_per_gpu_hour G    g

so every weighting of them is a factor times (P + w G): its window problem is that of energy in which a GPU in use draws
w watts more. `docs/objectives.md` writes it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.price_series import PriceSeries
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray

Quantity = Literal["energy", "cost", "carbon"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
UNITS: Mapping[Quantity, str] = {"energy": "kWh", "cost": "money", "carbon": "g"}
"""Units of the quantities, and of an objective that is one of them. A weighting has none."""

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WindowPrices:
    """What an objective charges in each of W windows.

    Parameters
    ----------
    weights
        What the objective counts a kWh, a unit of money and a gram as.
    pue
        Energy of the building over that of the cluster.
    price_per_kwh, carbon_g_per_kwh
        Money and grams for a kWh of the building, shape (W,); NaN where none was given.
    price_per_gpu_hour, carbon_g_per_gpu_hour
        Money and grams for a GPU in use for an hour.
    window_s
        Length of a window, in seconds.
    """

    weights: Mapping[Quantity, float]
    pue: float
    price_per_kwh: FloatArray
    carbon_g_per_kwh: FloatArray
    price_per_gpu_hour: float
    carbon_g_per_gpu_hour: float
    window_s: float

    @property
    def factor_per_kwh(self) -> FloatArray:
        """What the objective charges for a kWh of the cluster, shape (W,)."""
        charged = np.full(len(self.price_per_kwh), self.weights.get("energy", 0.0))
        rates: dict[Quantity, FloatArray] = {"cost": self.price_per_kwh, "carbon": self.carbon_g_per_kwh}
        for name, rate in rates.items():
            if name in self.weights:
                charged = charged + self.weights[name] * rate
        return self.pue * charged

    @property
    def rate_per_gpu_hour(self) -> float:
        """What the objective charges for a GPU in use for an hour."""
        money, grams = self.weights.get("cost", 0.0), self.weights.get("carbon", 0.0)
        return money * self.price_per_gpu_hour + grams * self.carbon_g_per_gpu_hour

    @property
    def gpu_price_w(self) -> FloatArray:
        """The power that would cost as much as a GPU in use does, in watts, shape (W,)."""
        if self.rate_per_gpu_hour == 0:
            return np.zeros(len(self.price_per_kwh))
        gpu_price_w: FloatArray = 1000 * self.rate_per_gpu_hour / self.factor_per_kwh
        return gpu_price_w

    def cost(self, energy_j: FloatArray, num_gpus: FloatArray) -> FloatArray:
        """Return the money that each window costs, NaN where energy has no price.

        Parameters
        ----------
        energy_j
            Energy of the cluster in each window, in joules, shape (W,).
        num_gpus
            GPUs in use in each, shape (W,).
        """
        return self._charge(self.price_per_kwh, self.price_per_gpu_hour, energy_j, num_gpus)

    def carbon_g(self, energy_j: FloatArray, num_gpus: FloatArray) -> FloatArray:
        """Return the grams that each window emits, NaN where energy has no carbon; parameters as for `cost`."""
        return self._charge(self.carbon_g_per_kwh, self.carbon_g_per_gpu_hour, energy_j, num_gpus)

    def objective(self, energy_j: FloatArray, num_gpus: FloatArray) -> FloatArray:
        """Return the objective of each window; parameters as for `cost`."""
        gpu_hours = num_gpus * self.window_s / SECONDS_PER_HOUR
        value: FloatArray = self.factor_per_kwh * energy_j / JOULES_PER_KWH + self.rate_per_gpu_hour * gpu_hours
        return value

    def _charge(
        self, per_kwh: FloatArray, per_gpu_hour: float, energy_j: FloatArray, num_gpus: FloatArray
    ) -> FloatArray:
        gpu_hours = num_gpus * self.window_s / SECONDS_PER_HOUR
        charge: FloatArray = per_kwh * self.pue * energy_j / JOULES_PER_KWH + per_gpu_hour * gpu_hours
        return charge


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Objective:
    """What to minimise, and what energy and GPUs cost.

    Parameters
    ----------
    minimise
        ``"energy"`` (the default), ``"cost"`` or ``"carbon"``; or weights: what a kWh, a unit of money and a gram
        count.
    price_per_kwh
        Money for a kWh: a number, a series, or None where money is of no interest.
    price_per_gpu_hour
        Money for an hour of each GPU in use; 0 by default, as for one's own GPUs, whose price does not depend on use.
    carbon_g_per_kwh
        Grams of CO2 for a kWh: a number, a series, or None where carbon is of no interest.
    carbon_g_per_gpu_hour
        Grams of CO2 for an hour of each GPU in use, from its making; 0 by default.
    pue
        Power usage effectiveness: what the building draws over what the cluster draws, GPUs and hosts; 1 by default.

    Raises
    ------
    InvalidInputError
        If a number is out of range, a weight is of nothing, or what is to be minimised has no price.
    """

    minimise: str | Mapping[Quantity, float] = "energy"
    price_per_kwh: float | PriceSeries | None = None
    price_per_gpu_hour: float = 0.0
    carbon_g_per_kwh: float | PriceSeries | None = None
    carbon_g_per_gpu_hour: float = 0.0
    pue: float = 1.0
    weights: Mapping[Quantity, float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _weights(self.minimise))
        for name, least in (("price_per_gpu_hour", 0.0), ("carbon_g_per_gpu_hour", 0.0), ("pue", 1.0)):
            _check_number(name, getattr(self, name), least)
        for name in ("price_per_kwh", "carbon_g_per_kwh"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, PriceSeries):
                _check_number(name, value, 0.0)
        self._check_needed("cost", "price_per_kwh", "price_per_gpu_hour")
        self._check_needed("carbon", "carbon_g_per_kwh", "carbon_g_per_gpu_hour")

    def _check_needed(self, quantity: Quantity, per_kwh: str, per_gpu_hour: str) -> None:
        if getattr(self, per_kwh) is None and (quantity in self.weights or getattr(self, per_gpu_hour) > 0):
            why = f"{quantity} is minimised" if quantity in self.weights else "GPUs in use have a price of it"
            raise InvalidInputError(f"option {per_kwh}", expected=f"a number or a series, for {why}", found="none")

    @property
    def kind(self) -> str:
        """``energy``, ``cost``, ``carbon`` or ``weighted``."""
        return self.minimise if isinstance(self.minimise, str) else "weighted"

    @property
    def unit(self) -> str:
        """Unit of the objective; empty for a weighting."""
        return UNITS[self.minimise] if isinstance(self.minimise, str) else ""  # type: ignore[index]

    def replace(self, **changes: object) -> Objective:
        """Return the same objective with some of its fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def over(self, starts: pd.DatetimeIndex, window_s: float) -> WindowPrices:
        """Return what it charges in each window.

        Parameters
        ----------
        starts
            Start of each window, UTC.
        window_s
            Their length, in seconds.

        Raises
        ------
        InvalidInputError
            If a series does not cover the windows, or energy is free in a window in which GPUs are not.
        """
        prices = WindowPrices(
            weights=self.weights,
            pue=self.pue,
            price_per_kwh=_over(self.price_per_kwh, starts, window_s),
            carbon_g_per_kwh=_over(self.carbon_g_per_kwh, starts, window_s),
            price_per_gpu_hour=self.price_per_gpu_hour,
            carbon_g_per_gpu_hour=self.carbon_g_per_gpu_hour,
            window_s=window_s,
        )
        free = prices.factor_per_kwh == 0
        if prices.rate_per_gpu_hour > 0 and free.any():
            raise InvalidInputError(
                f"objective {self.kind}, window {starts[free][0].isoformat()}",
                expected="a price of energy above 0 wherever GPUs in use have one",
                found="0",
                hint="give a small price; without any, the clock and the load of instances would be arbitrary",
            )
        return prices

    def applied(self, problem: Problem) -> Problem:
        """Return the problem of a window in which GPUs in use are charged for as this objective does.

        Parameters
        ----------
        problem
            One window's input.
        """
        prices = self.over(pd.DatetimeIndex([problem.demand.start]), problem.demand.window_s)
        return problem.replace(gpu_price_w=float(prices.gpu_price_w[0]))


def _weights(minimise: str | Mapping[Quantity, float]) -> dict[Quantity, float]:
    names = ", ".join(QUANTITIES)
    if isinstance(minimise, str):
        if minimise not in QUANTITIES:
            raise InvalidInputError("option objective", expected=f"one of {names}", found=f"'{minimise}'")
        return {minimise: 1.0}
    for name, weight in minimise.items():
        if name not in QUANTITIES:
            raise InvalidInputError("option weights", expected=f"weights of {names}", found=f"'{name}'")
        _check_number(f"weights, {name}", weight, 0.0)
    kept: dict[Quantity, float] = {name: float(weight) for name, weight in minimise.items() if weight > 0}
    if not kept:
        raise InvalidInputError("option weights", expected="a weight above 0", found="none")
    return kept


def _check_number(name: str, value: float, least: float) -> None:
    if not (np.isfinite(value) and value >= least):
        raise InvalidInputError(f"option {name}", expected=f"a number of at least {least:g}", found=str(value))


def _over(rate: float | PriceSeries | None, starts: pd.DatetimeIndex, window_s: float) -> FloatArray:
    if isinstance(rate, PriceSeries):
        return rate.over(starts, window_s)
    return np.full(len(starts), np.nan if rate is None else float(rate))
