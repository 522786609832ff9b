"""Tests of `dynaopt.demand`: what a demand gives, the shipped weeks, and reading back what was written."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dynaopt.demand import Demand, demand_names, read_demand, write_demand
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.request_class import REQUEST_CLASSES

START = pd.Timestamp("2024-05-12T00:00:00Z")
TEXT = """\
window_start,request_class,rate_rps,input_tokens,output_tokens,peak_factor
2024-05-12T00:00:00Z,SS,1.5,110,20,1.2
2024-05-12T00:00:00Z,LL,0.5,3000,400,1.2
2024-05-12T00:05:00Z,SS,1.25,110,20,1
2024-05-12T00:20:00Z,LS,1,2000,20,1.1
"""
TWO_MODELS = """\
window_start,model,request_class,rate_rps,input_tokens,output_tokens
2024-05-12T00:00:00Z,b,SS,1,110,20
2024-05-12T00:00:00Z,a,SS,2,110,20
2024-05-12T00:01:00Z,b,SS,3,110,20
"""
REQUESTS = {"azure-2024-conversation": 27_303_999, "azure-2024-coding": 16_803_695}


def _read(folder: Path, text: str, **options: float) -> Demand:
    path = folder / "demand.csv"
    path.write_text(text)
    return read_demand(path, **options)


def test_windows_without_rows_are_empty(tmp_path: Path) -> None:
    """Tests that 00:10 and 00:15, which no row names, are windows in which nothing arrives."""
    demand = _read(tmp_path, TEXT)
    assert demand.window_s == 300
    assert demand.num_windows == 5
    assert demand.starts[3] == START + pd.Timedelta(minutes=15)
    assert demand.rates_rps[""][2:4].sum() == 0
    assert demand.peak_factors[""].tolist() == [1.2, 1, 1, 1, 1.1]


def test_sums_by_hand(tmp_path: Path) -> None:
    """Tests 300 s times (1.5 + 0.5 + 1.25 + 1) requests/s = 1,275 requests, and the first window as the busiest."""
    demand = _read(tmp_path, TEXT)
    assert demand.num_requests == pytest.approx(1275)
    assert demand.peak_rate_rps == 2
    assert demand.total_rates_rps.sum(axis=1).tolist() == [2, 1.25, 0, 0, 1]


def test_window_holds_its_rates_by_class(tmp_path: Path) -> None:
    """Tests that the first window has 1.5 requests/s of SS, 0.5 of LL and none of the other seven."""
    window = _read(tmp_path, TEXT).window(0)
    assert window.start == START
    assert window.window_s == 300
    expected = dict.fromkeys(REQUEST_CLASSES, 0.0) | {"SS": 1.5, "LL": 0.5}
    assert dict(zip(REQUEST_CLASSES, window.rate_rps[""], strict=True)) == expected
    assert window.peak_factor == {"": 1.2}


def test_window_number_outside_is_refused(tmp_path: Path) -> None:
    """Tests that there is no sixth window of five."""
    with pytest.raises(IndexError):
        _read(tmp_path, TEXT).window(5)


def test_rates_cannot_be_changed(tmp_path: Path) -> None:
    """Tests that a solver cannot change the demand by mistake."""
    demand = _read(tmp_path, TEXT)
    with pytest.raises(ValueError, match="read-only"):
        demand.window(0).rate_rps[""][0] = 7


def test_rows_of_a_window_are_sorted_by_class(tmp_path: Path) -> None:
    """Tests that the table comes in the order of windows, models and REQUEST_CLASSES, not of the alphabet."""
    demand = _read(tmp_path, TEXT)
    assert demand.table["request_class"].tolist() == ["SS", "LL", "SS", "LS"]
    demand = _read(tmp_path, TWO_MODELS)
    assert demand.table["model"].tolist() == ["a", "b", "b"]


def test_each_model_has_its_rates(tmp_path: Path) -> None:
    """Tests that models share windows and nothing else, and that a peak factor that is not given is 1."""
    demand = _read(tmp_path, TWO_MODELS)
    assert demand.models == ("a", "b")
    assert demand.window_s == 60
    assert demand.rates_rps["a"][:, 0].tolist() == [2, 0]
    assert demand.rates_rps["b"][:, 0].tolist() == [1, 3]
    assert demand.window(1).peak_factor == {"a": 1, "b": 1}


def test_select_keeps_empty_windows_and_silent_models(tmp_path: Path) -> None:
    """Tests that a part has exactly the windows asked for, and models even where they receive nothing."""
    part = _read(tmp_path, TEXT).select(1, 4)
    assert part.num_windows == 3
    assert part.starts[0] == START + pd.Timedelta(minutes=5)
    assert part.num_requests == pytest.approx(375)
    assert len(part.table) == 1
    part = _read(tmp_path, TWO_MODELS).select(1, 2)
    assert part.models == ("a", "b")
    assert part.window(0).rate_rps["a"].sum() == 0


def test_select_agrees_with_the_whole() -> None:
    """Tests that the windows of the second day are the same seen from the day and from the week."""
    week = read_demand("azure-2024-coding")
    day = week.select(288, 576)
    for number in (0, 100, 287):
        own, whole = day.window(number), week.window(288 + number)
        assert own.start == whole.start
        assert (own.rate_rps[""] == whole.rate_rps[""]).all()
        assert own.peak_factor == whole.peak_factor


@pytest.mark.parametrize(("first", "stop"), [(0, 0), (-1, 2), (3, 2), (0, 6)])
def test_select_outside_is_refused(tmp_path: Path, first: int, stop: int) -> None:
    """Tests that an empty range, or one that reaches over an end, is told of."""
    with pytest.raises(InvalidInputError, match=f"windows {first} to {stop} of demand.*inside 0 to 5"):
        _read(tmp_path, TEXT).select(first, stop)


def test_select_without_arrivals_is_refused(tmp_path: Path) -> None:
    """Tests that there is nothing to plan where nothing arrives."""
    with pytest.raises(InvalidInputError, match="a window in which requests arrive"):
        _read(tmp_path, TEXT).select(2, 4)


def test_single_window_has_the_default_length_or_that_given(tmp_path: Path) -> None:
    """Tests that spacing cannot tell the length of a single window: 300 s, or what is said."""
    text = "".join(TEXT.splitlines(keepends=True)[:3])
    assert _read(tmp_path, text).window_s == 300
    assert _read(tmp_path, text, window_s=60).window_s == 60


def test_given_length_must_fit_the_spacing(tmp_path: Path) -> None:
    """Tests that 5 min windows are not taken for windows of 4 min, and may be read as windows of 1 min."""
    with pytest.raises(InvalidInputError, match=r"line 4, column 'window_start': .*windows of 240 s"):
        _read(tmp_path, TEXT, window_s=240)
    assert _read(tmp_path, TEXT, window_s=60).num_windows == 21


def test_zones_are_turned_into_utc(tmp_path: Path) -> None:
    """Tests that 02:00+02:00 is midnight UTC."""
    demand = _read(tmp_path, TEXT.replace("2024-05-12T00:00:00Z", "2024-05-12T02:00:00+02:00"))
    assert demand.starts[0] == START


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    """Tests that a schedule can name the very file that it was made for."""
    demand = _read(tmp_path, TEXT)
    assert demand.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert demand.name == "demand"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("text", [TEXT, TWO_MODELS], ids=["one model", "two models"])
def test_written_demands_read_back_the_same(tmp_path: Path, text: str, suffix: str) -> None:
    """Tests that neither format loses a digit."""
    demand = _read(tmp_path, text)
    write_demand(demand, tmp_path / f"copy{suffix}")
    assert_frame_equal(read_demand(tmp_path / f"copy{suffix}").table, demand.table, check_exact=True)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=9, max_size=27),
    minutes=st.integers(1, 60),
    peak=st.floats(1, 20),
)
def test_any_demand_survives_writing(
    tmp_path_factory: pytest.TempPathFactory, rates: list[float], minutes: int, peak: float
) -> None:
    """Tests that a table of any rates reads back bit for bit, with the same windows."""
    rows = [
        {
            "window_start": START.as_unit("us") + pd.Timedelta(minutes=minutes * (at // 9)),
            "model": "",
            "request_class": REQUEST_CLASSES[at % 9],
            "rate_rps": rate,
            "input_tokens": 100.0,
            "output_tokens": 10.0,
            "peak_factor": peak,
        }
        for at, rate in enumerate(rates)
    ]
    demand = Demand("any", 60.0 * minutes, pd.DataFrame(rows))
    path = tmp_path_factory.mktemp("any") / "any.csv"
    write_demand(demand, path)
    back = read_demand(path, window_s=60.0 * minutes)
    assert_frame_equal(back.table, demand.table, check_exact=True)
    assert (back.rates_rps[""] == demand.rates_rps[""]).all()
    assert back.num_requests == pytest.approx(sum(rates) * 60 * minutes)


def test_travels_to_worker_processes(tmp_path: Path) -> None:
    """Tests that a pickled demand is the same demand."""
    demand = pickle.loads(pickle.dumps(_read(tmp_path, TEXT)))
    assert demand.window(0).rate_rps[""].sum() == 2
    assert demand.num_windows == 5


def test_repr_tells_what_it_is(tmp_path: Path) -> None:
    """Tests that the printed demand says how long, how much and which models."""
    assert repr(_read(tmp_path, TEXT)) == (
        "Demand(demand: 5 windows of 300 s from 2024-05-12T00:00:00+00:00, 1,275 requests, 0.8 requests/s on average, "
        "2.0 in the busiest window)"
    )
    assert repr(_read(tmp_path, TWO_MODELS)).endswith("models a, b)")


def test_unknown_names_and_files_are_told_apart(tmp_path: Path) -> None:
    """Tests that a misspelt week lists the weeks, and a missing file is called missing."""
    with pytest.raises(UnknownNameError, match=r"azure-2024-conversation, azure-2024-coding.*'azure-2024'"):
        read_demand("azure-2024")
    with pytest.raises(MissingFileError, match=r"none\.csv"):
        read_demand(tmp_path / "none.csv")


def test_shipped_weeks_are_listed() -> None:
    """Tests that every name listed can be read, and reads as a week of 5 min windows."""
    assert set(demand_names()) == set(REQUESTS)
    for name in demand_names():
        demand = read_demand(name)
        assert (demand.name, demand.window_s, demand.num_windows) == (name, 300, 2016)
        assert len(demand.sha256) == 64


@pytest.mark.parametrize("name", demand_names())
def test_shipped_requests_add_up(name: str) -> None:
    """Tests that each window has a whole number of requests, and the week exactly those that were measured."""
    per_window = read_demand(name).rates_rps[""].sum(axis=1) * 300
    assert np.abs(per_window - per_window.round()).max() < 1e-9
    assert int(per_window.round().sum()) == REQUESTS[name]


@pytest.mark.parametrize(
    ("name", "first", "weekday", "classes"),
    [
        ("azure-2024-conversation", "2024-05-12T00:00:00Z", 6, set(REQUEST_CLASSES) - {"SL"}),
        ("azure-2024-coding", "2024-05-10T00:00:00Z", 4, set(REQUEST_CLASSES)),
    ],
)
def test_shipped_weeks_begin_on_their_day(name: str, first: str, weekday: int, classes: set[str]) -> None:
    """Tests that conversation begins on a Sunday and coding on a Friday, and which classes each has."""
    demand = read_demand(name)
    assert demand.starts[0] == pd.Timestamp(first)
    assert demand.starts[0].weekday() == weekday
    assert set(demand.table["request_class"]) == classes
