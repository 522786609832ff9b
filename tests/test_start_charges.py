"""Tests what starting instances is charged."""

import numpy as np
import pandas as pd
import pytest
from builders import make_profile, same_for_all_classes
from hypothesis import given
from hypothesis import strategies as st
from planner_builders import Running, running, two_size_profile

from dynaopt.allocation import Allocation
from dynaopt.profile import Profile
from dynaopt.start_charges import StartCharges
from dynaopt.transitions import RUNNING_COLUMNS, find_transitions

PROFILE = two_size_profile()
PROFILES = {"tiny-model": PROFILE}
START = pd.DatetimeIndex(["2024-05-14T18:05:00Z"])


def groups() -> st.SearchStrategy[list[Running]]:
    """Draw what runs: numbers of TP2 and TP8 in three pools."""
    one = st.tuples(st.sampled_from(["SS", "MM", "LL"]), st.sampled_from([2, 8]), st.integers(1, 5), st.just(0.1))
    return st.lists(one, max_size=4, unique_by=lambda g: g[:2])


def frame(allocation: Allocation) -> pd.DataFrame:
    """Return what runs as `find_transitions` takes it."""
    rows = [[getattr(group, name) for name in RUNNING_COLUMNS] for group in allocation.groups]
    return pd.DataFrame(rows, columns=list(RUNNING_COLUMNS)).astype({"tp": int, "num_instances": int})


def by_the_rules(before: Allocation, after: Allocation, profile: Profile = PROFILE) -> float:
    """Return what `transitions` charges."""
    table = frame(after).assign(window_start=START[0])
    return float(find_transitions(table, START, {"tiny-model": profile}, frame(before))["energy_j"].sum())


def test_the_example_of_the_documentation() -> None:
    """Tests 3 TP2 that become one TP8: 6 GPUs resharded, 2 cold: 110 W x (6 x 5 s + 2 x 400 s) = 91,300 J."""
    charges = StartCharges.beyond(running(("SS", 2, 3, 1.0)), PROFILES)
    after = running(("SS", 8, 1, 3.0))
    assert charges.of(after) == pytest.approx(91_300.0)
    assert charges.excess(after).tolist() == [2.0, -3.0, 1.0]  # GPUs, TP2, TP8
    assert charges.of(running(("LL", 2, 3, 1.0))) == 0.0  # another pool is free


@given(groups(), groups())
def test_charges_are_those_of_the_transitions(before: list[Running], after: list[Running]) -> None:
    """Tests the sum against the matching of instances that a schedule's transitions go by."""
    one, other = running(*before), running(*after)
    assert StartCharges.beyond(one, PROFILES).of(other) == pytest.approx(by_the_rules(one, other), abs=1e-6)


@given(groups(), groups(), st.floats(0, 1), st.sampled_from([(400.0, 5.0), (3.0, 30.0)]))
def test_prices_never_exceed_the_charges(
    before: list[Running], after: list[Running], share: float, durations: tuple[float, float]
) -> None:
    """Tests the inequality that the bound rests on, also where resharding takes longer than a cold start."""
    start_up = PROFILE.metadata.start_up.model_copy(update={"cold_s": durations[0], "reshard_s": durations[1]})
    profile = make_profile(
        same_for_all_classes(2, 1000, [(0, 50), (1, 100)]) + same_for_all_classes(8, 1000, [(0, 1), (1, 2)])
    )
    profile = Profile(metadata=profile.metadata.model_copy(update={"start_up": start_up}), curves=profile.curves)
    charges = StartCharges.beyond(running(*before), {"tiny-model": profile})
    allocation = running(*after)
    assert charges.of(allocation) == pytest.approx(by_the_rules(running(*before), allocation, profile), abs=1e-6)
    assert share * charges.price_j @ charges.excess(allocation) <= charges.of(allocation) + 1e-6


def test_the_first_answer_is_charged_nothing() -> None:
    """Tests that where nothing is known to run, neither charges nor prices are above 0."""
    charges = StartCharges.beyond(None, PROFILES)
    assert charges.of(running(("SS", 8, 9, 1.0))) == 0.0
    assert not charges.price_j.any()


def test_what_runs_is_worth_its_prices() -> None:
    """Tests 2 TP2 and a TP8 at 3 W for a GPU, 1 for a TP2, 5 for a TP8: 12 x 3 + 2 x 1 + 5 = 43 W."""
    charges = StartCharges.beyond(running(("SS", 2, 2, 1.0), ("MM", 8, 1, 1.0)), PROFILES)
    assert charges.worth_w(np.array([3.0, 1.0, 5.0])) == pytest.approx(43.0)
