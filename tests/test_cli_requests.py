"""Tests of `dynaopt.cli_requests`: which requests a schedule is replayed with."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from builders import make_curve, make_profile
from sample_schedule import make_schedule, renamed

from dynaopt.cli_requests import RequestOptions, describe_requests, find_requests
from dynaopt.demand import read_demand
from dynaopt.errors import InvalidInputError
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule
from dynaopt.synthesis import SynthesisedStream
from dynaopt.trace_stream import TraceStream


def _profile(model: str = "tiny-model") -> Profile:
    return make_profile([make_curve(2, 800, "SS", [(0, 100), (1, 200)])], model=model)


def _options(*traces: str, seed: int = 0) -> RequestOptions:
    return RequestOptions(traces=traces, seed=seed, burstiness="bounded")


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Return a trace of two requests in the sample schedule's windows."""
    path = tmp_path / "t.csv"
    rows = "2024-05-12 00:00:01,100,10\n2024-05-12 00:19:00,2000,400"
    path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}\n")
    return str(path)


def _of_week(first: int = 0, stop: int = 4, **changes: object) -> Schedule:
    """Return the sample schedule as if it were of windows of the shipped coding week."""
    demand = replace(read_demand("azure-2024-coding").select(first, stop), **changes)
    return replace(renamed(make_schedule(), "azure-2024-coding"), demand=demand)


def test_a_shipped_week_is_synthesised() -> None:
    """Tests the service, seed, cut-points and model of the stream, and how it is told."""
    (stream,) = find_requests(_of_week(100, 104), [_profile()], _options(seed=3))
    assert stream == SynthesisedStream("coding", 3, "bounded", _profile().cut_points, "tiny-model")
    assert describe_requests([stream]) == ["synthesised, azure-2024-coding, seed 3, burstiness bounded"]


def test_a_trace_comes_before_the_week(trace: str) -> None:
    """Tests that a trace is taken where one is given, with the profile's cut-points and model."""
    (stream,) = find_requests(make_schedule(), [_profile()], _options(trace))
    assert isinstance(stream, TraceStream)
    assert (stream.num_requests, stream.model, stream.cut_points) == (2, "tiny-model", _profile().cut_points)
    assert describe_requests([stream]) == [f"trace {trace}, 2 requests"]


def test_several_models_have_a_trace_each(trace: str) -> None:
    """Tests that MODEL=FILE names whose requests they are, in any order."""
    profiles: Sequence[Profile] = [_profile("a"), _profile("b")]
    streams = find_requests(make_schedule(), profiles, _options(f"b={trace}", f"a={trace}"))
    assert [stream.model for stream in streams if isinstance(stream, TraceStream)] == ["b", "a"]


@pytest.mark.parametrize(
    ("texts", "found"),
    [(["{}"], "'{}'"), (["a={}"], "none for 'b'"), (["a={}", "a={}"], "'a={}'"), (["a={}", "c={}"], "'c={}'")],
)
def test_traces_that_belong_to_no_model_are_refused(trace: str, texts: list[str], found: str) -> None:
    """Tests two models with a bare file, a missing one, one twice and an unknown one."""
    options = _options(*(text.format(trace) for text in texts))
    with pytest.raises(InvalidInputError) as caught:
        find_requests(make_schedule(), [_profile("a"), _profile("b")], options)
    assert caught.value.found == found.format(trace)
    assert "MODEL=FILE once for each of the models a, b" in caught.value.expected


def test_a_week_of_another_name_or_other_rates_is_refused() -> None:
    """Tests a demand made in memory, one of a shipped name but of half the rates, and one outside the week."""
    halved = _of_week()
    table = halved.demand.table.assign(rate_rps=halved.demand.table["rate_rps"] / 2)
    later = halved.demand.table.assign(window_start=halved.demand.table["window_start"] + pd.Timedelta(days=30))
    cases = {
        "a demand made in memory": renamed(make_schedule(), "week"),
        "others": replace(halved, demand=replace(halved.demand, table=table)),
        "others, ": _of_week(table=later, starts=halved.demand.starts + pd.Timedelta(days=30)),
    }
    for found, schedule in cases.items():
        with pytest.raises(InvalidInputError, match="give the requests with --trace FILE") as caught:
            find_requests(schedule, [_profile()], _options())
        assert caught.value.found == found.rstrip(", ")


def test_a_trace_of_another_time_is_refused(tmp_path: Path) -> None:
    """Tests requests that end before the first window, and such as begin with the end of the last."""
    for time in ("2024-05-11 23:59:59.999999", "2024-05-12 00:20:00"):
        path = tmp_path / "t.csv"
        path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{time},100,10\n")
        with pytest.raises(InvalidInputError, match=r"expected requests between 2024-05-12T00:00:00\+00:00 and"):
            find_requests(make_schedule(), [_profile()], _options(str(path)))
