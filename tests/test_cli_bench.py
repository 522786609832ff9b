"""Tests of `dynaopt bench`."""

import json
from pathlib import Path

import pytest

from dynaopt.best_known import BestKnown, Status, read_best_known, write_best_known
from dynaopt.cli import main

BENCH = ["bench", "--solver", "greedy", "--family", "classes", "--time-limit", "2"]


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """Return a file in which nothing is known."""
    path = tmp_path / "best_known.csv"
    write_best_known({}, path)
    return path


def test_bench_ends_with_tables(unknown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the row of the solver and that of the family."""
    assert main([*BENCH, "--best-known", str(unknown)]) == 0
    out = capsys.readouterr().out
    starts = [line.split()[:2] for line in out.splitlines()]
    assert ["greedy", "3"] in starts
    assert ["classes", "greedy"] in starts
    assert "Every answer passes the check; no false claim." in out


def test_bench_as_json(unknown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests one document with summary, runs and machine, without NaN."""
    assert main([*BENCH, "--best-known", str(unknown), "--json", "--repeats", "2"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert [row["solver"] for row in told["summary"]] == ["greedy"]
    assert {run["num_repeats"] for run in told["runs"]} == {2}
    assert {run["family"] for run in told["runs"]} == {"classes"}
    assert told["defects"] == []
    assert told["meta"]["cores"] >= 1


def test_what_is_found_is_written_only_when_asked(unknown: Path) -> None:
    """Tests that --update fills the file of best known answers, and nothing else does."""
    assert main([*BENCH, "--best-known", str(unknown)]) == 0
    assert read_best_known(unknown) == {}
    assert main([*BENCH, "--best-known", str(unknown), "--update"]) == 0
    known = read_best_known(unknown)
    assert {best.solver for best in known.values()} == {"greedy"}


def test_a_defect_makes_exit_code_1(unknown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a bound that an answer refutes is told."""
    assert main([*BENCH, "--best-known", str(unknown), "--update"]) == 0
    known = read_best_known(unknown)
    name, best = next(iter(known.items()))
    false = BestKnown(
        case=name,
        problem_sha256=best.problem_sha256,
        status=Status.FEASIBLE,
        power_w=best.power_w * 3,
        lower_bound_w=best.power_w * 2,
        solver="nobody",
        version="0",
    )
    write_best_known({**known, name: false}, unknown)
    capsys.readouterr()
    assert main([*BENCH, "--best-known", str(unknown)]) == 1
    out = capsys.readouterr().out
    assert "defects:" in out
    assert name in out


def test_what_is_stored_is_not_run_again(unknown: Path, tmp_path: Path) -> None:
    """Tests that a table of runs stays as it was, times included."""
    arguments = [*BENCH, "--best-known", str(unknown), "--store", str(tmp_path / "runs")]
    assert main(arguments) == 0
    before = (tmp_path / "runs" / "greedy.csv").read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / "runs" / "greedy.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--solver", "gurobi"], "option --solver: expected one of"),
        (["--family", "shapes"], "option --family: expected one of"),
        (["--time-limit", "0"], "option --time-limit: expected a number above 0, got 0"),
        (["--gap", "-1"], "option --gap: expected a number of at least 0, got -1"),
        (["--repeats", "0"], "option --repeats: expected at least 1, got 0"),
        (["--best-known", "nowhere.csv"], "nowhere.csv: expected a file, got nothing there"),
        (["--best-known", "best.txt", "--update"], "option --best-known: expected a file ending in .csv"),
        (["--store", str(Path(__file__))], "expected a folder that can be written to, got a file"),
    ],
)
def test_bad_options(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests one line for each."""
    assert main(["bench", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
