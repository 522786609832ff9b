"""Tests of the folder of a sweep: what is found, and what is not believed."""

import json
from pathlib import Path

import pandas as pd
import pytest
from sweeping import sweep_simply, write_sweep
from test_sweep_points import points_of

from dynaopt.errors import InvalidInputError
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule
from dynaopt.sweep_points import Point
from dynaopt.sweep_store import SweepStore

ONE = {"services": '"week.csv"', "slo_scales": "1", "num_gpus": "64", "schedules": "true"}


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Point, Schedule]:
    """Return a point and its schedule."""
    path = write_sweep(tmp_path, **ONE)
    name = sweep_simply(path, out=tmp_path / "planned")["point"][0]
    return points_of(tmp_path, **ONE)[0], read_schedule(tmp_path / "planned" / "schedules" / name)


def test_what_is_kept_is_found(tmp_path: Path, planned: tuple[Point, Schedule]) -> None:
    """Tests a record with and without a schedule: floats come back bit for bit, and nothing is found before."""
    point, schedule = planned
    record = {"energy_j": 0.1 + 0.2, "gap": None, "num_windows": 20}
    for schedules in (False, True):
        with SweepStore(tmp_path / f"store-{schedules}", schedules=schedules) as store:
            assert store.find(point) is None
            store.keep(point, record, schedule)
            assert store.find(point) == record
            assert store.schedule_folder(point).is_dir() == schedules


def test_a_record_without_its_schedule_is_not_enough(tmp_path: Path, planned: tuple[Point, Schedule]) -> None:
    """Tests that a store that keeps schedules does not take a row alone for a finished point."""
    point, schedule = planned
    with SweepStore(tmp_path / "store") as store:
        store.keep(point, {"num_windows": 20}, schedule)
    with SweepStore(tmp_path / "store", schedules=True) as store:
        assert store.find(point) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"digest": "x", "record": {}}', '{"record": {}}'])
def test_a_damaged_record_is_not_believed(tmp_path: Path, planned: tuple[Point, Schedule], content: str) -> None:
    """Tests what is no JSON, no object, and of another point."""
    point, schedule = planned
    with SweepStore(tmp_path / "store") as store:
        store.keep(point, {"num_windows": 20}, schedule)
        (file,) = (tmp_path / "store" / "points").iterdir()
        assert json.loads(file.read_text())["point"] == point.name
        file.write_text(content)
        assert store.find(point) is None


def test_another_plan_under_the_same_name_is_refused(tmp_path: Path, planned: tuple[Point, Schedule]) -> None:
    """Tests that it is told, unless it is to be replaced."""
    point, schedule = planned
    (other,) = points_of(tmp_path, **ONE, headroom="0.3")
    assert other.name == point.name
    with SweepStore(tmp_path / "store", schedules=True) as store:
        store.keep(point, {"num_windows": 20}, schedule)
        with pytest.raises(InvalidInputError, match=r"the schedule of headroom 0.0 and not 0.3"):
            store.find(other)
    with SweepStore(tmp_path / "store", schedules=True, overwrite=True) as store:
        assert store.find(other) is None
        assert store.find(point) is not None


def test_journals_are_by_point_and_cleared(tmp_path: Path, planned: tuple[Point, Schedule]) -> None:
    """Tests that a point's journal is where it is looked for, and gone when it is cleared."""
    point, _ = planned
    with SweepStore(tmp_path / "store") as store:
        assert not store.has_journal(point)
        with store.journal(point):
            assert store.has_journal(point)
        store.clear([point])
        assert not store.has_journal(point)


def test_the_table_is_written_twice(tmp_path: Path) -> None:
    """Tests that text and Parquet hold the same."""
    frame = pd.DataFrame({"point": ["a", "b"], "energy_j": [1.5, None]})
    with SweepStore(tmp_path / "store") as store:
        store.write_tables(frame)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "store" / "sweep.csv"),
        pd.read_parquet(tmp_path / "store" / "sweep.parquet"),
        check_dtype=False,
    )
