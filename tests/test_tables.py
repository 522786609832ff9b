"""Tests of `dynaopt.tables`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.tables import Column, atomic_path, read_table, write_table

FORMAT = (
    Column("name", "text"),
    Column("count", "integer", minimum=0),
    Column("size_s", positive=True),
    Column("start", "timestamp", required=False),
    Column("bound_w", minimum=0, required=False, nullable=True),
    Column("kind", "text", choices=("a", "b"), required=False),
)
GOOD = (
    "name,count,size_s,start,bound_w,kind\nx,1,2.5,2024-05-12T00:00:00Z,,a\ny,0,1e-3,2024-05-12 02:00:00.5+02:00,7,b\n"
)


def _file(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_reads_typed_columns(tmp_path: Path) -> None:
    """Tests that each kind of cell becomes what it says, times in UTC and empty numbers NaN."""
    frame = read_table(_file(tmp_path, GOOD), FORMAT, key=["name"])
    assert frame["count"].tolist() == [1, 0]
    assert frame["size_s"].tolist() == [2.5, 1e-3]
    assert frame["start"].tolist() == [
        pd.Timestamp("2024-05-12T00:00:00Z"),
        pd.Timestamp("2024-05-12T00:00:00.5Z"),
    ]
    assert np.isnan(frame["bound_w"].iloc[0])
    assert frame["bound_w"].iloc[1] == 7


def _fail_half_way(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_text("half of the n")
        raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_tables_read_back_the_same(tmp_path: Path, suffix: str) -> None:
    """Tests that neither format loses anything that the other keeps."""
    frame = read_table(_file(tmp_path, GOOD.replace(".5+", "+")), FORMAT)
    write_table(frame, tmp_path / f"copy{suffix}")
    pd.testing.assert_frame_equal(read_table(tmp_path / f"copy{suffix}", FORMAT), frame)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,count,size_s\nx,1,0\n", "line 2, column 'size_s': expected a number above 0, got '0'"),
        ("name,count,size_s\nx,1,1\ny,-1,1\n", "line 3, column 'count': expected an integer of at least 0, got '-1'"),
        ("name,count,size_s\nx,1.5,1\n", "column 'count': expected an integer of at least 0, got '1.5'"),
        ("name,count,size_s\nx,many,1\n", "line 2, column 'count': expected an integer of at least 0, got 'many'"),
        ("name,count,size_s\nx,1,nan\n", "column 'size_s': expected a number above 0, got 'nan'"),
        ("name,count,size_s\nx,1,inf\n", "column 'size_s': expected a number above 0, got 'inf'"),
        ("name,count,size_s\nx,,1\n", "line 2, column 'count': expected an integer of at least 0, got an empty cell"),
        ("name,count,size_s\n ,1,1\n", "line 2, column 'name': expected a text, got an empty cell"),
        ("name,count,size_s,kind\nx,1,1,c\n", "column 'kind': expected one of a, b, got 'c'"),
        ("name,count,size_s,start\nx,1,1,soon\n", "column 'start': expected an ISO 8601 timestamp"),
        ("# note\nname,count,size_s\n# note\nx,1,1\n# note\ny,1,0\n", "line 6, column 'size_s'"),
        ("name,count\nx,1\n", "line 1: expected a column 'size_s', got only name, count"),
        ("# note\nname,count\nx,1\n", "line 2: expected a column 'size_s', got only name, count"),
        ("name,count,size_s,colour\nx,1,1,red\n", "line 1: expected only the columns name, .* got 'colour'"),
        ("name,count,size_s\n", "expected at least one row, got a header and nothing below it"),
        ("", "expected a header and rows, got an empty file"),
        ("name,count,size_s\nx,1,1,1,1\n", "line 2: expected 3 cells, got 5"),
        ("name,count,size_s\nx,1,1\ny,1\n", "line 3: expected 3 cells, got 2"),
        ("name,count,count\nx,1,1\n", "line 1: expected a column 'size_s'"),
        ("name,count,size_s,count\nx,1,1,1\n", "line 1: expected each column once, got 'count' twice"),
        ('name,count,size_s\n"x,1,1\n', "line 2: expected comma-separated text in UTF-8"),
        ("name,count,size_s\nx,1,1\nx,2,1\n", "line 3: expected each row once, got a second row for name=x"),
    ],
)
def test_faults_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    """Tests that each kind of bad cell, header or row is named with where it stands."""
    with pytest.raises(InvalidInputError, match=message):
        read_table(_file(tmp_path, text), FORMAT, key=["name"])


def test_parquet_faults_name_the_row(tmp_path: Path) -> None:
    """Tests that a file without lines counts rows from 1."""
    path = tmp_path / "table.parquet"
    pd.DataFrame({"name": ["x", "y"], "count": [1, -4], "size_s": [1.0, 1.0]}).to_parquet(path)
    with pytest.raises(InvalidInputError, match="row 2, column 'count': expected an integer of at least 0, got '-4'"):
        read_table(path, FORMAT)


def test_other_endings_and_absent_files_are_refused(tmp_path: Path) -> None:
    """Tests that the ending decides, and that a missing file is told from a bad one."""
    other = tmp_path / "table.xlsx"
    other.write_text("x")
    with pytest.raises(InvalidInputError, match=r"expected a \.csv or \.parquet file, got '\.xlsx'"):
        read_table(other, FORMAT)
    with pytest.raises(MissingFileError, match="expected a file, got nothing there"):
        read_table(tmp_path / "none.csv", FORMAT)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    """Tests that bytes which are not Parquet are refused in one line."""
    path = tmp_path / "table.parquet"
    path.write_bytes(b"not parquet at all")
    with pytest.raises(InvalidInputError, match=r"expected a readable \.parquet table") as caught:
        read_table(path, FORMAT)
    assert "\n" not in str(caught.value)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Tests that a failure half-way keeps what was there and leaves no partial file behind."""
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _fail_half_way(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_a_prefix_allows_what_no_list_can_name(tmp_path: Path) -> None:
    """Tests that a column takes its choices and every text that begins with its prefix, and nothing else."""
    columns = [Column("pool", "text", choices=("SS", "LL"), prefix="ALL-")]
    path = tmp_path / "table.csv"
    path.write_text("pool\nSS\nALL-chat\n")
    assert list(read_table(path, columns)["pool"]) == ["SS", "ALL-chat"]
    path.write_text("pool\nSS\nall\n")
    with pytest.raises(InvalidInputError, match="line 3, column 'pool': expected one of SS, LL, ALL-…, got 'all'"):
        read_table(path, columns)
