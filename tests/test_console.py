"""Tests of tables and progress in a terminal."""

import time

import numpy as np
import pandas as pd
import pytest

from dynaopt.console import StepProgress, SweepProgress, WindowProgress, make_table, render, table_of_frame
from dynaopt.sweep import SweepState


def test_a_table_shows_every_cell() -> None:
    """Tests headings, texts to the left, numbers to the right, and a dash for what there is not."""
    lines = render(make_table(["name", "count"], [["a", 5], ["long name", None]], title="Things")).splitlines()
    assert lines[0] == "Things"
    cells = [line.split() for line in lines]
    assert ["name", "count"] in cells
    assert ["a", "5"] in cells
    assert ["long", "name", "–"] in cells
    row = next(line for line in lines if line.split() == ["a", "5"])
    assert row.startswith("  a ")
    assert len(row) == max(len(line) for line in lines if "5" in line or "–" in line)


def test_text_is_not_markup() -> None:
    """Tests that brackets of a user's name survive."""
    assert "[bold]x" in render(make_table(["a"], [["[bold]x"]]))
    assert render("[bold]x") == "[bold]x"


def test_long_lines_are_not_broken() -> None:
    """Tests that a reader who pipes stdout finds a message on one line."""
    assert render("word " * 100 + "end").count("\n") == 0


def test_frames_are_rounded_for_the_eye() -> None:
    """Tests four digits of a number, separators of a count, words for truth, a dash for NaN."""
    frame = pd.DataFrame({"n": ["a"], "x": [0.123456], "count": [1234567], "ok": [True], "none": [np.nan]})
    assert render(table_of_frame(frame)).splitlines()[-1].split() == ["a", "0.1235", "1,234,567", "yes", "–"]


def test_without_a_terminal_progress_is_sparse(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Tests a line every ten seconds on stderr, with the energy so far, and none on stdout."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with WindowProgress("plan week") as progress:
        for done in range(100):
            now[0] += 0.5
            progress(done, 100, done * 3.6e6)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert 3 <= len(lines) <= 5
    assert lines[0] == "plan week: 20 of 100, 20.0 kWh so far"


def test_a_quick_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a plan of seconds leaves a log empty."""
    with WindowProgress("plan week") as progress:
        for done in range(101):
            progress(done, 100, 0.0)
    assert capsys.readouterr().err == ""


def test_what_was_planned_before_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the first call of a run that resumes, and of one that finds everything done."""
    with WindowProgress("plan week") as progress:
        progress(40, 100, 0.0)
        progress(41, 100, 0.0)
    assert capsys.readouterr().err == "plan week: 40 of 100 windows were planned before; 60 are left\n"
    assert progress.num_done == 41
    with WindowProgress("plan week") as progress:
        progress(100, 100, 0.0)
    assert "nothing is left to plan" in capsys.readouterr().err


def test_steps_are_counted(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Tests the line of a step, with what was done."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with StepProgress("build") as progress:
        now[0] = 11.0
        progress(3, 10, "LL on TP8")
    assert capsys.readouterr().err == "build: 3 of 10, LL on TP8\n"


def test_a_narrow_terminal_loses_no_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a table for a terminal of 60 columns still has its first column."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table = make_table(["", "a", "b", "c"], [["Lower bound (serving)", "1,234,567.8 kWh", "9" * 17, "8" * 17]])
    (row,) = [line for line in render(table).splitlines() if "kWh" in line]
    assert row.split() == ["Lower", "bound", "(serving)", "1,234,567.8", "kWh", "9" * 17, "8" * 17]


def test_a_sweep_tells_points_and_windows(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Tests what was there before, then a line every ten seconds with points, windows and energy so far."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with SweepProgress("sweep x") as progress:
        for done in range(500, 530):
            now[0] += 1
            progress(
                SweepState(
                    num_points=12,
                    points_done=done // 100,
                    num_windows=1200,
                    windows_done=done,
                    serving_energy_j=done * 3.6e6,
                )
            )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sweep x: 5 of 12 points and 500 of 1,200 windows were planned before"
    assert lines[1] == "sweep x: 510 of 1,200, 5 of 12 points, 510.0 kWh so far"
    assert 3 <= len(lines) <= 4
    assert progress.note == "5 of 12 points, 529 of 1,200 windows are"
