"""Tests of the journal: chunks are kept whole, belong to one plan, and only one process writes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dynaopt.answers import Answers, answers_of, window_numbers
from dynaopt.errors import InvalidInputError
from dynaopt.journal import Journal
from dynaopt.result import Result, Termination

OPTIONS = {"solver": "greedy", "num_gpus": 64}


def make_answers(*numbers: int, runtime_s: float = 0.1) -> Answers:
    """Make answers of windows that were found infeasible."""
    result = Result(solver="s", termination=Termination.INFEASIBLE, reason="too small", runtime_s=runtime_s)
    return answers_of((number, result) for number in numbers)


def open_journal(folder: Path, digest: str = "aa", *, overwrite: bool = False, **options: object) -> Journal:
    """Make a journal that is yet to be entered."""
    return Journal(folder / ".partial", digest=digest, options={**OPTIONS, **options}, overwrite=overwrite)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Tests that chunks come back with every digit, in a process that opens the journal later."""
    chunks = [make_answers(0, 1, runtime_s=0.1 + 0.2), make_answers(2)]
    with open_journal(tmp_path) as journal:
        for chunk in chunks:
            journal.write(chunk)
    with open_journal(tmp_path) as journal:
        assert list(journal.read()) == chunks


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    """Tests that its folder is made, and says in words whose it is."""
    with open_journal(tmp_path / "new") as journal:
        assert list(journal.read()) == []
    head = json.loads((tmp_path / "new" / ".partial" / "journal.json").read_text())
    assert head == {"digest": "aa", "options": OPTIONS}


def test_another_plan_is_refused(tmp_path: Path) -> None:
    """Tests that the error names folder, difference and ways out, and leaves the journal alone."""
    with open_journal(tmp_path) as journal:
        journal.write(make_answers(0))
    with (
        pytest.raises(InvalidInputError) as caught,
        open_journal(tmp_path, "bb", solver="highs"),
    ):
        pass
    assert caught.value.where == str(tmp_path)
    assert caught.value.found == "an unfinished plan of solver greedy and not highs"
    assert caught.value.hint is not None
    assert "--out" in caught.value.hint
    with open_journal(tmp_path) as journal:
        assert len(list(journal.read())) == 1


def test_another_plan_without_finished_windows_is_replaced(tmp_path: Path) -> None:
    """Tests that a journal in which nothing was finished holds nobody up."""
    with open_journal(tmp_path):
        pass
    with open_journal(tmp_path, "bb") as journal:
        assert list(journal.read()) == []
    assert json.loads((tmp_path / ".partial" / "journal.json").read_text())["digest"] == "bb"


def test_overwrite_throws_another_plan_away(tmp_path: Path) -> None:
    """Tests that its chunks are gone, and that overwriting one's own plan resumes it."""
    with open_journal(tmp_path) as journal:
        journal.write(make_answers(0))
    with open_journal(tmp_path, "bb", overwrite=True) as journal:
        assert list(journal.read()) == []
        journal.write(make_answers(1))
    with open_journal(tmp_path, "bb", overwrite=True) as journal:
        assert [list(window_numbers(chunk)) for chunk in journal.read()] == [[1]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-5],
        lambda data: data[:0],
        lambda data: data.replace(b"too small", b"too large"),
        lambda data: b"\xff" + data,
        lambda data: data.partition(b"\n")[2],
    ],
    ids=["truncated", "empty", "changed", "not UTF-8", "without checksum"],
)
def test_a_damaged_chunk_is_dropped(tmp_path: Path, damage: object) -> None:
    """Tests that it is removed and the others are kept."""
    with open_journal(tmp_path) as journal:
        journal.write(make_answers(0, 1))
        journal.write(make_answers(2))
        path = tmp_path / ".partial" / "windows-000000-000001.json"
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
        assert [list(window_numbers(chunk)) for chunk in journal.read()] == [[2]]
        assert not path.exists()


def test_a_chunk_of_another_plan_is_dropped(tmp_path: Path) -> None:
    """Tests that a file copied from another journal does not fit, for its checksum is also of the plan."""
    with open_journal(tmp_path / "a", "aa") as journal:
        journal.write(make_answers(0))
    with open_journal(tmp_path / "b", "bb") as journal:
        name = "windows-000000-000000.json"
        (tmp_path / "b" / ".partial" / name).write_bytes((tmp_path / "a" / ".partial" / name).read_bytes())
        assert list(journal.read()) == []


def test_windows_are_read_once(tmp_path: Path) -> None:
    """Tests that of two chunks which share a window the second is dropped."""
    with open_journal(tmp_path) as journal:
        journal.write(make_answers(0, 1))
        journal.write(make_answers(1, 2))
        assert [list(window_numbers(chunk)) for chunk in journal.read()] == [[0, 1]]


def test_half_written_files_are_cleared(tmp_path: Path) -> None:
    """Tests that what a killed process had begun to write is gone after the next start."""
    with open_journal(tmp_path):
        pass
    (tmp_path / ".partial" / ".windows-000000-000001.json.x7d.json").write_text("half")
    with open_journal(tmp_path):
        pass
    assert {path.name for path in (tmp_path / ".partial").iterdir()} == {"journal.json", "lock"}


def test_two_processes_do_not_share_a_journal(tmp_path: Path) -> None:
    """Tests that the second is told, and may go on when the first has ended."""
    program = "import sys; from test_journal import *; exec('with open_journal(Path(sys.argv[1])): pass')"
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(__file__).parent
    with open_journal(tmp_path):
        second = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert "expected a folder in which no other plan runs" in second.stderr
    assert subprocess.run(command, cwd=root, capture_output=True).returncode == 0


def test_removing_leaves_the_folder_above(tmp_path: Path) -> None:
    """Tests that only the journal goes."""
    (tmp_path / "mine").write_text("x")
    with open_journal(tmp_path) as journal:
        journal.write(make_answers(0))
        journal.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
