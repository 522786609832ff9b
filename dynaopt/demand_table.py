"""The demand table as a format: what each cell and what the rows together must keep to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import Column

Place = Callable[[int, str], str]
"""Says where a row (by its index in the frame) and a column stand."""

KEY = ("window_start", "model", "request_class")
COLUMNS = (
    Column("window_start", "timestamp"),
    Column("model", "text", required=False, nullable=True),
    Column("request_class", "text", choices=REQUEST_CLASSES),
    Column("rate_rps", minimum=0),
    Column("input_tokens", positive=True),
    Column("output_tokens", minimum=0),
    Column("peak_factor", minimum=1, required=False),
)
DEFAULT_WINDOW_S = 300.0


def normalise(frame: pd.DataFrame) -> pd.DataFrame:
    """Fill in the optional columns and sort by window, model and class; the index is fresh.

    Parameters
    ----------
    frame
        A table whose cells and rows were checked.
    """
    model = frame["model"].fillna("") if "model" in frame else ""
    full = frame.assign(model=model, peak_factor=frame.get("peak_factor", 1.0))[[c.name for c in COLUMNS]]
    return full.sort_values(list(KEY), key=_rank, kind="stable", ignore_index=True)


def _rank(values: pd.Series) -> pd.Series:
    # Classes go SS, SM, SL, MS, ..., which is not the order of the alphabet.
    return values.map(REQUEST_CLASSES.index) if values.name == "request_class" else values


def check_rows(frame: pd.DataFrame, place: Place) -> None:
    """Check what single cells cannot tell: order of windows, one row a name, models, one peak factor a window.

    Parameters
    ----------
    frame
        The columns of `COLUMNS` that are there, cells checked. Its index is what `place` understands.
    place
        Says where a row and a column stand.

    Raises
    ------
    InvalidInputError
        With the place of the first row at fault.
    """
    _check_whole_seconds(frame, place)
    _check_order(frame, place)
    if "model" in frame:
        _check_models(frame, place)
    _check_repeats(frame, place)
    if "peak_factor" in frame:
        _check_peak_factors(frame, place)


def find_window_s(starts: pd.Series, place: Place, window_s: float | None) -> float:
    """Find the length of the windows from their spacing, and check that all stand on one grid.

    Parameters
    ----------
    starts
        Start of each row's window, non-decreasing. Its index is what `place` understands.
    place
        Says where a row and a column stand.
    window_s
        The length, in seconds, where it is known; None to take the smallest spacing, which is 300 s if there is
        only one window.

    Raises
    ------
    InvalidInputError
        With the place of the first window off the grid.
    """
    offset_s = (starts - starts.iloc[0]).dt.total_seconds()
    gaps_s = np.diff(np.unique(offset_s.to_numpy()))
    if window_s is None:
        window_s = float(gaps_s.min()) if gaps_s.size else DEFAULT_WINDOW_S
    off_grid = (offset_s % window_s != 0).to_numpy()
    _refuse(
        starts,
        off_grid,
        place,
        "window_start",
        expected=f"a whole number of windows of {window_s:g} s after the first, {starts.iloc[0].isoformat()}",
    )
    return window_s


def _check_whole_seconds(frame: pd.DataFrame, place: Place) -> None:
    starts = frame["window_start"]
    _refuse(starts, (starts.dt.floor("s") != starts).to_numpy(), place, "window_start", expected="a whole second")


def _check_order(frame: pd.DataFrame, place: Place) -> None:
    starts = frame["window_start"]
    early = (starts < starts.shift()).to_numpy()
    _refuse(starts, early, place, "window_start", expected="windows in the order of time")


def _check_models(frame: pd.DataFrame, place: Place) -> None:
    models = frame["model"].fillna("")
    expected = "a model in each row or in none"
    _refuse(models, ((models == "") != (models.iloc[0] == "")).to_numpy(), place, "model", expected=expected)


def _check_repeats(frame: pd.DataFrame, place: Place) -> None:
    repeated = frame.duplicated([name for name in KEY if name in frame]).to_numpy()
    expected = "one row for each window, model and class"
    _refuse(frame["request_class"], repeated, place, "request_class", expected=expected, found="a second {}")


def _check_peak_factors(frame: pd.DataFrame, place: Place) -> None:
    names = [name for name in ("window_start", "model") if name in frame]
    first = frame.groupby(names, dropna=False)["peak_factor"].transform("first")
    differs = (frame["peak_factor"] != first).to_numpy()
    if differs.any():
        wanted = first.iloc[int(np.flatnonzero(differs)[0])]
        expected = f"the same for all classes of a window and model, {wanted:g} as above"
        _refuse(frame["peak_factor"], differs, place, "peak_factor", expected=expected)


def _refuse(
    cells: pd.Series, bad: npt.NDArray[np.bool_], place: Place, column: str, *, expected: str, found: str = "{}"
) -> None:
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        cell = cells.iloc[at]
        text = cell.isoformat() if isinstance(cell, pd.Timestamp) else f"'{cell}'"
        raise InvalidInputError(place(int(cells.index[at]), column), expected=expected, found=found.format(text))
