"""Tests that every faulty input ends the command line with exit code 2 and one line that says what to change.

Each fault is a file named for it. Files of options and objectives say beside the fault what the line must hold. Faulty
profiles, demands, traces and schedules belong to the tests of their readers, which hold them to the exact message;
here the same files come through the command line, and its line must be that message.
"""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from profile_faults import FAULTS as PROFILE_FAULTS
from profile_faults import TINY, faulty_profile
from test_schedule_io import FAULTS as SCHEDULE_FAULTS
from test_schedule_io import faulty_schedule

from dynaopt.cli import main
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.errors import InputError
from dynaopt.profile_io import read_profile

DATA = Path(__file__).parent / "data"
DEMAND = DATA / "small" / "demand.csv"
OPTION_FAULTS = sorted((DATA / "option_faults").glob("*.txt"))
with (DATA / "slo_faults" / "expected.csv").open() as _file:
    SLO_FAULTS = list(csv.DictReader(_file, delimiter=";"))
FILE_FAULTS = sorted([*(DATA / "demands").iterdir(), *(DATA / "traces").iterdir()])


def _line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run the command line and return its one line on stderr, after making sure that there is nothing else."""
    code = main(arguments)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert code == 2, printed
    assert printed.out == ""
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("dynaopt: ")
    return lines[0].removeprefix("dynaopt: ")


def _assert_says(line: str, where: str, expected: str, found: str) -> None:
    match = re.fullmatch(r"(?P<where>.*?): expected (?P<expected>.*), got (?P<found>.*)", line)
    assert match is not None, line
    assert where in match["where"], line
    assert expected in match["expected"], line
    assert found in match["found"], line


@pytest.mark.parametrize("path", OPTION_FAULTS, ids=lambda p: p.stem)
def test_faulty_command_line(path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests a command line whose file says where the fault is, what was expected and what was found."""
    text = path.read_text().replace("{data}", str(DATA)).replace("{tmp}", str(tmp_path))
    *notes, command = text.splitlines()
    said = dict(note.removeprefix("# ").split(": ", 1) for note in notes)
    _assert_says(_line(capsys, shlex.split(command)), said["where"], said["expected"], said["found"])


@pytest.mark.parametrize("fault", SLO_FAULTS, ids=lambda f: f["file"])
def test_faulty_objectives(fault: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests a table of objectives, each fault with what its line must hold in `expected.csv`."""
    path = DATA / "slo_faults" / fault["file"]
    line = _line(
        capsys, ["plan", str(DEMAND), "--profile", str(TINY), "--slo", str(path), "--out", str(tmp_path / "out")]
    )
    assert line.startswith(str(path))
    _assert_says(line, fault["where"], fault["expected"], fault["found"])


def test_every_faulty_table_of_objectives_is_expected() -> None:
    """Tests that no file stands there without anybody looking at it."""
    files = {path.name for path in (DATA / "slo_faults").iterdir()} - {"expected.csv"}
    assert files == {fault["file"] for fault in SLO_FAULTS}


@pytest.mark.parametrize("fault", PROFILE_FAULTS)
def test_faulty_profile(fault: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests that the line is the reader's own message, and names the faulty file."""
    folder = faulty_profile(fault, tmp_path)
    line = _line(capsys, ["plan", str(DEMAND), "--profile", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError) as error:
        read_profile(folder)
    assert line == " ".join(str(error.value).split())
    _assert_says(line, f"{folder}/{fault.partition('-')[0]}.", error.value.expected[:20], error.value.found[:20])


@pytest.mark.parametrize("path", FILE_FAULTS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_faulty_demand_or_trace(path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests that the line is that of the reader, and names the file, or of whoever could not tell what file it is."""
    line = _line(capsys, ["plan", str(path), "--profile", str(TINY), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError) as error:
        load_demand(DemandOptions(source=str(path)))
    assert line == " ".join(str(error.value).split())
    assert line.startswith(str(path))
    _assert_says(line, path.name, error.value.expected[:20], "")


@pytest.mark.parametrize("fault", SCHEDULE_FAULTS, ids=lambda f: f["fault"])
def test_faulty_schedule(fault: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests that `check` says what `expected.csv` of the schedules holds, and names the folder."""
    folder = faulty_schedule(fault["fault"], tmp_path / "schedule")
    line = _line(capsys, ["check", str(folder)])
    assert line.startswith(str(folder))
    _assert_says(line, fault["where"], fault["expected"], fault["found"])


def test_a_fault_leaves_no_folder_behind(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Tests that bad input is told before anything is written."""
    arguments = ["plan", str(DEMAND), "--profile", str(TINY), "--out", str(tmp_path / "out")]
    for options in (["--solver", "gurobi"], ["--gpus", "0"], ["--workers", "0"], ["--gap", "-1"]):
        _line(capsys, [*arguments, *options])
        assert not (tmp_path / "out").exists(), options


@pytest.mark.parametrize("name", ["UnknownSolver", "GpusNotANumber", "DemandFileMissing"])
def test_the_installed_program_fails_alike(name: str, tmp_path: Path) -> None:
    """Tests the real process: its exit code, an empty stdout and one line on stderr."""
    text = (DATA / "option_faults" / f"{name}.txt").read_text()
    command = text.replace("{data}", str(DATA)).replace("{tmp}", str(tmp_path)).splitlines()[-1]
    program = Path(sys.executable).with_name("dynaopt")
    done = subprocess.run([program, *shlex.split(command)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert ": expected " in done.stderr
