"""Tests of digests: they follow the numbers and not the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from planning import make_small_profile, make_week

from dynaopt.demand import Demand, read_demand, write_demand
from dynaopt.digests import demand_digest, profile_digest
from dynaopt.profile import Profile


def test_a_demand_has_one_digest_however_it_is_stored(tmp_path: Path) -> None:
    """Tests memory, CSV and Parquet, and another name."""
    week = make_week(5)
    found = {demand_digest(week), demand_digest(Demand("other", 300.0, week.table))}
    for ending in (".csv", ".parquet"):
        write_demand(week, tmp_path / f"week{ending}")
        found.add(demand_digest(read_demand(tmp_path / f"week{ending}")))
    assert len(found) == 1


def test_every_number_of_a_demand_counts() -> None:
    """Tests rates, peak factors, times, length of windows, windows without arrivals, and the model's name."""
    week = make_week(5)
    table = week.table
    later = week.starts.append(week.starts[-1:] + (week.starts[1] - week.starts[0]))
    others = [
        Demand("x", 300.0, table.assign(rate_rps=np.nextafter(table["rate_rps"], np.inf))),
        Demand("x", 300.0, table.assign(peak_factor=1.5)),
        Demand("x", 300.0, table.assign(window_start=table["window_start"] + (week.starts[1] - week.starts[0]))),
        Demand("x", 150.0, table),
        Demand("x", 300.0, table, "", later),
        make_week(5, model="m"),
    ]
    assert len({demand_digest(week), *map(demand_digest, others)}) == 7


def test_every_number_of_a_profile_counts(tiny: Profile) -> None:
    """Tests curves, latencies of classes in a mix, and metadata; a copy has the same digest."""
    digests = {profile_digest(tiny)}
    assert profile_digest(replace(tiny, sha256="other")) in digests
    key, curve = next((k, c) for k, c in tiny.curves.items() if c.class_latencies)
    name = next(iter(curve.class_latencies))
    ttft, tbt = curve.class_latencies[name]
    for changed in (
        replace(curve, power_w=curve.power_w + 1),
        replace(curve, ttft_p50_s=curve.ttft_p50_s / 2),
        replace(curve, class_latencies={**curve.class_latencies, name: (ttft * 2, tbt)}),
    ):
        digests.add(profile_digest(replace(tiny, curves={**tiny.curves, key: changed})))
    digests.add(profile_digest(replace(tiny, metadata=tiny.metadata.model_copy(update={"version": "other"}))))
    assert len(digests) == 5


def test_a_profile_in_memory_has_a_digest() -> None:
    """Tests that two made alike agree."""
    assert profile_digest(make_small_profile()) == profile_digest(make_small_profile())
