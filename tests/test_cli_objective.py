"""Tests of money and carbon on the command line: options, the table, JSON, and the front."""

import json
from pathlib import Path

import pandas as pd
import pytest
from profile_faults import TINY

from dynaopt.cli import main
from dynaopt.cli_objective import ObjectiveOptions, make_objective, parse_weights
from dynaopt.errors import InvalidInputError

DEMAND = Path(__file__).parent / "data" / "small" / "demand.csv"
COMMON = [str(DEMAND), "--profile", str(TINY), "--workers", "1"]
MONEY = ["--gpu-price", "0.5", "--carbon", "400", "--pue", "1.2"]


@pytest.fixture
def price(tmp_path: Path) -> Path:
    """Write a table of prices that covers the small demand."""
    path = tmp_path / "price.csv"
    times = pd.date_range("2024-05-12", periods=24, freq="1h", tz="UTC")
    pd.DataFrame({"timestamp": times, "price_per_kwh": [0.1, 0.3] * 12}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("how", "bound"), [("--coupled", "coupled, cost"), ("--myopic", "serving, cost")])
def test_the_table_tells_money_and_carbon(
    how: str, bound: str, tmp_path: Path, price: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests rows, and that nothing is claimed of energy where GPUs have a price."""
    out = ["--out", str(tmp_path / "plan")]
    assert main(["plan", *COMMON, how, "--objective", "cost", "--price", str(price), *MONEY, *out]) == 0
    printed = capsys.readouterr().out
    for part in ("Energy at PUE 1.2", "Cost", "Carbon", "Saved by this plan, cost", f"Lower bound ({bound})"):
        assert part in printed, part
    assert "Check: no violation" in printed
    assert main(["check", str(tmp_path / "plan")]) == 0
    assert main(["report", str(tmp_path / "plan")]) == 0
    assert "Energy at PUE 1.2" in (tmp_path / "plan" / "report.html").read_text()


def test_json_tells_the_objective(tmp_path: Path, price: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that cost is what its parts make: energy at the price of the first hour, PUE 1.2, and GPU-hours at 0.5."""
    arguments = ["plan", *COMMON, "--objective", "cost", "--price", str(price), *MONEY, "--json"]
    assert main([*arguments, "--out", str(tmp_path / "plan")]) == 0
    found = json.loads(capsys.readouterr().out)
    summary = found["summary"]
    assert found["objective"]["unit"] == "money"
    assert found["objective"]["price_per_kwh"]["name"] == "price"
    hours = found["window_s"] / 3600 * summary["gpus_mean"] * summary["num_windows"]
    assert summary["cost"] == pytest.approx(0.1 * 1.2 * summary["energy_j"] / 3.6e6 + 0.5 * hours)
    assert summary["carbon_g"] == pytest.approx(400 * 1.2 * summary["energy_j"] / 3.6e6)
    assert summary["lower_bound_j"] is None
    assert found["baselines"][0]["cost"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--objective", "money"], "option --objective: expected one of energy, cost, carbon, got 'money'"),
        (["--objective", "cost"], "option --price: expected a number or a series"),
        (["--gpu-price", "1"], "option --price: expected a number or a series"),
        (["--price", "free"], "option --price: expected a number of at least 0, or a .csv or .parquet file"),
        (["--price", "-1"], "option --price"),
        (["--carbon", "nowhere.csv"], "nowhere.csv: expected a file"),
        (["--pue", "0.9"], "option --pue: expected a number of at least 1"),
        (["--weights", "water=1"], "option --weights"),
        (["--weights", "cost=1", "--objective", "cost"], "option --weights"),
        (["--host-power", "-5"], "option --host-power"),
    ],
)
def test_a_wrong_option_is_told_as_it_was_typed(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests exit code 2 and one line with the option's name."""
    assert main(["plan", *COMMON, *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.strip().splitlines()) == 1


def test_a_series_without_the_horizon_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the file's name and the times."""
    path = tmp_path / "old.csv"
    times = pd.date_range("2020-05-12", periods=3, freq="1h", tz="UTC")
    pd.DataFrame({"window_start": times, "price_per_kwh": 0.1}).to_csv(path, index=False)
    assert main(["plan", *COMMON, "--price", str(path)]) == 2
    assert "old.csv: expected values from 2024-05-12" in capsys.readouterr().err


def test_weights_are_read() -> None:
    """Tests names, spaces, and what is refused."""
    assert parse_weights("energy=1, carbon=0.0001") == {"energy": 1.0, "carbon": 0.0001}
    for text in ("cost", "cost=1,cost=2", "cost=x", "cost=-1", "", "cost=inf"):
        with pytest.raises(InvalidInputError, match="--weights"):
            parse_weights(text)


def test_nothing_asked_is_no_objective() -> None:
    """Tests that plans without any of the options stay as they were."""
    assert make_objective(ObjectiveOptions()) is None
    assert make_objective(ObjectiveOptions(minimise="energy")) is None
    assert make_objective(ObjectiveOptions(pue=1.1)) is not None


def test_a_front_ends_with_a_table_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests what is printed and written, and JSON with the same points when the plans are there already."""
    out = ["--out", str(tmp_path / "front")]
    arguments = ["pareto", *COMMON, "--x", "energy", "--y", "cost", "--points", "4", "--price", "0.1", *MONEY, *out]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "cost against energy" in printed
    assert "Check: no violation" in printed
    table = pd.read_csv(tmp_path / "front" / "front.csv")
    assert (tmp_path / "front" / "front.html").stat().st_size > 100_000
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["cost"] for p in found["points"]] == pytest.approx(table["cost"].tolist())
    assert found["num_dominated"] == int(table["dominated"].sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--x", "time"], "--x: expected one of energy, cost, carbon"),
        (["--x", "cost", "--y", "energy"], "option --price"),
        (["--x", "energy", "--y", "slo-scale", "--slo-range", "1"], "option --slo-range"),
        (["--x", "energy", "--y", "slo-scale", "--points", "1"], "--points: expected at least 2"),
    ],
)
def test_a_wrong_front_is_told(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests exit code 2 and the option's name."""
    assert main(["pareto", *COMMON, *options, "--out", str(tmp_path / "front")]) == 2
    assert message in capsys.readouterr().err
