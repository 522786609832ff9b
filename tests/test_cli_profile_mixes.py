"""Tests of `dynaopt profile mixes`."""

import hashlib
import json
from pathlib import Path

import pytest
from mix_builders import simulated
from profile_faults import TINY

from dynaopt import cli_profile_mixes
from dynaopt.cli import main
from dynaopt.lengths import Lengths
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile, write_profile


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a trace of five minutes, two requests a second: four of five are SS, one is LS."""
    lengths = [(9500, 9) if n % 50 == 0 else (3000, 30) if n % 5 == 0 else (100, 20) for n in range(600)]
    rows = [f"2023-11-16 18:{n // 120:02d}:{n // 2 % 60:02d},{i},{o}" for n, (i, o) in enumerate(lengths)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]))
    return path


@pytest.fixture
def folder(tiny: Profile, tmp_path: Path) -> Path:
    """Return a folder with a profile that tells how its curves were simulated."""
    write_profile(simulated(tiny), tmp_path / "old")
    return tmp_path / "old"


def test_a_trace_becomes_mixes_that_a_comparison_takes(
    folder: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests the folder, what is told, and that pools of mixes then use the new curves and are not called rough."""
    out = tmp_path / "new"
    assert main(["profile", "mixes", str(folder), "--trace", str(trace), "--workers", "1", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "ALL-mine: SS 80.00%, LS 20.00%\nALL-mine-S: SS 100.00%\nALL-mine-L: LS 100.00%\n" in told.out
    assert told.out.splitlines()[-1].startswith(f"{out}: Profile(tiny")
    assert "has no curve" not in told.err
    digest = hashlib.sha256(trace.read_bytes()).hexdigest()
    shares = read_profile(out).metadata.provenance[-1]
    assert shares.source == f"mine.csv (SHA-256 {digest}), 600 requests, 3 pairs of lengths"
    assert shares.licence == "as the trace's"
    assert len(read_profile(folder).metadata.mixes) == 1
    words = [
        "compare",
        str(trace),
        "--profile",
        str(out),
        "--policies",
        "one-mixed-pool,input-pools",
        "--slo-scale",
        "30",
    ]
    assert main([*words, "--out", str(tmp_path / "compared"), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [policy["num_violations"] for policy in compared["policies"]] == [0, 0]
    assert compared["notes"] == []


def test_a_degree_without_room_is_told(
    folder: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests a request of 45,009 tokens, more than the 42,517 of TP2's KV cache: told of the whole and of its L part."""
    trace.write_text(trace.read_text().replace(",9500,", ",45000,", 1))
    words = ["profile", "mixes", str(folder), "--trace", str(trace), "--workers", "1", "--out", str(tmp_path / "new")]
    assert main(words) == 0
    told = capsys.readouterr().err
    assert "note: ALL-mine has no curve on TP2: a request exceeds its KV cache" in told
    assert "note: ALL-mine-L has no curve on TP2" in told
    assert "ALL-mine-S has no curve" not in told


def test_what_was_typed_is_passed_on(folder: Path, trace: Path, tmp_path: Path, monkeypatch) -> None:
    """Tests name, licence, seed and workers, and that --overwrite replaces a profile; adding has its own tests."""
    calls: list[dict] = []

    def fake(profile: Profile, lengths: Lengths, name: str, **options) -> Profile:
        calls.append({"name": name, "requests": lengths.weight.sum(), **options})
        return profile

    monkeypatch.setattr(cli_profile_mixes, "add_mixes", fake)
    words = ["profile", "mixes", str(folder), "--trace", str(trace), "--out", str(folder), "--overwrite"]
    assert main([*words, "--name", "hour-2023", "--licence", "CC-BY-4.0", "--seed", "7", "--workers", "3"]) == 0
    (call,) = calls
    assert (call["name"], call["requests"], call["licence"]) == ("hour-2023", 600, "CC-BY-4.0")
    assert (call["seed"], call["workers"]) == (7, 3)
    assert read_profile(folder).curves.keys() == simulated(read_profile(TINY)).curves.keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(TINY), "--trace", "TRACE"], "profile tiny: expected one that tells how its curves were simulated"),
        (["FOLDER", "--trace", "TRACE", "--name", "conversation"], "got 'conversation', of which it has ALL-conv"),
        (["FOLDER", "--trace", "TRACE", "--name", "my trace"], "name of a mix: expected letters, digits"),
        (["FOLDER", "--trace", "none.csv"], "none.csv: expected a trace, got nothing there"),
        (["no-such-profile", "--trace", "TRACE"], "profile: expected a folder with a profile.toml"),
        (["FOLDER", "--trace", "TRACE", "--workers", "0"], "option --workers: expected at least 1, got 0"),
        (["FOLDER", "--trace", "TRACE", "--out", "FOLDER"], "expected a folder without a profile"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    words: list[str], said: str, folder: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests exit code 2, one line, and that nothing is written."""
    paths = {"FOLDER": str(folder), "TRACE": str(trace)}
    typed = [paths.get(word, word) for word in words]
    assert main(["profile", "mixes", "--out", str(tmp_path / "new"), *typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "new").exists()


def test_a_promotion_to_shorter_inputs_is_warned_of(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests 150 SS of 200 input tokens and 150 SM of 100: with --classes promoting SS to SM is warned of."""
    rows = [f"2023-11-16 18:{n // 60:02d}:{n % 60:02d},{200 - 100 * (n % 2)},{20 + 130 * (n % 2)}" for n in range(300)]
    path = tmp_path / "short.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, ""]))
    words = ["profile", "mixes", str(folder), "--trace", str(path), "--workers", "1", "--out", str(tmp_path / "new")]
    assert main([*words, "--classes"]) == 0
    told = capsys.readouterr().err
    assert "warning: inputs of SM have 100 tokens on average, those of SS 200" in told
    assert told.count("warning: inputs") == 1
