"""Tests of `dynaopt.demand_table`: every fault of a demand file is refused at its place."""

from pathlib import Path

import pandas as pd
import pytest

from dynaopt.demand import read_demand
from dynaopt.demand_table import check_rows, find_window_s, normalise
from dynaopt.errors import InvalidInputError

FAULTS = Path(__file__).parent / "data" / "demands"

# File: (place, what was expected, what was found)
PLACES = {
    "BadTimestamp.csv": (", line 4, column 'window_start'", "an ISO 8601 timestamp", "'12 May'"),
    "DuplicateRow.csv": (", line 4, column 'request_class'", "one row for each window", "a second 'SS'"),
    "DuplicateRowInAnotherZone.csv": (", line 4, column 'request_class'", "one row for each window", "a second 'SS'"),
    "EmptyClass.csv": (", line 4, column 'request_class'", "one of SS", "an empty cell"),
    "EmptyFile.csv": ("", "a header and rows", "an empty file"),
    "EmptyRate.csv": (", line 4, column 'rate_rps'", "a number of at least 0", "an empty cell"),
    "ExtraCell.csv": (", line 4", "7 cells", "8"),
    "FractionOfSecond.csv": (", line 4, column 'window_start'", "a whole second", "2024-05-12T00:05:00.5"),
    "HalfLine.csv": (", line 5", "7 cells", "3"),
    "HeaderOnly.csv": ("", "at least one row", "nothing below it"),
    "InfiniteRate.csv": (", line 4, column 'rate_rps'", "a number of at least 0", "'inf'"),
    "MissingColumn.csv": (", line 1", "a column 'rate_rps'", "rate"),
    "MixedModels.csv": (", line 4, column 'model'", "a model in each row or in none", "'llama'"),
    "NanRate.csv": (", line 4, column 'rate_rps'", "a number of at least 0", "'nan'"),
    "NegativeOutputTokens.csv": (", line 4, column 'output_tokens'", "a number of at least 0", "'-20'"),
    "NegativeRate.csv": (", line 4, column 'rate_rps'", "a number of at least 0", "'-1.25'"),
    "NegativeRate.parquet": (", row 2, column 'rate_rps'", "a number of at least 0", "'-1.0'"),
    "NotParquet.parquet": ("", "a readable .parquet table", "magic bytes"),
    "NotUtf8.csv": (", line 4", "text in UTF-8", "0xe9"),
    "OffGrid.csv": (", line 4, column 'window_start'", "windows of 120 s", "2024-05-12T00:03:00"),
    "PeakFactorBelowOne.csv": (", line 4, column 'peak_factor'", "a number of at least 1", "'0.9'"),
    "PeakFactorDiffers.csv": (", line 4, column 'peak_factor'", "1.2 as above", "'1.1'"),
    "TextRate.csv": (", line 4, column 'rate_rps'", "a number of at least 0", "'fast'"),
    "UnbalancedQuote.csv": (", line 4", "comma-separated text", "unexpected end of data"),
    "UnknownClass.csv": (", line 4, column 'request_class'", "one of SS", "'XL'"),
    "UnknownColumn.csv": (", line 1", "only the columns", "'peak'"),
    "UnsortedWindows.csv": (", line 5, column 'window_start'", "in the order of time", "2024-05-12T00:05:00"),
    "UnsortedWindows.parquet": (", row 2, column 'window_start'", "in the order of time", "2024-05-12T00:00:00"),
    "WrongEnding.txt": ("", "a .csv or .parquet file", "'.txt'"),
    "ZeroInputTokens.csv": (", line 4, column 'input_tokens'", "a number above 0", "'0'"),
}


def _place(number: int, column: str) -> str:
    return f"row {number}, {column}"


def _frame(*starts: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "window_start": pd.to_datetime(list(starts), utc=True),
            "request_class": "SS",
            "rate_rps": 1.0,
            "input_tokens": 100.0,
            "output_tokens": 10.0,
        }
    )


def test_every_fault_has_its_place() -> None:
    """Tests that no file lies in the folder without being tested."""
    assert set(PLACES) == {path.name for path in FAULTS.iterdir()}


@pytest.mark.parametrize("name", sorted(PLACES))
def test_faults_are_refused_at_their_place(name: str) -> None:
    """Tests that one line says file, line and column, what was expected and what was found."""
    place, expected, found = PLACES[name]
    with pytest.raises(InvalidInputError) as caught:
        read_demand(FAULTS / name)
    message = str(caught.value)
    assert message.startswith(f"{FAULTS / name}{place}: expected ")
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert "\n" not in message


def test_good_rows_pass() -> None:
    """Tests that the rules refuse nothing that keeps to them, so that the tests above mean something."""
    frame = _frame("2024-05-12T00:00:00Z", "2024-05-12T00:05:00Z", "2024-05-12T00:15:00Z")
    check_rows(frame, _place)
    assert find_window_s(frame["window_start"], _place, None) == 300


def test_places_come_from_the_index() -> None:
    """Tests that a frame whose first row stands on line 7 is told of by its lines."""
    frame = _frame("2024-05-12T00:05:00Z", "2024-05-12T00:00:00Z").set_axis([7, 9])
    with pytest.raises(InvalidInputError, match="row 9, window_start"):
        check_rows(frame, _place)


def test_optional_columns_are_filled_in() -> None:
    """Tests that rows without model and peak factor have an empty model and a peak factor of 1."""
    full = normalise(_frame("2024-05-12T00:00:00Z"))
    assert full["model"].tolist() == [""]
    assert full["peak_factor"].tolist() == [1.0]
    assert list(full) == [
        "window_start",
        "model",
        "request_class",
        "rate_rps",
        "input_tokens",
        "output_tokens",
        "peak_factor",
    ]


def test_smallest_spacing_is_the_window() -> None:
    """Tests windows at 0, 10 and 15 min: 5 min windows, of which the second is empty."""
    starts = _frame("2024-05-12T00:00:00Z", "2024-05-12T00:10:00Z", "2024-05-12T00:15:00Z")["window_start"]
    assert find_window_s(starts, _place, None) == 300
    with pytest.raises(InvalidInputError, match=r"row 2, window_start.*windows of 600 s"):
        find_window_s(starts, _place, 600)
