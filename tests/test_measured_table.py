"""Tests of `dynaopt.measured_table`."""

from pathlib import Path

import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.measured_table import read_load_table

HEADER = "rate_rps,power_w,ttft_p50_s,ttft_p99_s,tbt_p50_s,tbt_p99_s"
ROWS = ("0,300,0.1,0.2,0.02,0.02", "1,800,0.1,0.3,0.02,0.05")
DEFAULTS = {"tp": 2, "frequency_mhz": 1980, "request_class": "MM"}


def _write(folder: Path, header: str = HEADER, rows: tuple[str, ...] = ROWS) -> Path:
    path = folder / "load.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_one_configuration(tmp_path: Path) -> None:
    """Tests a table without configurations: all its rows are of the one given."""
    ((key, levels),) = read_load_table(_write(tmp_path), DEFAULTS).items()
    assert key == (2, 1980, "MM")
    assert [(level.rate_rps, level.power_w, level.tbt_p99_s) for level in levels] == [(0, 300, 0.02), (1, 800, 0.05)]


def test_configurations_in_the_table_count(tmp_path: Path) -> None:
    """Tests columns that say what each row is of, whatever the defaults."""
    rows = tuple(f"{tp},1200,{name},{row}" for tp, name in ((2, "SS"), (4, "LL")) for row in ROWS)
    levels = read_load_table(_write(tmp_path, f"tp,frequency_mhz,request_class,{HEADER}", rows), DEFAULTS)
    assert {key: len(own) for key, own in levels.items()} == {(2, 1200, "SS"): 2, (4, 1200, "LL"): 2}


def test_power_may_come_from_a_log(tmp_path: Path) -> None:
    """Tests rows without power but with times."""
    header = "rate_rps,ttft_p50_s,ttft_p99_s,tbt_p50_s,tbt_p99_s,start_time,end_time"
    row = "1,0.1,0.2,0.02,0.02,2025-11-22T11:55:00Z,2025-11-22T12:00:00Z"
    (levels,) = read_load_table(_write(tmp_path, header, (row,)), DEFAULTS).values()
    assert levels[0].power_w is None
    assert levels[0].end == pd.Timestamp("2025-11-22T12:00:00Z")


@pytest.mark.parametrize(
    ("header", "row", "defaults", "message"),
    [
        (HEADER, ROWS[0], DEFAULTS | {"tp": None}, "expected a column 'tp', or --tp, got neither"),
        (HEADER, ROWS[0], DEFAULTS | {"frequency_mhz": None}, "'frequency_mhz', or --frequency-mhz, got neither"),
        (
            HEADER,
            "0,300,0.3,0.2,0.02,0.02",
            DEFAULTS,
            "line 2: expected a P99 TTFT of at least the P50, 0.3 s, got 0.2 s",
        ),
        (
            HEADER,
            "0,300,0.1,,0.02,0.02",
            DEFAULTS,
            "line 2, column 'ttft_p99_s': expected a number above 0, got an empty",
        ),
        (HEADER.replace("ttft_p99_s", "ttft_p95_s"), ROWS[0], DEFAULTS, "line 1: expected a column 'ttft_p99_s'"),
        (f"request_class,{HEADER}", f"ALL-mine,{ROWS[0]}", DEFAULTS, "expected one of SS, .*, got 'ALL-mine'"),
        (
            f"{HEADER},start_time,end_time",
            f"{ROWS[0]},2025-11-22T12:00:00Z,2025-11-22T11:00:00Z",
            DEFAULTS,
            "line 2: expected an end_time after the start_time",
        ),
    ],
)
def test_what_is_no_level(tmp_path: Path, header: str, row: str, defaults: dict, message: str) -> None:
    """Tests that line and column are named."""
    with pytest.raises(InvalidInputError, match=message):
        read_load_table(_write(tmp_path, header, (row,)), defaults)


def test_a_load_twice(tmp_path: Path) -> None:
    """Tests that a second row of the same load is refused."""
    with pytest.raises(InvalidInputError, match=r"line 3: expected each row once, got a second row for rate_rps=0"):
        read_load_table(_write(tmp_path, rows=(ROWS[0], ROWS[0])), DEFAULTS)
