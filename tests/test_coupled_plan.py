"""Mirror tests of `dynaopt.coupled_plan`: coupled plans of several models, limits and objectives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dynaopt
from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.objective import Objective


@pytest.fixture(scope="module")
def profile() -> dynaopt.Profile:
    """Read the shipped profile."""
    return dynaopt.read_profile("llama2-70b-h100")


@pytest.fixture(scope="module")
def demand() -> Demand:
    """Take an hour of the conversation week."""
    return dynaopt.read_demand("azure-2024-conversation").select(800, 812)


def _two_models(demand: Demand, profile: dynaopt.Profile) -> tuple[Demand, list[dynaopt.Profile]]:
    other = dynaopt.read_profile("bloom-176b-h100")
    table = demand.table.drop(columns=[c for c in ("model",) if c in demand.table.columns])
    both = pd.concat(
        [table.assign(model=profile.model), table.assign(model=other.model, rate_rps=table["rate_rps"] * 0.08)]
    ).sort_values(["window_start", "model"], kind="stable", ignore_index=True)
    return Demand("two", demand.window_s, both, "", demand.starts), [profile, other]


@pytest.mark.parametrize(
    "options",
    [
        {"objective": Objective(minimise="cost", price_per_kwh=0.1, price_per_gpu_hour=0.05)},
        {"power_cap_w": 44_100.0},
        {"unused_gpus": "on"},
        {"num_gpus": 128},
        {"max_mix_distance": 0.0},
    ],
    ids=str,
)
def test_keeps_limits_and_objectives(demand: Demand, profile: dynaopt.Profile, options: dict[str, object]) -> None:
    """Tests that a plan under each option passes the check, is within 1 % of its bound, and is worth it."""
    coupled = dynaopt.plan(demand, profile, coupled=True, workers=1, **options)  # type: ignore[arg-type]
    myopic = dynaopt.plan(demand, profile, workers=1, **options)  # type: ignore[arg-type]
    assert dynaopt.check(coupled, profiles=[profile]) == []
    assert coupled.num_unsolved == 0
    assert coupled.coupled_gap is not None
    assert coupled.coupled_gap <= 1e-2
    values = [s.energy_j if s.objective_totals() is None else s.objective_totals().objective for s in (coupled, myopic)]  # type: ignore[union-attr]
    assert values[0] <= values[1] * (1 + 2e-4)


def test_two_models_share_the_gpus(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that models are coupled each by itself and share GPUs, and the check finds nothing."""
    both, profiles = _two_models(demand, profile)
    coupled = dynaopt.plan(both, profiles, coupled=True, workers=1)
    assert dynaopt.check(coupled, profiles=profiles) == []
    assert coupled.coupled_gap is not None
    assert coupled.coupled_gap <= 1e-2


def test_a_window_without_an_answer_is_told(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that windows that 40 GPUs cannot serve have no answer and say why."""
    short = dynaopt.plan(demand, profile, coupled=True, workers=1, num_gpus=40)
    assert short.num_unsolved == demand.num_windows
    assert short.windows["reason"].str.contains("GPUs").all()
    assert short.coupled_gap is None


def test_charges_for_an_empty_cluster(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that from an empty cluster the first window starts all that it runs."""
    nothing = pd.DataFrame({"model": [profile.model], "tp": [8], "num_instances": [0]})
    schedule = dynaopt.plan(demand, profile, coupled=Coupling.of(initial=nothing), workers=1)
    assert dynaopt.check(schedule, profiles=[profile]) == []
    first = schedule.transitions[schedule.transitions["window_start"] == demand.starts[0]]
    gpus = float((first["num_started"] * first["tp"]).sum())
    assert gpus == float(schedule.windows["num_gpus"].iloc[0])
    assert float(first["energy_j"].sum()) == pytest.approx(gpus * 110.0 * 423.0)


def test_is_the_same_twice(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that the same call gives the same instances."""
    one, two = (dynaopt.plan(demand, profile, coupled=True, workers=1) for _ in range(2))
    assert one.allocations.equals(two.allocations)
    assert np.isclose(one.energy_j, two.energy_j)
