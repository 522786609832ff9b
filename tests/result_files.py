"""Result files as benchmark tools write them, made up: round numbers, in the tools' own schemas."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def vllm_result(rate_rps: float | str = 2.0, **fields: Any) -> dict[str, Any]:
    """Return a result of ``vllm bench serve``: 300 s up to noon, TTFT 0.1 and 0.3 s, gaps of 20 and 60 ms.

    Parameters
    ----------
    rate_rps
        Rate of arrivals; ``"inf"`` with ``max_concurrency=1`` for requests that come alone.
    fields
        What differs; None takes a field away.
    """
    served = 1.0 if rate_rps == "inf" else float(rate_rps)
    result = {
        "date": "20251122-120000",
        "backend": "vllm",
        "model_id": "mine",
        "num_prompts": 600,
        "request_rate": rate_rps,
        "burstiness": 1.0,
        "max_concurrency": None,
        "duration": 300.0,
        "completed": 600,
        "failed": 0,
        "total_input_tokens": 600 * 500,
        "total_output_tokens": 600 * 200,
        "request_throughput": served,
        "output_throughput": served * 200,
        "mean_ttft_ms": 120.0,
        "median_ttft_ms": 100.0,
        "p99_ttft_ms": 300.0,
        "mean_tpot_ms": 22.0,
        "median_tpot_ms": 21.0,
        "p99_tpot_ms": 40.0,
        "mean_itl_ms": 22.0,
        "median_itl_ms": 20.0,
        "p99_itl_ms": 60.0,
    }
    return {key: value for key, value in (result | fields).items() if value is not None or key == "max_concurrency"}


def summary(median: float, p99: float) -> dict[str, Any]:
    """Return a distribution as GuideLLM writes it, of successful requests."""
    percentiles = {"p25": median / 2, "p75": median * 1.5, "p99": p99}
    return {"successful": {"mean": median, "median": median, "count": 600, "percentiles": percentiles}}


def guidellm_benchmark(kind: str = "poisson", rate_rps: float | None = 2.0, **fields: Any) -> dict[str, Any]:
    """Return one benchmark of a report of GuideLLM: as `vllm_result`, from 2025-11-22 11:55 to 12:00 UTC.

    Parameters
    ----------
    kind
        Of the strategy.
    rate_rps
        Of the strategy; None where it has none.
    fields
        What differs in the benchmark's metrics.
    """
    strategy = {"type_": kind} if rate_rps is None else {"type_": kind, "rate": rate_rps}
    metrics = {
        "request_totals": {"successful": 600, "errored": 0, "incomplete": 3, "total": 603},
        "requests_per_second": summary(rate_rps or 1.0, 9.0),
        "time_to_first_token_ms": summary(100.0, 300.0),
        "inter_token_latency_ms": summary(20.0, 30.0),
        "prompt_token_count": summary(500.0, 500.0),
        "output_token_count": summary(200.0, 200.0),
    }
    return {
        "config": {"strategy": strategy, "backend": {"model": "mine"}},
        "start_time": 1763812500.0,
        "end_time": 1763812800.0,
        "metrics": metrics | fields,
    }


def write_json(path: Path, *documents: object) -> Path:
    """Write documents one after another, as ``--append-result`` does."""
    path.write_text("\n".join(json.dumps(document) for document in documents), encoding="utf-8")
    return path


def write_power(
    path: Path, watts: Sequence[float], *, start: str = "2025/11/22 11:50:00", samples: int = 900, unit: str = " W"
) -> Path:
    """Write what ``nvidia-smi`` logs once a second: GPU i draws `watts[i]`.

    Parameters
    ----------
    path
        The file.
    watts
        One for each GPU.
    start, samples
        Time of the first sample, and how many seconds are logged.
    unit
        Behind each power, as without ``nounits``.
    """
    day, clock = start.split()
    hours, minutes, seconds = map(int, clock.split(":"))
    rows = ["timestamp, index, power.draw [W]"]
    for second in range(samples):
        at = hours * 3600 + minutes * 60 + seconds + second
        time = f"{day} {at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}.250"
        rows += [f"{time}, {gpu}, {power:.2f}{unit}" for gpu, power in enumerate(watts)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
