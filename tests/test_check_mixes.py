"""Tests the independent check of pools named after a mix: a right schedule passes, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_metadata

from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.profile import LoadCurve, Mix, Profile
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule, write_schedule
from dynaopt.single_pool import single_pool
from dynaopt.violations import Violation, ViolationKind

K = ViolationKind
MIX = Mix(name="ALL-chat", shares={"SS": 0.75, "LL": 0.25})


def mix_curve() -> LoadCurve:
    """TP8 up to 10 requests/s; SS has its P99 TTFT at 0.25 s at 8 requests/s, LL at 2 s only beyond the curve."""
    curve = make_curve(8, 1980, MIX.name, [(0, 800), (8, 2000), (10, 2100)])
    short = (np.array([0.05, 0.25, 0.5]), np.array([0.02, 0.03, 0.04]))
    long = (np.array([0.1, 0.5, 1.0]), np.array([0.02, 0.03, 0.04]))
    return replace(curve, class_latencies={"SS": short, "LL": long})


def make_mix_profile() -> Profile:
    """Return a profile of one mix, and of the same curve for LM, which is no part of it."""
    metadata = make_metadata().model_copy(update={"mixes": (MIX,)})
    curves = [mix_curve(), make_curve(8, 1980, "LM", [(0, 800), (10, 2100)])]
    return Profile(metadata=metadata, curves={(c.tp, c.frequency_mhz, c.request_class): c for c in curves})


def make_demand() -> Demand:
    """Return two windows of 12 and 4 requests/s, three quarters of them SS and the others LL."""
    starts = pd.date_range("2024-05-12T00:00:00Z", periods=2, freq="5min", unit="us")
    rows = [
        {"window_start": start, "model": "", "request_class": c, "rate_rps": rate * share}
        | {"input_tokens": 1.0, "output_tokens": 1.0, "peak_factor": 1.25}
        for start, rate in zip(starts, (12.0, 4.0), strict=True)
        for c, share in MIX.shares.items()
    ]
    return Demand("chat", 300.0, pd.DataFrame(rows))


def right() -> Schedule:
    """Return two instances in both windows: 12 · 1.25 / 8 = 1.9 of them are needed."""
    return single_pool(make_demand(), make_mix_profile(), num_gpus=16, headroom=0.0).schedule()


def found(schedule: Schedule) -> list[Violation]:
    """Check a schedule of the profile above."""
    return check(schedule, profiles=[make_mix_profile()])


def test_a_pool_of_a_mix_passes() -> None:
    """Tests that a right schedule on a mix's pool has no violation."""
    assert found(right()) == []


def _with_route(**fields: object) -> Callable[[Schedule], Schedule]:
    def change(schedule: Schedule) -> Schedule:
        routes = schedule.routes.copy()
        for name, value in fields.items():
            routes.loc[0, name] = value
        return replace(schedule, routes=routes)

    return change


def _fewer(schedule: Schedule) -> Schedule:
    table = schedule.allocations.copy()
    table["num_instances"] = 1
    table["rate_per_instance_rps"] = [12.0, 4.0]
    return replace(schedule, allocations=table)


def _only_long_ones(schedule: Schedule) -> Schedule:
    """Take half of the SS away from the mix and to the pool of LM."""
    routes, table = schedule.routes.copy(), schedule.allocations
    routes.loc[0, "rate_rps"] = 4.5
    routes.loc[len(routes)] = {**routes.loc[0].to_dict(), "pool": "LM"}
    other = {**table.loc[0].to_dict(), "pool": "LM", "num_instances": 1, "rate_per_instance_rps": 4.5}
    table = pd.concat([table, pd.DataFrame([other])], ignore_index=True)
    table.loc[0, "rate_per_instance_rps"] = 3.75
    return replace(schedule, routes=routes, allocations=table)


FAULTS: dict[str, tuple[Callable[[Schedule], Schedule], set[ViolationKind]]] = {
    "a class that the mix does not have": (_with_route(request_class="MM"), {K.MIX, K.UNSERVED_DEMAND}),
    "a mix that there is not": (_with_route(pool="ALL-other"), {K.UNKNOWN_NAME, K.POOL_LOAD}),
    "less than arrives": (_with_route(rate_rps=1.0), {K.UNSERVED_DEMAND, K.POOL_LOAD, K.MIX}),
    "too few instances for the peak": (_fewer, {K.TTFT, K.BEYOND_CURVE}),
    "the long ones alone": (_only_long_ones, {K.MIX}),
}


def test_a_mix_is_held_to_its_distance() -> None:
    """Tests 0.65 of SS where the mix has 0.75: allowed at 0.1, and one tenth too far at 0.09, in the window it is in.

    The single pool itself takes any distance, and says so.
    """
    table = make_demand().table
    table.loc[:1, "rate_rps"] = [0.65 * 12, 0.35 * 12]
    pool = single_pool(Demand("chat", 300.0, table), make_mix_profile(), num_gpus=16, headroom=0.0).schedule()
    assert pool.metadata.cluster.max_mix_distance == 1
    assert found(pool) == []
    for limit, wrong in ((0.1, []), (0.09, [pool.windows["window_start"][0]])):
        cluster = pool.metadata.cluster.model_copy(update={"max_mix_distance": limit})
        told = found(replace(pool, metadata=pool.metadata.model_copy(update={"cluster": cluster})))
        assert [v.window_start for v in told if v.kind is K.MIX] == wrong
    assert "ALL-chat" in str(told[0])
    assert "0.09 of the requests taken for another class" in str(told[0])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    """Tests that each fault raises the violations that are its own, whatever it breaks beside them."""
    plant, expected = FAULTS[fault]
    assert expected <= {v.kind for v in found(plant(right()))}


def test_every_class_is_held_to_its_own_latency() -> None:
    """Tests that 8 requests/s at the peak pass and 8.5 do not, although the mix's own P99 stays far below 0.25 s."""
    schedule = right()
    for rate, kinds in ((8 / 1.25, set()), (8.5 / 1.25, {K.TTFT})):
        table = schedule.allocations.copy()
        table["rate_per_instance_rps"] = [rate, 2.0]
        wrong = {v.kind for v in found(replace(schedule, allocations=table))}
        assert wrong & {K.TTFT, K.TBT, K.BEYOND_CURVE} == kinds
    assert "0.25 s" in str(next(v for v in found(replace(schedule, allocations=table)) if v.kind is K.TTFT)), (
        "the bound is that of SS"
    )


def test_it_is_written_and_read(tmp_path: Path) -> None:
    """Tests that a folder takes a pool of a mix, and refuses one that is neither a class nor a mix."""
    write_schedule(right(), tmp_path)
    read = read_schedule(tmp_path)
    assert found(read) == []
    table = read.allocations.assign(pool="everything")
    write_schedule(replace(read, allocations=table), tmp_path)
    with pytest.raises(InvalidInputError, match=r"column 'pool'.*LL, ALL-….*everything"):
        read_schedule(tmp_path)
