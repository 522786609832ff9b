"""The cells of DynamoLLM's table I simulated under other assumptions than the profile's, to tell which is to blame.

A profile's curves are made for its own token budgets, lengths and memory. Here each cell is one instance that serves
the table's 2,000 tokens/s, so that an assumption can be changed and all 108 cells made again in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd

from dynaopt.instance_simulator import Requests, engine_of, serve
from dynaopt.lengths import Lengths
from dynaopt.paper_table import TOKENS_PER_S
from dynaopt.phase_model import PhaseModel
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo

# The share of requests at the start that find the instance emptier than the others will.
_WARM_UP = 0.02
_COLUMNS = ["rate_rps", "kept", "token_budget", "ttft_p99_s", "tbt_s", "power_w", "service_s"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assumption:
    """What the cells are simulated with.

    Parameters
    ----------
    name
        In a few words.
    model
        The phase model.
    lengths
        Lengths of requests, of all classes.
    token_budgets
        Token budgets of the engine, ascending; a cell keeps its SLO if it does with one of them, and is then taken with
        the largest such.
    max_num_seqs
        Most requests at once.
    counts_output
        Whether the table's tokens/s count output tokens too.
    bounds_mean_gap
        Whether the TBT bound is on the mean gap between tokens instead of the P99.
    """

    name: str
    model: PhaseModel
    lengths: Lengths
    token_budgets: tuple[int, ...]
    max_num_seqs: int = 256
    counts_output: bool = True
    bounds_mean_gap: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    requests: Requests
    rate_rps: float
    output_tokens: float
    longest_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    token_budget: int
    ttft_p99_s: float
    tbt_s: float
    power_w: float
    service_s: float


def simulate_cells(
    assumption: Assumption,
    table: pd.DataFrame,
    slo: Slo,
    cut_points: CutPoints,
    *,
    num_requests: int = 12_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate every cell of the table.

    Parameters
    ----------
    assumption
        What with.
    table
        From `paper_table.read_paper_table`.
    slo
        The objectives.
    cut_points
        Where classes are cut.
    num_requests
        Requests served in each cell.
    seed
        Seed of arrivals and lengths; all assumptions see the same.

    Returns
    -------
    pandas.DataFrame
        The table's columns and `rate_rps`; `kept`; `token_budget`, `ttft_p99_s` and `tbt_s` (as the assumption bounds
        it) of the largest budget that keeps the SLO, or where none does of the one that misses it least, NaN where a
        request never fits into the KV cache; and where it is kept `request_j` (power over rate) and `service_j` (power
        times mean time of a request).
    """
    streams = {
        request_class: _stream(assumption, request_class, slo, cut_points, num_requests, seed)
        for request_class in REQUEST_CLASSES
        if (table["request_class"] == request_class).any()
    }
    rows = []
    for tp, mhz, request_class in zip(table["tp"], table["frequency_mhz"], table["request_class"], strict=True):
        stream = streams[request_class]
        kept, seen = _best(assumption, tp, mhz, stream, slo.of(request_class))
        rows.append((stream.rate_rps, kept, *((np.nan,) * 5 if seen is None else astuple(seen))))
    cells = table.copy()
    cells[_COLUMNS] = rows
    cells["kept"] = cells["kept"].astype(bool)
    power_w = cells.pop("power_w").where(cells["kept"])
    return cells.assign(request_j=power_w / cells["rate_rps"], service_j=power_w * cells.pop("service_s"))


def _stream(
    assumption: Assumption, request_class: str, slo: Slo, cut_points: CutPoints, num_requests: int, seed: int
) -> _Stream:
    lengths = assumption.lengths.of_class(request_class, cut_points)
    rng = np.random.default_rng([seed, *request_class.encode()])
    gaps = rng.standard_exponential(num_requests)
    input_tokens, output_tokens = lengths.sample(num_requests, rng)
    mean_input, mean_output = (
        float(np.average(n, weights=lengths.weight)) for n in (lengths.input_tokens, lengths.output_tokens)
    )
    rate_rps = TOKENS_PER_S / (mean_input + (mean_output if assumption.counts_output else 0.0))
    requests = Requests(
        arrival_s=np.cumsum(gaps / gaps.mean()) / rate_rps,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        ttft_slo_s=np.full(num_requests, slo.of(request_class)[0]),
        group=np.zeros(num_requests, np.int64),
    )
    return _Stream(requests, rate_rps, mean_output, int((input_tokens + output_tokens).max()))


def _best(
    assumption: Assumption, tp: int, frequency_mhz: int, stream: _Stream, bounds: tuple[float, float]
) -> tuple[bool, _Seen | None]:
    """Return whether some budget keeps the bounds, and what was seen with the largest that does or the least bad."""
    least_bad, worst = None, np.inf
    for seen in _seen(assumption, tp, frequency_mhz, stream):
        excess = max(seen.ttft_p99_s / bounds[0], seen.tbt_s / bounds[1])
        if excess <= 1:
            return True, seen
        if excess < worst:
            least_bad, worst = seen, excess
    return False, least_bad


def _seen(assumption: Assumption, tp: int, frequency_mhz: int, stream: _Stream) -> Iterator[_Seen]:
    model = assumption.model
    if stream.longest_tokens > model.kv_capacity_tokens(tp):
        return
    for budget in reversed(assumption.token_budgets):
        engine = engine_of(model, tp, frequency_mhz, budget, assumption.max_num_seqs)
        run = serve(engine, stream.requests, warm_up=int(_WARM_UP * len(stream.requests.arrival_s)))
        mean_gap_s = run.tbt_mean_s()
        yield _Seen(
            token_budget=budget,
            ttft_p99_s=run.ttft_quantile_s(0.99),
            tbt_s=mean_gap_s if assumption.bounds_mean_gap else run.kept_tbt_s(0.99),
            power_w=run.power_w,
            service_s=float(run.ttft_s.mean()) + (stream.output_tokens - 1) * mean_gap_s,
        )
