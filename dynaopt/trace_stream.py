"""The requests of a trace file as a stream: sorted by DuckDB, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.request_stream import Block, RequestPart, WindowGrid, cut_windows
from dynaopt.trace_fault import find_fault
from dynaopt.trace_source import LAST_US, RULES, TraceSource, connect, connect_bounded, find_trace

_BLOCK_VECTORS = 256
"""DuckDB's vectors, of 2,048 rows each, that are read at a time."""


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
        grid = WindowGrid.of(starts, window_s)
        blocks = self._blocks(grid.first_us, grid.end_us)
        return cut_windows(blocks, grid, start=self.start, cut_points=self.cut_points, model=self.model)

    def _blocks(self, first_us: int, end_us: int) -> Iterator[Block]:
        """Sort and read the rows between two moments, block by block."""
        query = (
            f"SELECT epoch_us(t) AS us, i::INTEGER AS i, o::INTEGER AS o FROM ({self.source.sql}) "
            f"WHERE epoch_us(t) BETWEEN {max(first_us, 0)} AND {min(end_us - 1, LAST_US)} ORDER BY us, i, o"
        )
        with connect_bounded() as connection:
            try:
                connection.execute(query)
                while not (block := connection.fetch_df_chunk(_BLOCK_VECTORS)).empty:
                    yield Block(block["us"].to_numpy(), block["i"].to_numpy(), block["o"].to_numpy())
            except duckdb.Error as error:
                raise find_fault(self.source, str(error)) from error


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
