"""Write requests as a trace in the public Azure schema, part by part, so that a week never lies in memory."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dynaopt.request_stream import US_PER_S, RequestPart
from dynaopt.tables import atomic_path
from dynaopt.trace_source import COLUMNS

TRACE_ENDINGS = (".csv", ".csv.gz", ".parquet")
_SCHEMA = pa.schema(list(zip(COLUMNS, (pa.timestamp("us", tz="UTC"), pa.int32(), pa.int32()), strict=True)))
_CSV_TIME = "%Y-%m-%d %H:%M:%S+00:00"
_ROW_GROUP = 1_000_000
_GZIP_LEVEL = 4
"""The highest take several times as long for little."""


def write_trace(parts: Iterable[RequestPart], start: pd.Timestamp, path: str | Path) -> int:
    """Write a trace file; it appears whole or not at all.

    Parameters
    ----------
    parts
        Requests in the order of time, for example those of a `RequestStream`. They are drawn one by one.
    start
        The moment, UTC, that arrivals are counted from; times are written to the microsecond.
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file; the folder must exist.

    Returns
    -------
    int
        Requests that were written.
    """
    with atomic_path(path) as partial:
        if Path(path).suffix != ".parquet":
            with _open_text(partial) as file:
                return write_trace_text(parts, start, file)
        num_requests = 0
        with pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer:
            for table in _groups(parts, start):
                writer.write_table(table)
                num_requests += len(table)
        return num_requests


def write_trace_text(parts: Iterable[RequestPart], start: pd.Timestamp, file: BinaryIO) -> int:
    """Write a trace as CSV into an open file.

    Parameters
    ----------
    parts, start
        As for `write_trace`.
    file
        Open for writing bytes; it stays open.

    Returns
    -------
    int
        Requests that were written.
    """
    file.write((",".join(COLUMNS) + "\n").encode())
    num_requests = 0
    for part in parts:
        table = _table(part, start)
        texts = table.set_column(0, "TIMESTAMP", pc.strftime(table.column(0), format=_CSV_TIME))
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(texts, sink, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
        file.write(sink.getvalue())
        num_requests += len(table)
    return num_requests


@contextmanager
def _open_text(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            # Without the time of writing, so that the same requests give the same bytes.
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield raw


def _table(part: RequestPart, start: pd.Timestamp) -> pa.Table:
    us = np.rint(part.arrival_s * US_PER_S).astype(np.int64) + start.value // 1000
    columns = (us, part.input_tokens, part.output_tokens)
    arrays = [pa.array(column).cast(kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _groups(parts: Iterable[RequestPart], start: pd.Timestamp) -> Iterator[pa.Table]:
    """Put parts together into tables as large as a row group should be."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(_table(part, start))
        if sum(len(table) for table in held) >= _ROW_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
