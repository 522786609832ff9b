"""Tests of `dynaopt.power_log`."""

from pathlib import Path

import pandas as pd
import pytest
from result_files import write_power

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.power_log import read_power_log

NOON = pd.Timestamp("2025-11-22T12:00:00Z")


def _minutes(count: float) -> pd.Timedelta:
    return pd.Timedelta(count, unit="min")


@pytest.mark.parametrize("unit", [" W", ""])
def test_power_is_the_sum_over_gpus(tmp_path: Path, unit: str) -> None:
    """Tests two GPUs of 300 and 200 W, with and without units."""
    log = read_power_log(write_power(tmp_path / "a.csv", [300, 200], unit=unit))
    assert log.gpus == ("0", "1")
    assert log.mean_w() == pytest.approx(500)


def test_the_ends_of_a_run_do_not_count(tmp_path: Path) -> None:
    """Tests a run from 11:55 to 12:00 whose first and last 30 s draw 0 W: the mean is that of the middle, 400 W."""
    lines = ["timestamp,gpu,power_w"]
    for second in range(300):
        time = NOON - _minutes(5) + pd.Timedelta(second, unit="s")
        lines.append(f"{time.isoformat()},0,{400 if 30 <= second < 270 else 0}")
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    middle = read_power_log(path).during(NOON - _minutes(5), NOON)
    assert middle.mean_w() == pytest.approx(400, rel=0.005)
    assert 230 <= len(middle.samples) <= 242


def test_gpus_sampled_unevenly_count_alike(tmp_path: Path) -> None:
    """Tests that a GPU with twice the samples weighs no more: 100 + 300 W."""
    lines = ["timestamp, uuid, power.draw.average [W]"]
    for second in range(30):
        lines += [f"2025/11/22 12:00:{second:02}.000, GPU-a, 100.00 W"] * 2
        lines += [f"2025/11/22 12:00:{second:02}.500, GPU-b, 300.00 W"]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    assert read_power_log(path).mean_w() == pytest.approx(400)


def test_zones(tmp_path: Path) -> None:
    """Tests that times without a zone are taken in the one given."""
    path = write_power(tmp_path / "a.csv", [300])
    assert read_power_log(path).samples["time"].min() == pd.Timestamp("2025-11-22T11:50:00.250Z")
    berlin = read_power_log(path, time_zone="Europe/Berlin").samples
    assert berlin["time"].min() == pd.Timestamp("2025-11-22T10:50:00.250Z")


def test_a_log_that_does_not_reach(tmp_path: Path) -> None:
    """Tests a run before, and one that goes on after the log."""
    log = read_power_log(write_power(tmp_path / "a.csv", [300]))
    for start in (NOON - _minutes(60), NOON + _minutes(4)):
        with pytest.raises(
            InvalidInputError, match=r"expected samples from .* when the load was measured, got some from"
        ):
            log.during(start, start + _minutes(5))


def test_too_few_samples(tmp_path: Path) -> None:
    """Tests a GPU that is missing while the run lasts."""
    path = write_power(tmp_path / "a.csv", [300])
    path.write_text(path.read_text() + "2025/11/22 11:50:00.000, 1, 100 W\n")
    with pytest.raises(InvalidInputError, match=r"expected at least 10 samples of each GPU from .*, got 0"):
        read_power_log(path).during(NOON - _minutes(5), NOON)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("power.draw [W]", "power", "line 1: expected a column 'power.draw.average', got only timestamp, index, power"),
        ("index", "number", "line 1: expected a column 'index'"),
        ("11:50:03.250, 0, 300.00 W", "11:50:03.250, 0, [N/A]", r"line 5: expected a power in watts, got '\[N/A\]'"),
        ("2025/11/22 11:50:03.250", "later", "line 5: expected a time such as .*, got 'later'"),
        ("11:50:03.250, 0, 300.00 W", "11:50:03.250", "line 5: expected 3 cells, got 1"),
    ],
)
def test_a_cell_that_does_not_fit(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Tests that the line is named."""
    path = write_power(tmp_path / "a.csv", [300], samples=20)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InvalidInputError, match=message):
        read_power_log(path)


def test_nothing_there(tmp_path: Path) -> None:
    """Tests no file, and one without samples."""
    with pytest.raises(MissingFileError):
        read_power_log(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("timestamp, index, power.draw [W]\n")
    with pytest.raises(InvalidInputError, match="expected a header and samples, got 1 lines"):
        read_power_log(tmp_path / "a.csv")
