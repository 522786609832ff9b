"""Tests of series of prices: their means over windows, and that a bad file is refused with its place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_windows import START, hourly

from dynaopt.errors import InputError, InvalidInputError, MissingFileError
from dynaopt.price_series import PriceSeries, read_series

HEAD = "timestamp,price_per_kwh\n"
GOOD = HEAD + "2024-05-12T00:00:00Z,0.1\n2024-05-12T01:00:00Z,0.3\n2024-05-12T02:00:00Z,0.2\n"


def windows(number: int, minutes: int, first: str = "2024-05-12T00:00:00Z") -> pd.DatetimeIndex:
    """Return starts of windows."""
    return pd.date_range(first, periods=number, freq=f"{minutes}min")


def write(folder: Path, text: str) -> Path:
    """Write a table."""
    path = folder / "price.csv"
    path.write_text(text)
    return path


def test_a_value_holds_until_the_next() -> None:
    """Tests windows of 20 minutes in hours of 0.1 and 0.3."""
    means = hourly(0.1, 0.3).over(windows(6, 20), 1200.0)
    assert means.tolist() == [0.1, 0.1, 0.1, 0.3, 0.3, 0.3]


def test_a_window_over_an_edge_gets_the_mean_by_time() -> None:
    """Tests 50 minutes from 00:40: 20 minutes at 0.1 and 30 at 0.3 are (20 · 0.1 + 30 · 0.3) / 50 = 0.22 on average."""
    assert hourly(0.1, 0.3).over(windows(1, 50, "2024-05-12T00:40:00Z"), 3000.0) == pytest.approx([0.22])


def test_a_long_window_gets_the_mean_of_all_its_steps() -> None:
    """Tests two windows of two hours."""
    assert hourly(1, 2, 3, 5).over(windows(2, 120), 7200.0) == pytest.approx([1.5, 4.0])


@given(values=st.lists(st.floats(0, 1000), min_size=12, max_size=12), minutes=st.sampled_from([5, 7, 45, 60, 90, 240]))
def test_means_add_up_to_the_whole(values: list[float], minutes: int) -> None:
    """Tests that windows end to end lose and invent nothing, whatever their length."""
    number = 12 * 60 // minutes
    means = hourly(*values).over(windows(number, minutes), minutes * 60.0)
    whole = hourly(*values).over(windows(1, number * minutes), number * minutes * 60.0)
    assert means.mean() == pytest.approx(whole[0], rel=1e-9, abs=1e-9)
    assert min(values) - 1e-9 <= means.min()
    assert means.max() <= max(values) + 1e-9


@pytest.mark.parametrize(("first", "minutes"), [("2024-05-11T23:55:00Z", 5), ("2024-05-12T01:55:00Z", 10)])
def test_windows_beyond_the_series_are_refused(first: str, minutes: int) -> None:
    """Tests a window before the first value and one that ends after the last step."""
    with pytest.raises(InvalidInputError, match=r"expected values from .* which is planned") as caught:
        hourly(0.1, 0.3).over(windows(1, minutes, first), minutes * 60.0)
    assert "2024-05-12T02:00:00" in caught.value.found


@pytest.mark.parametrize("time", ["timestamp", "window_start"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_is_read(tmp_path: Path, time: str, ending: str) -> None:
    """Tests both formats and both names of the column of times."""
    frame = pd.DataFrame({time: windows(3, 60), "price_per_kwh": [0.1, 0.3, 0.2]})
    path = tmp_path / f"price{ending}"
    frame.to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path)
    series = read_series(path, "price_per_kwh")
    assert series.values.tolist() == [0.1, 0.3, 0.2]
    assert (series.step_s, series.name, series.starts[0]) == (3600.0, "price", START)
    assert len(series.sha256) == 64
    assert series.end == pd.Timestamp("2024-05-12T03:00:00Z")


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        (GOOD.replace("02:00", "03:00"), "line 4, column 'timestamp'", "a time 3600 s after 2024-05-12T01:00:00"),
        (GOOD.replace("02:00", "01:00"), "line 4", ""),
        (GOOD.replace("0.3", "nan"), "line 3, column 'price_per_kwh'", "a number of at least 0"),
        (GOOD.replace("0.3", ""), "line 3, column 'price_per_kwh'", "a number of at least 0"),
        (GOOD.replace("0.3", "-0.3"), "line 3, column 'price_per_kwh'", "a number of at least 0"),
        (GOOD.replace("0.3", "dear"), "line 3, column 'price_per_kwh'", "a number of at least 0"),
        (GOOD.replace("price_per_kwh", "price"), "line 1", ""),
        (GOOD.replace("timestamp", "time"), "line 1", ""),
        (GOOD.replace("T00:00", "T05:00"), "line 3, column 'timestamp'", "ascending times"),
        (HEAD + "2024-05-12T00:00:00Z,0.1\n", "price.csv", "at least two rows"),
        ("price_per_kwh\n0.1\n0.2\n", "price.csv", "one column of times"),
        (HEAD, "price.csv", "at least one row"),
    ],
    ids=["gap", "duplicate", "nan", "empty", "negative", "text", "column", "time", "order", "one", "no time", "none"],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str, expected: str) -> None:
    """Tests each fault: the message names the file and the place, and what should stand there."""
    with pytest.raises(InputError) as caught:
        read_series(write(tmp_path, text), "price_per_kwh")
    assert "price.csv" in caught.value.where
    assert where in caught.value.where
    assert expected in caught.value.expected


def test_both_columns_of_times_are_refused(tmp_path: Path) -> None:
    """Tests that it is not guessed which of two counts."""
    text = "window_start,timestamp,price_per_kwh\n" + "2024-05-12T00:00:00Z,2024-05-12T00:00:00Z,0.1\n" * 1
    with pytest.raises(InvalidInputError, match="expected one column of times"):
        read_series(write(tmp_path, text), "price_per_kwh")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Tests the kind of the error."""
    with pytest.raises(MissingFileError):
        read_series(tmp_path / "none.csv", "price_per_kwh")


@pytest.mark.parametrize(("values", "hours"), [((1.0, -1.0), (0, 1)), ((1.0, np.nan), (0, 1)), ((1.0, 1.0), (0, 2))])
def test_a_series_made_in_memory_is_held_to_the_same(values: tuple[float, float], hours: tuple[int, int]) -> None:
    """Tests a negative value, no number, and a gap."""
    starts = pd.DatetimeIndex([START + pd.Timedelta(hours=h) for h in hours])
    with pytest.raises(InvalidInputError, match="series mine"):
        PriceSeries(name="mine", starts=starts, step_s=3600.0, values=np.array(values))
