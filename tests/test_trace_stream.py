"""Tests of `dynaopt.trace_stream`: every request of a file comes once, in the order of time."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.request_class import CutPoints
from dynaopt.trace import read_trace
from dynaopt.trace_stream import open_trace

RAW = Path(__file__).parents[2] / "shared" / "data"
FAULTS = Path(__file__).parent / "data" / "traces"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
# Out of order, mixed stamps, two requests of one microsecond, one of no tokens.
ROWS = """\
2024-05-12 00:05:00+00:00,300,20
2024-05-12 00:00:30.25,100,0
2024-05-12 02:00:31+02:00,2000,400
2024-05-12T00:00:31Z,1000,50
2024-05-12 00:12:00.1234567,20,5
"""


def _write(folder: Path, rows: str = ROWS, name: str = "trace.csv") -> Path:
    path, text = folder / name, f"{HEADER}\n{rows}"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def _starts(path: Path, window_s: float = 300.0) -> pd.DatetimeIndex:
    stream = open_trace(path)
    return pd.date_range(stream.start.floor("5min"), stream.last, freq=pd.Timedelta(seconds=window_s))


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz", "trace.parquet"])
def test_requests_come_in_order_of_time(tmp_path: Path, name: str) -> None:
    """Tests all kinds of file, rows out of order, and that those of one microsecond are ordered by length."""
    path = _write(tmp_path)
    if name.endswith(".parquet"):
        pd.read_csv(path).to_parquet(path := tmp_path / name)
    else:
        path = _write(tmp_path, name=name)
    stream = open_trace(path)
    assert (stream.num_requests, stream.start) == (5, pd.Timestamp("2024-05-12T00:00:00Z"))
    assert stream.last == pd.Timestamp("2024-05-12T00:12:00.123456Z")
    first, second, third = stream.parts(_starts(path), 300.0)
    assert first.arrival_s.tolist() == [30.25, 31.0, 31.0]
    assert first.input_tokens.tolist() == [100, 1000, 2000]
    assert first.output_tokens.tolist() == [1, 50, 400]
    assert first.request_class.tolist() == [0, 3, 8]
    assert second.arrival_s.tolist() == [300.0]
    assert third.arrival_s.tolist() == [720.123456]


def test_a_stream_gives_the_same_again(tmp_path: Path) -> None:
    """Tests two readings, the first of which was left half-way."""
    path = _write(tmp_path)
    stream = open_trace(path)
    next(stream.parts(_starts(path), 300.0))
    again = [part.arrival_s.tolist() for part in stream.parts(_starts(path), 300.0)]
    assert again == [[30.25, 31.0, 31.0], [300.0], [720.123456]]


def test_only_the_windows_asked_for_are_given(tmp_path: Path) -> None:
    """Tests windows before, inside and behind the file; arrivals count from the file's start all the same."""
    stream = open_trace(_write(tmp_path))
    starts = pd.DatetimeIndex(["2020-01-01T00:00Z", "2024-05-12T00:05Z", "2199-12-31T23:59Z"])
    parts = list(stream.parts(starts, 300.0))
    assert [part.num_requests for part in parts] == [0, 1, 0]
    assert parts[1].arrival_s.tolist() == [300.0]


def test_model_and_cut_points_are_those_given(tmp_path: Path) -> None:
    """Tests other cut-points than Table IV's."""
    stream = open_trace(_write(tmp_path), cut_points=CutPoints((10, 20), (4, 5)), model="m")
    (part,) = stream.parts(pd.DatetimeIndex([stream.start]), 3600.0)
    assert part.model == "m"
    assert part.request_class.tolist() == [6, 8, 8, 8, 4]


@pytest.mark.parametrize("path", sorted(FAULTS.iterdir()), ids=lambda path: path.name)
def test_what_read_trace_refuses_is_refused_alike(path: Path) -> None:
    """Tests that each faulty file gives the message that counting it gives, before the first request."""
    with pytest.raises(InvalidInputError) as counting:
        read_trace(path)
    with pytest.raises(InvalidInputError) as streaming:
        open_trace(path)
    assert str(streaming.value) == str(counting.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Tests a name that nothing goes by, and a file without requests."""
    with pytest.raises(MissingFileError, match=r"none\.csv"):
        open_trace(tmp_path / "none.csv")
    with pytest.raises(InvalidInputError, match="at least one request"):
        open_trace(_write(tmp_path, ""))


def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    """Tests that a fault which came after the check ends the stream with its line rather than with an early end."""
    path = _write(tmp_path)
    stream = open_trace(path)
    _write(tmp_path, ROWS + "2024-05-12 00:13:00+00:00,12x,5\n")
    with pytest.raises(InvalidInputError, match=r"line 7, column 'ContextTokens'"):
        list(stream.parts(pd.DatetimeIndex([stream.start]), 3600.0))


def test_many_blocks_are_one_stream(tmp_path: Path) -> None:
    """Tests a file of more rows than are read at a time, shuffled, against NumPy."""
    rng = np.random.default_rng(0)
    us = rng.permutation(1_200_000) * 1000
    frame = pd.DataFrame(
        {
            "TIMESTAMP": pd.Timestamp("2024-05-12", tz="UTC") + pd.to_timedelta(us, unit="us"),
            "ContextTokens": us // 1000 % 4000 + 1,
            "GeneratedTokens": 5,
        }
    )
    frame.to_parquet(tmp_path / "big.parquet")
    stream = open_trace(tmp_path / "big.parquet")
    parts = list(stream.parts(pd.date_range(stream.start, periods=3, freq="8min"), 480.0))
    assert [part.num_requests for part in parts] == [480_000, 480_000, 240_000]
    arrival_s = np.concatenate([part.arrival_s for part in parts])
    assert np.array_equal(arrival_s, np.arange(1_200_000) / 1000)
    assert np.array_equal(np.concatenate([p.input_tokens for p in parts]), np.arange(1_200_000) % 4000 + 1)


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")
@pytest.mark.parametrize(("name", "num_requests"), [("conv", 19_366), ("code", 8_819)])
def test_the_hour_of_2023_is_read_as_it_is_counted(name: str, num_requests: int) -> None:
    """Tests that every window has as many requests of each class, of as many tokens, as its demand says."""
    path = RAW / "azure2023" / f"{name}.csv"
    demand, stream = read_trace(path), open_trace(path)
    assert stream.num_requests == num_requests
    for number, part in enumerate(stream.parts(demand.starts, demand.window_s)):
        counts = np.bincount(part.request_class, minlength=9)
        assert counts == pytest.approx(demand.rates_rps[""][number] * 300)
        rows = demand.table[demand.table["window_start"] == demand.starts[number]]
        assert part.input_tokens.sum() == pytest.approx((rows["input_tokens"] * rows["rate_rps"] * 300).sum())
