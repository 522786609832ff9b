"""Read a request trace into demand: one streaming pass of DuckDB, then pandas on what is left, which is small."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV, CutPoints
from dynaopt.trace_fault import find_fault
from dynaopt.trace_source import LAST_US, RULES, TraceSource, connect, find_trace

_MINUTE_S = 60
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_INVALID = len(REQUEST_CLASSES)
"""Added to the class of a row that breaks a rule: invalid rows are counted in groups of their own, at no extra pass."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TraceSummary:
    """What a trace holds.

    Parameters
    ----------
    name
        The file's stem.
    num_requests
        Its requests.
    first, last
        Arrival of the first and of the last request, UTC.
    cut_points
        Where the lengths were cut into classes.
    lengths
        Statistics of the requests' lengths in tokens: rows ``mean``, ``p50``, ``p90``, ``p95``, ``p99``, ``max``,
        columns `input_tokens` and `output_tokens`.
    class_share
        Share of the requests in each of `REQUEST_CLASSES`.
    """

    name: str
    num_requests: int
    first: pd.Timestamp
    last: pd.Timestamp
    cut_points: CutPoints
    lengths: pd.DataFrame
    class_share: pd.Series


def read_trace(
    path: str | Path,
    *,
    window_s: float = 300.0,
    cut_points: CutPoints | Literal["table-iv", "terciles"] = TABLE_IV,
    model: str = "",
) -> Demand:
    """Count the requests of a trace per window and class.

    Rows may stand in any order. Windows begin at multiples of their length since 1970-01-01 00:00 UTC.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file with the columns `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`.
        Times without a zone are UTC.
    window_s
        Length of a window, in seconds; a whole number of minutes.
    cut_points
        Where lengths are cut into classes. ``"terciles"`` takes those of the trace itself, in a first pass over it.
    model
        Name of the model that served the requests; ``""`` if there is only one.

    Returns
    -------
    Demand
        Named after the file. A window's `peak_factor` is the arrivals of its busiest minute over the mean minute's.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If any row is not a request, with its line and column; or if the window is not whole minutes.
    """
    minutes = window_s / _MINUTE_S
    if not (minutes >= 1 and float(minutes).is_integer()):
        raise InvalidInputError("option window_s", expected="a whole number of minutes", found=f"{window_s:g} s")
    source = find_trace(path)
    with ThreadPoolExecutor(1) as pool:
        # Hashing does not hold Python's lock, so that it runs beside DuckDB.
        sha256 = pool.submit(source.sha256)
        cuts = _resolve(source, cut_points)
        counts = _count(source, cuts)
        table = _table(counts, int(minutes)).assign(model=model)
        return Demand(source.name, float(window_s), table, sha256.result())


def trace_summary(
    path: str | Path, *, cut_points: CutPoints | Literal["table-iv", "terciles"] = TABLE_IV
) -> TraceSummary:
    """Summarise a trace: requests, span, percentiles of both lengths, class mix.

    Parameters
    ----------
    path, cut_points
        As in `read_trace`.

    Raises
    ------
    MissingFileError, InvalidInputError
        As in `read_trace`.
    """
    source = find_trace(path)
    cuts = _resolve(source, cut_points)
    groups = _group_lengths(source, cuts)
    classes = groups[groups["c"].notna()].set_index("c")["n"].reindex(range(len(REQUEST_CLASSES)), fill_value=0)
    return TraceSummary(
        name=source.name,
        num_requests=int(classes.sum()),
        first=pd.Timestamp(int(groups["first_us"].min()), unit="us", tz="UTC"),
        last=pd.Timestamp(int(groups["last_us"].max()), unit="us", tz="UTC"),
        cut_points=cuts,
        lengths=pd.DataFrame(
            {name: _statistics(groups, of) for name, of in (("input_tokens", "i"), ("output_tokens", "o"))}
        ),
        class_share=(classes / classes.sum()).set_axis(list(REQUEST_CLASSES)),
    )


def _resolve(source: TraceSource, cut_points: CutPoints | Literal["table-iv", "terciles"]) -> CutPoints:
    if isinstance(cut_points, CutPoints):
        return cut_points
    if cut_points == "table-iv":
        return TABLE_IV
    if cut_points == "terciles":
        groups = _group_lengths(source, TABLE_IV)
        cuts = [tuple(_quantile(groups, of, q) for q in (1 / 3, 2 / 3)) for of in ("i", "o")]
        return CutPoints((cuts[0][0], cuts[0][1]), (cuts[1][0], cuts[1][1]))
    raise InvalidInputError(
        "option cut_points", expected="'table-iv', 'terciles' or CutPoints", found=f"'{cut_points}'"
    )


def _class_sql(cuts: CutPoints) -> str:
    valid = " AND ".join(f"({rule})" for short, rule in RULES.items() if short != "t")
    size = "CASE WHEN {0} <= {1} THEN 0 WHEN {0} <= {2} THEN {3} ELSE {4} END"
    return (
        f"{size.format('i', *cuts.input_tokens, 3, 6)} + {size.format('o', *cuts.output_tokens, 1, 2)} "
        f"+ CASE WHEN {valid} THEN 0 ELSE {_INVALID} END"
    )


def _count(source: TraceSource, cuts: CutPoints) -> pd.DataFrame:
    """Count requests `n` and sum up their lengths `i` and `o` per minute since 1970 and class `c`."""
    counts = _query(
        source,
        f"SELECT epoch_us(t) // {_MINUTE_S * 1_000_000} AS minute, {_class_sql(cuts)} AS c, count(*) AS n, "
        f"sum(i) AS i, sum(o) AS o FROM ({source.sql}) GROUP BY ALL",
    )
    edge = counts["minute"] * _MINUTE_S * 1_000_000
    _refuse_unless(source, counts, edge.between(0, LAST_US))
    return counts.astype({"minute": "int64", "c": "int64", "n": "int64"})


def _group_lengths(source: TraceSource, cuts: CutPoints) -> pd.DataFrame:
    """Count requests `n` per input length `i`, per output length `o` and per class `c`, in one pass."""
    groups = _query(
        source,
        f"SELECT i, o, c, count(*) AS n, min(us) AS first_us, max(us) AS last_us, count(us) AS timed FROM "
        f"(SELECT i, o, epoch_us(t) AS us, {_class_sql(cuts)} AS c FROM ({source.sql})) "
        "GROUP BY GROUPING SETS ((i), (o), (c))",
    )
    timed = (groups["timed"] == groups["n"]) & (groups["first_us"] >= 0) & (groups["last_us"] <= LAST_US)
    _refuse_unless(source, groups, timed)
    return groups


def _query(source: TraceSource, sql: str) -> pd.DataFrame:
    try:
        with connect() as connection:
            groups: pd.DataFrame = connection.execute(sql).df()
    except duckdb.Error as error:
        raise find_fault(source, str(error)) from error
    if groups.empty:
        raise InvalidInputError(str(source.path), expected="at least one request", found="a header and nothing below")
    return groups


def _refuse_unless(source: TraceSource, groups: pd.DataFrame, timed: pd.Series) -> None:
    # A missing time makes a missing answer, which is no.
    if not timed.fillna(False).all() or (groups["c"] >= _INVALID).any():
        raise find_fault(source, "a row that breaks a rule")


def _table(counts: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """Make the demand table of windows of so many minutes; see `Demand`."""
    counts = counts.assign(window=counts["minute"] // minutes)
    per_minute = counts.groupby(["window", "minute"])["n"].sum()
    per_window = per_minute.groupby("window")
    peak_factor = (per_window.max() * minutes / per_window.sum()).clip(lower=1.0)
    rows = counts.groupby(["window", "c"], as_index=False)[["n", "i", "o"]].sum()
    window_s = minutes * _MINUTE_S
    return pd.DataFrame(
        {
            "window_start": pd.to_datetime(rows["window"] * window_s, unit="s", utc=True).dt.as_unit("us"),
            "model": "",
            "request_class": rows["c"].map(dict(enumerate(REQUEST_CLASSES))),
            "rate_rps": rows["n"] / window_s,
            "input_tokens": rows["i"] / rows["n"],
            "output_tokens": rows["o"] / rows["n"],
            "peak_factor": rows["window"].map(peak_factor),
        }
    )


def _statistics(groups: pd.DataFrame, of: str) -> pd.Series:
    own = groups[groups[of].notna()]
    quantiles = {name: _quantile(groups, of, q) for name, q in _QUANTILES.items()}
    return pd.Series({"mean": np.average(own[of], weights=own["n"]), **quantiles, "max": own[of].max()}, dtype=float)


def _quantile(groups: pd.DataFrame, of: str, share: float) -> int:
    """Return the length that stands at this share of the sorted requests, the lower one between two."""
    own = groups[groups[of].notna()].sort_values(of)
    reached = own["n"].cumsum().to_numpy()
    at = int(share * (reached[-1] - 1))
    return int(own[of].to_numpy()[np.searchsorted(reached, at, side="right")])
