"""Tests of `dynaopt trace`."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from test_cli import DEMAND

from dynaopt.cli import main
from dynaopt.demand import read_demand

SOME = [("00:00:01", 100, 10), ("00:03:00", 3000, 400), ("00:03:30.25", 300, 20), ("00:07:00", 100, 10)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a trace of four requests in two windows of five minutes."""
    rows = [f"2024-05-12 {time}+00:00,{i},{o}" for time, i, o in SOME]
    path = tmp_path / "hour.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]))
    return path


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_summary_of_a_trace(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests requests, span, lengths and class shares of four requests."""
    told = _json(capsys, "trace", "summary", str(trace))
    assert told["num_requests"] == 4
    assert told["first"] == "2024-05-12T00:00:01+00:00"
    assert told["lengths"]["input_tokens"]["mean"] == pytest.approx(875)
    assert told["lengths"]["output_tokens"]["max"] == 400
    assert {name: share for name, share in told["class_share"].items() if share} == {"SS": 0.5, "MS": 0.25, "LL": 0.25}
    assert main(["trace", "summary", str(trace)]) == 0
    out = capsys.readouterr().out
    assert "hour: 4 requests from 2024-05-12 00:00:01" in out
    assert ["mean", "875", "110"] in [line.split() for line in out.splitlines()]
    assert ["LL", "25.00%"] in [line.split() for line in out.splitlines()]


def test_summary_with_other_cut_points(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that terciles of four requests are not Table IV's cut-points."""
    told = _json(capsys, "trace", "summary", str(trace), "--cut-points", "terciles")
    assert told["cut_points"] == {"input_tokens": [100, 300], "output_tokens": [10, 20]}


def test_summary_of_a_shipped_week(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the published number of requests, and shares that add up to 1."""
    told = _json(capsys, "trace", "summary", "azure-2024-coding")
    assert told["num_requests"] == pytest.approx(16_803_695)
    assert (told["num_windows"], told["window_s"]) == (2016, 300.0)
    assert sum(told["class_share"].values()) == pytest.approx(1)
    assert told["peak_rate_rps"] > told["mean_rate_rps"] > 0
    assert main(["trace", "summary"]) == 0
    assert "27,303,999 requests" in capsys.readouterr().out


def test_the_demand_of_a_trace_can_be_planned_from(trace: Path, tmp_path: Path, capsys) -> None:
    """Tests the table in both kinds of file, and the line that says what was written."""
    for name in ("demand.csv", "demand.parquet"):
        assert main(["trace", "demand", str(trace), "--out", str(tmp_path / name)]) == 0
        assert f"{tmp_path / name}: Demand(hour: 2 windows of 300 s" in capsys.readouterr().out
        demand = read_demand(tmp_path / name)
        assert demand.num_requests == pytest.approx(4)
        assert demand.window(0).rate_rps[""].sum() == pytest.approx(3 / 300)


def test_demand_goes_to_stdout(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that stdout is the table and nothing else, for the part and the length of window asked for."""
    assert main(["trace", "demand", str(trace), "--window", "1min", "--from", "2024-05-12T00:03"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table["window_start"].tolist() == ["2024-05-12T00:03:00Z"] * 2 + ["2024-05-12T00:07:00Z"]
    assert table["rate_rps"].tolist() == pytest.approx([1 / 60] * 3)


def test_a_demand_passes_through(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a table of demand is its own demand."""
    assert main(["trace", "demand", str(DEMAND)]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    pd.testing.assert_series_equal(table["rate_rps"], pd.read_csv(DEMAND)["rate_rps"], check_dtype=False)


@pytest.mark.parametrize("name", ["demand.txt", "nowhere/demand.csv"])
def test_where_demand_cannot_go(name: str, trace: Path, tmp_path: Path, capsys) -> None:
    """Tests another ending and a folder that is not there: one line before the trace is read."""
    assert main(["trace", "demand", str(trace), "--out", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("dynaopt: option --out: expected a file")
