"""Series of prices and of carbon intensities: constant between their times, and averaged over windows.

A value holds from its time until the next. Nothing holds before the first or, beyond one step, after the last.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray
from dynaopt.tables import Column, place, read_table

TIME_COLUMNS = ("window_start", "timestamp")
"""Names that the column of times may have."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PriceSeries:
    """A quantity that is constant in steps of one length.

    Parameters
    ----------
    name
        Of the file, or what it is to be called in messages.
    starts
        Start of each step, UTC, equally spaced.
    step_s
        Length of a step, in seconds.
    values
        What holds during each step, at least 0, shape (steps,).
    sha256
        Of the file that it was read from; empty if it was made in memory.
    path
        Of that file, or None.

    Raises
    ------
    InvalidInputError
        If times are not equally spaced or a value is negative or no number.
    """

    name: str
    starts: pd.DatetimeIndex
    step_s: float
    values: FloatArray
    sha256: str = ""
    path: str | None = None

    def __post_init__(self) -> None:
        wrong = self.starts[1:] - self.starts[:-1] != pd.Timedelta(seconds=self.step_s)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            expected = f"a value {self.step_s:g} s after {self.starts[at].isoformat()}"
            raise InvalidInputError(f"series {self.name}", expected=expected, found=self.starts[at + 1].isoformat())
        bad = ~(np.isfinite(self.values) & (self.values >= 0))
        if bad.any():
            found = f"{self.values[bad][0]} at {self.starts[bad][0].isoformat()}"
            raise InvalidInputError(f"series {self.name}", expected="numbers of at least 0", found=found)

    @property
    def end(self) -> pd.Timestamp:
        """When the last step ends."""
        return self.starts[-1] + pd.Timedelta(seconds=self.step_s)

    def over(self, starts: pd.DatetimeIndex, window_s: float) -> FloatArray:
        """Return the mean over each window.

        What a window draws is constant within it, so the mean price times its energy is exactly what the energy costs.

        Parameters
        ----------
        starts
            Start of each window, UTC, shape (windows,).
        window_s
            Their length, in seconds.

        Raises
        ------
        InvalidInputError
            If a window lies before the first value or beyond the last step.
        """
        last = starts[-1] + pd.Timedelta(seconds=window_s)
        if starts[0] < self.starts[0] or last > self.end:
            raise InvalidInputError(
                self.path or f"series {self.name}",
                expected=f"values from {starts[0].isoformat()} to {last.isoformat()}, which is planned",
                found=f"values from {self.starts[0].isoformat()} to {self.end.isoformat()}",
            )
        # The integral from the first value on is linear within each step, so its differences give exact means.
        edges_s = np.arange(self.values.size + 1) * self.step_s
        integral = np.concatenate([[0.0], np.cumsum(self.values) * self.step_s])
        begin_s = ((starts - self.starts[0]) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
        first = np.floor(begin_s / self.step_s)
        inside = begin_s + window_s <= (first + 1) * self.step_s
        mean = (np.interp(begin_s + window_s, edges_s, integral) - np.interp(begin_s, edges_s, integral)) / window_s
        # Within one step the value itself, without the rounding of a difference of large sums.
        return np.where(inside, self.values[np.minimum(first.astype(np.intp), self.values.size - 1)], mean)


def read_series(path: str | Path, column: str) -> PriceSeries:
    """Read a series from a table.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` file with a column of times, one of `TIME_COLUMNS`, and `column`.
    column
        The quantity, for example ``price_per_kwh``.

    Returns
    -------
    PriceSeries
        Its step is the spacing of the first two times.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If a cell does not fit, there are fewer than two rows, or times are not ascending and equally spaced; with the
        place.
    """
    path = Path(path)
    times = [Column(name, "timestamp", required=False) for name in TIME_COLUMNS]
    frame = read_table(path, (*times, Column(column, minimum=0)), key=TIME_COLUMNS, keep_places=True)
    named = [name for name in TIME_COLUMNS if name in frame]
    if len(named) != 1:
        expected = f"one column of times, '{TIME_COLUMNS[0]}' or '{TIME_COLUMNS[1]}'"
        raise InvalidInputError(str(path), expected=expected, found="both" if named else "none")
    starts = frame[named[0]]
    if len(starts) < 2:
        expected = "at least two rows, whose spacing tells how long a value holds"
        raise InvalidInputError(str(path), expected=expected, found="one row", hint="give a constant as a number")
    steps_s = starts.diff().dt.total_seconds().to_numpy()[1:]
    step_s = float(steps_s[0])
    wrong = np.flatnonzero((steps_s != step_s) | (steps_s <= 0))
    if wrong.size:
        at = int(wrong[0])
        expected = f"a time {step_s:g} s after {starts.iloc[at].isoformat()}" if step_s > 0 else "ascending times"
        where = place(path, int(starts.index[at + 1]), named[0])
        raise InvalidInputError(where, expected=expected, found=starts.iloc[at + 1].isoformat())
    return PriceSeries(
        name=path.stem,
        starts=pd.DatetimeIndex(starts),
        step_s=step_s,
        values=frame[column].to_numpy(dtype=np.float64),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        path=str(path.resolve()),
    )
