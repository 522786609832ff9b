"""Tests of `dynaopt.trace_lengths`."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynaopt import trace_lengths as module
from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.trace import trace_summary
from dynaopt.trace_lengths import trace_lengths

RAW = Path(__file__).parents[2] / "shared" / "data" / "azure2023"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


def _write(folder: Path, *lengths: tuple[float, float], name: str = "own.csv") -> Path:
    path = folder / name
    rows = [f"2024-05-12 00:00:{n % 60:02d},{i:g},{o:g}" for n, (i, o) in enumerate(lengths)]
    frame = pd.DataFrame([row.split(",") for row in rows], columns=HEADER.split(","))
    if path.suffix == ".parquet":
        frame.astype({"ContextTokens": int, "GeneratedTokens": int}).to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz", "own.parquet"])
def test_every_request_counts_in_its_pair(name: str, tmp_path: Path) -> None:
    """Tests three pairs of 2, 1 and 1 requests, in order, from all kinds of file, with what is told of the file."""
    path = _write(tmp_path, (5000, 20), (100, 30), (5000, 20), (100, 7), name=name)
    told = trace_lengths(path, TABLE_IV)
    cells = zip(told.lengths.input_tokens, told.lengths.output_tokens, told.lengths.weight, strict=True)
    assert list(cells) == [(100, 7, 1.0), (100, 30, 1.0), (5000, 20, 2.0)]
    assert (told.file_name, told.num_requests, told.num_pairs) == (name, 4, 3)
    assert told.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(told) == "4 requests, 3 pairs of lengths"


def test_a_request_without_output_counts_as_one_token(tmp_path: Path) -> None:
    """Tests that outputs of 0 and of 1 are the same pair."""
    told = trace_lengths(_write(tmp_path, (100, 0), (100, 1)), TABLE_IV)
    assert told.lengths.output_tokens.tolist() == [1]
    assert told.lengths.weight.tolist() == [2.0]


def test_many_pairs_are_put_into_bins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that bins keep requests, shares of classes and, but for rounding up, mean lengths, and are said."""
    rng = np.random.default_rng(3)
    pairs = np.exp(rng.uniform(0, 8, (3000, 2))).astype(int)
    path = _write(tmp_path, *((i, o) for i, o in pairs))
    exact = trace_lengths(path, TABLE_IV)
    monkeypatch.setattr(module, "MOST_PAIRS", 1000)
    binned, again = (trace_lengths(path, TABLE_IV) for _ in range(2))
    assert len(binned.lengths.weight) < 0.9 * exact.num_pairs
    assert (binned.num_requests, binned.num_pairs) == (exact.num_requests, exact.num_pairs)
    assert binned.lengths.weight.sum() == 3000
    assert binned.lengths.shares(TABLE_IV) == exact.lengths.shares(TABLE_IV)
    for name in ("input_tokens", "output_tokens"):
        mean = np.average(getattr(binned.lengths, name), weights=binned.lengths.weight)
        assert 0 <= mean - np.average(getattr(exact.lengths, name), weights=exact.lengths.weight) < 1
        np.testing.assert_array_equal(getattr(binned.lengths, name), getattr(again.lengths, name))
    assert str(binned).endswith(f"pairs of lengths, in {len(binned.lengths.weight):,} bins that are 4 % wide")


def test_no_bin_straddles_a_cut_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests inputs of 1,030 to 1,039 tokens, one bin, cut behind 1,033 and 1,036: means 1,031.5, 1,035 and 1,038."""
    monkeypatch.setattr(module, "MOST_PAIRS", 5)
    path = _write(tmp_path, *((i, 20) for i in range(1030, 1040)))
    told = trace_lengths(path, CutPoints((1033, 1036), (99, 349)))
    assert told.lengths.input_tokens.tolist() == [1032, 1035, 1038]
    assert told.lengths.weight.tolist() == [4.0, 3.0, 3.0]
    assert len(trace_lengths(path, TABLE_IV).lengths.weight) == 1


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ((100, -5), "line 3, column 'GeneratedTokens': expected an integer of at least 0"),
        ((0, 5), "line 3, column 'ContextTokens': expected an integer of at least 1"),
        ((12.5, 5), "line 3, column 'ContextTokens'"),
    ],
)
def test_a_faulty_row_is_named(lengths: tuple[float, float], said: str, tmp_path: Path) -> None:
    """Tests lengths that no request has, behind a good row."""
    with pytest.raises(InvalidInputError, match=said):
        trace_lengths(_write(tmp_path, (100, 20), lengths), TABLE_IV)


def test_a_row_without_a_time_is_named(tmp_path: Path) -> None:
    """Tests that times are checked too, though lengths alone are taken."""
    path = tmp_path / "own.csv"
    path.write_text(f"{HEADER}\n1969-05-12 00:00:00,100,20\n")
    with pytest.raises(InvalidInputError, match="line 2, column 'TIMESTAMP'"):
        trace_lengths(path, TABLE_IV)


def test_a_trace_without_requests_is_refused(tmp_path: Path) -> None:
    """Tests a header alone, and a file that is not there."""
    (tmp_path / "own.csv").write_text(f"{HEADER}\n")
    with pytest.raises(InvalidInputError, match="expected at least one request, got a header and nothing below"):
        trace_lengths(tmp_path / "own.csv", TABLE_IV)
    with pytest.raises(MissingFileError, match=r"none\.csv"):
        trace_lengths(tmp_path / "none.csv", TABLE_IV)


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="raw data are not here")
def test_the_real_hour_has_the_shares_of_its_summary() -> None:
    """Tests the conversation hour of 2023 against the counts of `trace_summary`."""
    told = trace_lengths(RAW / "conv.csv", TABLE_IV)
    shares = trace_summary(RAW / "conv.csv").class_share
    assert told.num_requests == 19_366
    assert told.lengths.shares(TABLE_IV) == pytest.approx(shares[shares > 0].to_dict())
