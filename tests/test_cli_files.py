"""Tests of where a command may write."""

import os
from pathlib import Path

import pytest

from dynaopt.cli_files import check_out_file, check_out_folder
from dynaopt.errors import InvalidInputError


def test_a_folder_may_be_new_or_there(tmp_path: Path) -> None:
    """Tests that nothing is made by asking."""
    check_out_folder("--out", tmp_path)
    check_out_folder("--out", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_is_below_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests a bare name."""
    monkeypatch.chdir(tmp_path)
    check_out_folder("--out", Path("plan-x"))
    (tmp_path / "plan-y").touch()
    with pytest.raises(InvalidInputError, match=r"option --out, plan-y: expected a folder .*, got a file"):
        check_out_folder("--out", Path("plan-y"))


def test_a_folder_cannot_lie_in_a_file(tmp_path: Path) -> None:
    """Tests that the file in the way is named."""
    (tmp_path / "notes").touch()
    with pytest.raises(InvalidInputError, match=r"notes: expected a folder that can be written to, got a file"):
        check_out_folder("--out", tmp_path / "notes" / "plan")


def test_a_folder_without_leave_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the answer of the system that there is no leave to write."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InvalidInputError, match="got one that cannot be written to"):
        check_out_folder("--out", tmp_path / "plan")


def test_a_file_has_one_of_the_endings(tmp_path: Path) -> None:
    """Tests a good file, another ending, a folder of that name, and a folder that is not there."""
    endings = (".csv", ".parquet")
    check_out_file("--out", tmp_path / "a.csv", endings)
    (tmp_path / "b.csv").mkdir()
    for path in (tmp_path / "a.txt", tmp_path / "b.csv", tmp_path / "nowhere" / "a.csv"):
        with pytest.raises(InvalidInputError, match="option --out: expected a file"):
            check_out_file("--out", path, endings)
