"""Mirror tests of `dynaopt.check_coupling`: what was asked of a coupled schedule, counted again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import dynaopt
from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.schedule import CouplingRecord, Schedule
from dynaopt.violations import ViolationKind


@pytest.fixture(scope="module")
def profile() -> dynaopt.Profile:
    """Read the shipped profile."""
    return dynaopt.read_profile("llama2-70b-h100")


@pytest.fixture(scope="module")
def demand() -> Demand:
    """Take two hours in which demand rises and falls."""
    return dynaopt.read_demand("azure-2024-conversation").select(800, 824)


@pytest.fixture(scope="module")
def myopic(demand: Demand, profile: dynaopt.Profile) -> Schedule:
    """Plan its windows by themselves."""
    return dynaopt.plan(demand, profile, coupled=False, workers=1)


def _claiming(schedule: Schedule, bound: float | None = None, **asked: object) -> Schedule:
    """Return a schedule that claims to have been asked for something."""
    record = CouplingRecord(asked=Coupling.of(**asked), lower_bound=bound)  # type: ignore[arg-type]
    return replace(schedule, metadata=schedule.metadata.model_copy(update={"coupling": record, "format_version": 3}))


def _kinds(schedule: Schedule, profile: dynaopt.Profile) -> set[ViolationKind]:
    return {violation.kind for violation in dynaopt.check(schedule, profiles=[profile])}


@pytest.mark.parametrize(
    "asked", [{}, {"min_up_s": 3600.0}, {"max_starts": 1}, {"min_up_s": 1800.0, "max_starts": 2}], ids=str
)
def test_accepts_what_was_planned(demand: Demand, profile: dynaopt.Profile, asked: dict[str, float]) -> None:
    """Tests that coupled plans keep what is asked of them, and lie within 1 % of their bound."""
    schedule = dynaopt.plan(demand, profile, coupled=Coupling.of(**asked), workers=1)
    assert dynaopt.check(schedule, profiles=[profile]) == []
    assert schedule.coupled_gap is not None
    assert schedule.coupled_gap <= 1e-2


def test_a_coupled_plan_takes_no_more_than_a_myopic_one(
    demand: Demand, profile: dynaopt.Profile, myopic: Schedule
) -> None:
    """Tests that the energy is at most that of windows by themselves, and at least the bound."""
    coupled = dynaopt.plan(demand, profile, coupled=True, workers=1)
    assert coupled.energy_j <= myopic.energy_j * (1 + 1e-4)
    assert coupled.metadata.coupling is not None
    assert coupled.metadata.coupling.lower_bound is not None
    assert coupled.metadata.coupling.lower_bound <= coupled.energy_j
    assert coupled.transition_energy_j < myopic.transition_energy_j


def test_finds_starts_beyond_the_most(profile: dynaopt.Profile, myopic: Schedule) -> None:
    """Tests that a plan with starts breaks a limit of none."""
    assert ViolationKind.MAX_STARTS in _kinds(_claiming(myopic, max_starts=0), profile)


def test_finds_instances_stopped_too_soon(profile: dynaopt.Profile, myopic: Schedule) -> None:
    """Tests that windows by themselves, which start and stop at will, break an up-time of two hours."""
    assert ViolationKind.MIN_UP in _kinds(_claiming(myopic, min_up_s=7200.0), profile)


def test_finds_gpus_that_are_taken_by_what_starts(profile: dynaopt.Profile, myopic: Schedule) -> None:
    """Tests that GPUs of a start two windows later count: a cluster as large as the busiest window lacks some."""
    cluster = myopic.metadata.cluster.model_copy(update={"num_gpus": int(myopic.windows["num_gpus"].max())})
    tight = replace(myopic, metadata=myopic.metadata.model_copy(update={"cluster": cluster}))
    used = myopic.windows["num_gpus"].to_numpy(dtype=float)
    rises = np.maximum(np.diff(used), 0.0)
    held = used + np.append(rises, 0.0) + np.append(rises[1:], [0.0, 0.0])
    assert (held > used.max()).any()  # the demand was chosen so
    assert ViolationKind.STARTING_GPUS in _kinds(_claiming(tight), profile)


def test_charges_for_what_did_not_run_before(profile: dynaopt.Profile, myopic: Schedule) -> None:
    """Tests that with an empty cluster before it the first window has starts that the plan does not show."""
    nothing = pd.DataFrame({"model": [profile.model], "tp": [8], "num_instances": [0]})
    assert ViolationKind.TRANSITION_COUNT in _kinds(_claiming(myopic, initial=nothing), profile)


def test_finds_a_bound_above_the_schedule(profile: dynaopt.Profile, myopic: Schedule) -> None:
    """Tests that no bound may exceed the energy."""
    assert ViolationKind.COUPLED_BOUND in _kinds(_claiming(myopic, bound=2 * myopic.energy_j), profile)


def test_is_the_same_after_writing_and_reading(demand: Demand, profile: dynaopt.Profile, tmp_path: object) -> None:
    """Tests that a coupled schedule is written, read and found again by the same call."""
    asked = Coupling.of(min_up_s=900.0)
    folder = f"{tmp_path}/plan"
    first = dynaopt.plan(demand, profile, coupled=asked, out=folder, workers=1)
    assert dynaopt.read_schedule(folder).metadata == first.metadata
    assert dynaopt.plan(demand, profile, coupled=asked, out=folder, workers=1).energy_j == first.energy_j
