"""Tests in which forms a demand may come."""

import numpy as np
import pandas as pd
import pytest
from builders import make_window

from dynaopt.arrivals import as_window
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.request_class import REQUEST_CLASSES

START = pd.Timestamp("2024-05-14T18:05:00Z")
SS, LL = REQUEST_CLASSES.index("SS"), REQUEST_CLASSES.index("LL")


def test_rates_by_class() -> None:
    """Tests that classes that are not named do not come, and that the start is now unless given."""
    window = as_window({"SS": 3, "LL": 0.5}, ["a"], peak_factor=1.2, window_s=60.0)
    assert window.rate_rps["a"][[SS, LL]].tolist() == [3.0, 0.5]
    assert window.rate_rps["a"].sum() == 3.5
    assert (window.window_s, window.peak_factor) == (60.0, {"a": 1.2})
    assert abs((pd.Timestamp.now("UTC") - window.start).total_seconds()) < 60


def test_rates_by_model() -> None:
    """Tests an array, a mapping and a model that is not named."""
    demand = {"a": np.arange(9.0), "b": {"SS": 1.0}}
    window = as_window(demand, ["a", "b", "c"], peak_factor={"b": 1.5}, start=START, window_s=60.0)
    assert [window.rate_rps[m].sum() for m in "abc"] == [36.0, 1.0, 0.0]
    assert window.peak_factor == {"a": 1.0, "b": 1.5, "c": 1.0}
    assert window.start == START


@pytest.mark.parametrize("model", ["a", ""])
def test_a_window_keeps_its_own_start_and_peak(model: str) -> None:
    """Tests the window of a table, whose only model may have no name."""
    given = make_window({"SS": 1.0}, model=model, peak_factor=1.3)
    window = as_window(given, ["a"], peak_factor=9.0, window_s=7.0)
    assert (window.start, window.window_s, window.peak_factor) == (given.start, 300.0, {"a": 1.3})
    assert window.rate_rps["a"].tolist() == given.rate_rps[model].tolist()


@pytest.mark.parametrize(
    ("demand", "error", "words"),
    [
        ({"SX": 1.0}, UnknownNameError, "demand of a: expected a class of SS"),
        ({"b": {"SS": 1.0}}, UnknownNameError, "expected a model of a, got 'b'"),
        ({"SS": -1.0}, InvalidInputError, "class SS: expected a rate of at least 0, got -1"),
        ({"SS": float("nan")}, InvalidInputError, "got nan"),
        ({"SS": "many"}, InvalidInputError, "numbers of requests per second"),
        ([1.0, 2.0], InvalidInputError, "expected 9 rates"),
    ],
)
def test_what_is_no_demand(demand: object, error: type[Exception], words: str) -> None:
    """Tests that each fault is told apart."""
    with pytest.raises(error, match=words):
        as_window(demand, ["a"], window_s=60.0)  # type: ignore[arg-type]


def test_several_models_must_be_named() -> None:
    """Tests rates without a model, of which it is not known whose they are."""
    with pytest.raises(InvalidInputError, match="rates for each model of a, b"):
        as_window({"SS": 1.0}, ["a", "b"], window_s=60.0)


@pytest.mark.parametrize("peak", [0.9, float("inf"), float("nan")])
def test_what_is_no_peak_factor(peak: float) -> None:
    """Tests that it must be at least 1."""
    with pytest.raises(InvalidInputError, match="peak factor of a: expected a number of at least 1"):
        as_window({"SS": 1.0}, ["a"], peak_factor=peak, window_s=60.0)
