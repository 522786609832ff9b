"""Tests all policies on what is shipped: each passes the check, and none beats what contains it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from policy_builders import SLOW_TP8, TP2, TP8, make_policy_case, make_policy_profile

from dynaopt.check import check
from dynaopt.demand import Demand, read_demand
from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.policies import Case, get_policy, make_case, policy_names
from dynaopt.profile_io import read_profile
from dynaopt.schedule import Schedule

SERVICES = ("conversation", "coding")
STEP = 6


@cache
def day_of(service: str) -> Case:
    """Return every sixth window of a Tuesday as a demand of half-hour windows, so that no starts are frequent."""
    week = read_demand(f"azure-2024-{service}")
    first = int(np.flatnonzero(week.starts == pd.Timestamp("2024-05-14T00:00:00Z"))[0])
    kept = week.starts[first : first + 288 : STEP]
    table = week.table[week.table["window_start"].isin(kept)].reset_index(drop=True)
    demand = Demand(week.name, week.window_s * STEP, table, starts=kept)
    return make_case(demand, read_profile("llama2-70b-h100"), num_gpus=400)


@cache
def run(service: str, name: str) -> Schedule:
    """Run a policy on that day."""
    return get_policy(name).plan(day_of(service))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", policy_names())
def test_every_policy_passes_the_check(name: str, service: str) -> None:
    """Tests that a day of each policy serves everything, keeps every objective, and adds up."""
    schedule = run(service, name)
    assert check(schedule, profiles=day_of(service).profiles) == []
    assert schedule.num_unsolved == 0
    assert schedule.num_requests == pytest.approx(day_of(service).demand.num_requests)
    assert set(schedule.windows["solver"]) == {get_policy(name).solver}


BETTER = [
    ("best-single-pool", "single-pool"),
    ("single-pool", "spread-single-pool"),
    ("one-mixed-pool", "best-single-pool"),
    ("best-multi-pool", "multi-pool"),
    ("scale-inst", "multi-pool"),
    ("scale-shard", "multi-pool"),
    ("scale-freq", "multi-pool"),
    ("best-scale-inst", "scale-inst"),
    ("best-scale-shard", "scale-shard"),
    ("best-scale-freq", "scale-freq"),
    ("best-scale-inst", "best-multi-pool"),
    ("best-scale-freq", "best-multi-pool"),
    ("best-dynamollm", "dynamollm"),
    ("plan-by-class", "best-multi-pool"),
    ("plan", "plan-by-class"),
    ("plan", "one-mixed-pool"),
    ("plan", "input-pools"),
]


@pytest.mark.parametrize("service", SERVICES)
def test_coupling_saves_starts(service: str) -> None:
    """Tests that all windows together take less than each by itself, starts included, and more to serve."""
    together, alone = run(service, "plan-coupled"), run(service, "plan")
    assert together.energy_j < alone.energy_j
    assert together.serving_energy_j >= alone.serving_energy_j * (1 - 1e-4)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("better", "worse"), BETTER)
def test_what_has_more_freedom_serves_with_no_more(better: str, worse: str, service: str) -> None:
    """Tests serving energies of policies of which one can do all that the other can."""
    better_j, worse_j = (run(service, name).serving_energy_j for name in (better, worse))
    assert better_j <= worse_j * (1 + 1e-6)


def test_the_solver_of_our_own_may_be_named() -> None:
    """Tests that a solver's plan is found by name, and what is no policy is refused with all that there are."""
    assert get_policy("plan-highs").name == "plan-highs"
    with pytest.raises(UnknownNameError, match=r"one of spread-single-pool, .*, got 'everything'"):
        get_policy("everything")
    with pytest.raises(UnknownNameError, match="got 'gurobi'"):
        get_policy("plan-gurobi")


def test_a_limit_that_policies_cannot_keep_is_refused() -> None:
    """Tests a power cap, a fixed mix, and a model without a profile."""
    profile = make_policy_profile(TP8)
    for option, word in (({"power_cap_w": 1000.0}, "a power cap"), ({"fixed_mix": {"tiny-model": {8: 1}}}, "a fixed")):
        with pytest.raises(InvalidInputError, match=f"got {word}"):
            make_policy_case(profile, {"SS": [1.0]}, **option)
    case = make_policy_case(profile, {"SS": [1.0]})
    other = Demand("two", 300.0, case.demand.table.assign(model="other"))
    with pytest.raises(InvalidInputError, match="one for model 'other', got only tiny-model"):
        get_policy("multi-pool").plan(make_case(other, profile))


def test_several_models_share_a_cluster() -> None:
    """Tests that every policy serves two models, each from its own profile."""
    profile = make_policy_profile(TP8, SLOW_TP8, TP2)
    other = make_policy_profile(TP8, TP2, model="other", name="other")
    one = make_policy_case(profile, {"SS": [12.0, 4.0], "LL": [6.0, 6.0]}).demand
    table = pd.concat([one.table.assign(model=model) for model in ("tiny-model", "other")], ignore_index=True)
    case = make_case(Demand("two", 300.0, table), [profile, other], num_gpus=128)
    for name in policy_names():
        if name != "input-pools":
            schedule = get_policy(name).plan(case)
            assert check(schedule, profiles=case.profiles) == [], name
            assert set(schedule.allocations["model"]) == {"tiny-model", "other"}
