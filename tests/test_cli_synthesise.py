"""Tests of `dynaopt trace synthesise`."""

import io
from pathlib import Path

import pandas as pd
import pytest

from dynaopt.cli import main
from dynaopt.synthesis import read_minutes

PART = ("--from", "2024-05-12T00:10", "--until", "2024-05-12T00:20")


def test_a_part_of_the_week_is_written_and_can_be_planned_from(tmp_path: Path, capsys) -> None:
    """Tests the counts of ten minutes, the line that says what was written, and that `trace demand` reads it."""
    path = tmp_path / "part.csv.gz"
    assert main(["trace", "synthesise", "--out", str(path), *PART]) == 0
    requests = int(read_minutes("conversation").iloc[10:20].sum())
    expected = f"{path}: {requests:,} requests from 2024-05-12T00:10:00+00:00 to 2024-05-12T00:20:00+00:00"
    assert expected in capsys.readouterr().out
    assert main(["trace", "demand", str(path)]) == 0
    demand = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert demand["window_start"].unique().tolist() == ["2024-05-12T00:10:00Z", "2024-05-12T00:15:00Z"]
    assert demand["rate_rps"].sum() * 300 == pytest.approx(requests)


def test_text_goes_to_stdout(capfdbinary) -> None:
    """Tests that stdout is the trace and nothing else, under the short name of the service."""
    assert main(["trace", "synthesise", "coding", "--until", "2024-05-10T00:05"]) == 0
    out = capfdbinary.readouterr().out
    assert out.startswith(b"TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.")
    assert out.count(b"\n") == 1 + read_minutes("coding").iloc[:5].sum()


def test_seed_and_burstiness_change_the_requests(tmp_path: Path) -> None:
    """Tests that the same command gives the same bytes, and another seed or reading others."""
    runs = {"a": (), "b": (), "c": ("--seed", "1"), "d": ("--burstiness", "poisson")}
    for name, options in runs.items():
        out = ("--out", str(tmp_path / f"{name}.csv"))
        assert main(["trace", "synthesise", "azure-2024-conversation", *PART, *out, *options]) == 0
    texts = {name: (tmp_path / f"{name}.csv").read_bytes() for name in runs}
    assert texts["a"] == texts["b"]
    assert len(set(texts.values())) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cod"], "expected one of azure-2024-conversation, azure-2024-coding"),
        (["coding", "--out", "trace.txt"], "option --out: expected a file ending in .csv or .csv.gz or .parquet"),
        (["coding", "--out", "no/such/folder/t.csv"], "option --out: expected a file in a folder that is there"),
        (["coding", "--burstiness", "more"], "burstiness: expected one of bounded, minutes, relative, index, poisson"),
        (["coding", "--seed", "-1"], "seed: expected an integer from 0"),
        (["coding", "--seed", "x"], "expected an integer, got 'x'"),
        (["coding", "--from", "2023-01-01", "--until", "2023-01-02"], "option --from: expected windows between"),
    ],
)
def test_bad_input_is_told_in_one_line(words: list[str], message: str, capsys) -> None:
    """Tests exit code 2 and the message, before anything is written."""
    assert main(["trace", "synthesise", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
