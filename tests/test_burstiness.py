"""Tests of `dynaopt.burstiness`: what is drawn is as bursty as it was asked to be."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from dynaopt.burstiness import (
    MEASURED,
    READINGS,
    Burstiness,
    bin_statistics,
    count_statistics,
    minute_dispersion,
    minute_law,
    service_burstiness,
)
from dynaopt.errors import UnknownNameError

ROOT = Path(__file__).parents[1]
RAW = ROOT.parent / "shared" / "data"
COLUMNS = {"conversation": "conv_requests", "coding": "code_requests"}
FILES = {"conversation": "conv.csv", "coding": "code.csv"}


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_burstiness", ROOT / "scripts" / "measure_burstiness.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tens(seconds: np.ndarray) -> np.ndarray:
    return seconds.reshape(len(seconds), 6, 10).sum(axis=2)


def test_statistics_of_hand_made_counts() -> None:
    """Tests two minutes of two bins.

    Counts (3, 1) and (2, 2): squares about the mean add up to 2 and 0, so that with 1 - 1/2 the spread is 4 over 8
    requests: D = 0.5. Pairs: 4 * 3 twice, 24 in all: c = (4 - 8) / 24.
    """
    found = count_statistics(np.array([[3, 1], [2, 2]]))
    assert found.dispersion == pytest.approx(0.5)
    assert found.clustering == pytest.approx(-4 / 24)


def test_minutes_covered_in_part_are_left_out() -> None:
    """Tests arrivals of three minutes: only the middle one counts, all of whose requests come in one second."""
    arrival_s = np.array([59.0, 75.2, 75.7, 75.9, 120.0])
    found = bin_statistics(arrival_s, 1.0)
    assert found.clustering == pytest.approx(1.0)
    assert found.dispersion == pytest.approx(3.0)


def test_requests_all_in_one_bin_are_fully_clustered() -> None:
    """Tests the upper end: c = 1, and D is the minute's count."""
    found = count_statistics(np.array([[0, 7, 0], [9, 0, 0]]))
    assert found.clustering == pytest.approx(1.0)
    assert found.dispersion == pytest.approx((7 * 7 + 9 * 9) / 16)


def test_minute_dispersion_of_hand_made_counts() -> None:
    """Tests counts 1, 3, 1, 3, 1: changes of +-2 with mean 0, variance 4, half of it over a mean of 1.8."""
    assert minute_dispersion(np.array([1, 3, 1, 3, 1])) == pytest.approx(2 / 1.8)


@pytest.mark.parametrize("service", MEASURED)
@pytest.mark.parametrize("reading", READINGS)
def test_minutes_keep_their_counts(service: str, reading: str) -> None:
    """Tests every reading with minutes of no requests, of one, of few, and of as many as the busiest."""
    per_minute = np.array([0, 1, 2, 11, 12, 300, 8000])
    seconds = service_burstiness(service, reading).draw_seconds(per_minute, np.random.default_rng(0))
    assert seconds.shape == (7, 60)
    assert seconds.min() >= 0
    assert seconds.sum(axis=1).tolist() == per_minute.tolist()


@pytest.mark.parametrize("num_requests", [100, 318, 2700])
@pytest.mark.parametrize(
    ("clustering_1s", "clustering_10s", "least_1s", "least_10s", "limit"),
    [
        (0.0, 0.0, 1.0, 1.0, np.inf),
        (1.73e-4, 1.46e-3, 1.0, 1.0, np.inf),
        (0.0309, 0.212, 1.0, 1.0, np.inf),
        (0.0309, 0.212, 10.7, 67.3, 11.0),
        (0.0, 0.0, 3.0, 8.0, np.inf),
    ],
)
def test_draws_are_as_bursty_as_asked(
    num_requests: int, clustering_1s: float, clustering_10s: float, least_1s: float, least_10s: float, limit: float
) -> None:
    """Tests the index of dispersion of both scales against 1 + (n - 1) c between its bounds, to 5 %."""
    burstiness = Burstiness(clustering_1s, clustering_10s, least_1s, least_10s, limit)
    per_minute = np.full(4000, num_requests)
    seconds = burstiness.draw_seconds(per_minute, np.random.default_rng(1))
    expected_1s = min(max(1 + (num_requests - 1) * clustering_1s, least_1s), limit)
    expected_10s = min(max(1 + (num_requests - 1) * clustering_10s, least_10s), limit)
    assert [found[0] for found in burstiness.dispersions(per_minute)] == pytest.approx([expected_1s, expected_10s])
    assert count_statistics(seconds).dispersion == pytest.approx(expected_1s, rel=0.05)
    assert count_statistics(_tens(seconds)).dispersion == pytest.approx(expected_10s, rel=0.05)


def test_no_second_is_favoured() -> None:
    """Tests that each second of a minute gets its sixtieth on average: 4,000 minutes of 300, to 6 standard errors."""
    burstiness = service_burstiness("coding")
    seconds = burstiness.draw_seconds(np.full(4000, 300), np.random.default_rng(2))
    error = np.sqrt(5.0 * float(burstiness.dispersions(np.array([300]))[0][0]) / 4000)
    assert seconds.mean(axis=0) == pytest.approx(np.full(60, 5.0), abs=6 * error)


def test_limit_grows_with_traffic() -> None:
    """Tests 4 at 1,000 requests a minute, with the root of the traffic: 8 at 4,000, 2 at 250, and never below 1."""
    burstiness = Burstiness(1.0, 1.0, limit=4.0, limit_exponent=0.5)
    for dispersions in burstiness.dispersions(np.array([0, 2, 250, 1000, 4000])):
        assert dispersions == pytest.approx([1, 1, 2, 4, 8])


def test_minute_law_is_that_of_the_counts() -> None:
    """Tests hours whose minutes have variance 2 n^1.5 about means n of 400 to 6,400: D is 2 n^0.5, 63 at 1,000."""
    rng = np.random.default_rng(3)
    means = np.repeat(np.geomspace(400, 6400, 60), 60)
    counts = rng.normal(means, np.sqrt(2 * means**1.5)).round().astype(np.int64)
    at_1000, exponent = minute_law(counts)
    assert at_1000 == pytest.approx(2 * 1000**0.5, rel=0.05)
    assert exponent == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("num_requests", [2, 50, 300, 2700, 6000])
@pytest.mark.parametrize("service", MEASURED)
def test_readings_order_as_they_are_meant_to(service: str, num_requests: int) -> None:
    """Tests that the bounded reading is the burstier of the two others, but within what minutes of 2024 allow."""
    known = MEASURED[service]
    of = {
        reading: [float(d[0]) for d in service_burstiness(service, reading).dispersions(np.array([num_requests]))]
        for reading in READINGS
    }
    assert of["poisson"] == [1, 1]
    assert of["index"] == [known.dispersion_1s, known.dispersion_10s]
    limit = max(known.minute_dispersion, known.dispersion_1s)
    for bounded, index, relative in zip(of["bounded"], of["index"], of["relative"], strict=True):
        assert bounded == min(max(index, relative), limit)
    assert of["bounded"][0] >= known.dispersion_1s
    at_1000, exponent = known.minute_law
    at_most = max(at_1000 * (num_requests / 1000) ** exponent, 1.0)
    assert of["minutes"] == pytest.approx([min(relative, at_most) for relative in of["relative"]])


def test_unknown_names_are_refused() -> None:
    """Tests a service and a reading that there are not."""
    with pytest.raises(UnknownNameError, match="conversation, coding"):
        service_burstiness("chat")
    with pytest.raises(UnknownNameError, match="bounded, minutes"):
        service_burstiness("coding", "more")


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")
@pytest.mark.parametrize("service", MEASURED)
def test_measured_figures_are_those_of_the_raw_files(service: str) -> None:
    """Tests each constant against the files of 2023 and 2024."""
    arrival_s = _script().read_hour(RAW / "azure2023" / FILES[service])["arrival_s"].to_numpy()
    known = MEASURED[service]
    second, ten = bin_statistics(arrival_s, 1.0), bin_statistics(arrival_s, 10.0)
    assert (second.clustering, second.dispersion) == pytest.approx((known.clustering_1s, known.dispersion_1s), rel=3e-3)
    assert (ten.clustering, ten.dispersion) == pytest.approx((known.clustering_10s, known.dispersion_10s), rel=3e-3)
    week = pd.read_csv(RAW / "azure2024" / "minutes.csv")[COLUMNS[service]].to_numpy()
    assert minute_dispersion(week) == pytest.approx(known.minute_dispersion, rel=3e-3)
    assert minute_law(week) == pytest.approx(known.minute_law, rel=3e-3)


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")
def test_script_prints_what_the_documentation_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the figures in `docs/replay.md` are those that the script prints."""
    script = _script()
    for service in MEASURED:
        script.print_service(RAW, service)
    printed = capsys.readouterr().out
    text = (ROOT / "docs" / "replay.md").read_text()
    for known in MEASURED.values():
        for figure in (f"{known.dispersion_1s:.2f}", f"{known.dispersion_10s:.2f}", f"{known.minute_dispersion:.2f}"):
            assert figure in text
        assert f"{known.dispersion_1s:.3f}" in printed
