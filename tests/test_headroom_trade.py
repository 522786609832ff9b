"""Tests of ``benchmarks/headroom_trade.py``: rows are right, and none is measured twice."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from replay_samples import class_row, make_result
from sample_schedule import make_schedule

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "headroom_trade.py"
TWO_WINDOWS = str(2 / 288)


@pytest.fixture
def script() -> ModuleType:
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("headroom_trade", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> pd.DataFrame:
    options = ["--days", TWO_WINDOWS, "--from", "2024-05-13T03:00", "--out", str(folder), *words]
    monkeypatch.setattr(sys, "argv", ["headroom_trade.py", *options])
    script.main()
    return pd.read_csv(folder / "headroom_trade.csv")


def test_a_part_of_a_week_begins_where_it_is_asked_to(script: ModuleType) -> None:
    """Tests the default day, a Monday, another start, and the end of the week."""
    day = script.part_of_week("coding", None, 1.0)
    assert (day.starts[0], day.num_windows) == (pd.Timestamp("2024-05-13", tz="UTC"), 288)
    assert day.starts[0].day_name() == "Monday"
    end = script.part_of_week("coding", "2024-05-16T12:00", 2.0)
    assert (end.starts[0], end.num_windows) == (pd.Timestamp("2024-05-16T12:00", tz="UTC"), 144)


def test_a_row_names_the_worst_class_of_each_objective(script: ModuleType) -> None:
    """Tests two classes of which one is worst in time to first token and the other between tokens."""
    result = make_result(class_row("SS", ttft_attainment=0.97), class_row("LL", tbt_attainment=0.96))
    row = script.row_of(make_schedule(), result)
    assert (row["worst_ttft_class"], row["worst_ttft_attainment"]) == ("SS", 0.97)
    assert (row["worst_tbt_class"], row["worst_tbt_attainment"]) == ("LL", 0.96)
    assert (row["ttft_attainment"], row["tbt_attainment"]) == (0.98, 0.97)
    assert row["energy_j"] == round(result.energy_j)
    assert row["planned_energy_j"] == round(make_schedule().energy_j)


def test_headroom_takes_energy_and_is_measured_once(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests ten minutes at two headrooms, a run again that adds a third, and the page with the picture."""
    service = ("--service", "coding", "--headroom")
    first = _run(script, monkeypatch, tmp_path, *service, "0", "0.3")
    assert first["headroom"].tolist() == [0, 0.3]
    assert first["energy_j"].is_monotonic_increasing
    assert first["num_requests"].iloc[0] == first["num_requests"].iloc[1]
    measured = []
    measure = script.measure
    monkeypatch.setattr(script, "measure", lambda *a: measured.append(a[3]) or measure(*a))
    second = _run(script, monkeypatch, tmp_path, *service, "0", "0.3", "0.5")
    assert measured == [0.5]
    assert second["headroom"].tolist() == [0, 0.3, 0.5]
    assert pd.api.types.is_integer_dtype(second["num_requests"])
    assert (tmp_path / "headroom_trade.html").stat().st_size > 1000


def test_a_plan_that_fails_its_check_does_not_count(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a violation stops the run with what it is."""
    monkeypatch.setattr(script, "check", lambda *_, **__: ["too few instances"])
    demand = script.part_of_week("coding", "2024-05-13T03:00", 2 / 288)
    profile = script.read_profile(script.PROFILE)
    with pytest.raises(SystemExit, match=r"headroom of 0\.1 does not pass its check: too few instances"):
        script.measure(demand, profile, script.SynthesisedStream("coding"), 0.1)
