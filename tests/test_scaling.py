"""Tests of ``benchmarks/scaling.py``: cases along three axes, measured once, checked and drawn."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from dynaopt.result import Result

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "scaling.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script as a module, of small sizes."""
    spec = importlib.util.spec_from_file_location("scaling", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scaling", module)
    spec.loader.exec_module(module)
    return module


def small(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the axes short."""
    monkeypatch.setattr(script, "GPUS", (64, 256))
    monkeypatch.setattr(script, "LEAST_GPUS_OF_TEN", 10_000)


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> pd.DataFrame:
    """Run the script and read its table."""
    options = ["--part", "gpus", "--repeats", "2", "--out", str(folder), *words]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *options])
    script.main()
    return pd.read_csv(folder / "scaling.csv")


def test_the_axes(script: ModuleType) -> None:
    """Tests what is asked for: 64 to 10,240 GPUs, one to nine classes, one to ten models, 3 to 63 configurations."""
    found = {part: list(script.cases(part, "greedy", 1)) for part in script.PARTS}
    gpus = {(c.num_gpus, c.num_models) for c in found["gpus"]}
    assert {n for n, m in gpus if m == 1} == {64, 128, 256, 512, 1024, 2048, 4096, 8192, 10_240}
    assert {n for n, m in gpus if m == 10} == {1024, 2048, 4096, 8192, 10_240}
    assert {c.num_classes for c in found["classes"]} == {1, 3, 5, 7, 9}
    assert {c.num_models for c in found["classes"]} == {1, 2, 5, 10}
    assert {c.num_configurations for c in found["configurations"]} == {3, 6, 12, 21, 42, 63}
    assert {c.reserve for c in found["reserve"]} == {0.1}
    assert {c.room for c in found["gpus"]} == {"slack", "bound"}


def test_a_run_that_goes_on_measures_nothing_twice(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests two sizes, each way and twice each, then a second seed; and the summary and the picture."""
    small(script, monkeypatch)
    first = run(script, monkeypatch, tmp_path, "--seeds", "1")
    assert len(first) == 8
    assert set(first["num_gpus"]) == {64, 256}
    second = run(script, monkeypatch, tmp_path, "--seeds", "2")
    assert len(second) == 16
    pd.testing.assert_frame_equal(second[:8], first)
    summary = json.loads((tmp_path / "scaling.json").read_text())
    assert len(summary["cases"]) == 4
    for one in summary["cases"]:
        assert one["answers"] + one["infeasible"] + one["unsolved"] == 4
        assert one["within_goal"] <= one["answers"]
    assert "certified gap" in (tmp_path / "scaling.html").read_text()


def test_a_wrong_answer_ends_the_run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests an answer of which a group of instances has gone, which does not pass the check."""
    case = script.ScalingCase(solver="greedy", room="slack", num_gpus=256, num_models=1)
    (row,) = script.measure(case, 1)
    assert row["termination"] == "optimal"
    assert row["build_s"] <= row["wall_s"]
    solve = script.solve

    def wrong(*args: object, **options: object) -> Result:
        result = solve(*args, **options)
        return replace(result, allocation=replace(result.allocation, groups=result.allocation.groups[1:]))

    monkeypatch.setattr(script, "solve", wrong)
    with pytest.raises(SystemExit, match="num_gpus=256"):
        script.measure(case, 1)


def test_a_summary_counts_what_has_no_answer(script: ModuleType) -> None:
    """Tests an answer within the goals, one that is late, one proved not to exist, and one that was not found."""
    case = dict.fromkeys(script.KEY, 1) | {"room": "bound"}
    times = {"cpu_s": 1.0, "build_s": 0.1}
    rows = [
        case | times | {"termination": "optimal", "wall_s": 0.5, "gap": 1e-4},
        case | times | {"termination": "feasible", "wall_s": 1.5, "gap": 5e-4},
        case | times | {"termination": "infeasible", "wall_s": 0.7, "gap": None},
        case | times | {"termination": "no_solution_found", "wall_s": 0.7, "gap": None},
    ]
    (one,) = script.summaries(pd.DataFrame(rows))
    assert (one["answers"], one["infeasible"], one["unsolved"], one["within_goal"]) == (2, 1, 1, 1)
    assert (one["gap_p50"], one["gap_max"]) == (3e-4, 5e-4)
