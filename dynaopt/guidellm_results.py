"""Result files of GuideLLM (JSON), each benchmark in them one level of load.

Fields as of GuideLLM 0.1 to 0.5: the strategy stands under ``args`` or, later, under ``config``. Its inter-token
latency is a request's mean gap, weighted by tokens; single gaps are not recorded.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.json_fields import Fields, read_documents
from dynaopt.measured_level import MeasuredLevel, check_run

MILLISECOND_S = 1e-3
MEAN_GAPS = "P99 TBT is that of requests' mean gaps, which GuideLLM records instead of single gaps: a lower figure"
EVEN_ARRIVALS = "arrivals at constant gaps: queues are shorter than with Poisson arrivals"
_OPEN_LOOP = ("poisson", "constant")


def is_guidellm_result(document: Fields) -> bool:
    """Tell whether a document looks like a report of GuideLLM."""
    return document.has("benchmarks")


def read_guidellm_results(path: str | Path) -> tuple[MeasuredLevel, ...]:
    """Read the levels in a report.

    Benchmarks of strategy ``synchronous`` give the level of load 0, those of ``poisson`` and ``constant`` one at their
    rate. The ``throughput`` benchmark of a sweep has no load of its own and is left out.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there, a field is missing, a benchmark keeps a number of requests in flight, requests failed
        or were too few, or the server did not keep up.
    """
    levels = [level for document in read_documents(path) for level in guidellm_levels(document)]
    return tuple(levels)


def guidellm_levels(report: Fields) -> tuple[MeasuredLevel, ...]:
    """Return the benchmarks of a report as levels; errors as for `read_guidellm_results`."""
    found = [(benchmark, *_strategy(benchmark)) for benchmark in report.sections("benchmarks")]
    return tuple(_level(report, b, kind, strategy) for b, kind, strategy in found if kind != "throughput")


def _strategy(benchmark: Fields) -> tuple[str, Fields]:
    """Return the kind of a benchmark, and the object that tells it."""
    holder = benchmark.section("args" if benchmark.has("args") else "config").section("strategy")
    key = next((k for k in ("type_", "type", "kind") if holder.has(k)), "type_")
    kind = holder.text(key)
    if kind not in (*_OPEN_LOOP, "synchronous", "throughput"):
        raise InvalidInputError(
            holder.at(key),
            expected=f"synchronous, {', '.join(_OPEN_LOOP)} or throughput",
            found=f"'{kind}'",
            hint="a fixed number of requests in flight is no load; run with --rate-type poisson",
        )
    return kind, holder


def _level(report: Fields, benchmark: Fields, kind: str, strategy: Fields) -> MeasuredLevel:
    metrics = benchmark.section("metrics")
    totals = metrics.section("request_totals") if metrics.has("request_totals") else benchmark.section("request_totals")
    rate_rps = 0.0 if kind == "synchronous" else strategy.number("rate", positive=True)
    where = f"{benchmark.where}, key '{benchmark.prefix.rstrip('.')}'"
    # What was in flight when time was up is counted as incomplete: it neither failed nor has latencies.
    completed = totals.whole("successful")
    answered_rps = _successful(metrics, "requests_per_second").number("mean", positive=True)
    check_run(where, completed=completed, failed=totals.number("errored"), rate_rps=rate_rps, served_rps=answered_rps)
    return MeasuredLevel(
        where=where,
        rate_rps=rate_rps,
        ttft_p50_s=_quantile_s(metrics, "time_to_first_token_ms", 50),
        ttft_p99_s=_quantile_s(metrics, "time_to_first_token_ms", 99),
        tbt_p50_s=_quantile_s(metrics, "inter_token_latency_ms", 50),
        tbt_p99_s=_quantile_s(metrics, "inter_token_latency_ms", 99),
        start=_time(benchmark, "start_time"),
        end=_time(benchmark, "end_time"),
        model=_model(report, benchmark),
        input_tokens=_successful(metrics, "prompt_token_count").number("mean", positive=True),
        output_tokens=_successful(metrics, "output_token_count").number("mean", positive=True),
        caveats=(MEAN_GAPS, EVEN_ARRIVALS) if kind == "constant" else (MEAN_GAPS,),
    )


def _successful(metrics: Fields, name: str) -> Fields:
    return metrics.section(name).section("successful")


def _quantile_s(metrics: Fields, name: str, percent: int) -> float:
    summary = _successful(metrics, name)
    value_ms = (
        summary.number("median", positive=True)
        if percent == 50
        else summary.section("percentiles").number(f"p{percent}", positive=True)
    )
    return value_ms * MILLISECOND_S


def _time(benchmark: Fields, key: str) -> pd.Timestamp:
    return pd.Timestamp(benchmark.number(key, positive=True), unit="s", tz="UTC")


def _model(report: Fields, benchmark: Fields) -> str:
    """Return the model's name, for which versions have had several places; empty where none is known."""
    for holder in (benchmark, report):
        for path in (("args", "model"), ("config", "backend", "model"), ("benchmarker", "backend", "model")):
            at: object = holder.content
            for key in path:
                at = at.get(key) if isinstance(at, dict) else None
            if isinstance(at, str):
                return at
    return ""
