"""Requests one by one, window after window: what a replay takes in, and the reader that takes it from a trace file.

A week of a service is tens of millions of requests, so that a stream never holds more of them than one window and one
block of the file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.trace_fault import find_fault
from dynaopt.trace_source import LAST_US, RULES, TraceSource, connect, find_trace

FloatArray = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int8Array = npt.NDArray[np.int8]

_BLOCK_VECTORS = 256
"""DuckDB's vectors, of 2,048 rows each, that are read at a time."""
_US_PER_S = 1_000_000
# DuckDB sorts the file; what does not fit in this goes to a temporary folder.
_SORT_MEMORY = "512MB"


class RequestPart(NamedTuple):
    """The requests of one window, in the order of arrival; all arrays have shape (requests,).

    Parameters
    ----------
    arrival_s
        Arrival of each request, in seconds since the stream's `start`, ascending.
    input_tokens, output_tokens
        Their lengths, at least 1.
    request_class
        Index into `REQUEST_CLASSES` of each.
    model
        Name of the model that all of them ask for; ``""`` if there is only one.
    """

    arrival_s: FloatArray
    input_tokens: Int32Array
    output_tokens: Int32Array
    request_class: Int8Array
    model: str = ""

    @property
    def num_requests(self) -> int:
        """How many there are, possibly none."""
        return len(self.arrival_s)


class RequestStream(Protocol):
    """Whatever gives requests window by window: a trace file, or a synthesised week.

    Attributes
    ----------
    start
        The moment, UTC, that arrivals are counted from.
    """

    @property
    def start(self) -> pd.Timestamp: ...  # noqa: D102 - see above

    def parts(self, starts: pd.DatetimeIndex, window_s: float) -> Iterator[RequestPart]:
        """Give the requests of each window, one part per window, in order; the same again at each call.

        Parameters
        ----------
        starts
            Start of each window, UTC, ascending. Windows may not overlap; there may be gaps between them.
        window_s
            Length of each window, in seconds. A window holds its start but not its end.
        """
        ...


@dataclass(frozen=True, slots=True)
class TraceStream:
    """The requests of a trace file in the order of time; `open_trace` makes it.

    Parameters
    ----------
    source
        The file, whose rows were all checked.
    num_requests
        Requests in the file.
    first, last
        Arrival of the first and of the last request, UTC.
    cut_points
        Where lengths are cut into classes.
    model
        Name of the model that serves the requests.
    """

    source: TraceSource
    num_requests: int
    first: pd.Timestamp
    last: pd.Timestamp
    cut_points: CutPoints = TABLE_IV
    model: str = ""

    @property
    def start(self) -> pd.Timestamp:
        """The whole minute, UTC, in which the first request arrives."""
        return self.first.floor("min")

    def parts(self, starts: pd.DatetimeIndex, window_s: float) -> Iterator[RequestPart]:
        """Give the requests of each window; see `RequestStream`.

        Rows may stand in any order in the file: they are sorted by time, then by lengths, so that those of the same
        microsecond always come in the same order. Requests outside the windows are left out.

        Parameters
        ----------
        starts, window_s
            As in `RequestStream.parts`.

        Raises
        ------
        InvalidInputError
            If windows overlap or are not in order, or the file has changed and cannot be read any more.
        """
        check_windows(starts, window_s)
        return self._parts(starts.as_unit("us").asi8, round(window_s * _US_PER_S))

    def _parts(self, first_us: npt.NDArray[np.int64], window_us: int) -> Iterator[RequestPart]:
        rows = _Rows(self.source, int(first_us[0]), int(first_us[-1]) + window_us)
        start_us = self.start.value // 1000
        for edge_us in first_us:
            rows.take(int(edge_us))
            us, input_tokens, output_tokens = rows.take(int(edge_us) + window_us)
            classes = self.cut_points.classify(input_tokens, output_tokens).astype(np.int8)
            yield RequestPart(
                (us - start_us) / _US_PER_S, input_tokens, np.maximum(output_tokens, 1), classes, self.model
            )


def open_trace(path: str | Path, *, cut_points: CutPoints = TABLE_IV, model: str = "") -> TraceStream:
    """Check every row of a trace, in one pass that takes seconds, and give its requests as a stream.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file with the columns `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`,
        rows in any order. Times without a zone are UTC. A request that generated 0 tokens counts as one of 1: its
        input was processed, and that gives the first token.
    cut_points
        Where lengths are cut into classes.
    model
        Name of the model that serves the requests; ``""`` if there is only one.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If any row is not a request, with its line and column, or if there is none.
    """
    source = find_trace(path)
    valid = " AND ".join(f"({rule})" for rule in RULES.values())
    query = (
        "SELECT count(*), min(epoch_us(t)), max(epoch_us(t)), bool_and(coalesce(" + valid + f", false)) "
        f"FROM ({source.sql})"
    )
    try:
        with connect() as connection:
            num_requests, first_us, last_us, all_valid = connection.execute(query).fetchall()[0]
    except duckdb.Error as error:
        raise find_fault(source, str(error)) from error
    if not num_requests:
        raise InvalidInputError(str(source.path), expected="at least one request", found="a header and nothing below")
    if not all_valid:
        raise find_fault(source, "a row that breaks a rule")
    first, last = (pd.Timestamp(us, unit="us", tz="UTC") for us in (first_us, last_us))
    return TraceStream(source, num_requests, first, last, cut_points, model)


def check_windows(starts: pd.DatetimeIndex, window_s: float) -> None:
    """Refuse windows that overlap or are not in the order of time, or none at all.

    Parameters
    ----------
    starts
        Start of each window.
    window_s
        Length of each, in seconds.

    Raises
    ------
    InvalidInputError
        With the first window at fault.
    """
    if starts.empty:
        raise InvalidInputError("windows of a request stream", expected="at least one", found="none")
    early = np.diff(starts.as_unit("us").asi8) < round(window_s * _US_PER_S)
    if early.any():
        at = int(np.flatnonzero(early)[0])
        expected = f"windows of {window_s:g} s in the order of time that do not overlap"
        found = f"{starts[at + 1].isoformat()} after {starts[at].isoformat()}"
        raise InvalidInputError("windows of a request stream", expected=expected, found=found)


class _Rows:
    """The rows of a trace in the order of time, read block by block."""

    def __init__(self, source: TraceSource, first_us: int, end_us: int) -> None:
        self._source = source
        self._blocks = self._read(max(first_us, 0), min(end_us, LAST_US + 1))
        self._held: list[tuple[npt.NDArray[np.int64], Int32Array, Int32Array]] = []

    def take(self, until_us: int) -> tuple[npt.NDArray[np.int64], Int32Array, Int32Array]:
        """Take the next rows, all that arrive before a moment."""
        taken = []
        while self._held or self._fetch():
            block = self._held.pop()
            cut = int(np.searchsorted(block[0], until_us))
            taken.append((block[0][:cut], block[1][:cut], block[2][:cut]))
            if cut < len(block[0]):
                self._held.append((block[0][cut:], block[1][cut:], block[2][cut:]))
                break
        columns = zip(*taken, strict=True) if taken else ([np.zeros(0, np.int64)], *([np.zeros(0, np.int32)],) * 2)
        us, input_tokens, output_tokens = (np.concatenate(column) for column in columns)
        return us, input_tokens, output_tokens

    def _fetch(self) -> bool:
        block = next(self._blocks, None)
        if block is not None:
            self._held.append(block)
        return block is not None

    def _read(self, first_us: int, end_us: int) -> Iterator[tuple[npt.NDArray[np.int64], Int32Array, Int32Array]]:
        query = (
            f"SELECT epoch_us(t) AS us, i::INTEGER AS i, o::INTEGER AS o FROM ({self._source.sql}) "
            f"WHERE epoch_us(t) >= {first_us} AND epoch_us(t) < {end_us} ORDER BY us, i, o"
        )
        with tempfile.TemporaryDirectory(prefix="dynaopt-") as spill, connect() as connection:
            connection.execute(f"SET memory_limit = '{_SORT_MEMORY}'; SET temp_directory = '{spill}'")
            try:
                connection.execute(query)
                while not (block := connection.fetch_df_chunk(_BLOCK_VECTORS)).empty:
                    yield block["us"].to_numpy(), block["i"].to_numpy(), block["o"].to_numpy()
            except duckdb.Error as error:
                raise find_fault(self._source, str(error)) from error
