"""A schedule window by window: one value, or one row, for each window, ready to be drawn or summed up.

Every result is indexed by the start of the window and has all windows of the schedule; what a window without an
answer lacks is NaN.
"""

from __future__ import annotations

import pandas as pd

from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import Schedule

START = "window_start"


def gpus_by_tp(schedule: Schedule) -> pd.DataFrame:
    """Count the GPUs in use by tensor-parallel degree.

    Parameters
    ----------
    schedule
        What to count in.

    Returns
    -------
    pandas.DataFrame
        GPUs; a column for each `tp` that is used anywhere, ascending.
    """
    table = schedule.allocations
    gpus = table["tp"] * table["num_instances"]
    counts = table.assign(gpus=gpus).pivot_table(
        index=START, columns="tp", values="gpus", aggfunc="sum", fill_value=0, observed=True
    )
    full = counts.reindex(schedule.windows[START], fill_value=0).astype(float)
    return full.where(is_solved(schedule), axis="index")


def mean_clock_mhz(schedule: Schedule) -> pd.Series:
    """Average the GPU clock over the GPUs in use, in MHz; NaN where none is in use.

    Parameters
    ----------
    schedule
        What to average over.
    """
    table = schedule.allocations
    gpus = table["tp"] * table["num_instances"]
    weighted = (gpus * table["frequency_mhz"]).groupby(table[START]).sum()
    return (weighted / gpus.groupby(table[START]).sum()).reindex(schedule.windows[START])


def gpus_in_use(schedule: Schedule) -> pd.Series:
    """Return the GPUs in use in each window.

    Parameters
    ----------
    schedule
        Where to look.
    """
    return schedule.windows.set_index(START)["num_gpus"].astype(float)


def serving_power_w(schedule: Schedule) -> pd.Series:
    """Return the mean power of each window without its transitions, in watts.

    Parameters
    ----------
    schedule
        Where to look.
    """
    return schedule.windows.set_index(START)["power_w"].astype(float)


def total_power_w(schedule: Schedule) -> pd.Series:
    """Return the mean power of each window with its transitions, in watts: its energy over its length.

    Parameters
    ----------
    schedule
        Where to look.
    """
    windows = schedule.windows.set_index(START)
    return (windows["energy_j"] / windows["window_s"]).astype(float)


def bound_power_w(schedule: Schedule) -> pd.Series:
    """Return the serving power that no plan of the window can go below, in watts.

    Parameters
    ----------
    schedule
        Where to look.
    """
    windows = schedule.windows.set_index(START)
    return (windows["lower_bound_j"] / windows["window_s"]).astype(float)


def class_rates_rps(schedule: Schedule) -> pd.DataFrame:
    """Return the arrivals of each request class, all models together, in requests per second.

    Parameters
    ----------
    schedule
        Where to look.

    Returns
    -------
    pandas.DataFrame
        A column for each of `REQUEST_CLASSES`.
    """
    demand = schedule.demand
    rates = pd.DataFrame(demand.total_rates_rps, index=demand.starts, columns=list(REQUEST_CLASSES))
    return rates.reindex(schedule.windows[START])


def peak_rate_rps(schedule: Schedule) -> pd.Series:
    """Return the arrivals in the busiest minute of each window, in requests per second: mean rate times peak factor.

    Parameters
    ----------
    schedule
        Where to look. Of several models the peaks are added, as if they fell together.
    """
    demand = schedule.demand
    peaks = sum(rates.sum(axis=1) * demand.peak_factors[model] for model, rates in demand.rates_rps.items())
    return pd.Series(peaks, index=demand.starts).reindex(schedule.windows[START])


def is_solved(schedule: Schedule) -> pd.Series:
    """Tell which windows have an answer.

    Parameters
    ----------
    schedule
        Where to look.
    """
    return schedule.windows.set_index(START)["power_w"].notna()


def unsolved_spans(schedule: Schedule) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return start and end of each run of successive windows without an answer.

    Parameters
    ----------
    schedule
        Where to look.
    """
    solved = is_solved(schedule)
    length = pd.Timedelta(seconds=schedule.metadata.window_s)
    run = solved.ne(solved.shift()).cumsum()
    starts = solved.index.to_series()[~solved].groupby(run[~solved])
    return [(first, last + length) for first, last in zip(starts.min(), starts.max(), strict=True)]
