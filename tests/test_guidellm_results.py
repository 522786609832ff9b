"""Tests of `dynaopt.guidellm_results`."""

from pathlib import Path

import pandas as pd
import pytest
from result_files import guidellm_benchmark, summary, write_json

from dynaopt.errors import InvalidInputError
from dynaopt.guidellm_results import EVEN_ARRIVALS, MEAN_GAPS, read_guidellm_results


def _report(*benchmarks: object) -> dict[str, object]:
    return {"metadata": {"version": 1}, "benchmarks": list(benchmarks)}


def test_benchmarks_are_levels(tmp_path: Path) -> None:
    """Tests a sweep: one request at a time, one saturated run that has no load, two rates."""
    report = _report(
        guidellm_benchmark("synchronous", None),
        guidellm_benchmark("throughput", None),
        guidellm_benchmark("constant", 1.5),
        guidellm_benchmark("poisson", 3.0),
    )
    levels = read_guidellm_results(write_json(tmp_path / "a.json", report))
    assert [level.rate_rps for level in levels] == [0.0, 1.5, 3.0]
    assert [level.caveats for level in levels] == [(MEAN_GAPS,), (MEAN_GAPS, EVEN_ARRIVALS), (MEAN_GAPS,)]
    assert levels[2].where.endswith("key 'benchmarks.3'")


def test_a_level(tmp_path: Path) -> None:
    """Tests latencies in seconds, times since 1970, lengths and the model's name."""
    (level,) = read_guidellm_results(write_json(tmp_path / "a.json", _report(guidellm_benchmark())))
    assert (level.ttft_p50_s, level.ttft_p99_s) == (0.1, 0.3)
    assert (level.tbt_p50_s, level.tbt_p99_s) == (0.02, 0.03)
    assert (level.start, level.end) == (pd.Timestamp("2025-11-22T11:55:00Z"), pd.Timestamp("2025-11-22T12:00:00Z"))
    assert (level.model, level.input_tokens, level.output_tokens) == ("mine", 500, 200)


def test_older_reports(tmp_path: Path) -> None:
    """Tests GuideLLM 0.2: the strategy under `args`, the totals beside the metrics, the model in the benchmarker."""
    old = guidellm_benchmark()
    totals = old["metrics"].pop("request_totals")
    old |= {"args": {"strategy": old.pop("config")["strategy"]}, "request_totals": totals}
    old["benchmarker"] = {"backend": {"model": "older"}}
    (level,) = read_guidellm_results(write_json(tmp_path / "a.json", _report(old)))
    assert (level.rate_rps, level.model) == (2.0, "older")


def test_the_model_may_be_unknown(tmp_path: Path) -> None:
    """Tests a report that names none."""
    benchmark = guidellm_benchmark()
    del benchmark["config"]["backend"]
    (level,) = read_guidellm_results(write_json(tmp_path / "a.json", _report(benchmark)))
    assert level.model == ""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            guidellm_benchmark("concurrent", None),
            r"strategy\.type_': expected synchronous, poisson, .*, got 'concurrent'",
        ),
        (
            guidellm_benchmark("poisson", None),
            r"benchmarks\.0\.config\.strategy\.rate': expected a number above 0, got none",
        ),
        (guidellm_benchmark(requests_per_second=summary(1.0, 9.0)), "keeps up with 2 requests/s, got 1 answered"),
        (
            guidellm_benchmark(request_totals={"successful": 600, "errored": 4}),
            "expected a run in which every request is answered, got 4 failed",
        ),
        (
            guidellm_benchmark(inter_token_latency_ms={"successful": {"median": 20.0, "percentiles": {"p95": 1}}}),
            r"inter_token_latency_ms\.successful\.percentiles\.p99': expected a number above 0, got none",
        ),
        (guidellm_benchmark(time_to_first_token_ms={}), r"time_to_first_token_ms\.successful': expected an object"),
    ],
)
def test_what_is_no_level(tmp_path: Path, entry: dict[str, object], message: str) -> None:
    """Tests that the benchmark and the key in it are named."""
    with pytest.raises(InvalidInputError, match=message):
        read_guidellm_results(write_json(tmp_path / "a.json", _report(entry)))


def test_no_benchmarks(tmp_path: Path) -> None:
    """Tests a report of nothing."""
    with pytest.raises(InvalidInputError, match="key 'benchmarks': expected a list of objects"):
        read_guidellm_results(write_json(tmp_path / "a.json", _report()))
