"""Demand: how many requests of each class arrive in each window, and the shipped weeks by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.demand_table import COLUMNS, check_rows, find_window_s, normalise
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import place, read_table, write_table

_SHIPPED = Path(__file__).parent / "data"
_SHIPPED_NAMES = ("azure-2024-conversation", "azure-2024-coding")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Demand:
    """Arrival rates per window and class, over consecutive windows of one length.

    Parameters
    ----------
    name
        Name of a shipped demand, or the stem of the file it came from.
    window_s
        Length of every window, in seconds.
    table
        One row for each window, model and class with arrivals: `window_start` (UTC), `model` (``""`` if there is only
        one), `request_class`, `rate_rps`, `input_tokens` and `output_tokens` (means of a request, for information),
        `peak_factor`; sorted by window, model and class. `read_demand` and `read_trace` make it.
    sha256
        Of the file it came from; ``""`` if it was made in memory.
    starts
        Start of every window, those without arrivals included; by default from the first in the table to the last.
    models
        Names of the models, those without arrivals included; by default those in the table, ``("",)`` if there is
        only one and it is not named.

    Attributes
    ----------
    rates_rps
        For each model, arrival rates in requests per second, shape (windows, 9), classes as in `REQUEST_CLASSES`.
    peak_factors
        For each model, shape (windows,); 1 where nothing arrives.
    """

    name: str
    window_s: float
    table: pd.DataFrame
    sha256: str = ""
    starts: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([], tz="UTC"))
    models: tuple[str, ...] = ()
    rates_rps: Mapping[str, FloatArray] = field(init=False)
    peak_factors: Mapping[str, FloatArray] = field(init=False)

    def __post_init__(self) -> None:
        if self.starts.empty:
            times = self.table["window_start"]
            step = pd.Timedelta(seconds=self.window_s)
            object.__setattr__(self, "starts", pd.date_range(times.min(), times.max(), freq=step))
        if not self.models:
            object.__setattr__(self, "models", tuple(sorted(self.table["model"].unique())))
        at = self.starts.get_indexer(pd.DatetimeIndex(self.table["window_start"]))
        classes = self.table["request_class"].map(REQUEST_CLASSES.index).to_numpy()
        rates: dict[str, FloatArray] = {}
        peaks: dict[str, FloatArray] = {}
        for model in self.models:
            own = (self.table["model"] == model).to_numpy()
            rates[model] = np.zeros((len(self.starts), len(REQUEST_CLASSES)))
            rates[model][at[own], classes[own]] = self.table["rate_rps"].to_numpy()[own]
            peaks[model] = np.ones(len(self.starts))
            peaks[model][at[own]] = self.table["peak_factor"].to_numpy()[own]
            rates[model].setflags(write=False)
            peaks[model].setflags(write=False)
        object.__setattr__(self, "rates_rps", rates)
        object.__setattr__(self, "peak_factors", peaks)

    @property
    def num_windows(self) -> int:
        """Windows, those without arrivals included."""
        return len(self.starts)

    @property
    def total_rates_rps(self) -> FloatArray:
        """Arrival rates of all models together, shape (windows, 9)."""
        total: FloatArray = np.stack(list(self.rates_rps.values())).sum(axis=0)
        return total

    @property
    def num_requests(self) -> float:
        """Requests in all windows; expected counts of rare classes may be fractions."""
        return float(self.total_rates_rps.sum() * self.window_s)

    @property
    def peak_rate_rps(self) -> float:
        """Rate of the busiest window, all classes and models, in requests per second."""
        return float(self.total_rates_rps.sum(axis=1).max())

    def window(self, number: int) -> WindowDemand:
        """Return what arrives in one window.

        Parameters
        ----------
        number
            0 for the first window; negative ones count from the end.

        Raises
        ------
        IndexError
            If there is no such window.
        """
        return WindowDemand(
            start=self.starts[number],
            window_s=self.window_s,
            rate_rps={model: rates[number] for model, rates in self.rates_rps.items()},
            peak_factor={model: float(peaks[number]) for model, peaks in self.peak_factors.items()},
        )

    def select(self, first: int, stop: int) -> Demand:
        """Return consecutive windows as a demand of their own, under the same name and hash.

        Parameters
        ----------
        first
            Number of the first window.
        stop
            Number of the window after the last.

        Raises
        ------
        InvalidInputError
            If the range is empty, reaches outside the demand, or nothing arrives in it.
        """
        where = f"windows {first} to {stop} of {self.name}"
        if not 0 <= first < stop <= self.num_windows:
            raise InvalidInputError(
                where, expected=f"a range inside 0 to {self.num_windows}", found=f"{first} to {stop}"
            )
        starts = self.starts[first:stop]
        inside = self.table["window_start"].between(starts[0], starts[-1])
        if not inside.any():
            raise InvalidInputError(where, expected="a window in which requests arrive", found="none")
        table = self.table[inside].reset_index(drop=True)
        return Demand(self.name, self.window_s, table, self.sha256, starts, self.models)

    def __repr__(self) -> str:
        mean_rps = self.num_requests / (self.num_windows * self.window_s)
        models = "" if self.models == ("",) else f", models {', '.join(self.models)}"
        span = f"{self.num_windows:,} windows of {self.window_s:g} s from {self.starts[0].isoformat()}"
        return (
            f"Demand({self.name}: {span}, {self.num_requests:,.0f} requests, {mean_rps:.1f} requests/s on average, "
            f"{self.peak_rate_rps:.1f} in the busiest window{models})"
        )


def demand_names() -> tuple[str, ...]:
    """Return the names of the shipped demands."""
    return _SHIPPED_NAMES


def read_demand(name_or_path: str | Path, *, window_s: float | None = None) -> Demand:
    """Read a shipped week by name, or a demand table.

    Parameters
    ----------
    name_or_path
        One of `demand_names`, or a ``.csv`` or ``.parquet`` file (format: ``docs/formats.md``).
    window_s
        Length of the windows, in seconds. By default the smallest spacing of the starts, and 300 s where there is
        only one window.

    Returns
    -------
    Demand
        Named after the shipped week or the file's stem.

    Raises
    ------
    UnknownNameError
        If it is neither a shipped name nor looks like a file.
    MissingFileError
        If there is no such file.
    InvalidInputError
        If a cell or the rows together are not what the format allows; with file, line and column.
    """
    path = _find(name_or_path)
    frame = read_table(path, COLUMNS, keep_places=True)
    where = partial(place, path)
    check_rows(frame, where)
    length_s = find_window_s(frame["window_start"], where, window_s)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Demand(path.stem, length_s, normalise(frame), sha256)


def write_demand(demand: Demand, path: str | Path) -> None:
    """Write a demand table; `read_demand` gives the same back.

    Parameters
    ----------
    demand
        What to write. Where no model is named, the column `model` is left out.
    path
        A ``.csv`` or ``.parquet`` file; the folder must exist.
    """
    table = demand.table.drop(columns="model") if demand.models == ("",) else demand.table
    write_table(table, path)


def _find(name_or_path: str | Path) -> Path:
    if name_or_path in _SHIPPED_NAMES:
        return _SHIPPED / f"{name_or_path}.parquet"
    path = Path(name_or_path)
    if path.suffix not in (".csv", ".parquet") and not path.exists():
        raise UnknownNameError(
            "demand", expected=f"one of {', '.join(_SHIPPED_NAMES)}, or a .csv or .parquet file", found=f"'{path}'"
        )
    return path
