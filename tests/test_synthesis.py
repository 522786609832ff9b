"""Tests of `dynaopt.synthesis`: a drawn week has the real counts and, but for chance, the real lengths."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynaopt.burstiness import MEASURED, READINGS, count_statistics
from dynaopt.demand import read_demand
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.lengths import SERVICE_REQUESTS, service_lengths
from dynaopt.request_class import CutPoints
from dynaopt.request_stream import RequestPart
from dynaopt.synthesis import SynthesisedStream, find_service, read_minutes

RAW = Path(__file__).parents[2] / "shared" / "data"
PREFIXES = {"conversation": "conv", "coding": "code"}
SERVICES = tuple(PREFIXES)
NUMBERS = range(7, 2016, 50)


@pytest.fixture(scope="module", params=SERVICES)
def stream(request: pytest.FixtureRequest) -> SynthesisedStream:
    """Return the week of each service."""
    return SynthesisedStream(request.param, seed=5)


def _starts(stream: SynthesisedStream, numbers: range, minutes: int = 5) -> pd.DatetimeIndex:
    return stream.start + pd.to_timedelta([number * minutes * 60 for number in numbers], unit="s")


def _parts(stream: SynthesisedStream, numbers: range = NUMBERS) -> list[RequestPart]:
    return list(stream.parts(_starts(stream, numbers), 300.0))


def test_every_minute_has_its_real_count(stream: SynthesisedStream) -> None:
    """Tests the arrivals of forty windows, minute by minute, against the counts that are shipped."""
    counted = read_minutes(stream.service).to_numpy().reshape(2016, 5)
    for number, part in zip(NUMBERS, _parts(stream), strict=True):
        minute = np.floor(part.arrival_s / 60).astype(int) - 5 * number
        assert np.bincount(minute, minlength=5).tolist() == counted[number].tolist()
        assert (np.diff(part.arrival_s) >= 0).all()


def test_the_week_has_its_published_number_of_requests(stream: SynthesisedStream) -> None:
    """Tests 27,303,999 and 16,803,695 requests, and that windows agree with the shipped demand."""
    demand = read_demand(f"azure-2024-{stream.service}")
    assert stream.num_requests == SERVICE_REQUESTS[stream.service]
    assert (stream.start, stream.end) == (demand.starts[0], demand.starts[-1] + pd.Timedelta(minutes=5))
    assert stream.per_minute.sum(axis=1) == pytest.approx(demand.total_rates_rps.sum(axis=1) * 300)


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")
@pytest.mark.parametrize("service", SERVICES)
def test_shipped_minutes_are_those_measured(service: str) -> None:
    """Tests all 10,080 minutes against the raw file."""
    raw = pd.read_csv(RAW / "azure2024" / "minutes.csv")[f"{PREFIXES[service]}_requests"]
    assert read_minutes(service).tolist() == raw.tolist()


def test_expected_lengths_are_those_of_the_window(stream: SynthesisedStream) -> None:
    """Tests that a window's weights give its mean input and output, and the demand's class shares to half a point."""
    lengths, demand = service_lengths(stream.service), read_demand(f"azure-2024-{stream.service}")
    classes = stream.cut_points.classify(lengths.input_tokens, lengths.output_tokens)
    for number in NUMBERS:
        weights = stream.length_weights(number)
        rows = demand.table[demand.table["window_start"] == demand.starts[number]]
        for name in ("input_tokens", "output_tokens"):
            mean = np.average(rows[name], weights=rows["rate_rps"])
            assert weights @ getattr(lengths, name) == pytest.approx(mean, rel=1e-6)
        rates = demand.rates_rps[""][number]
        assert np.bincount(classes, weights, minlength=9) == pytest.approx(rates / rates.sum(), abs=0.005)


def test_tokens_are_the_real_ones_but_for_chance(stream: SynthesisedStream) -> None:
    """Tests the tokens of forty windows, each and all together, to 4.5 standard errors of independent draws."""
    lengths = service_lengths(stream.service)
    for name in ("input_tokens", "output_tokens"):
        values = getattr(lengths, name)
        drawn, expected, variance = [], [], []
        for number, part in zip(NUMBERS, _parts(stream), strict=True):
            weights = stream.length_weights(number)
            drawn.append(int(getattr(part, name).sum()))
            expected.append(part.num_requests * (weights @ values))
            variance.append(part.num_requests * (weights @ values**2 - (weights @ values) ** 2))
        error = (np.array(drawn) - expected) / np.sqrt(variance)
        assert np.abs(error).max() < 4.5
        assert abs(np.sum(drawn) - np.sum(expected)) < 4.5 * np.sqrt(np.sum(variance))


def test_arrivals_are_at_least_as_bursty_as_in_2023(stream: SynthesisedStream) -> None:
    """Tests the index of dispersion of seconds, given each minute's count, over forty windows of the week."""
    counts = []
    for number, part in zip(NUMBERS, _parts(stream), strict=True):
        second = np.floor(part.arrival_s).astype(int) - 300 * number
        counts.append(np.bincount(second, minlength=300).reshape(5, 60))
    assert count_statistics(np.concatenate(counts)).dispersion >= MEASURED[stream.service].dispersion_1s


def test_a_window_does_not_depend_on_those_before(stream: SynthesisedStream) -> None:
    """Tests that a window drawn alone is the window drawn among others."""
    (alone,) = _parts(stream, range(12, 13))
    among = _parts(stream, range(10, 14))[2]
    for mine, theirs in zip(alone[:4], among[:4], strict=True):
        assert np.array_equal(mine, theirs)


def test_windows_of_another_length_hold_the_same_requests(stream: SynthesisedStream) -> None:
    """Tests that minutes and quarters of an hour are the same requests, cut elsewhere."""
    minutes = list(stream.parts(_starts(stream, range(15, 45), minutes=1), 60.0))
    quarters = list(stream.parts(_starts(stream, range(1, 3), minutes=15), 900.0))
    for column in range(4):
        one, other = (np.concatenate([part[column] for part in parts]) for parts in (minutes, quarters))
        assert np.array_equal(one, other)
    assert minutes[0].num_requests == stream.per_minute.ravel()[15]


def test_outside_the_week_there_is_nothing(stream: SynthesisedStream) -> None:
    """Tests windows before and behind the week, and one that begins in its last minute."""
    starts = pd.DatetimeIndex([stream.start - pd.Timedelta(minutes=5), stream.end - pd.Timedelta(minutes=1)])
    parts = list(stream.parts(starts.append(pd.DatetimeIndex([stream.end + pd.Timedelta(days=3)])), 300.0))
    assert [part.num_requests for part in parts] == [0, stream.per_minute.ravel()[-1], 0]


def test_seeds_differ_and_repeat() -> None:
    """Tests that one seed gives one week, and another seed another."""
    first, again, other = (_parts(SynthesisedStream("coding", seed), range(1))[0] for seed in (1, 1, 2))
    assert np.array_equal(first.arrival_s, again.arrival_s)
    assert np.array_equal(first.input_tokens, again.input_tokens)
    assert not np.array_equal(first.arrival_s, other.arrival_s)
    assert not np.array_equal(first.input_tokens, other.input_tokens)


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_gives_the_same_counts(reading: str) -> None:
    """Tests that burstiness moves requests inside a minute and not beyond it."""
    stream = SynthesisedStream("coding", reading=reading)
    (part,) = _parts(stream, range(1))
    assert np.bincount((part.arrival_s // 60).astype(int)).tolist() == stream.per_minute[0].tolist()


def test_classes_and_model_are_those_asked_for() -> None:
    """Tests other cut-points than Table IV's, under which all inputs are L and all outputs S."""
    stream = SynthesisedStream("conversation", cut_points=CutPoints((1, 2), (9998, 9999)), model="m")
    (part,) = _parts(stream, range(1))
    assert set(part.request_class.tolist()) == {6}
    assert part.model == "m"


@pytest.mark.parametrize("name", ["coding", "azure-2024-coding"])
def test_a_service_goes_by_two_names(name: str) -> None:
    """Tests the service's name and that of its week."""
    assert find_service(name) == "coding"
    assert SynthesisedStream(name) == SynthesisedStream("coding")


def test_bad_options_are_refused() -> None:
    """Tests an unknown service, an unknown reading and a seed below 0."""
    with pytest.raises(UnknownNameError, match="azure-2024-conversation"):
        SynthesisedStream("azure-2023-coding")
    with pytest.raises(UnknownNameError, match="bounded"):
        SynthesisedStream("coding", reading="bursty")
    with pytest.raises(InvalidInputError, match="seed: expected an integer from 0"):
        SynthesisedStream("coding", seed=-1)
