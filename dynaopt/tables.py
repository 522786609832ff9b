"""Tables as files: read with every cell checked, written whole or not at all.

CSV and Parquet; the file's ending decides. A cell that does not fit its column is refused with its place.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError, MissingFileError, location

Kind = Literal["text", "number", "integer", "timestamp"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table format.

    Parameters
    ----------
    name
        Its header.
    kind
        What its cells hold. Timestamps are ISO 8601 and become UTC.
    minimum
        The least number allowed.
    positive
        Whether 0 is refused too.
    required
        Whether the column must be there. A column that is there has no empty cells, unless `nullable`.
    nullable
        Whether cells may be empty.
    choices
        The texts allowed.
    prefix
        Beside `choices`, every text that begins so is allowed too.
    """

    name: str
    kind: Kind = "number"
    minimum: float | None = None
    positive: bool = False
    required: bool = True
    nullable: bool = False
    choices: tuple[str, ...] | None = None
    prefix: str | None = None

    @property
    def expectation(self) -> str:
        """What a cell must be, in words."""
        if self.choices is not None:
            also = "" if self.prefix is None else f", {self.prefix}…"
            return f"one of {', '.join(self.choices)}{also}"
        if self.kind == "text":
            return "a text"
        if self.kind == "timestamp":
            return "an ISO 8601 timestamp such as 2024-05-12T00:00:00Z"
        noun = "an integer" if self.kind == "integer" else "a number"
        if self.positive:
            return f"{noun} above 0"
        return noun if self.minimum is None else f"{noun} of at least {self.minimum:g}"


def read_table(
    path: str | Path,
    columns: Sequence[Column],
    *,
    key: Sequence[str] = (),
    keep_places: bool = False,
    may_be_empty: bool = False,
) -> pd.DataFrame:
    """Read a table and check it cell by cell.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` file.
    columns
        The format. Columns that it does not name are refused, since one may be a misspelt optional column.
    key
        Columns that together name a row; a second row of the same name is refused. Absent ones are ignored.
    keep_places
        Whether the index tells where each row stands in the file, for `place`; else it is fresh.
    may_be_empty
        Whether a header without rows is allowed.

    Returns
    -------
    pandas.DataFrame
        The columns that are there, in the order of the format.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If the file cannot be parsed, a column is missing or unknown, or a cell does not fit; with the place.
    """
    path = Path(path)
    raw, header_line = _read_raw(path)
    _check_header(location(path, line=header_line), list(raw.columns), columns)
    if raw.empty and not may_be_empty:
        raise InvalidInputError(str(path), expected="at least one row", found="a header and nothing below it")
    frame = pd.DataFrame({c.name: _convert(path, raw[c.name], c) for c in columns if c.name in raw})
    present = [name for name in key if name in frame]
    if present:
        _check_key(path, frame, present)
    return frame if keep_places else frame.reset_index(drop=True)


def place(path: str | Path, number: int, column: str | None = None) -> str:
    """Say where a row of a table stands.

    Parameters
    ----------
    path
        The file.
    number
        Its index in a frame read with ``keep_places=True``: a line of a CSV file, a row of another.
    column
        Name of the column.
    """
    if Path(path).suffix == ".csv":
        return location(path, line=number, column=column)
    return location(path, row=number, column=column)


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table; the file appears whole or not at all, even if the machine stops half-way.

    Parameters
    ----------
    frame
        What to write. Timestamps in CSV are written as ISO 8601 in UTC.
    path
        A ``.csv`` or ``.parquet`` file; the folder must exist.
    """
    path = Path(path)
    with atomic_path(path) as partial:
        if path.suffix == ".parquet":
            frame.to_parquet(partial, index=False)
        else:
            frame.to_csv(partial, index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")


class atomic_path:  # noqa: N801 - reads as a function: `with atomic_path(path) as partial`
    """Give a temporary name beside `path`, moved over `path` when the block ends well and removed when it does not."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=self.path.suffix, dir=self.path.parent)
        os.close(handle)
        self.partial = Path(name)
        return self.partial

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if kind is not None:
            self.partial.unlink(missing_ok=True)
            return
        with self.partial.open("rb") as file:
            os.fsync(file.fileno())
        self.partial.chmod(0o644)
        self.partial.replace(self.path)


def _read_raw(path: Path) -> tuple[pd.DataFrame, int | None]:
    """Read all cells, and the line of the header if the file has lines; the index says where each row stands."""
    if not path.is_file():
        raise MissingFileError(str(path), expected="a file", found="nothing there")
    if path.suffix == ".csv":
        return _read_csv(path)
    if path.suffix == ".parquet":
        return _read_parquet(path), None
    raise InvalidInputError(str(path), expected="a .csv or .parquet file", found=f"'{path.suffix}'")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInputError(str(path), expected="a readable .parquet table", found=reason) from error
    return frame.set_axis(range(1, len(frame) + 1))


def _read_csv(path: Path) -> tuple[pd.DataFrame, int]:
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open("rb") as file:
            # Decoded line by line, so that the line which is not UTF-8 is known. Comments become blank rather than
            # vanish, so that the reader still counts them.
            texts = (line.decode() for line in file)
            reader = csv.reader(("\n" if text.startswith("#") else text for text in texts), strict=True)
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
                    _check_width(path, reader.line_num, row, rows[0])
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInputError(
            location(path, line=lines[-1] + 1 if lines else 1),
            expected="comma-separated text in UTF-8",
            found=str(error),
        ) from error
    if not rows:
        raise InvalidInputError(str(path), expected="a header and rows", found="an empty file")
    index = pd.Index(lines[1:], dtype="int64")
    return pd.DataFrame(rows[1:], columns=pd.Index(rows[0]), index=index, dtype=str), lines[0]


def _check_width(path: Path, line: int, row: list[str], header: list[str]) -> None:
    if len(row) != len(header):
        raise InvalidInputError(location(path, line=line), expected=f"{len(header)} cells", found=f"{len(row)}")


def _check_header(where: str, found: list[str], columns: Sequence[Column]) -> None:
    known = [c.name for c in columns]
    for column in columns:
        if column.required and column.name not in found:
            raise InvalidInputError(where, expected=f"a column '{column.name}'", found=f"only {', '.join(found)}")
    for at, name in enumerate(found):
        if name in found[:at]:
            raise InvalidInputError(where, expected="each column once", found=f"'{name}' twice")
        if name not in known:
            raise InvalidInputError(where, expected=f"only the columns {', '.join(known)}", found=f"'{name}'")


def _convert(path: Path, cells: pd.Series, column: Column) -> pd.Series:
    text = cells.astype(str)
    empty = cells.isna() | (text.str.strip() == "")
    values, good = _PARSERS[column.kind](cells.where(~empty), column)
    good = good | empty if column.nullable else good & ~empty
    if not good.all():
        at = int(np.flatnonzero(~good.to_numpy())[0])
        found = "an empty cell" if empty.iloc[at] else f"'{text.iloc[at]}'"
        raise InvalidInputError(place(path, cells.index[at], column.name), expected=column.expectation, found=found)
    return values.astype("int64") if column.kind == "integer" and not column.nullable else values


def _parse_text(cells: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    good = cells.notna() if column.choices is None else cells.isin(column.choices)
    if column.prefix is not None:
        good |= cells.notna() & cells.astype(str).str.startswith(column.prefix)
    return cells, good


def _parse_timestamp(cells: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:  # noqa: ARG001
    values = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601").dt.as_unit("us")
    return values, values.notna()


def _parse_number(cells: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    values = pd.to_numeric(cells, errors="coerce").astype(float)
    numbers = values.to_numpy()
    good = np.isfinite(numbers)
    if column.kind == "integer":
        good &= numbers == np.round(numbers)
    if column.minimum is not None:
        good &= numbers >= column.minimum
    if column.positive:
        good &= numbers > 0
    return values, pd.Series(good, index=values.index)


_PARSERS = {"text": _parse_text, "timestamp": _parse_timestamp, "number": _parse_number, "integer": _parse_number}


def _check_key(path: Path, frame: pd.DataFrame, key: list[str]) -> None:
    repeated = frame.duplicated(key)
    if repeated.any():
        at = int(np.flatnonzero(repeated.to_numpy())[0])
        name = ", ".join(f"{k}={frame[k].iloc[at]}" for k in key)
        raise InvalidInputError(
            place(path, frame.index[at]), expected="each row once", found=f"a second row for {name}"
        )
