"""Tests of `dynaopt.trace_write`: what is written is what is read again."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dynaopt import trace_write
from dynaopt.request_stream import RequestPart
from dynaopt.synthesis import SynthesisedStream
from dynaopt.trace_stream import open_trace
from dynaopt.trace_write import TRACE_ENDINGS, write_trace, write_trace_text

START = pd.Timestamp("2024-05-12T00:00:00Z")
TEXT = b"""\
TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-12 00:00:00.000000+00:00,374,44
2024-05-12 00:05:00.004803+00:00,8000,1500
"""


def _part(*rows: tuple[float, int, int]) -> RequestPart:
    arrival_s, inputs, outputs = zip(*rows, strict=True) if rows else ((), (), ())
    return RequestPart(
        np.array(arrival_s, float),
        np.array(inputs, np.int32),
        np.array(outputs, np.int32),
        np.zeros(len(rows), np.int8),
    )


PARTS = [_part((0.0, 374, 44)), _part(), _part((300.004803, 8000, 1500))]


def test_text_is_that_of_the_public_traces() -> None:
    """Tests every byte of two requests, with a part of none between them."""
    file = io.BytesIO()
    assert write_trace_text(PARTS, START, file) == 2
    assert file.getvalue() == TEXT
    assert not file.closed


def test_packed_text_is_the_same_each_time(tmp_path: Path) -> None:
    """Tests the content, and that the file does not tell when it was written."""
    for name in ("a.csv.gz", "b.csv.gz"):
        assert write_trace(PARTS, START, tmp_path / name) == 2
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == TEXT
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert (tmp_path / "a.csv.gz").read_bytes()[4:8] == bytes(4)  # the header's time: both were written in one second


@pytest.mark.parametrize("ending", TRACE_ENDINGS)
def test_a_written_stream_is_read_as_it_was(tmp_path: Path, ending: str) -> None:
    """Tests that a replay from the file sees what a replay from the stream sees, microseconds included."""
    stream = SynthesisedStream("coding", seed=1)
    starts = pd.date_range(stream.start, periods=3, freq="5min")
    path = tmp_path / f"trace{ending}"
    assert write_trace(stream.parts(starts, 300.0), stream.start, path) == stream.per_minute[:3].sum()
    read = open_trace(path)
    assert read.start == stream.start
    for mine, theirs in zip(stream.parts(starts, 300.0), read.parts(starts, 300.0), strict=True):
        for column, other in zip(mine[:4], theirs[:4], strict=True):
            assert np.array_equal(column, other)


def test_parquet_has_types_and_large_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the schema, and that parts are put together until a group is large enough."""
    monkeypatch.setattr(trace_write, "_ROW_GROUP", 2)
    write_trace([_part((float(n), 1, 1)) for n in range(5)], START, tmp_path / "t.parquet")
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert [str(field.type) for field in file.schema_arrow] == ["timestamp[us, tz=UTC]", "int32", "int32"]
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 2, 1]


@pytest.mark.parametrize("ending", TRACE_ENDINGS)
def test_a_trace_appears_whole_or_not_at_all(tmp_path: Path, ending: str) -> None:
    """Tests a stream that fails after its first part: nothing is left behind, and an older file stays."""
    path = tmp_path / f"trace{ending}"
    path.write_text("older")

    def failing() -> Iterator[RequestPart]:
        yield PARTS[0]
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        write_trace(failing(), START, path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_no_requests_make_a_header(tmp_path: Path) -> None:
    """Tests files of nothing in both formats."""
    assert write_trace([], START, tmp_path / "t.csv") == 0
    assert (tmp_path / "t.csv").read_text() == "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    assert write_trace([], START, tmp_path / "t.parquet") == 0
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 0
