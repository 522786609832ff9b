"""Tests of schedules on disk: what is written is read, whole or not at all, and every fault is told with its place."""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
from planning import make_week, plan_simply

from dynaopt.errors import InputError, InvalidInputError, MissingFileError
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, read_schedule_metadata, remove_schedule, write_schedule
from dynaopt.tables import write_table

DATA = Path(__file__).parent / "data" / "schedules"
TABLES = ("allocations", "routes", "transitions", "windows")
FILES = {"schedule.json", "allocations.parquet", "routes.parquet", "demand.parquet", "transitions.csv", "windows.csv"}
with (DATA / "expected.csv").open() as _file:
    FAULTS = list(csv.DictReader(_file, delimiter=";"))


def faulty_schedule(name: str, folder: Path) -> Path:
    """Lay the files of a fault over those of the good schedule; ``x.removed`` takes ``x`` away."""
    shutil.copytree(DATA / "Good", folder)
    for path in (DATA / name).iterdir():
        if path.suffix == ".removed":
            (folder / path.stem).unlink()
        else:
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    """Return a plan of twenty windows, one of them without an answer."""
    return plan_simply(make_week(20, too_much=(7,)))


def assert_same(found: Schedule, expected: Schedule) -> None:
    """Compare two schedules cell by cell, kinds of columns included."""
    assert found.metadata == expected.metadata
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)
    pd.testing.assert_frame_equal(found.demand.table, expected.demand.table, check_exact=True)
    assert list(found.demand.starts) == list(expected.demand.starts)
    assert (found.demand.name, found.demand.sha256) == (expected.demand.name, expected.demand.sha256)


def test_what_is_written_is_read(schedule: Schedule, tmp_path: Path) -> None:
    """Tests that a folder gives back every bit, and that it holds the files of the format and no others."""
    write_schedule(schedule, tmp_path / "new" / "plan")
    assert {path.name for path in (tmp_path / "new" / "plan").iterdir()} == FILES
    assert_same(read_schedule(tmp_path / "new" / "plan"), schedule)


def test_either_kind_of_table_is_read(schedule: Schedule, tmp_path: Path) -> None:
    """Tests a folder whose Parquet tables became CSV and the other way round: text keeps every digit."""
    write_schedule(schedule, tmp_path)
    for name in TABLES:
        old = next(tmp_path.glob(f"{name}.*"))
        new = old.with_suffix(".csv" if old.suffix == ".parquet" else ".parquet")
        write_table(getattr(schedule, name), new)
        old.unlink()
    assert_same(read_schedule(tmp_path), schedule)


def test_windows_without_arrivals_at_the_end_are_kept(tmp_path: Path) -> None:
    """Tests that the demand that is read has the windows that its table cannot show."""
    week = make_week(5)
    kept = week.table[week.table["window_start"] < week.starts[3]].reset_index(drop=True)
    demand = type(week)("quiet-end", 300.0, kept, "", week.starts)
    write_schedule(plan_simply(demand), tmp_path)
    assert read_schedule(tmp_path).demand.num_windows == 5


def test_a_table_may_be_empty(tmp_path: Path) -> None:
    """Tests a plan in which nothing starts, and nothing is answered."""
    write_schedule(plan_simply(make_week(1)), tmp_path / "still")
    assert read_schedule(tmp_path / "still").transitions.empty
    write_schedule(plan_simply(make_week(1, too_much=(0,))), tmp_path / "lost")
    assert read_schedule(tmp_path / "lost").allocations.empty


def test_an_earlier_schedule_is_replaced(schedule: Schedule, tmp_path: Path) -> None:
    """Tests that tables of either kind are replaced, and that what is not of a schedule stays."""
    write_schedule(schedule, tmp_path)
    write_table(schedule.windows, tmp_path / "windows.parquet")
    (tmp_path / "notes.txt").write_text("mine")
    other = plan_simply(make_week(3))
    write_schedule(other, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"notes.txt"}
    assert_same(read_schedule(tmp_path), other)


@pytest.mark.parametrize("count", range(1, 14))
def test_a_folder_is_whole_or_unfinished(
    schedule: Schedule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Tests a failure at every file that is moved into place: the old schedule, none, or the new, never a mixture."""
    old = plan_simply(make_week(3))
    write_schedule(old, tmp_path)
    original, calls = Path.replace, iter(range(1, 100))

    def replace(self: Path, target: Path) -> Path:
        if next(calls) == count:
            raise OSError("the machine stopped")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    try:
        write_schedule(schedule, tmp_path)
    except OSError:
        assert count <= 12
    else:
        assert count == 13
    monkeypatch.undo()
    if (tmp_path / "schedule.json").exists():
        assert_same(read_schedule(tmp_path), schedule if count == 13 else old)
    write_schedule(schedule, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_removing_takes_the_schedule_only(schedule: Schedule, tmp_path: Path) -> None:
    """Tests that other files stay, and that an empty or missing folder is no error."""
    write_schedule(schedule, tmp_path)
    (tmp_path / "report.html").write_text("page")
    remove_schedule(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    remove_schedule(tmp_path / "nowhere")


def test_the_good_schedule_is_good() -> None:
    """Tests that what the faults are laid over can be read."""
    schedule = read_schedule(DATA / "Good")
    assert (schedule.num_windows, schedule.num_unsolved, schedule.energy_j) == (3, 1, 1_272_000.0)
    assert schedule.windows["reason"].tolist() == ["", "needs 626 GPUs of 64", ""]


def test_a_schedule_of_before_mixes_were_limited_kept_to_no_distance() -> None:
    """Tests that the option that is missing there is read as the one that asks for nothing."""
    assert '"max_mix_distance"' not in (DATA / "Good" / "schedule.json").read_text()
    assert read_schedule(DATA / "Good").metadata.cluster.max_mix_distance == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["fault"])
def test_a_fault_is_refused_with_its_place(fault: dict[str, str], tmp_path: Path) -> None:
    """Tests that each fault is told by file, line and column, by what was found and what was expected."""
    with pytest.raises(InputError) as caught:
        read_schedule(faulty_schedule(fault["fault"], tmp_path / "plan"))
    assert fault["where"] in caught.value.where
    assert fault["expected"] in caught.value.expected
    assert fault["found"] in caught.value.found
    assert "\n" not in str(caught.value)


def test_every_fault_has_its_expectation() -> None:
    """Tests that no folder of a fault is left untested."""
    assert {path.name for path in DATA.iterdir() if path.is_dir()} == {"Good", *(fault["fault"] for fault in FAULTS)}


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """Tests the folder's name in the message."""
    with pytest.raises(MissingFileError, match="nowhere: expected a folder with a schedule, got nothing there"):
        read_schedule(tmp_path / "nowhere")


def test_an_unfinished_plan_says_how_to_go_on(tmp_path: Path) -> None:
    """Tests that a folder with a journal and no schedule tells of the command that resumes."""
    (tmp_path / ".partial").mkdir()
    with pytest.raises(MissingFileError, match="the command that started it resumes it"):
        read_schedule_metadata(tmp_path)


def test_a_person_may_annotate_the_text_tables(tmp_path: Path) -> None:
    """Tests that a comment above the header is skipped, and counted where a fault below it is told."""
    folder = faulty_schedule("AnswerWithoutPower", tmp_path / "plan")
    windows = folder / "windows.csv"
    windows.write_text("# looked at on Tuesday\n" + windows.read_text())
    with pytest.raises(InvalidInputError, match=r"windows.csv, line 3, column 'power_w'"):
        read_schedule(folder)
