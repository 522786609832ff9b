"""Find the line and the column that made a trace unreadable: slowly, row by row, once it is known that there is one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice

import pandas as pd

from dynaopt.errors import InvalidInputError, location
from dynaopt.trace_source import COLUMNS, EXPECTED, GZIP_ERRORS, RULES, TYPES, TraceSource, connect, quoted

_BATCH = 100_000
_LONGEST_FOUND = 80
"""Characters of a faulty cell or line that are shown."""
Row = tuple[int, list[str]]
"""A line number and the cells that stand there."""


def find_fault(source: TraceSource, reason: str) -> InvalidInputError:
    """Find the first fault of a trace.

    Parameters
    ----------
    source
        The trace, which a pass over it has found to be faulty.
    reason
        What that pass said, to fall back on.

    Returns
    -------
    InvalidInputError
        To be raised; it names line (or row) and column where the fault has them.
    """
    fault = _fault_in_parquet(source) if source.is_parquet else _fault_in_csv(source)
    if fault is not None:
        return fault
    return InvalidInputError(str(source.path), expected="a trace that DuckDB can read", found=reason.splitlines()[0])


def _fault_in_parquet(source: TraceSource) -> InvalidInputError | None:
    table = f"read_parquet({quoted(source.path)}, file_row_number=true, hive_partitioning=false)"
    return _first_bad_row(source, f"SELECT file_row_number + 1 AS place, * FROM {table}", pd.DataFrame())


def _fault_in_csv(source: TraceSource) -> InvalidInputError | None:
    rows = _rows(source)
    while True:
        batch: list[Row] = []
        broken = None
        try:
            # One by one, so that rows before a break are kept and looked at first.
            for row in islice(rows, _BATCH):
                batch.append(row)  # noqa: PERF402
        except InvalidInputError as error:
            broken = error
        fault = _fault_in_batch(source, batch) or broken
        if fault is not None or not batch:
            return fault


def _fault_in_batch(source: TraceSource, batch: list[Row]) -> InvalidInputError | None:
    if not batch:
        return None
    frame = pd.DataFrame([cells for _, cells in batch], columns=pd.Index(source.columns), dtype=str)
    return _first_bad_row(source, "SELECT * FROM batch", frame.assign(place=[line for line, _ in batch]))


def _first_bad_row(source: TraceSource, query: str, batch: pd.DataFrame) -> InvalidInputError | None:
    """Apply the rules to the rows of a query, which may read from `batch`, and tell of the first that breaks one."""
    texts = ", ".join(f'"{name}"::VARCHAR AS {short}_text' for name, short in COLUMNS.items())
    casts = ", ".join(f"TRY_CAST({short}_text AS {kind}) AS {short}" for short, kind in TYPES.items())
    good = ", ".join(f"coalesce({rule}, false) AS {short}_good" for short, rule in RULES.items())
    with connect() as connection:
        if not batch.empty:
            connection.register("batch", batch)
        found = connection.execute(
            f"WITH texts AS (SELECT place, {texts} FROM ({query})), typed AS (SELECT *, {casts} FROM texts), "
            f"checked AS (SELECT *, {good} FROM typed) SELECT place, t_text, i_text, o_text, t_good, i_good, o_good "
            "FROM checked WHERE NOT (t_good AND i_good AND o_good) ORDER BY place LIMIT 1"
        ).fetchone()
    if found is None:
        return None
    place, *cells = found
    column, short, text = next(
        (name, short, text)
        for (name, short), text, good in zip(COLUMNS.items(), cells[:3], cells[3:], strict=True)
        if not good
    )
    number = {"row": place} if source.is_parquet else {"line": place}
    where = location(source.path, column=column, **number)
    # As Python writes it, so that the message stays one line whatever the cell holds.
    found_text = repr(text[:_LONGEST_FOUND]) if text else "an empty cell"
    return InvalidInputError(where, expected=EXPECTED[short], found=found_text)


def _rows(source: TraceSource) -> Iterator[Row]:
    """Give the rows below the header; raise where the text stops being rows of three cells."""
    reader = csv.reader(_lines(source), strict=True)
    line = 1
    try:
        for row in reader:
            if row and line > 1:
                yield line, _cells(source, line, row)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(
            location(source.path, line=line), expected="comma-separated cells with balanced quotes", found=str(error)
        ) from error


def _cells(source: TraceSource, line: int, row: list[str]) -> list[str]:
    cells = row[:-1] if len(row) == len(COLUMNS) + 1 and row[-1] == "" else row  # DuckDB takes a comma at the end too.
    if len(cells) != len(COLUMNS):
        raise InvalidInputError(
            location(source.path, line=line),
            expected=f"{len(COLUMNS)} cells, {', '.join(source.columns)}",
            found=f"{len(cells)}: {','.join(cells)[:_LONGEST_FOUND]!r}",
        )
    return cells


def _lines(source: TraceSource) -> Iterator[str]:
    number = 0
    ending = None
    try:
        with source.open() as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8")
                here = "\\r\\n" if text.endswith("\r\n") else "\\n"
                ending = ending or here
                if here != ending and text.endswith("\n"):
                    raise InvalidInputError(
                        location(source.path, line=number), expected=f"lines that all end in {ending}", found=here
                    )
                yield text
    except UnicodeDecodeError as error:
        where = location(source.path, line=number)
        raise InvalidInputError(where, expected="text in UTF-8", found=str(error)) from error
    except GZIP_ERRORS as error:
        where = location(source.path, line=number + 1)
        raise InvalidInputError(where, expected="a whole gzip file", found=str(error)) from error
