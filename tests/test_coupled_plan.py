"""Mirror tests of `dynaopt.coupled_plan`: coupled plans of several models, limits and objectives."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planning import OPTIONS, contents, make_small_profile, make_week
from test_horizon import run_plan
from two_windows import hourly, two_demand, two_objective, two_profile

import dynaopt
from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError
from dynaopt.objective import Objective
from dynaopt.solvers.base import DEFAULT_GAP, DEFAULT_SOLVER


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
        {"reserve": 0.2},
        {"objective": Objective(minimise={"energy": 1.0, "carbon": 0.01}, carbon_g_per_kwh=300.0)},
    ],
    ids=str,
)
def test_keeps_limits_and_objectives(demand: Demand, profile: dynaopt.Profile, options: dict[str, object]) -> None:
    """Tests that a plan under each option passes the check, is within 1 % of its bound, and is worth it."""
    coupled = dynaopt.plan(demand, profile, coupled=True, workers=1, **options)  # type: ignore[arg-type]
    myopic = dynaopt.plan(demand, profile, solver="greedy", workers=1, **options)  # type: ignore[arg-type]
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


def test_is_what_is_planned_unless_a_solver_or_a_time_limit_is_given() -> None:
    """Tests the rule of the default, which the schedule tells."""
    week, profile = make_week(3), make_small_profile()

    def planned(**options: object) -> tuple[str, bool]:
        metadata = dynaopt.plan(week, profile, workers=1, **OPTIONS, **options).metadata  # type: ignore[arg-type]
        return metadata.solver, metadata.coupling is not None

    assert planned() == planned(coupled=True) == planned(coupled=Coupling(min_up_s=600.0)) == ("coupled", True)
    assert planned(coupled=False) == planned(time_limit_s=5.0) == (DEFAULT_SOLVER, False)
    assert planned(solver="greedy") == ("greedy", False)


@pytest.mark.parametrize("beside", [{"solver": "highs"}, {"time_limit_s": 1.0}], ids=str)
def test_refuses_a_solver_of_windows_beside_it(beside: dict[str, object]) -> None:
    """Tests that nobody is left to believe that HiGHS, say, solved what it did not."""
    with pytest.raises(InvalidInputError, match="option coupled: expected no solver and no time limit beside it"):
        dynaopt.plan(make_week(2), make_small_profile(), coupled=True, **beside, **OPTIONS)  # type: ignore[arg-type]


def test_spare_instances_for_one_that_fails(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that n+1 is kept, and that the plan takes no more than one window by window."""
    few = demand.select(0, 4)
    coupled = dynaopt.plan(few, profile, reserve="n+1", workers=1)
    assert dynaopt.check(coupled, profiles=[profile]) == []
    assert coupled.coupled_gap is not None
    assert coupled.energy_j <= dynaopt.plan(few, profile, reserve="n+1", solver="greedy", workers=1).energy_j


def test_a_fixed_mix_leaves_nothing_to_couple(demand: Demand, profile: dynaopt.Profile) -> None:
    """Tests that plan and bound are those of windows by themselves, but for the gap that was asked for."""
    fixed = {profile.model: {8: 30}}
    coupled, myopic = (dynaopt.plan(demand, profile, fixed_mix=fixed, coupled=how, workers=1) for how in (None, False))
    assert coupled.metadata.coupling is not None
    assert coupled.metadata.coupling.lower_bound == pytest.approx(myopic.lower_bound_j, rel=DEFAULT_GAP)
    assert coupled.energy_j == pytest.approx(myopic.energy_j, rel=DEFAULT_GAP)


@pytest.mark.parametrize("second", [0.0, 1e-9], ids=["free", "next to free"])
def test_energy_may_be_free(second: float) -> None:
    """Tests that a window in which energy has no price is planned, and the bound holds."""
    objective = two_objective(price_per_kwh=hourly(0.2, second), price_per_gpu_hour=0.0)
    schedule = dynaopt.plan(two_demand(), two_profile(), objective=objective, num_gpus=16, headroom=0.0, workers=1)
    assert dynaopt.check(schedule, profiles=[two_profile()]) == []
    assert schedule.coupled_gap is not None
    assert schedule.coupled_gap <= 1e-3


def test_nothing_may_be_asked() -> None:
    """Tests that windows in which nothing arrives are planned: nothing runs, and nothing is missing from the bound."""
    week = make_week(3)
    none = Demand("none", week.window_s, week.table.assign(rate_rps=0.0))
    schedule = dynaopt.plan(none, make_small_profile(), workers=1, **OPTIONS)
    assert schedule.allocations.empty
    assert (schedule.num_unsolved, schedule.energy_j, schedule.coupled_gap) == (0, 0.0, 0.0)


def test_the_unit_of_the_objective_does_not_matter() -> None:
    """Tests that carbon at a constant rate gives the plan of least energy, instance by instance."""
    energy = dynaopt.plan(make_week(12), make_small_profile(), workers=1, **OPTIONS)
    carbon = Objective(minimise="carbon", carbon_g_per_kwh=371.0, pue=1.3)
    assert dynaopt.plan(make_week(12), make_small_profile(), workers=1, objective=carbon, **OPTIONS).allocations.equals(
        energy.allocations
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the coupled week that nothing interrupted."""
    out = tmp_path_factory.mktemp("undisturbed") / "plan"
    assert run_plan(out, solver="coupled") == 0
    return out


@pytest.mark.parametrize("counts", [(2, 4, 3, 2), (7, 3, 1)], ids=str)
def test_a_process_that_dies_goes_on_where_it_was(tmp_path: Path, undisturbed: Path, counts: tuple[int, ...]) -> None:
    """Tests kill -9 at files moved into place, between and within passes and stretches, one death after the other.

    What was kept before a death is still there after the next, and the end is the same, byte for byte.
    """
    out, kept = tmp_path / "plan", set[str]()
    for count in counts:
        assert run_plan(out, f"replace:{count}", solver="coupled") == -signal.SIGKILL
        now = {path.name for path in (out / ".partial").glob("[a-z]*-*.json")}
        assert kept <= now
        kept = now
    assert any(name.startswith("pass") for name in kept)
    assert run_plan(out, solver="coupled") == 0
    assert contents(out) == contents(undisturbed)


def test_a_process_that_dies_in_whole_numbers_goes_on(tmp_path: Path, undisturbed: Path) -> None:
    """Tests kill -9 once stretches are settled: they are not solved again."""
    out = tmp_path / "plan"
    assert run_plan(out, "window:32", solver="coupled") == -signal.SIGKILL
    stretches = {path: path.stat().st_mtime_ns for path in (out / ".partial").glob("stretch-*.json")}
    assert stretches
    assert run_plan(out, "window:48", solver="coupled") == -signal.SIGKILL
    assert {path: path.stat().st_mtime_ns for path in stretches} == stretches
    assert run_plan(out, solver="coupled") == 0
    assert contents(out) == contents(undisturbed)


def test_a_damaged_pass_is_made_again(tmp_path: Path, undisturbed: Path) -> None:
    """Tests that a file that does not fit its checksum is found, and it and what came after it done again."""
    out = tmp_path / "plan"
    assert run_plan(out, "window:16", solver="coupled") == -signal.SIGKILL
    path = out / ".partial" / "pass-001.json"
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 3))
    assert run_plan(out, solver="coupled") == 0
    assert contents(out) == contents(undisturbed)


def test_the_number_of_processes_does_not_matter(tmp_path: Path, undisturbed: Path) -> None:
    """Tests that a helper, and one that is begun anew after the planner was killed, finds the same to the last byte."""
    out = tmp_path / "plan"
    assert run_plan(out, "window:16", solver="coupled", workers=2) == -signal.SIGKILL
    assert run_plan(out, solver="coupled", workers=2) == 0
    assert contents(out) == contents(undisturbed)
    assert json.loads((out / "schedule.json").read_text())["coupling"]["lower_bound"] > 0
