"""Tests that stored runs come back as they were, and that a damaged file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynaopt.bench_run import RUN_COLUMNS
from dynaopt.bench_store import read_runs, write_runs
from dynaopt.errors import InputError

SOLVED = {
    "case": "classes-1-s0",
    "family": "classes",
    "level": "1",
    "problem_sha256": "ab12",
    "solver": "exact",
    "answered_by": "greedy",
    "termination": "feasible",
    "power_w": 15903.820302511638,
    "lower_bound_w": 1 / 3,
    "num_gpus": 34,
    "num_violations": 0,
    "violation": "",
    "reason": "the time limit was reached, at 0.05 s",
    "num_repeats": 3,
    "runtime_p50_s": 0.051,
    "runtime_p99_s": 0.06,
    "cpu_p50_s": 0.05,
    "time_limit_s": 0.05,
    "gap_tolerance": 1e-4,
    "version": "0.1.0",
}
UNSOLVED = {**SOLVED, "case": "b", "termination": "no_solution_found", "power_w": None, "num_gpus": None, "reason": ""}
WRONG = {**SOLVED, "case": "c", "num_violations": 2, "violation": 'pool "LL", 3 of 2: a "quoted" text'}


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    """Tests numbers to the last digit, missing numbers, empty texts, and texts with commas and quotes."""
    write_runs([SOLVED, UNSOLVED, WRONG], tmp_path / "auto.csv", RUN_COLUMNS)
    assert read_runs(tmp_path / "auto.csv", RUN_COLUMNS) == [SOLVED, UNSOLVED, WRONG]


def test_the_folder_is_made(tmp_path: Path) -> None:
    """Tests that results of a new version need no preparation."""
    write_runs([SOLVED], tmp_path / "0.2.0" / "deep" / "auto.csv", RUN_COLUMNS)
    assert len(read_runs(tmp_path / "0.2.0" / "deep" / "auto.csv", RUN_COLUMNS)) == 1


def test_no_runs_are_no_runs(tmp_path: Path) -> None:
    """Tests an empty file."""
    write_runs([], tmp_path / "auto.csv", RUN_COLUMNS)
    assert read_runs(tmp_path / "auto.csv", RUN_COLUMNS) == []


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "a run twice": (lambda text: text + text.splitlines()[1] + "\n", "each row once"),
    "a power that is no number": (lambda text: text.replace("15903.820302511638", "much"), "column 'power_w'"),
    "half of a violation": (lambda text: text.replace(",34,0,", ",34,0.5,"), "column 'num_violations'"),
    "a missing column": (lambda text: text.replace("termination", "status", 1), "a column 'termination'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    """Tests that results changed by hand or cut off are not taken for results."""
    damage, message = FAULTS[name]
    path = tmp_path / "auto.csv"
    write_runs([SOLVED], path, RUN_COLUMNS)
    before = path.read_text()
    path.write_text(damage(before))
    assert path.read_text() != before
    with pytest.raises(InputError, match=message):
        read_runs(path, RUN_COLUMNS)


def test_every_field_of_a_run_is_stored(tmp_path: Path) -> None:
    """Tests that no field is forgotten when one is added."""
    stored: dict[str, Any] = SOLVED
    assert tuple(stored) == tuple(sorted(stored, key=RUN_COLUMNS.index))
    assert set(stored) == set(RUN_COLUMNS)
