"""A trace as DuckDB sees it: which file, which columns in which order, and what a request must keep to.

The schema is that of the public Azure traces: `TIMESTAMP,ContextTokens,GeneratedTokens`.
"""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from dynaopt.errors import InvalidInputError, MissingFileError, location

COLUMNS = {"TIMESTAMP": "t", "ContextTokens": "i", "GeneratedTokens": "o"}
"""Columns of a trace and the short names they go by in queries."""

# With a time zone, since DuckDB's plain TIMESTAMP reads an offset and then ignores it. As DOUBLE, since its integers
# silently round 12.5; doubles are exact up to 2^53 and parse as fast.
TYPES = {"t": "TIMESTAMPTZ", "i": "DOUBLE", "o": "DOUBLE"}

LAST_US = 7_258_118_399_999_999
"""The last microsecond of 2199; later times, infinite ones too, are taken for mistakes."""

# The rules are SQL so that the fast pass over a file and the slow one that locates a fault cannot disagree.
RULES = {
    "t": f"epoch_us(t) BETWEEN 0 AND {LAST_US}",
    "i": "i = floor(i) AND i BETWEEN 1 AND 1e9",
    "o": "o = floor(o) AND o BETWEEN 0 AND 1e9",
}
EXPECTED = {
    "t": "a timestamp of the years 1970 to 2199 such as 2024-05-12 00:00:00.004803+00:00",
    "i": "an integer of at least 1 and at most 1e9",
    "o": "an integer of at least 0 and at most 1e9",
}
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
_LONGEST_HEADER = 65_536
_MEMORY = "512MB"


@dataclass(frozen=True, slots=True)
class TraceSource:
    """A trace file whose header was checked.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
    columns
        Its columns in their order.
    """

    path: Path
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's stem, for example ``week`` of ``week.csv.gz``."""
        return self.path.name.removesuffix(".gz").rpartition(".")[0]

    @property
    def is_parquet(self) -> bool:
        """Whether the file has typed columns and rows rather than lines."""
        return self.path.suffix == ".parquet"

    @property
    def sql(self) -> str:
        """A query that gives the columns `t`, `i` and `o` in their types; it fails on what does not parse."""
        if self.is_parquet:
            cast = ", ".join(f'"{name}"::{TYPES[short]} AS {short}' for name, short in COLUMNS.items())
            return f"SELECT {cast} FROM read_parquet({quoted(self.path)}, hive_partitioning=false)"
        types = ", ".join(f"'{COLUMNS[name]}': '{TYPES[COLUMNS[name]]}'" for name in self.columns)
        return (
            f"SELECT t, i, o FROM read_csv({quoted(self.path)}, columns={{{types}}}, auto_detect=false, header=true, "
            "delim=',', quote='\"', escape='\"', strict_mode=true, hive_partitioning=false)"
        )

    def sha256(self) -> str:
        """Return the digest of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self) -> BinaryIO:
        """Open the text of a CSV file, unpacked."""
        file = gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb")  # noqa: SIM115 - the caller closes it
        return cast("BinaryIO", file)


def connect() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in memory in which times without a zone are UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET preserve_insertion_order = false")
    return connection


@contextmanager
def connect_bounded() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one that holds no more than `_MEMORY`, however large a trace is; the rest goes to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="dynaopt-") as spill, connect() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'; SET temp_directory = '{spill}'")
        yield connection


def quoted(path: Path) -> str:
    """Write a path as SQL text that stands for this one file, even if its name holds quotes or wildcards."""
    return "'" + glob.escape(str(path)).replace("'", "''") + "'"


def find_trace(path: str | Path) -> TraceSource:
    """Find a trace and check its header.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If its ending, its header or its emptiness shows that it is no trace.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(str(path), expected="a trace", found="nothing there")
    if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise InvalidInputError(str(path), expected="a .csv, .csv.gz or .parquet file", found=f"'{path.suffix}'")
    if path.stat().st_size == 0:
        raise InvalidInputError(str(path), expected="a header and requests", found="an empty file")
    source = TraceSource(path, tuple(COLUMNS))
    columns = _parquet_header(path) if source.is_parquet else _csv_header(source)
    _check_header(path, columns)
    return TraceSource(path, columns)


def _csv_header(source: TraceSource) -> tuple[str, ...]:
    where = location(source.path, line=1)
    try:
        with source.open() as file:
            text = file.readline(_LONGEST_HEADER).decode("utf-8-sig")
        reader = csv.reader([text.rstrip("\r\n")], strict=True, skipinitialspace=True)
        return tuple(name.strip() for name in next(reader, []))
    except GZIP_ERRORS as error:
        raise InvalidInputError(where, expected="a whole gzip file", found=str(error)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(where, expected="comma-separated text in UTF-8", found=str(error)) from error


def _parquet_header(path: Path) -> tuple[str, ...]:
    try:
        with connect() as connection:
            query = f"DESCRIBE SELECT * FROM read_parquet({quoted(path)}, hive_partitioning=false)"
            return tuple(str(row[0]) for row in connection.execute(query).fetchall())
    except duckdb.Error as error:
        raise InvalidInputError(
            str(path), expected="a readable .parquet table", found=str(error).splitlines()[0]
        ) from error


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    where = str(path) if path.suffix == ".parquet" else location(path, line=1)
    for name in COLUMNS:
        if name not in columns:
            found = ", ".join(columns) or "an empty line"
            raise InvalidInputError(where, expected=f"a column '{name}'", found=f"only {found}")
    for at, name in enumerate(columns):
        if name not in COLUMNS or name in columns[:at]:
            expected = f"each of the columns {', '.join(COLUMNS)} once and no other"
            raise InvalidInputError(where, expected=expected, found=f"'{name}'")
