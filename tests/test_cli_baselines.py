"""Tests of what a plan is set beside."""

from dataclasses import replace

import numpy as np
import pytest
from test_cli import DEMAND

from dynaopt.cli_baselines import find_baselines
from dynaopt.demand import Demand, read_demand
from dynaopt.horizon import plan
from dynaopt.profile import LoadCurve, Profile
from dynaopt.single_pool import best_single_pool, single_pool

USUAL = "single pool, TP8 at 1980 MHz"


@pytest.fixture
def demand() -> Demand:
    """Return the small demand."""
    return read_demand(DEMAND)


def _with_usual(profile: Profile) -> Profile:
    """Return the tiny profile with a curve of its mix on TP8 at 1980 MHz: that of TP4, at twice the power."""
    curve = profile.curves[4, 2000, "ALL-conversation"]
    usual: LoadCurve = replace(curve, tp=8, frequency_mhz=1980, power_w=2 * np.asarray(curve.power_w))
    return Profile(metadata=profile.metadata, curves={**profile.curves, (8, 1980, "ALL-conversation"): usual})


def test_both_single_pools_keep_to_the_plans_options(tiny: Profile, demand: Demand) -> None:
    """Tests that headroom and objectives are the plan's own, so that the comparison is fair."""
    profile = _with_usual(tiny)
    schedule = plan(demand, profile, num_gpus=900, headroom=0.5, workers=1)
    baselines, _ = find_baselines(schedule, [profile])
    options = {"slo": schedule.metadata.slo, "num_gpus": 900, "headroom": 0.5}
    assert list(baselines) == [USUAL, "best single pool, TP4 at 2000 MHz"]
    assert baselines[USUAL].energy_j == pytest.approx(single_pool(demand, profile, **options).energy_j)
    best = baselines["best single pool, TP4 at 2000 MHz"]
    assert best.energy_j == pytest.approx(best_single_pool(demand, profile, **options).energy_j)
    assert best.energy_j < baselines[USUAL].energy_j
    assert best.num_requests == pytest.approx(schedule.num_requests)


def test_the_usual_pool_is_the_profiles_largest(tiny: Profile, demand: Demand) -> None:
    """Tests that a profile that ends at TP4 is compared with a single pool of TP4 at its highest clock."""
    baselines, _ = find_baselines(plan(demand, tiny, workers=1), [tiny])
    assert list(baselines) == ["single pool, TP4 at 2000 MHz", "best single pool, TP4 at 2000 MHz"]


def test_a_missing_baseline_is_told(tiny: Profile, demand: Demand) -> None:
    """Tests that a profile without a mix at all is told to have no single pool, and why."""
    bare = Profile(
        metadata=tiny.metadata.model_copy(update={"mixes": ()}),
        curves={key: curve for key, curve in tiny.curves.items() if key[2] in ("SS", "LL")},
    )
    baselines, notes = find_baselines(plan(demand, bare, workers=1), [bare])
    assert baselines == {}
    assert [note.partition(":")[0] for note in notes] == ["No single pool", "No best single pool"]
    assert all("no curves of a whole mix" in note for note in notes)


def test_a_single_pool_larger_than_the_cluster_is_told(tiny: Profile, demand: Demand) -> None:
    """Tests that its energy is not passed off as one of the same cluster."""
    schedule = plan(demand, tiny, num_gpus=32, workers=1)
    assert schedule.num_unsolved == 0
    _, notes = find_baselines(schedule, [tiny])
    assert "The best single pool, TP4 at 2000 MHz needs 48 GPUs of 32; its energy is that of them all." in notes


def test_a_mix_far_from_the_demand_is_told(tiny: Profile, demand: Demand) -> None:
    """Tests 12 % of the requests, and silence where the mix fits."""
    _, notes = find_baselines(plan(demand, tiny, workers=1), [tiny])
    assert sum("take 12% of the requests to tiny-model for another class" in note for note in notes) == 1
    table = demand.table.copy()
    is_short = table["request_class"] == "SS"
    table["rate_rps"] = np.where(is_short, 3.0, 1.0)  # the shares of the tiny profile's mix
    fitting = Demand("fitting", 300.0, table)
    _, notes = find_baselines(plan(fitting, tiny, workers=1), [tiny])
    assert not any("another class" in note for note in notes)
