"""Tests that the tutorial in `docs/profiles.md` leads from result files to a plan, as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from result_files import vllm_result, write_json, write_power

from dynaopt.cli import main
from dynaopt.profile_io import read_profile
from dynaopt.schedule_io import read_schedule

DOCS = (Path(__file__).parents[1] / "docs" / "profiles.md").read_text(encoding="utf-8")
TUTORIAL = DOCS[DOCS.index("## From a running server to a plan") :].split("\n## ")[0]
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```sh\n(.*?)```", TUTORIAL, flags=re.DOTALL)
    for line in block.splitlines()
]
DEMAND = """window_start,request_class,rate_rps,input_tokens,output_tokens
2025-11-22T12:00:00Z,MM,20,600,200
2025-11-22T12:05:00Z,MM,30,600,200
2025-11-22T12:05:00Z,SS,4,100,50
2025-11-22T12:10:00Z,MM,3,600,200
"""


def _measure(folder: Path, rates: list[int], watts: float) -> None:
    """Write what the commands of steps 2 and 3 write: five minutes at each load, one after the other from 10:00."""
    folder.mkdir(exist_ok=True)
    write_power(folder / "idle.csv", [80, 80], start="2025/11/22 09:55:00", samples=120)
    parts = []
    for number, rate in enumerate([0, *rates]):
        start, end = f"2025/11/22 10:{5 * number:02}:00", f"20251122-10{5 * number + 5:02}00"
        power = watts * (0.3 + 0.7 * rate / max(rates))
        parts.append(write_power(folder / "part.csv", [power, power], start=start, samples=300).read_text())
        same = {"date": end, "median_ttft_ms": 60.0 + 5 * rate, "p99_ttft_ms": 90.0 + 20 * rate, "p99_itl_ms": 50.0}
        if rate == 0:
            write_json(folder / "alone.json", vllm_result("inf", max_concurrency=1, completed=150, num_prompts=150,
                total_input_tokens=150 * 600, total_output_tokens=150 * 200, **same))  # fmt: skip
        else:
            write_json(folder / f"rate-{rate}.json", vllm_result(rate, **same))
    (folder / "power.csv").write_text(parts[0] + "".join(part.split("\n", 1)[1] for part in parts[1:]))
    (folder / "part.csv").unlink()


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with all files that the tutorial's commands for benchmark and log make, and a demand."""
    _measure(tmp_path, [2, 6, 10, 14], 600.0)
    _measure(tmp_path / "slow", [2, 6, 10], 350.0)
    (tmp_path / "my-demand.csv").write_text(DEMAND)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_work(measured: Path) -> None:
    """Tests every command in order, the curves by hand, and a plan whose every window is answered.

    At 10 requests/s at 1,980 MHz two GPUs draw 2 · 600 · (0.3 + 0.7 · 10/14) = 960 W, at 1,200 MHz 700 W.
    """
    assert [words[:2] for words in COMMANDS] == [
        ["profile", "import"],
        ["profile", "show"],
        ["profile", "import"],
        ["plan", "my-demand.csv"],
        ["check", "my-plan"],
    ]
    for words in COMMANDS:
        assert main(words) == 0, words
    profile = read_profile(measured / "my-profile")
    assert profile.curve(2, 1980, "MM").rate_rps.tolist() == [0, 2, 6, 10, 14]
    assert profile.curve(2, 1980, "MM").power_w[[0, 3]] == pytest.approx([160, 960], rel=1e-3)
    assert profile.curve(2, 1200, "MM").power_w[[0, 3]] == pytest.approx([160, 700], rel=1e-3)
    assert profile.metadata.start_up.cold_s == 90
    schedule = read_schedule(measured / "my-plan")
    assert set(schedule.windows["termination"]) == {"optimal"}
    assert set(schedule.allocations["pool"]) == {"MM"}


def test_what_the_tutorial_measures_is_of_the_class() -> None:
    """Tests that the lengths in its benchmark command are those of class MM."""
    lengths = [int(n) for n in re.findall(r"--random-(?:input|output)-len (\d+)", TUTORIAL)]
    assert 256 <= lengths[0] <= 1023
    assert 100 <= lengths[1] <= 349
