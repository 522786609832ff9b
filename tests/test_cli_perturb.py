"""Tests of `dynaopt.cli_perturb`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planning import make_small_profile, make_week

from dynaopt.cli import main
from dynaopt.cli_perturb import perturbation_content, perturbation_tables
from dynaopt.console import render
from dynaopt.demand import write_demand
from dynaopt.profile_io import write_profile
from dynaopt.robustness import Robustness

CHANGES = pd.DataFrame(
    {
        "change": ["idle power +10%", "iterations +10%"],
        "energy_j": [3.6e9, 3.7e9],
        "best_energy_j": [3.55e9, 3.9e9],
        "best_lower_bound_j": [3.5e9, 3.8e9],
        "regret": [0.0141, -0.05],
        "num_unsolved": [0, 3],
        "num_instances": [200, 200],
        "num_broken_instances": [0, 50],
        "num_broken_windows": [0, 1234],
    }
)
MARGINS = pd.DataFrame({"num_instances": [1, 199], "latency_margin": [0.02, 0.1], "duration_margin": [0.01, 0.08]})


def _robustness(changes: pd.DataFrame = CHANGES) -> Robustness:
    return Robustness(size=0.1, changes=changes, margins=MARGINS)


def _lines(robustness: Robustness) -> list[str]:
    return [" ".join(line.split()) for line in render(*perturbation_tables("a week", robustness)).splitlines()]


def test_the_tables() -> None:
    """Tests kWh, regret only where no SLO breaks, the share of instances that are late, and the margins."""
    lines = _lines(_robustness())
    assert "a week, if its profile is off by 10%: the plan as it is, and as one that knew it" in lines
    assert "idle power +10% 1,000.0 986.1 1.41% 0.0% 0 –" in lines
    assert "iterations +10% 1,027.8 1,083.3 – 25.0% 1,234 3" in lines
    assert "the first 2.0% 1.0%" in lines
    assert "10% of instances 10.0% 8.0%" in lines
    assert lines[-1] == "Where the plan keeps its SLOs, not knowing the truth costs at most 1.4% (idle power +10%)."


def test_nothing_that_is_kept() -> None:
    """Tests that a plan that breaks under every truth has no regret, and that this is said."""
    broken = CHANGES.assign(num_broken_instances=1, regret=[np.nan, -0.1])
    assert _lines(_robustness(broken))[-1] == "Every one of these truths breaks an SLO of the plan."
    assert perturbation_content(_robustness(broken))["worst_regret"] is None


@pytest.fixture
def compared(tmp_path: Path) -> list[str]:
    """Return the arguments that compare nothing but our plan, on six windows and a profile made up."""
    profile, demand = make_small_profile(), tmp_path / "demand.csv"
    write_profile(profile, tmp_path / "profile")
    write_demand(make_week(6), demand)
    inputs = ["compare", str(demand), "--profile", str(tmp_path / "profile"), "--gpus", "64", "--policies", "plan"]
    return [*inputs, "--workers", "1", "--out", str(tmp_path / "out")]


def test_compare_tells_it_when_asked(compared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the tables below those of the policies; of less than a day the whole demand."""
    assert main([*compared, "--perturb", "0.2"]) == 0
    out = capsys.readouterr().out
    assert "demand, if its profile is off by 20%: the plan as it is" in out
    assert "iterations of TP8 -20%" in out
    assert main([*compared, "--perturb", "0.2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["perturbation"]["changes"]) == 20


def test_compare_leaves_it_out_otherwise(compared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests null in the JSON."""
    assert main([*compared, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["perturbation"] is None


def test_compare_refuses_a_share_that_makes_no_sense(compared: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Tests exit code 2 and one line before anything is planned."""
    assert main([*compared, "--perturb", "10"]) == 2
    assert "option perturb: expected a share above 0 and below 1, got 10" in capsys.readouterr().err
    assert not Path(compared[-1]).exists()


def test_the_json() -> None:
    """Tests that numbers keep their names and units, and that it is JSON."""
    told = json.loads(json.dumps(perturbation_content(_robustness())))
    assert told["size"] == 0.1
    assert told["worst_regret"] == pytest.approx(0.0141)
    assert told["changes"][1]["num_broken_windows"] == 1234
    assert told["margins"][0] == {"share": 0.0, "latency_margin": 0.02, "duration_margin": 0.01}
