"""Small schedules and streams made in memory, for tests of the replay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
from sample_schedule import make_schedule as sample

from dynaopt.demand import Demand
from dynaopt.instance_simulator import Engine
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.request_stream import RequestPart
from dynaopt.schedule import Schedule
from dynaopt.slo import Slo

START = pd.Timestamp("2024-05-12T00:00:00Z")
MODEL = "llama2-70b"
LOOSE = Slo(ttft_s=(1000.0,) * 9, tbt_s=(1000.0,) * 9)

Group = tuple[str, int, int, int, float]
"""Pool, TP, clock in MHz, number of instances, requests/s on each."""
Route = tuple[str, str, float]
"""Class, pool, requests/s."""
Request = tuple[float, int, int]
"""Arrival in seconds, input tokens, output tokens."""


@lru_cache
def llama() -> Profile:
    """Return the shipped profile."""
    return read_profile("llama2-70b-h100")


def engine_of_group(group: Group) -> Engine:
    """Return the engine that an instance of a group has, from the profile."""
    profile = llama()
    pool, tp, frequency_mhz = group[:3]
    assert profile.phase_model
    (options,) = (
        o
        for o in profile.metadata.engine_options
        if (o.tp, o.frequency_mhz, o.request_class) == (tp, frequency_mhz, pool)
    )
    return Engine(
        coefficients=profile.phase_model.coefficients(tp, frequency_mhz),
        idle_power_w=profile.phase_model.idle_power_w(tp, frequency_mhz),
        kv_capacity_tokens=options.kv_capacity_tokens,
        token_budget=options.token_budget,
        max_num_seqs=min(options.max_num_seqs, options.token_budget),
    )


def make_schedule(
    windows: Sequence[tuple[Sequence[Group], Sequence[Route]] | None],
    *,
    window_s: float = 100.0,
    slo: Slo | None = None,
    model: str = MODEL,
    profile: Profile | None = None,
) -> Schedule:
    """Make a schedule of these windows; None is one without an answer."""
    profile = profile or llama()
    starts = pd.date_range(START, periods=len(windows), freq=pd.Timedelta(seconds=window_s), unit="us")
    base = sample(len(windows), unsolved=[n for n, w in enumerate(windows) if w is None])
    solved = [(s, w) for s, w in zip(starts, windows, strict=True) if w is not None]
    groups = [(s, model, *g, profile.curve(g[1], g[2], g[0]).power_at_w(g[4])) for s, (own, _) in solved for g in own]
    allocations = pd.DataFrame(groups, columns=list(base.allocations.columns)).astype({"window_start": starts.dtype})
    routes = pd.DataFrame(
        [(s, model, *r) for s, (_, own) in solved for r in own], columns=list(base.routes.columns)
    ).astype({"window_start": starts.dtype})
    power_w = (allocations["num_instances"] * allocations["power_per_instance_w"]).groupby(allocations["window_start"])
    table = base.windows.assign(window_start=starts, window_s=window_s)
    table["power_w"] = power_w.sum().reindex(starts).fillna(0.0).to_numpy() * np.where(
        [w is None for w in windows], np.nan, 1.0
    )
    table["serving_energy_j"] = table["energy_j"] = table["power_w"] * window_s
    demand = Demand("by-hand", window_s, _demand_table(starts), starts=starts, models=("",))
    metadata = base.metadata.model_copy(update={"slo": slo or Slo.table_iv(), "window_s": window_s})
    return Schedule(
        metadata=metadata,
        demand=demand,
        allocations=allocations,
        routes=routes,
        transitions=base.transitions.iloc[:0],
        windows=table,
    )


def _demand_table(starts: pd.DatetimeIndex) -> pd.DataFrame:
    row = {"model": "", "request_class": "SS", "rate_rps": 1.0, "input_tokens": 1.0, "output_tokens": 1.0}
    return pd.DataFrame([{"window_start": s, **row, "peak_factor": 1.0} for s in starts])


@dataclass
class ListStream:
    """Requests from a list, as a stream."""

    requests: Sequence[Request]
    model: str = ""
    start: pd.Timestamp = field(default=START)

    def parts(self, starts: pd.DatetimeIndex, window_s: float) -> Iterator[RequestPart]:
        """Give the requests of each window."""
        columns = list(zip(*sorted(self.requests), strict=True)) or [(), (), ()]
        arrival_s = np.array(columns[0], dtype=float)
        input_tokens, output_tokens = (np.array(c, dtype=np.int32) for c in columns[1:])
        classes = TABLE_IV.classify(input_tokens, output_tokens).astype(np.int8)
        for start in starts:
            begin_s = (start - self.start).total_seconds()
            own = slice(*np.searchsorted(arrival_s, [begin_s, begin_s + window_s]))
            yield RequestPart(arrival_s[own], input_tokens[own], output_tokens[own], classes[own], self.model)


def poisson(
    rate_rps: float, duration_s: float, input_tokens: int, output_tokens: int, *, seed: int = 0
) -> list[Request]:
    """Return equal requests that arrive at random."""
    rng = np.random.default_rng(seed)
    arrival_s = np.sort(duration_s * rng.random(rng.poisson(rate_rps * duration_s)))
    return [(float(t), input_tokens, output_tokens) for t in arrival_s]


def own_routes(groups: Sequence[Group]) -> list[Route]:
    """Return a route for each class that has a pool of its own."""
    rates: dict[str, float] = {}
    for pool, _, _, count, rate in groups:
        if pool in REQUEST_CLASSES:
            rates[pool] = rates.get(pool, 0.0) + count * rate
    return [(pool, pool, max(rate, 0.01)) for pool, rate in rates.items()]
