"""Tests of `dynaopt replay`: a plan of a quarter of an hour, replayed with its own requests and with others."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dynaopt.cli import main
from dynaopt.replay_io import TABLES
from dynaopt.synthesis import read_minutes

SPAN = ("--from", "2024-05-10T03:00", "--until", "2024-05-10T03:15")
NUM_REQUESTS = int(read_minutes("coding").iloc[180:195].sum())


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a plan of three windows of the coding week, with ample headroom."""
    folder = tmp_path_factory.mktemp("plan") / "plan"
    assert main(["plan", "azure-2024-coding", *SPAN, "--headroom", "1", "--workers", "1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trace of the same quarter of an hour and of the five minutes behind it."""
    path = tmp_path_factory.mktemp("trace") / "trace.parquet"
    until = ("--from", "2024-05-10T03:00", "--until", "2024-05-10T03:20")
    assert main(["trace", "synthesise", "coding", *until, "--seed", "4", "--out", str(path)]) == 0
    return path


def _json(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> dict:
    capsys.readouterr()
    assert main(["replay", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_plan_with_room_keeps_its_promise(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests exit code 0, the real number of requests, and that the tables are written."""
    told = _json(capsys, 0, str(planned), "--burstiness", "poisson", "--out", str(tmp_path / "r"))
    assert told["broken"] == []
    assert (told["totals"]["num_requests"], told["totals"]["num_lost"]) == (NUM_REQUESTS, 0)
    assert told["inputs"]["requests"] == ["synthesised, azure-2024-coding, seed 0, burstiness poisson"]
    classes = pd.read_csv(tmp_path / "r" / "classes.csv")
    assert classes["num_requests"].iloc[:-1].sum() == classes["num_requests"].iloc[-1] == NUM_REQUESTS
    assert {path.stem for path in (tmp_path / "r").iterdir()} == {"replay", *TABLES}
    windows = pd.read_csv(tmp_path / "r" / "windows.csv")
    assert windows["energy_j"].sum() == pytest.approx(told["totals"]["energy_j"])


def test_the_schedule_s_folder_is_the_default(planned: Path, capsys) -> None:
    """Tests the text: requests, classes, energies, where it was written; and that the schedule is still whole."""
    assert main(["replay", str(planned), "--burstiness", "poisson"]) == 0
    out = capsys.readouterr().out
    assert f"azure-2024-coding: {NUM_REQUESTS:,} requests in 0.25 h" in out
    assert "Every class kept its objectives" in out
    assert f"Replay: {planned / 'replay'}" in out
    assert (planned / "replay" / "replay.json").is_file()
    assert main(["check", str(planned)]) == 0


def test_a_trace_of_the_same_requests_gives_the_same(planned: Path, trace: Path, tmp_path: Path, capsys) -> None:
    """Tests all totals and the note on requests behind the last window.

    A trace counts seconds from its first minute and the drawn week from its own start, so that the last digits differ.
    """
    out = ("--out", str(tmp_path / "r"))
    drawn = _json(capsys, 0, str(planned), "--seed", "4", *out)
    read = _json(capsys, 0, str(planned), "--seed", "4", "--trace", str(trace), *out)
    assert read["totals"] == pytest.approx(drawn["totals"], rel=1e-6)
    counts = [[(row["request_class"], row["num_requests"]) for row in told["classes"]] for told in (read, drawn)]
    assert counts[0] == counts[1]
    behind = int(read_minutes("coding").iloc[195:200].sum())
    assert read["notes"] == [f"{behind:,} requests of the trace are outside the schedule's windows and were left out"]
    assert drawn["notes"] == []


def test_seeds_repeat_and_differ(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests one seed twice and another."""
    out = ("--out", str(tmp_path / "r"))
    first, again, other = (_json(capsys, 0, str(planned), "--seed", seed, *out)["totals"] for seed in "112")
    assert first == again
    assert first["energy_j"] != other["energy_j"]
    assert first["num_requests"] == other["num_requests"]


def test_more_requests_than_planned_break_the_promise(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests a trace of eight times the requests, all at the same moments: exit code 1, and who was late."""
    path = tmp_path / "dense.csv"
    times = pd.date_range("2024-05-10T03:00", periods=900, freq="s")
    rows = "\n".join(f"{time},4000,200" for time in times for _ in range(8 * NUM_REQUESTS // 900))
    path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}\n")
    out = ("--out", str(tmp_path / "r"))
    told = _json(capsys, 1, str(planned), "--trace", str(path), *out)
    assert any("class LM" in line and "time to first token of 2,000 ms" in line for line in told["broken"])
    assert main(["replay", str(planned), "--trace", str(path), *out]) == 1
    assert "Not as promised: class LM" in capsys.readouterr().out


def test_another_profile_is_told(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests a copy of the profile in which a GPU that is on draws more: a note, and as many requests."""
    copy = tmp_path / "copy"
    shutil.copytree(Path(__file__).parents[1] / "profiles" / "llama2-70b-h100", copy)
    text = (copy / "profile.toml").read_text()
    (copy / "profile.toml").write_text(text.replace("start_up_gpu_w = ", "start_up_gpu_w = 1"))
    told = _json(
        capsys, 0, str(planned), "--burstiness", "poisson", "--profile", str(copy), "--out", str(tmp_path / "r")
    )
    assert told["notes"] == ["Profile llama2-70b-h100 is not the one that was planned with"]
    assert told["totals"]["num_requests"] == NUM_REQUESTS


@pytest.fixture(scope="module")
def planned_from_file(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a plan of a trace, whose requests cannot be synthesised."""
    folder = tmp_path_factory.mktemp("plan") / "of-file"
    assert main(["plan", str(trace), "--headroom", "1", "--workers", "1", "--out", str(folder)]) == 0
    return folder


def test_a_plan_of_a_file_needs_its_trace(planned_from_file: Path, trace: Path, tmp_path: Path, capsys) -> None:
    """Tests exit code 2 and what to type without it, and that it is replayed with it."""
    assert main(["replay", str(planned_from_file)]) == 2
    error = capsys.readouterr().err
    assert f"got the file {trace}" in error
    assert "give the requests with --trace FILE" in error
    told = _json(capsys, 0, str(planned_from_file), "--trace", str(trace), "--out", str(tmp_path / "r"))
    assert told["totals"]["num_requests"] == NUM_REQUESTS + int(read_minutes("coding").iloc[195:200].sum())


def test_bad_input_is_told_before_anything_is_replayed(planned: Path, trace: Path, tmp_path: Path, capsys) -> None:
    """Tests folders, traces and options that cannot be used: exit code 2 and one line each."""
    old, bad = tmp_path / "old.csv", tmp_path / "bad.csv"
    old.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    bad.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 03:00:00,0,44\n")
    cases = [
        ([str(tmp_path / "none")], "expected a folder with a schedule"),
        ([str(planned), "--trace", str(tmp_path / "none.csv")], "expected a trace, got nothing there"),
        ([str(planned), "--trace", str(old)], "expected requests between 2024-05-10T03:00:00+00:00 and"),
        ([str(planned), "--trace", str(bad)], "line 2, column 'ContextTokens'"),
        ([str(planned), "--trace", str(trace), "--trace", str(trace)], "option --trace: expected one file"),
        ([str(planned), "--burstiness", "more"], "burstiness: expected one of bounded"),
        ([str(planned), "--seed", "-1"], "seed: expected an integer from 0"),
        ([str(planned), "--out", str(trace)], "option --out"),
        ([str(planned), "--profile", "none"], "profile"),
    ]
    for words, message in cases:
        assert main(["replay", *words]) == 2, words
        captured = capsys.readouterr()
        assert message in captured.err
        assert (captured.err.count("\n"), captured.out) == (1, "")
