"""Tests of what names a plan: its digest follows what decides the answers, and two plans are told apart in words."""

from collections.abc import Callable
from typing import Any

import pytest
from planning import make_small_profile, make_week

from dynaopt.problem import Cluster
from dynaopt.schedule import ScheduleMetadata
from dynaopt.schedule_metadata import describe, make_metadata
from dynaopt.slo import Slo


def make(**changes: Any) -> ScheduleMetadata:
    """Make the metadata of a small plan."""
    options: dict[str, Any] = {
        "demand": make_week(2),
        "profiles": [make_small_profile()],
        "slo": Slo.table_iv(),
        "cluster": Cluster(),
        "solver": "greedy",
        **changes,
    }
    return make_metadata(options.pop("demand"), options.pop("profiles"), **options)


@pytest.mark.parametrize(
    "change",
    [
        lambda: {"demand": make_week(3)},
        lambda: {"profiles": [make_small_profile("other")]},
        lambda: {"slo": Slo.table_iv().scaled(2)},
        lambda: {"cluster": Cluster(reserve="n+1")},
        lambda: {"solver": "highs"},
        lambda: {"time_limit_s": 1.0},
        lambda: {"gap_tolerance": 0.1},
    ],
    ids=["demand", "profile", "slo", "cluster", "solver", "time limit", "gap"],
)
def test_all_that_decides_the_answers_is_in_the_digest(change: Callable[[], dict[str, Any]]) -> None:
    """Tests that each input and option changes the digest, and is told in words."""
    changed = make(**change())
    assert changed.digest != make().digest
    assert describe(changed) != describe(make())


def test_where_files_lie_decides_nothing() -> None:
    """Tests that the path is recorded, and that a moved file is the same plan."""
    moved = make(paths={"small-week": "elsewhere.csv"})
    assert moved.demand.path == "elsewhere.csv"
    assert moved.digest == make().digest
    assert describe(moved) == describe(make())


def test_the_digest_is_stable() -> None:
    """Tests that the same plan has the same 64 hexadecimal digits."""
    assert make().digest == make().digest
    assert len(bytes.fromhex(make().digest)) == 32


def test_it_can_be_written_and_read() -> None:
    """Tests the way through JSON, a mix of instances by degree included."""
    metadata = make(cluster=Cluster(fixed_mix={"tiny-model": {2: 3, 8: 1}}, reserve=0.25, power_cap_w=1e4))
    assert ScheduleMetadata.model_validate_json(metadata.model_dump_json()) == metadata
