"""Tests of the program as a whole: what a person types and what comes of it."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from profile_faults import TINY

import dynaopt
from dynaopt import cli, cli_plan
from dynaopt.cli import main
from dynaopt.schedule_io import read_schedule

DEMAND = Path(__file__).parent / "data" / "small" / "demand.csv"
PLAN = ["plan", str(DEMAND), "--profile", str(TINY), "--workers", "1"]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a plan of the small demand."""
    folder = tmp_path_factory.mktemp("planned") / "plan"
    assert main([*PLAN, "--out", str(folder)]) == 0
    return folder


def _json(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 0) -> dict:
    capsys.readouterr()
    assert main(arguments) == code
    return json.loads(capsys.readouterr().out)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the program and the package agree."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dynaopt {dynaopt.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the program tells its commands, also when nothing was typed."""
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for command in ("plan", "check", "bench", "report", "profile", "trace"):
        assert re.search(rf"\b{command}\b", out), command


@pytest.mark.parametrize("command", ["plan", "check", "bench", "report", "profile", "trace", "profile build"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that --help works below, too."""
    assert main([*command.split(), "--help"]) == 0
    assert f"Usage: dynaopt {command}" in capsys.readouterr().out


def test_plan_ends_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests what a person sees: energy, GPUs, gap, the usual set-up, the check, and where the files are."""
    assert main([*PLAN, "--out", str(tmp_path / "plan")]) == 0
    printed = capsys.readouterr()
    for part in (
        "demand: 6 windows from 2024-05-12 00:00 UTC",
        "this plan",
        "best single pool,",
        "TP4 at 2000 MHz",
        "Saved by this plan",
        "Mean power",
        "GPUs, min / mean / max",
        "Per 1,000 requests",
        "Lower bound (coupled)",
        "Gap",
        " single pool,",
        "Check: no violation",
        f"Schedule: {tmp_path / 'plan'}",
        f"Page: {tmp_path / 'plan' / 'report.html'}",
    ):
        assert part in printed.out, part
    assert (tmp_path / "plan" / "report.html").stat().st_size > 1_000_000


def test_the_table_tells_the_schedule(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the energy of the table is the sum over the windows that were written."""
    energy_kwh = pd.read_csv(planned / "windows.csv")["energy_j"].sum() / 3.6e6
    assert main([*PLAN, "--out", str(planned)]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["Energy"])
    assert f"{energy_kwh:,.1f} kWh" in row


def test_plan_as_json(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that stdout holds one JSON document and nothing else, its numbers those of the schedule."""
    told = _json(capsys, [*PLAN, "--out", str(planned), "--json"])
    schedule = read_schedule(planned)
    assert told["summary"] == pytest.approx(schedule.summary())
    assert told["format_version"] == 1
    assert (told["demand"], told["profiles"], told["solver"]) == ("demand", ["tiny"], "coupled")
    assert told["violations"] == []
    names = [baseline["name"] for baseline in told["baselines"]]
    assert names == ["single pool, TP4 at 2000 MHz", "best single pool, TP4 at 2000 MHz"]
    for baseline in told["baselines"]:
        assert baseline["saving"] == pytest.approx(1 - schedule.energy_j / baseline["energy_j"])
    assert Path(told["report"]).is_file()


def test_json_holds_no_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that what has no value is null, which every reader of JSON understands."""
    arguments = [*PLAN, "--gpus", "1", "--out", str(tmp_path / "plan"), "--json"]
    assert main(arguments) == 1
    text = capsys.readouterr().out
    told = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert told["summary"]["num_unsolved"] == 6
    assert told["summary"]["mean_power_w"] is None


def test_a_plan_goes_by_default_into_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the name of the folder."""
    monkeypatch.chdir(tmp_path)
    assert main([*PLAN, "--until", "2024-05-12T00:05"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["plan-demand"]
    assert read_schedule(tmp_path / "plan-demand").num_windows == 1


def test_options_reach_the_planner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that what is typed is what `schedule.json` says was planned with."""
    options = "--gpus 64 --headroom 0.2 --reserve n+1 --power-cap 90000 --unused-gpus on --gap 0.01 --slo-scale 2"
    options += " --host-power 640 --mix-distance 0.25"
    options += " --time-limit 9 --solver greedy --fixed-mix tiny-model:2=3,4=9 --from 2024-05-12T00:20 --myopic"
    main([*PLAN, *options.split(), "--out", str(tmp_path / "plan")])
    metadata = read_schedule(tmp_path / "plan").metadata
    assert metadata.cluster.model_dump() == {
        "num_gpus": 64,
        "headroom": 0.2,
        "reserve": "n+1",
        "power_cap_w": 90000.0,
        "unused_gpus": "on",
        "fixed_mix": {"tiny-model": {2: 3, 4: 9}},
        "host_w": 640.0,
        "max_mix_distance": 0.25,
    }
    assert (metadata.gap_tolerance, metadata.time_limit_s, metadata.slo.of("LL")) == (0.01, 9.0, (4.0, 0.2))
    assert metadata.totals.num_windows == 2


def test_a_window_without_an_answer_makes_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the busy windows are told with a reason, and that the page is written all the same."""
    assert main([*PLAN, "--gpus", "14", "--out", str(tmp_path / "plan")]) == 1
    schedule = read_schedule(tmp_path / "plan")
    assert 0 < schedule.num_unsolved < 6
    out = capsys.readouterr().out
    assert f"{schedule.num_unsolved} windows without an answer, first 2024-05-12 00:" in out
    assert "GPUs" in out
    assert "Check: no violation" in out
    assert main(["check", str(tmp_path / "plan")]) == 1
    assert "window without an answer" in capsys.readouterr().out
    assert (tmp_path / "plan" / "report.html").is_file()


def test_the_same_command_again_plans_nothing_anew(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that a finished plan is read, which stderr says."""
    before = (planned / "windows.csv").read_bytes()
    capsys.readouterr()
    assert main([*PLAN, "--out", str(planned)]) == 0
    assert "6 of 6 windows were planned before; nothing is left to plan" in capsys.readouterr().err
    assert (planned / "windows.csv").read_bytes() == before


def test_another_plan_in_the_folder_is_not_overwritten(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests that one line tells what differs, and that --overwrite replaces it."""
    folder = tmp_path / "plan"
    shutil.copytree(planned, folder)
    capsys.readouterr()
    assert main([*PLAN, "--gpus", "200", "--out", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "num_gpus" in line
    assert "--overwrite" in line
    assert read_schedule(folder).metadata.cluster.num_gpus == 320
    assert main([*PLAN, "--gpus", "200", "--out", str(folder), "--overwrite"]) == 0
    assert read_schedule(folder).metadata.cluster.num_gpus == 200


@pytest.mark.parametrize(
    ("how", "kept", "again"),
    [
        ("--myopic", r"\d of 6 windows are", "windows were planned before"),
        ("--coupled", "what was found so far is", r"going on after pass \d+ over the windows"),
    ],
)
def test_an_interrupted_plan_goes_on(
    how: str, kept: str, again: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests exit code 130 and how to go on, and that going on ends with the files of an undisturbed run."""
    folder, undisturbed, command = tmp_path / "plan", tmp_path / "undisturbed", [*PLAN, how]
    assert main([*command, "--out", str(undisturbed)]) == 0
    show = cli_plan.WindowProgress.__call__

    def interrupt(self, num_done: int, num_windows: int, energy_j: float) -> None:
        show(self, num_done, num_windows, energy_j)
        if num_done >= 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli_plan.WindowProgress, "__call__", interrupt)
        capsys.readouterr()
        assert main([*command, "--out", str(folder)]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(rf"interrupted; {kept} kept in {folder}, and the same command goes on", printed.err)
    assert main([*command, "--out", str(folder)]) == 0
    assert re.search(again, capsys.readouterr().err)
    for name in ("allocations.parquet", "routes.parquet", "transitions.csv", "demand.parquet"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_an_interruption_elsewhere_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Tests that Ctrl-C while reading ends with 130 and without a traceback."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_plan, "load_demand", interrupt)
    assert main(PLAN) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_check_passes_a_plan(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests exit code 0 and a line, and the same as JSON."""
    capsys.readouterr()
    assert main(["check", str(planned)]) == 0
    assert capsys.readouterr().out == f"{planned}: 6 windows checked, no violation\n"
    assert _json(capsys, ["check", str(planned), "--json"])["num_violations"] == 0


@pytest.mark.parametrize(
    ("table", "column", "rule"),
    [
        ("windows.csv", "energy_j", "energy of a window"),
        ("windows.csv", "power_w", "power of a window"),
        ("allocations.parquet", "num_instances", "load of a pool that its instances do not carry"),
        ("routes.parquet", "rate_rps", "load that did not arrive"),
    ],
)
def test_check_finds_what_was_tampered_with(planned: Path, tmp_path: Path, capsys, table, column, rule) -> None:
    """Tests that one number raised in one table makes exit code 1 and names the rule, in words and as JSON."""
    folder = tmp_path / "plan"
    shutil.copytree(planned, folder)
    path = folder / table
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    frame.loc[0, column] = frame.loc[0, column] * 2
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    capsys.readouterr()
    assert main(["check", str(folder)]) == 1
    out = capsys.readouterr().out
    assert re.search(rf"^2024-05-12 00:00.*: {rule}: expected .*, found ", out, flags=re.MULTILINE)
    told = _json(capsys, ["check", str(folder), "--json"], code=1)
    assert rule in {violation["kind"] for violation in told["violations"]}
    assert told["num_violations"] == len(told["violations"])


def test_check_with_another_profile_tells_its_digest(planned: Path, tmp_path: Path, capsys) -> None:
    """Tests that a profile that was changed since is noticed."""
    changed = tmp_path / "tiny"
    shutil.copytree(TINY, changed)
    load = (changed / "load.csv").read_text()
    (changed / "load.csv").write_text(load.replace("4,2000,SS,20,1400", "4,2000,SS,20,1410"))
    assert main(["check", str(planned), "--profile", str(changed)]) == 1
    assert "input that is not the one planned for" in capsys.readouterr().out


def test_report_writes_the_page_anew(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests both places of the page, and that it is the one that `plan` wrote, but for the names of its pictures."""
    page = (planned / "report.html").read_text()
    (planned / "report.html").unlink()
    assert main(["report", str(planned)]) == 0
    assert main(["report", str(planned), "--out", str(tmp_path / "page.html")]) == 0
    assert str(tmp_path / "page.html") in capsys.readouterr().out
    again = (planned / "report.html").read_text()
    names = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
    assert names.sub("", again) == names.sub("", page)
    assert names.sub("", (tmp_path / "page.html").read_text()) == names.sub("", page)


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that `dynaopt … | head` ends quietly."""

    def broken(*args: object, **options: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    assert main(["plan"]) == 0


def test_a_fault_of_ours_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a defect of the program keeps its traceback: it is no fault of the input."""

    def defect(*args: object, **options: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", defect)
    with pytest.raises(ZeroDivisionError):
        main(["plan"])
