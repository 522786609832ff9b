"""Tests of how the text of options becomes values."""

from pathlib import Path

import pandas as pd
import pytest
import typer

from dynaopt.cli_options import (
    finite_number,
    make_slo,
    parse_cut_points,
    parse_fixed_mix,
    parse_reserve,
    parse_time,
    parse_window_s,
    whole_number,
)
from dynaopt.errors import InvalidInputError
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.slo import Slo


@pytest.mark.parametrize(
    ("text", "seconds"), [("5min", 300), ("300s", 300), ("300", 300), ("1h", 3600), ("00:10:00", 600)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    """Tests the usual ways to write a length, a bare number being seconds."""
    assert parse_window_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5min", "0.5s", "nan"])
def test_what_is_no_length_of_time(text: str) -> None:
    """Tests that nothing is guessed."""
    with pytest.raises(InvalidInputError, match="option --window: expected a length of time"):
        parse_window_s(text)


def test_times_without_a_zone_are_utc() -> None:
    """Tests a date, a time, and a time of another zone."""
    assert parse_time("--from", "2024-05-12") == pd.Timestamp("2024-05-12T00:00:00Z")
    assert parse_time("--from", "2024-05-12T18:05") == pd.Timestamp("2024-05-12T18:05:00Z")
    assert parse_time("--from", "2024-05-12T18:05+02:00") == pd.Timestamp("2024-05-12T16:05:00Z")


@pytest.mark.parametrize("text", ["", "today-ish", "12/05/2024", "2024-13-01"])
def test_what_is_no_time(text: str) -> None:
    """Tests that the option is named, and that dates whose order one would have to guess are refused."""
    with pytest.raises(InvalidInputError, match="option --until: expected a time"):
        parse_time("--until", text)


def test_cut_points() -> None:
    """Tests the two names and numbers."""
    assert parse_cut_points("table-iv") == TABLE_IV
    assert parse_cut_points("terciles") == "terciles"
    assert parse_cut_points("10,20:30,40") == CutPoints((10, 20), (30, 40))


@pytest.mark.parametrize("text", ["", "10,20", "10,20:30", "10,20:30,40,50", "a,b:c,d", "20,10:30,40", "0,10:30,40"])
def test_what_cuts_nothing(text: str) -> None:
    """Tests that numbers must be four, positive and increasing."""
    with pytest.raises(InvalidInputError):
        parse_cut_points(text)


def test_reserves() -> None:
    """Tests a share and the failure of an instance."""
    assert parse_reserve("0.25") == 0.25
    assert parse_reserve("N+1") == "n+1"


@pytest.mark.parametrize("text", ["", "n+2", "1", "-0.1", "nan", "inf"])
def test_what_is_no_reserve(text: str) -> None:
    """Tests that a share of all capacity, or none at all, is refused."""
    with pytest.raises(InvalidInputError, match="option --reserve"):
        parse_reserve(text)


def test_fixed_mixes() -> None:
    """Tests one model, two models, degrees with and without TP, and a model's name with a colon."""
    assert parse_fixed_mix([]) == {}
    assert parse_fixed_mix(["a:2=4,TP8=10", "b:1:4=0"]) == {"a": {2: 4, 8: 10}, "b:1": {4: 0}}


@pytest.mark.parametrize("text", ["a", "a:", ":2=4", "a:2=4,", "a:2=4x", "a:2=-4", "a:2=4,2=5", "a:2=4 8=1"])
def test_what_is_no_fixed_mix(text: str) -> None:
    """Tests that no part of the text is passed over."""
    with pytest.raises(InvalidInputError, match="option --fixed-mix"):
        parse_fixed_mix([text])


def test_a_model_has_one_fixed_mix() -> None:
    """Tests that the second does not silently win."""
    with pytest.raises(InvalidInputError, match="got 'a:8=1'"):
        parse_fixed_mix(["a:2=4", "a:8=1"])


def test_objectives_are_scaled(tmp_path: Path) -> None:
    """Tests Table IV without a file, a file, and a factor on either."""
    assert make_slo(None, 1.0) == Slo.table_iv()
    assert make_slo(None, 2.0).of("LL") == (4.0, 0.2)
    path = tmp_path / "slo.csv"
    rows = [f"{i}{o},0.5,0.05" for i in "SML" for o in "SML"]
    path.write_text("\n".join(["request_class,ttft_s,tbt_s", *rows, ""]))
    assert make_slo(path, 2.0).of("SM") == (1.0, 0.1)


BAD_NUMBERS = [(whole_number, "3.0"), (whole_number, "x"), (finite_number, "inf"), (finite_number, "nan")]


@pytest.mark.parametrize(("parse", "text"), BAD_NUMBERS)
def test_numbers_tell_what_was_found(parse, text: str) -> None:
    """Tests that the message holds the text, which Typer's own leaves out."""
    with pytest.raises(typer.BadParameter, match=f"got '{text}'"):
        parse(text)


def test_numbers() -> None:
    """Tests an integer and a number."""
    assert whole_number("-3") == -3
    assert finite_number("1e-4") == 1e-4
