"""Tests of `dynaopt.trace_source`."""

import gzip
from pathlib import Path

import pytest

from dynaopt.errors import MissingFileError
from dynaopt.trace_source import connect, find_trace

TEXT = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-12 00:00:00+00:00,374,44\n"


@pytest.mark.parametrize(
    "name", ["it's.csv", "week[1].csv", "*.csv", "a?b.csv", "a b.csv", "wéek.csv", "year=2024.csv", "{x}.csv"]
)
def test_any_file_name_means_that_one_file(tmp_path: Path, name: str) -> None:
    """Tests that quotes and wildcards in names neither break the query nor read the files beside it."""
    for other in ("week1.csv", "axb.csv", "other.csv", "x.csv"):
        (tmp_path / other).write_text(TEXT)
    (tmp_path / name).write_text(TEXT)
    with connect() as connection:
        rows = connection.execute(f"SELECT i, o FROM ({find_trace(tmp_path / name).sql})").fetchall()
    assert rows == [(374, 44)]


def test_folders_named_like_columns_add_none(tmp_path: Path) -> None:
    """Tests that a folder `o=7` is not taken for a partition of the table."""
    (tmp_path / "o=7").mkdir()
    path = tmp_path / "o=7" / "week.csv"
    path.write_text(TEXT)
    with connect() as connection:
        assert connection.execute(f"SELECT o FROM ({find_trace(path).sql})").fetchall() == [(44,)]


@pytest.mark.parametrize(("file", "name"), [("week.csv", "week"), ("a.b.csv.gz", "a.b")])
def test_name_is_the_stem(tmp_path: Path, file: str, name: str) -> None:
    """Tests that a packed file goes by the same name as the plain one."""
    path = tmp_path / file
    path.write_bytes(gzip.compress(TEXT.encode()) if file.endswith("gz") else TEXT.encode())
    assert find_trace(path).name == name


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens", ("TIMESTAMP", "ContextTokens", "GeneratedTokens")),
        ("\ufeffTIMESTAMP,ContextTokens,GeneratedTokens\r", ("TIMESTAMP", "ContextTokens", "GeneratedTokens")),
        ('"ContextTokens", "TIMESTAMP",GeneratedTokens', ("ContextTokens", "TIMESTAMP", "GeneratedTokens")),
    ],
)
def test_header_gives_the_order(tmp_path: Path, header: str, columns: tuple[str, ...]) -> None:
    """Tests that a mark at the start, quotes, spaces and line ends do not hide a column."""
    path = tmp_path / "week.csv"
    path.write_bytes(header.encode() + b"\n")
    assert find_trace(path).columns == columns


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    """Tests that neither a missing file nor a folder is opened."""
    with pytest.raises(MissingFileError, match=r"none\.csv"):
        find_trace(tmp_path / "none.csv")
    with pytest.raises(MissingFileError):
        find_trace(tmp_path)
