"""Tests of `dynaopt.cli_prices`."""

import json
from pathlib import Path

import pandas as pd
import pytest
from planning import OPTIONS, make_small_profile, make_week

from dynaopt.cli import main
from dynaopt.horizon import plan
from dynaopt.profile_io import write_profile

GREEDY = ["--solver", "greedy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a plan of six windows, of which the last, and busiest, has no answer."""
    base = tmp_path_factory.mktemp("prices")
    write_profile(make_small_profile(), base / "profile")
    options = {"solver": "greedy", "workers": 1, "paths": {"small-tiny-model": base / "profile"}, **OPTIONS}
    plan(make_week(6, too_much=(5,)), make_small_profile(), out=base / "plan", **options)
    return base / "plan"


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stdout, one blank between words."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_table_of_a_window(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests title, units and signs of the window of a moment; milliseconds stand only here."""
    assert main(["prices", str(folder), "--window", "2024-05-12T00:04", *GREEDY]) == 0
    lines = told(capsys)
    assert lines[0] == "small-week, window 2024-05-12 00:00 UTC: what things are worth"
    assert "gpu cluster +1 GPUs +0.000 -0.000 to +0.000" in lines
    assert any(line.startswith("request class tiny-model SS +1 requests/s +") for line in lines)
    assert any(line.startswith("ttft all -10 ms +0.000") for line in lines)
    assert lines[-1].startswith("Wh are those of one window")


def test_the_busiest_window_by_default(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that without an answer it has no prices, but what it lacks is told."""
    assert main(["prices", str(folder), *GREEDY]) == 0
    lines = told(capsys)
    assert lines[0].startswith("small-week, window 2024-05-12 00:25 UTC has no answer: the smallest single change")
    assert any(line.startswith("gpu cluster 64 ") and line.endswith(" GPUs yes") for line in lines)
    assert not any(line.startswith("Wh") for line in lines)


def test_kinds_json_and_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests all windows as JSON and as a table: five of six have a price of a GPU and of a server each."""
    out = tmp_path / "prices.csv"
    words = ["--window", "all", "--kind", "gpu", "--out", str(out), "--json", "--workers", "1"]
    assert main(["prices", str(folder), *words, *GREEDY]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["window_s"] == 300.0
    assert len(content["prices"]) == 10
    assert {row["kind"] for row in content["relaxations"]} == {"gpu", "arrivals"}
    assert content["prices"][0]["unit"] == "GPUs"
    assert len(pd.read_csv(out)) == 10


def test_each_objective(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests 10 ms more and less for each of nine classes."""
    words = ["--window", "2024-05-12", "--kind", "tbt", "--each-slo", "--json"]
    assert main(["prices", str(folder), *words, *GREEDY]) == 0
    assert len(json.loads(capsys.readouterr().out)["prices"]) == 18


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "2025-01-01"], "option --window: expected a moment in the windows of 2024-05-12T00:00:00"),
        (["--kind", "gpus"], "option --kind: expected some of request_class, gpu"),
        (["--kind", "power_cap", "--window", "2024-05-12"], "option --kind: expected a schedule with a power cap"),
        (["--out", "prices.txt"], "option --out: expected a file ending in .csv or .parquet, got prices.txt"),
        (["--profile", "llama2-70b-h100"], "profile small-tiny-model: expected the one that was planned with"),
    ],
)
def test_bad_options(folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests exit code 2 and one line."""
    assert main(["prices", str(folder), *words, *GREEDY]) == 2
    assert message in capsys.readouterr().err


def test_changes_without_an_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests that a change that leaves no answer is told so in its row, and why below the table.

    The headroom leaves the only TP8 half a request per second, so that one more of any class does not fit.
    """
    demand = make_week(1)
    window = demand.window(0)
    headroom = 50 / (window.peak_factor[""] * (float(window.rate_rps[""].sum()) + 0.5)) - 1
    write_profile(make_small_profile(), tmp_path / "profile")
    options = {"solver": "greedy", "workers": 1, "paths": {"small-tiny-model": tmp_path / "profile"}}
    plan(demand, make_small_profile(), out=tmp_path / "plan", num_gpus=8, headroom=headroom, **options)
    assert main(["prices", str(tmp_path / "plan"), "--window", "busiest", "--kind", "request_class", *GREEDY]) == 0
    lines = told(capsys)
    without = [line for line in lines if line.endswith("no answer –")]
    assert len(without) == 9
    assert len([line for line in lines if line.startswith("No answer with +1 requests/s of ")]) == 9
    assert any("needs 10 GPUs of 8" in line for line in lines)
