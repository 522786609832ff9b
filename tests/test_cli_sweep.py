"""Tests of ``dynaopt sweep``: what a person types and what comes of it."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import simple_solver
from sweeping import write_sweep

from dynaopt import cli_sweep
from dynaopt.cli import main
from dynaopt.sweep import SweepState

WORKERS = ["--workers", "1"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a sweep that every cluster in it can serve."""
    simple_solver.register()
    return write_sweep(tmp_path, services='"week.csv"', num_gpus="[40, 64]")


def test_a_sweep_ends_with_a_table(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests what a person sees, and that the table on the screen is that of the file."""
    out = tmp_path / "out"
    assert main(["sweep", str(path), "--out", str(out), *WORKERS]) == 0
    printed = capsys.readouterr().out
    points = pd.read_csv(out / "sweep.csv")
    for part in ("4 points, 80 windows", "Slo scale", "Num gpus", "Check: no violation", f"Table: {out / 'sweep.csv'}"):
        assert part in printed, part
    for energy_j in points["energy_j"]:
        assert f"{energy_j / 3.6e6:,.1f}" in printed
    assert f"Picture: {out / 'sweep.html'}" in printed
    assert "Schedules:" not in printed
    assert (out / "sweep.html").read_text().count("plotly-graph-div") >= 2


def test_a_sweep_goes_by_default_into_the_current_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests the name of the folder, after the file's."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["sweep", str(path), *WORKERS]) == 0
    assert [p.name for p in Path().iterdir()] == ["sweep-small"]


def test_a_sweep_as_json(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that stdout holds one document and nothing else, floats bit for bit those of the table, no NaN in it."""
    out = tmp_path / "out"
    assert main(["sweep", str(path), "--out", str(out), "--json", *WORKERS]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert told["format_version"] == 1
    assert told["swept"] == ["slo_scale", "num_gpus"]
    points = pd.read_parquet(out / "sweep.parquet")
    assert [p["energy_j"] for p in told["points"]] == pytest.approx(points["energy_j"].tolist(), rel=1e-14)
    assert told["points"][0]["power_cap_w"] is None
    assert (told["num_unsolved_points"], told["num_violations"], told["schedules"]) == (0, 0, None)
    assert Path(told["table"]).is_file()
    assert Path(told["picture"]).is_file()


def test_points_without_an_answer_are_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the table is written all the same, with the first reason below it."""
    simple_solver.register()
    path = write_sweep(tmp_path, services='"week.csv"', num_gpus="[1, 64]", slo_scales="1", schedules="true")
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), *WORKERS]) == 1
    printed = capsys.readouterr().out
    assert "1 point has windows without an answer, first week_profile_gpus1: needs" in printed
    assert f"Schedules: {tmp_path / 'out' / 'schedules'}" in printed
    assert len(pd.read_csv(tmp_path / "out" / "sweep.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.toml"], "dynaopt: none.toml: expected a TOML file that says what to sweep, got nothing there"),
        (["{path}", "--workers", "0"], "dynaopt: option --workers: expected at least 1, got 0"),
        (["{path}", "--workers", "2", "--dask", "tcp://x:1"], "dynaopt: option --workers: expected none with Dask"),
        (["{path}", "--out", "{path}"], "dynaopt: option --out, {path}: expected a folder that can be written to"),
        ([], "dynaopt: command line: expected an argument SPEC, got none"),
    ],
)
def test_bad_input_is_one_line(
    path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests exit code 2 and the line on stderr."""
    assert main(["sweep", *(a.format(path=path) for a in arguments)]) == 2
    told = capsys.readouterr().err
    assert told.splitlines()[0].lower().startswith(message.format(path=path).lower().partition(" spec")[0])
    assert len(told.splitlines()) == 1


def test_an_interrupted_sweep_says_what_is_kept(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests Ctrl-C: exit code 130, how far it came, and that the same command goes on."""
    original = cli_sweep.SweepProgress.__call__

    def interrupt(self: cli_sweep.SweepProgress, state: SweepState) -> None:
        original(self, state)
        if state.windows_done >= 30:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(cli_sweep.SweepProgress, "__call__", interrupt)
        assert main(["sweep", str(path), "--out", str(out), *WORKERS]) == 130
    told = capsys.readouterr().err
    assert re.search(r"interrupted; [1-3] of 4 points, \d+ of 80 windows are kept", told)
    assert f"kept in {out}, and the same command goes on there" in told
    assert main(["sweep", str(path), "--out", str(out), *WORKERS]) == 0
    printed = capsys.readouterr()
    assert re.search(r"sweep small: [1-3] of 4 points and \d+ of 80 windows were planned before", printed.err)
