"""Tests of ``benchmarks/forecast_regret.py``: regret by hand, and no run twice."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script as a module, as if it stood first on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("forecast_regret", FOLDER / "forecast_regret.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "forecast_regret", module)
    spec.loader.exec_module(module)
    return module


def _row(forecaster: str, quantile: float | None, look_ahead: int, energy_j: float) -> dict[str, object]:
    policy = {"forecaster": forecaster, "quantile": quantile, "look_ahead": look_ahead}
    return {"week": "coding", "windows": 2016, **policy, "energy_j": energy_j}


def test_regret_by_hand(script: ModuleType) -> None:
    """Tests 100 J of the oracle, 110 of reacting, 104.5 of a forecast: 10 and 4.5 % beyond, and 5 % below reacting.

    A run that looks ahead is held against the same two; one with another margin has none to be held against.
    """
    rows = [_row("oracle", None, 0, 100.0), _row("last", 0.95, 0, 110.0), _row("statsmodels", 0.95, 0, 104.5)]
    rows += [_row("statsmodels", 0.95, 6, 99.0), _row("statsmodels", 0.99, 0, 120.0)]
    found = script.with_regret(pd.DataFrame(rows))
    assert found["regret_oracle"].tolist() == pytest.approx([0.0, 0.1, 0.045, -0.01, 0.2])
    assert found["regret_reactive"].tolist()[1:4] == pytest.approx([0.0, -0.05, -0.1])
    assert found["regret_reactive"].isna().tolist() == [True, False, False, False, True]


def test_no_run_twice(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests that a file that has some rows gets the others, each once, and that a third call runs nothing."""
    ran: list[object] = []

    def pretend(week: str, demand: object, policy: tuple[object, ...], **_: object) -> dict[str, object]:
        ran.append((week, policy))
        key = {"week": week, "windows": demand.num_windows, **policy._asdict()}  # type: ignore[attr-defined]
        return {**key, "energy_j": 3.6e6, "wall_s": 1.0}

    monkeypatch.setattr(script, "run", pretend)
    out = tmp_path / "rows.csv"
    arguments = ["forecast_regret.py", "--windows", "5", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--week", "coding"])
    script.main()
    assert len(ran) == len(script.POLICIES)
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    assert len(ran) == 2 * len(script.POLICIES) == len(set(ran))
    script.main()
    assert len(ran) == 2 * len(script.POLICIES) == len(pd.read_csv(out))
    assert "1.0 kWh" in capsys.readouterr().out
