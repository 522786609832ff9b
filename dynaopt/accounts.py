"""The accounts of a schedule under an objective: money, carbon and what was minimised, window by window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dynaopt.digests import series_digest
from dynaopt.objective import Objective, WindowPrices
from dynaopt.price_series import PriceSeries
from dynaopt.profile import FloatArray
from dynaopt.schedule import ACCOUNT_COLUMNS, ObjectiveRecord, Schedule, Source


def record_of(objective: Objective, prices: WindowPrices) -> ObjectiveRecord:
    """Return what ``schedule.json`` says of an objective.

    Parameters
    ----------
    objective
        What is minimised.
    prices
        What it charges over the windows of the schedule.
    """
    return ObjectiveRecord(
        kind=objective.kind,  # type: ignore[arg-type]
        unit=objective.unit,
        minimise=dict(objective.weights),
        price_per_kwh=_source(objective.price_per_kwh, prices.price_per_kwh),
        price_per_gpu_hour=objective.price_per_gpu_hour,
        carbon_g_per_kwh=_source(objective.carbon_g_per_kwh, prices.carbon_g_per_kwh),
        carbon_g_per_gpu_hour=objective.carbon_g_per_gpu_hour,
        pue=objective.pue,
    )


def make_accounts(prices: WindowPrices, windows: pd.DataFrame, lower_bound_w: FloatArray) -> pd.DataFrame:
    """Return the table `accounts` of a schedule.

    Parameters
    ----------
    prices
        What the objective charges in each of W windows.
    windows
        Its table of windows, W rows.
    lower_bound_w
        What the objective of serving cannot go below, in watts of `Allocation.objective_w`, shape (W,).

    Returns
    -------
    pandas.DataFrame
        `ACCOUNT_COLUMNS`, W rows. A start is charged for at the price of the window that it begins. GPUs are charged
        for during the windows in which they are in use; that a start takes them a little earlier is not.
    """
    serving_j, energy_j, num_gpus = (
        windows[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("serving_energy_j", "energy_j", "num_gpus")
    )
    values = {
        "window_start": windows["window_start"],
        "price_per_kwh": prices.price_per_kwh,
        "carbon_g_per_kwh": prices.carbon_g_per_kwh,
        "cost": prices.cost(energy_j, num_gpus),
        "carbon_g": prices.carbon_g(energy_j, num_gpus),
        "serving_objective": prices.objective(serving_j, num_gpus),
        "objective": prices.objective(energy_j, num_gpus),
        # The bound in watts is of power and the price of GPUs together, so no GPU is to be added to it.
        "objective_bound": prices.objective(lower_bound_w * prices.window_s, np.zeros(len(windows))),
    }
    return pd.DataFrame(values)[[c.name for c in ACCOUNT_COLUMNS]]


def priced(schedule: Schedule, objective: Objective) -> Schedule:
    """Return a schedule with the accounts that it has under an objective for which it need not have been planned.

    Parameters
    ----------
    schedule
        Any.
    objective
        What to charge. Nothing is proved of it: the bound is 0.

    Raises
    ------
    InvalidInputError
        If a series of the objective does not cover the windows.
    """
    starts = pd.DatetimeIndex(schedule.windows["window_start"])
    prices = objective.over(starts, schedule.metadata.window_s)
    bound_w = np.where(schedule.windows["power_w"].notna(), 0.0, np.nan)
    metadata = schedule.metadata.model_copy(update={"objective": record_of(objective, prices), "format_version": 2})
    accounts = make_accounts(prices, schedule.windows, bound_w)
    return replace(schedule, metadata=metadata, accounts=accounts).with_totals()


def objective_of(schedule: Schedule) -> Objective | None:
    """Return the objective that a schedule has, its series as they are over its windows; None where it has none.

    Parameters
    ----------
    schedule
        Planned with an objective or without.
    """
    record, accounts = schedule.metadata.objective, schedule.accounts
    if record is None or accounts is None:
        return None

    def rate(name: str) -> float | PriceSeries | None:
        """Read one of the recorded prices: a number, or the series that it came from."""
        given = getattr(record, name)
        if not isinstance(given, Source):
            return given  # type: ignore[no-any-return]
        return PriceSeries(
            name=given.name,
            starts=pd.DatetimeIndex(accounts["window_start"]),
            step_s=schedule.metadata.window_s,
            values=accounts[name].to_numpy(dtype=np.float64),
            sha256=given.sha256,
            path=given.path,
        )

    return Objective(
        minimise=record.minimise if record.kind == "weighted" else record.kind,
        price_per_kwh=rate("price_per_kwh"),
        price_per_gpu_hour=record.price_per_gpu_hour,
        carbon_g_per_kwh=rate("carbon_g_per_kwh"),
        carbon_g_per_gpu_hour=record.carbon_g_per_gpu_hour,
        pue=record.pue,
    )


def _source(given: float | PriceSeries | None, means: FloatArray) -> float | Source | None:
    if not isinstance(given, PriceSeries):
        return given
    return Source(name=given.name, path=given.path, sha256=given.sha256, content_sha256=series_digest(means))
