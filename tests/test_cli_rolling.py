"""Tests of `dynaopt.cli_rolling`."""

import json
from pathlib import Path

import pytest
from forecast_builders import line_profile, make_demand

from dynaopt.cli import main
from dynaopt.demand import write_demand
from dynaopt.profile_io import write_profile
from dynaopt.schedule_io import read_schedule


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Return the arguments of a small run: a step from 15 to 35 requests/s."""
    write_profile(line_profile(), tmp_path / "tiny")
    write_demand(make_demand([15.0, 15, 15, 15, 35, 35, 35, 35]), tmp_path / "step.csv")
    return [
        "rolling",
        str(tmp_path / "step.csv"),
        "--profile",
        str(tmp_path / "tiny"),
        "--gpus",
        "64",
        "--headroom",
        "0",
    ]


def test_json_tells_energy_and_overload(inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the oracle has no overload and reacting has, and that nothing else is violated."""
    assert main([*inputs, "--forecast", "oracle", "--forecast", "last", "--quantile", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shares = {run["forecast"]: run["overload_share"] for run in found["runs"]}
    assert shares["oracle"] == 0
    assert shares["last"] > 0.1
    assert found["num_violations"] == 0


def test_table_and_files(inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the table's regret, and that the schedule written is the one that ran."""
    assert main([*inputs, "--forecast", "oracle", "--forecast", "last", "--out", str(tmp_path / "out")]) == 0
    assert "+0.0%" in capsys.readouterr().out
    schedule = read_schedule(tmp_path / "out" / "oracle")
    assert schedule.metadata.solver == "rolling-oracle"
    assert schedule.num_windows == 7
    assert (tmp_path / "out" / "last" / "rolling.html").stat().st_size > 1000


def test_unknown_forecasts_are_refused(inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a wrong name ends with 2 and tells the right ones."""
    assert main([*inputs, "--forecast", "tea-leaves"]) == 2
    assert "scaled-template" in capsys.readouterr().err


def test_looking_ahead(inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that windows are planned together on demand, and that rules for spare instances are none beside it."""
    assert main([*inputs, "--forecast", "oracle", "--look-ahead", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["runs"][0]["overload_share"], found["num_violations"]) == (0, 0)
    assert main([*inputs, "--look-ahead", "4", "--keep", "1"]) == 2
    assert "--keep" in capsys.readouterr().err
    assert main([*inputs, "--look-ahead", "-1"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_progress_does_not_speak_of_windows_planned_before(
    inputs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that a run, which never goes on from an earlier one, counts its windows and nothing else."""
    monkeypatch.setattr("dynaopt.console._SECONDS_BETWEEN_LINES", -1.0)
    assert main([*inputs, "--forecast", "last"]) == 0
    err = capsys.readouterr().err
    assert "rolling step, last: 1 of 7, 0." in err
    assert "before" not in err
