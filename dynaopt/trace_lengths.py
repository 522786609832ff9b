"""How long the requests of a trace are: their joint distribution of lengths, in one streaming pass of DuckDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.lengths import Lengths
from dynaopt.request_class import CutPoints
from dynaopt.trace_fault import find_fault
from dynaopt.trace_source import RULES, TraceSource, connect_bounded, find_trace

MOST_PAIRS = 50_000
"""A trace with more pairs of lengths is put into bins; a curve draws no more requests than about so many."""
BINS_PER_OCTAVE = 16
"""Bins are 4 % wide, as those of the shipped histograms."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TraceLengths:
    """The lengths of a trace's requests, and what they were taken from.

    Parameters
    ----------
    file_name, sha256
        Name of the file, and its digest.
    num_requests
        Requests in it, every one of which counts.
    num_pairs
        Different pairs of input and output length.
    lengths
        One cell for each pair; or for each bin of pairs, at its mean, where there are more than `MOST_PAIRS`.
    """

    file_name: str
    sha256: str
    num_requests: int
    num_pairs: int
    lengths: Lengths

    def __str__(self) -> str:
        cells = len(self.lengths.weight)
        binned = "" if cells == self.num_pairs else f", in {cells:,} bins that are 4 % wide"
        return f"{self.num_requests:,} requests, {self.num_pairs:,} pairs of lengths{binned}"


def trace_lengths(path: str | Path, cut_points: CutPoints) -> TraceLengths:
    """Read how long the requests of a trace are.

    Parameters
    ----------
    path
        A trace, as `read_trace` reads it. A request that generated 0 tokens counts as one of 1: its input was
        processed, and that gives the first token.
    cut_points
        Where classes are cut: no bin lies on both sides of one.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If any row is not a request, with its line and column, or if there is none.
    """
    source = find_trace(path)
    with ThreadPoolExecutor(1) as pool:
        # Hashing does not hold Python's lock, so that it runs beside DuckDB.
        sha256 = pool.submit(source.sha256)
        num_requests, num_pairs, lengths = _read(source, cut_points)
        return TraceLengths(
            file_name=source.path.name,
            sha256=sha256.result(),
            num_requests=num_requests,
            num_pairs=num_pairs,
            lengths=lengths,
        )


def _read(source: TraceSource, cut_points: CutPoints) -> tuple[int, int, Lengths]:
    """Return the numbers of requests and of pairs, and the lengths."""
    valid = " AND ".join(f"({rule})" for rule in RULES.values())
    try:
        with connect_bounded() as connection:
            connection.execute(
                "CREATE TEMP TABLE pairs AS SELECT i, greatest(o, 1) AS o, count(*) AS n, "
                f"bool_and(coalesce({valid}, false)) AS valid FROM ({source.sql}) GROUP BY ALL"
            )
            summed = connection.execute("SELECT sum(n), count(*), bool_and(valid) FROM pairs").fetchall()
            num_requests, num_pairs, all_valid = summed[0]
            if not num_requests:
                found = "a header and nothing below"
                raise InvalidInputError(str(source.path), expected="at least one request", found=found)
            if not all_valid:
                raise find_fault(source, "a row that breaks a rule")
            query = "SELECT i, o, n FROM pairs" if num_pairs <= MOST_PAIRS else _binned_sql(cut_points)
            cells = connection.execute(f"{query} ORDER BY i, o").fetchnumpy()
    except duckdb.Error as error:
        raise find_fault(source, str(error)) from error
    i, o = (np.ceil(np.asarray(cells[name], float)).astype(np.int64) for name in ("i", "o"))
    return int(num_requests), int(num_pairs), Lengths(i, o, np.asarray(cells["n"], float))


def _binned_sql(cut_points: CutPoints) -> str:
    """Return a query of the mean lengths and the requests of each bin of pairs."""

    def bin_of(length: str, cuts: tuple[int, int]) -> str:
        return f"floor(log2({length}) * {BINS_PER_OCTAVE}), {length} > {cuts[0]}, {length} > {cuts[1]}"

    # Whole numbers add up to the same in every order, whatever the threads.
    means = ", ".join(f"sum({length}::BIGINT * n) / sum(n) AS {length}" for length in ("i", "o"))
    bins = f"{bin_of('i', cut_points.input_tokens)}, {bin_of('o', cut_points.output_tokens)}"
    return f"SELECT * FROM (SELECT {means}, sum(n) AS n FROM pairs GROUP BY {bins})"
