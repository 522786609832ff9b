"""Tests of `dynaopt compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynaopt.cli import main

HOUR = ["--from", "2024-05-14T12:00", "--until", "2024-05-14T12:30"]
FEW = "single-pool,multi-pool,one-mixed-pool,plan"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a trace of 600 short requests, two a second for five minutes."""
    rows = [f"2023-11-16 18:{n // 120:02d}:{n // 2 % 60:02d}.{n % 2 * 5}00000,100,20" for n in range(600)]
    path = tmp_path / "short.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]))
    return path


def compare(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict:
    """Compare, and return what was printed as JSON."""
    assert main(["compare", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_policies_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests half an hour of the shipped week: JSON, table, page, and folders that `dynaopt check` accepts."""
    out = tmp_path / "out"
    told = compare(capsys, *HOUR, "--policies", FEW, "--out", str(out))
    assert [p["name"] for p in told["policies"]] == ["single-pool", "multi-pool", "one-mixed-pool", "plan-exact"]
    assert all(p["num_violations"] == 0 and p["violations"] == [] for p in told["policies"])
    energy = {p["name"]: p["energy_j"] for p in told["policies"]}
    single, multi = told["policies"][:2]
    assert multi["relative_energy"] == pytest.approx(energy["multi-pool"] / energy["single-pool"])
    assert multi["paper_relative_energy"] == pytest.approx(39.5 / 32.8)
    assert single["saved_by_plan"] == pytest.approx(1 - energy["plan-exact"] / energy["single-pool"])
    assert told["paper_experiment"] == "hour"
    assert json.loads((out / "compare.json").read_text()) == told
    assert "one mixed pool" in (out / "compare.html").read_text(encoding="utf-8")
    for policy in told["policies"]:
        assert main(["check", policy["schedule"]]) == 0
        assert "6 windows checked, no violation" in capsys.readouterr().out
    assert main(["compare", *HOUR, "--policies", FEW, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "azure-2024-conversation: 6 windows from 2024-05-14 12:00 UTC" in text
    assert ["MultiPool", f"{energy['multi-pool'] / 3.6e6:.1f}"] == next(
        line.split()[:2] for line in text.splitlines() if line.strip().startswith("MultiPool ")
    )


def test_a_damaged_folder_does_not_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that `dynaopt check` refuses a folder of a comparison in which one count was changed."""
    told = compare(capsys, *HOUR, "--policies", "multi-pool", "--out", str(tmp_path))
    windows = Path(told["policies"][0]["schedule"]) / "windows.csv"
    lines = windows.read_text().splitlines()
    cells = lines[1].split(",")
    cells[lines[0].split(",").index("num_gpus")] = "8"
    windows.write_text("\n".join([lines[0], ",".join(cells), *lines[2:], ""]))
    assert main(["check", told["policies"][0]["schedule"]]) == 1
    assert "GPUs of a window" in capsys.readouterr().out


def test_a_trace_is_compared_on_and_replayed(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the 600 requests of the trace are those that are replayed, and none is lost."""
    told = compare(capsys, str(trace), "--replay", "--policies", "one-mixed-pool,plan", "--out", str(tmp_path / "out"))
    for policy in told["policies"]:
        assert policy["replay"]["num_requests"] == 600
        assert policy["replay"]["num_lost"] == 0
        assert policy["replay"]["energy_ratio"] == pytest.approx(
            policy["replay"]["energy_j"] / policy["energy_j"], rel=1e-6
        )


def test_rates_may_be_scaled(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that twenty times the requests are compared on, under another name."""
    once = compare(capsys, str(trace), "--policies", "plan", "--out", str(tmp_path / "once"))
    many = compare(capsys, str(trace), "--scale-rate", "20", "--policies", "plan", "--out", str(tmp_path / "many"))
    assert (once["demand"], many["demand"]) == ("short", "short-x20")
    assert many["policies"][0]["num_requests"] == pytest.approx(20 * once["policies"][0]["num_requests"])


def test_what_does_not_fit_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests a MultiPool that needs more than 144 GPUs: exit code 0, its violations and a note."""
    told = compare(capsys, *HOUR, "--gpus", "144", "--policies", "multi-pool,plan", "--out", str(tmp_path))
    multi, plan = told["policies"]
    assert (multi["fits"], multi["is_right"], plan["fits"]) == (False, True, True)
    assert {v["kind"] for v in multi["violations"]} == {"more GPUs than there are"}
    assert told["notes"] == ["MultiPool needs 152 GPUs of 144; its energy is that of them all."]
    assert multi["gpus_max"] == 152


def test_a_policy_that_cannot_serve_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests one mixed pool on 24 GPUs: a dash in the table and a sentence below it."""
    told = compare(capsys, *HOUR, "--gpus", "24", "--policies", "one-mixed-pool", "--out", str(tmp_path))
    assert told["policies"][0]["reason"] == "24 GPUs are too few for these pools at 2024-05-14 12:00"
    assert told["notes"] == [
        "one mixed pool cannot serve this: 24 GPUs are too few for these pools at 2024-05-14 12:00"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policies", "everything"], "option --policies: expected one of spread-single-pool"),
        (["--policies", "plan,plan"], "option --policies: expected each policy once, got 'plan,plan'"),
        (["--scale-rate", "0"], "option --scale-rate: expected a number above 0, got 0.0"),
        (["--scale-rate", "2", "--replay"], "option --scale-rate: expected 1 with --replay"),
        (["--solver", "gurobi"], "option --solver: expected one of exact"),
        (["--gpus", "0"], "option --gpus"),
        (["--headroom", "-1"], "option --headroom"),
        (["nowhere"], "demand: expected one of azure-2024-conversation"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that what was typed wrong ends with exit code 2 and a line that says what."""
    assert main(["compare", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
