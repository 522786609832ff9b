"""Tests of `dynaopt.trace_fault` and of the whole reader on faulty traces: every fault is refused at its place."""

import gzip
from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.trace import read_trace, trace_summary
from dynaopt.trace_fault import find_fault
from dynaopt.trace_source import find_trace

FAULTS = Path(__file__).parent / "data" / "traces"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
GOOD = "2024-05-12 00:00:00.004803+00:00,374,44\n"
TIME = "a timestamp of the years"
INPUT = "an integer of at least 1"
OUTPUT = "an integer of at least 0"

# File: (place, what was expected, what was found)
PLACES = {
    "ColumnTwice.csv": (", line 1", "once and no other", "'GeneratedTokens'"),
    "EmptyFile.csv": ("", "a header and requests", "an empty file"),
    "EmptyTimestamp.csv": (", line 4, column 'TIMESTAMP'", TIME, "an empty cell"),
    "EmptyTokens.csv": (", line 4, column 'ContextTokens'", INPUT, "an empty cell"),
    "ExtraCell.csv": (", line 4", "3 cells", "4: "),
    "FarFuture.csv": (", line 4, column 'TIMESTAMP'", TIME, "'20240-05-12"),
    "FractionalInputTokens.csv": (", line 4, column 'ContextTokens'", INPUT, "'2630.25'"),
    "FractionalTokens.csv": (", line 4, column 'GeneratedTokens'", OUTPUT, "'7.5'"),
    "HalfLine.csv": (", line 4", "3 cells", "2: '2024-05-12 00:05:02.5+00:00,26'"),
    "HalfLineAfterComma.csv": (", line 4, column 'GeneratedTokens'", OUTPUT, "an empty cell"),
    "HalfTimestamp.csv": (", line 4", "3 cells", "1: '2024-05-12 00:0'"),
    "HeaderOnly.csv": ("", "at least one request", "nothing below"),
    "HugeTokens.csv": (", line 4, column 'ContextTokens'", "at most 1e9", "'99999999999'"),
    "InfiniteTimestamp.csv": (", line 4, column 'TIMESTAMP'", TIME, "'infinity'"),
    "MissingColumn.csv": (", line 1", "a column 'GeneratedTokens'", "only TIMESTAMP, ContextTokens"),
    "MissingColumn.parquet": ("", "a column 'TIMESTAMP'", "only ContextTokens"),
    "MixedLineEnds.csv": (", line 3", "lines that all end in \\n", "\\r\\n"),
    "NanTokens.csv": (", line 4, column 'GeneratedTokens'", OUTPUT, "'nan'"),
    "NegativeOutputTokens.csv": (", line 4, column 'GeneratedTokens'", OUTPUT, "'-7'"),
    "NegativeTokens.csv": (", line 4, column 'ContextTokens'", INPUT, "'-3'"),
    "NegativeTokens.parquet": (", row 2, column 'ContextTokens'", INPUT, "'-3'"),
    "NegativeTokensInGzip.csv.gz": (", line 4, column 'ContextTokens'", INPUT, "'-3'"),
    "NoHeader.csv": (", line 1", "a column 'TIMESTAMP'", "374, 44"),
    "NoRows.parquet": ("", "at least one request", "nothing below"),
    "NoSuchDay.csv": (", line 4, column 'TIMESTAMP'", TIME, "'2024-02-30"),
    "NotGzip.csv.gz": (", line 1", "a whole gzip file", "Not a gzipped file"),
    "NotParquet.parquet": ("", "a readable .parquet table", "magic bytes"),
    "NotUtf8.csv": (", line 4", "text in UTF-8", "0xff"),
    "NulByte.csv": (", line 4, column 'ContextTokens'", INPUT, "'26\\x00'"),
    "NullTokens.parquet": (", row 2, column 'GeneratedTokens'", OUTPUT, "an empty cell"),
    "SecondsSinceEpoch.csv": (", line 2, column 'TIMESTAMP'", TIME, "'1715472000'"),
    "Semicolons.csv": (", line 1", "a column 'TIMESTAMP'", "TIMESTAMP;ContextTokens"),
    "TextTokens.csv": (", line 4, column 'ContextTokens'", INPUT, "'many'"),
    "TruncatedGzip.csv.gz": (", line 241", "a whole gzip file", "ended before"),
    "UnbalancedQuote.csv": (", line 3", "balanced quotes", "unexpected end"),
    "UnknownColumn.csv": (", line 1", "once and no other", "'Model'"),
    "UnparsableTimestamp.csv": (", line 4, column 'TIMESTAMP'", TIME, "'yesterday'"),
    "UnparsableTimestamp.parquet": (", row 2, column 'TIMESTAMP'", TIME, "'x'"),
    "WrongEnding.txt": ("", "a .csv, .csv.gz or .parquet file", "'.txt'"),
    "ZeroInputTokens.csv": (", line 4, column 'ContextTokens'", INPUT, "'0'"),
}


def _write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_every_fault_has_its_place() -> None:
    """Tests that no file lies in the folder without being tested."""
    assert set(PLACES) == {path.name for path in FAULTS.iterdir()}


@pytest.mark.parametrize("read", [read_trace, trace_summary])
@pytest.mark.parametrize("name", sorted(PLACES))
def test_faults_are_refused_at_their_place(name: str, read: object) -> None:
    """Tests that one line says file, line and column, what was expected and what was found."""
    place, expected, found = PLACES[name]
    with pytest.raises(InvalidInputError) as caught:
        read(FAULTS / name)  # type: ignore[operator]
    message = str(caught.value)
    assert message.startswith(f"{FAULTS / name}{place}: expected ")
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert "\n" not in message


def test_terciles_do_not_hide_a_fault() -> None:
    """Tests that the first pass, for the cut-points, tells of a fault rather than of odd cut-points."""
    with pytest.raises(InvalidInputError, match="line 4, column 'ContextTokens'"):
        read_trace(FAULTS / "NegativeTokens.csv", cut_points="terciles")


@pytest.mark.parametrize("line", [2, 1_000, 100_001, 100_002, 250_000])
def test_one_fault_among_many_rows_is_found(tmp_path: Path, line: int) -> None:
    """Tests that a fault has its line wherever it stands, also at the edges of the batches that are searched."""
    rows = [GOOD] * 250_000
    rows[line - 2] = GOOD.replace(",44", ",4.4")
    path = _write(tmp_path, HEADER + "".join(rows))
    with pytest.raises(InvalidInputError, match=f"line {line}, column 'GeneratedTokens'.*'4.4'"):
        read_trace(path)


def test_first_of_several_faults_is_told(tmp_path: Path) -> None:
    """Tests that a bad cell on line 3 is told before a line without cells on line 5."""
    path = _write(tmp_path, HEADER + GOOD + GOOD.replace("374", "-1") + GOOD + "half\n" + GOOD)
    with pytest.raises(InvalidInputError, match="line 3, column 'ContextTokens'"):
        read_trace(path)


def test_blank_lines_count(tmp_path: Path) -> None:
    """Tests that a fault below blank lines has the line that an editor shows."""
    path = _write(tmp_path, HEADER + "\n\n" + GOOD + "\n" + GOOD.replace("374", "x"))
    with pytest.raises(InvalidInputError, match="line 6, column 'ContextTokens'"):
        read_trace(path)


def test_columns_in_another_order_have_their_names(tmp_path: Path) -> None:
    """Tests that the column that is told is that of the header."""
    path = _write(tmp_path, "GeneratedTokens,TIMESTAMP,ContextTokens\n44,2024-05-12 00:00:00,374\n44,then,374\n")
    with pytest.raises(InvalidInputError, match=r"line 3, column 'TIMESTAMP'.*'then'"):
        read_trace(path)


def test_long_cells_are_cut(tmp_path: Path) -> None:
    """Tests that a cell of a megabyte does not make a message of a megabyte."""
    path = _write(tmp_path, HEADER + GOOD.replace("374", "9" * 100_000))
    with pytest.raises(InvalidInputError) as caught:
        read_trace(path)
    assert len(str(caught.value)) < 500


def test_what_cannot_be_located_is_still_refused(tmp_path: Path) -> None:
    """Tests that a reason without a place is passed on: here a good file that someone else could not read."""
    source = find_trace(_write(tmp_path, HEADER + GOOD))
    fault = find_fault(source, "the disk said no\nand more")
    assert str(fault) == f"{source.path}: expected a trace that DuckDB can read, got the disk said no"


def test_gzip_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Tests that no cut of a packed trace passes for a shorter trace."""
    packed = gzip.compress((HEADER + "".join(GOOD.replace("374", str(n + 1)) for n in range(300))).encode())
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(packed)
    assert read_trace(path).num_requests == pytest.approx(300)
    for keep in range(20, len(packed), 97):
        path.write_bytes(packed[:keep])
        with pytest.raises(InvalidInputError, match="a whole gzip file"):
            read_trace(path)
