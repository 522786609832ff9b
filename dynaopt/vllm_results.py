"""Result files of ``vllm bench serve`` (before 2025 ``benchmark_serving.py``), each run one level of load.

Written by ``--save-result``: latencies in milliseconds, ``date`` the local time at the end of the run without a zone,
``request_rate`` a number or ``"inf"``. Names of the fields as of vLLM 0.5 to 0.15.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.json_fields import Fields, read_documents
from dynaopt.measured_level import MeasuredLevel, check_run
from dynaopt.token_gaps import tail_gap_s

MILLISECOND_S = 1e-3
ALL_GAPS = (
    "P99 of all gaps between tokens; --save-detailed tells what each request keeps, which is what a curve should hold"
)
# The list of single values with which ``--save-detailed`` replaces a percentile that was not asked for, in seconds.
_SINGLE_VALUES = {"ttft": "ttfts", "itl": "itls"}


def is_vllm_result(document: Fields) -> bool:
    """Tell whether a document looks like a result of ``vllm bench serve``."""
    return document.has("request_rate") and document.has("request_throughput")


def read_vllm_results(path: str | Path, *, time_zone: str = "UTC") -> tuple[MeasuredLevel, ...]:
    """Read the levels in a result file, one for each run that was written or appended to it.

    Parameters
    ----------
    path
        The file.
    time_zone
        IANA name of the zone of the machine's clock.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there, a field is missing, the rate was not limited, requests failed or were too few, or the
        server did not keep up.
    """
    return tuple(vllm_level(document, time_zone=time_zone) for document in read_documents(path))


def vllm_level(document: Fields, *, time_zone: str = "UTC") -> MeasuredLevel:
    """Return one run as a level; arguments and errors as for `read_vllm_results`."""
    rate_rps = _rate_rps(document)
    completed = document.whole("completed")
    duration_s = document.number("duration", positive=True)
    check_run(
        document.where,
        completed=completed,
        failed=_failed(document, completed),
        rate_rps=rate_rps,
        served_rps=document.number("request_throughput", positive=True),
    )
    end = _local_time(document, time_zone)
    return MeasuredLevel(
        where=document.where,
        rate_rps=rate_rps,
        ttft_p50_s=_quantile_s(document, "ttft", 50),
        ttft_p99_s=_quantile_s(document, "ttft", 99),
        tbt_p50_s=_quantile_s(document, "itl", 50),
        tbt_p99_s=_kept_tbt_s(document),
        start=end - pd.Timedelta(duration_s, unit="s"),
        end=end,
        model=document.text("model_id"),
        input_tokens=document.number("total_input_tokens", positive=True) / completed,
        output_tokens=document.number("total_output_tokens", positive=True) / completed,
        caveats=_caveats(document),
    )


def _rate_rps(document: Fields) -> float:
    """Return the offered load: 0 for one request at a time, whatever the rate."""
    if document.has("max_concurrency") and document.whole("max_concurrency") == 1:
        return 0.0
    if document.content.get("request_rate") in ("inf", float("inf")):
        raise InvalidInputError(
            document.at("request_rate"),
            expected="a rate at which requests arrive",
            found="inf",
            hint="run with --request-rate, and with --max-concurrency 1 for requests that come alone",
        )
    return document.number("request_rate", positive=True)


def _failed(document: Fields, completed: int) -> float:
    if document.has("failed"):
        return document.number("failed")
    return max(0.0, document.number("num_prompts", positive=True) - completed)


def _quantile_s(document: Fields, metric: str, percent: int) -> float:
    key = f"median_{metric}_ms" if percent == 50 else f"p{percent}_{metric}_ms"
    if not document.has(key) and document.has(_SINGLE_VALUES[metric]):
        return float(np.percentile(_flat(document, _SINGLE_VALUES[metric]), percent))
    if not document.has(key):
        raise InvalidInputError(
            document.at(key),
            expected="a number above 0",
            found="none",
            hint="run with --percentile-metrics ttft,tpot,itl --metric-percentiles 99, or with --save-detailed",
        )
    return document.number(key, positive=True) * MILLISECOND_S


def _kept_tbt_s(document: Fields) -> float:
    """Return the bound that 99 % of the requests keep; where their gaps are not told apart, the P99 of all gaps."""
    if not document.has("itls"):
        return _quantile_s(document, "itl", 99)
    _flat(document, "itls")
    return float(np.percentile([tail_gap_s(gaps) for gaps in document.content["itls"]], 99))


def _flat(document: Fields, key: str) -> list[float]:
    """Return the single values under a key, which for gaps between tokens are lists by request."""
    values = document.content[key]
    flat = [v for item in values for v in (item if isinstance(item, Iterable) else (item,))]
    if not flat or not all(isinstance(v, int | float) for v in flat):
        raise InvalidInputError(document.at(key), expected="lists of numbers", found="something else")
    return flat


def _local_time(document: Fields, time_zone: str) -> pd.Timestamp:
    text = document.text("date")
    if not re.fullmatch(r"\d{8}-\d{6}", text):
        raise InvalidInputError(document.at("date"), expected="a time such as 20251122-201500", found=f"'{text}'")
    return pd.Timestamp(pd.to_datetime(text, format="%Y%m%d-%H%M%S")).tz_localize(time_zone).tz_convert("UTC")


def _caveats(document: Fields) -> tuple[str, ...]:
    caveats = []
    if not document.has("itls"):
        caveats.append(ALL_GAPS)
    burstiness = document.number("burstiness", positive=True) if document.has("burstiness") else 1.0
    if burstiness > 1:
        caveats.append(
            f"arrivals more even than Poisson (burstiness {burstiness:g}): queues are shorter than in service"
        )
    return tuple(caveats)
