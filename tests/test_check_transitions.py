"""Tests the recount of starts and stops against cases worked by hand. 110 W a GPU; 400 s cold, 5 s re-sharded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_profile, same_for_all_classes

from dynaopt.check_evidence import Evidence
from dynaopt.check_transitions import check_transitions
from dynaopt.problem import Cluster
from dynaopt.slo import Slo
from dynaopt.transitions import find_transitions
from dynaopt.violations import ViolationKind

PROFILE = make_profile([c for tp in (2, 4, 8) for c in same_for_all_classes(tp, 1000, [(0, 200), (10, 600)])])
NOTHING = pd.DataFrame(columns=["window", "model", "pool", "tp", "num_started", "num_stopped", "energy_j"])
NOTHING = NOTHING.astype({"window": int, "tp": int, "num_started": int, "num_stopped": int, "energy_j": float})


def make_evidence(*windows: dict[tuple[str, int], int]) -> Evidence:
    """Make evidence of instances by pool and TP in each window; an empty window has no answer."""
    rows = [(n, pool, tp, count) for n, running in enumerate(windows) for (pool, tp), count in running.items()]
    groups = pd.DataFrame(rows, columns=["window", "pool", "tp", "num_instances"]).assign(model="tiny-model")
    return Evidence(
        starts=pd.date_range("2024-05-12T00:00:00Z", periods=len(windows), freq="5min"),
        profiles={"tiny-model": PROFILE},
        slo=Slo.table_iv(),
        cluster=Cluster(),
        rate_rps=np.zeros((len(windows), 9)),
        peak_factor=np.ones((len(windows), 1)),
        answered=np.array([bool(running) for running in windows]),
        power_w=np.zeros(len(windows)),
        groups=groups,
        routes=pd.DataFrame(),
    )


CASES = {
    "nothing changes": (({("SS", 2): 1}, {("SS", 2): 1}), 0.0),
    "an instance changes its pool": (({("SS", 2): 1}, {("LL", 2): 1}), 0.0),
    "a stop": (({("SS", 2): 3}, {("SS", 2): 1}), 0.0),
    "a cold start of TP2": (({("SS", 2): 1}, {("SS", 2): 2}), 2 * 110 * 400.0),
    "four TP2 become one TP8": (({("SS", 2): 4}, {("SS", 8): 1}), 8 * 110 * 5.0),
    "one TP8 becomes three TP2": (({("SS", 8): 1}, {("SS", 2): 3}), 6 * 110 * 5.0),
    "one TP2 becomes a TP8": (({("SS", 2): 1}, {("SS", 8): 1}), 2 * 110 * 5.0 + 6 * 110 * 400.0),
    "through a window without an answer": (({("SS", 2): 1}, {}, {("SS", 2): 2}), 2 * 110 * 400.0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_energy_of_starts(name: str) -> None:
    """Tests the energy of the last window's starts, each worked by hand."""
    windows, expected_j = CASES[name]
    energy_j, _ = check_transitions(make_evidence(*windows), NOTHING)
    assert energy_j.tolist() == [0.0] * (len(windows) - 1) + [expected_j]


def test_starts_that_are_not_told_are_found() -> None:
    """Tests that an empty table is wrong in counts and energy where a TP2 starts."""
    _, found = check_transitions(make_evidence({("SS", 2): 1}, {("SS", 2): 2}), NOTHING)
    assert [(v.kind, v.found, v.expected) for v in found] == [
        (ViolationKind.TRANSITION_COUNT, "0", "1"),
        (ViolationKind.TRANSITION_ENERGY, "0", "88000 J"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_planner_and_the_check_agree(seed: int) -> None:
    """Tests that what the planner writes of random changes, counted another way, passes."""
    rng = np.random.default_rng(seed)
    windows = [
        {(pool, tp): int(rng.integers(0, 4)) for pool in ("SS", "MM", "LL") for tp in (2, 4, 8)} for _ in range(6)
    ]
    evidence = make_evidence(*windows)
    allocations = evidence.groups.assign(window_start=evidence.starts[evidence.groups["window"]])
    table = find_transitions(allocations, evidence.starts, evidence.profiles)
    stated = table.assign(window=evidence.starts.get_indexer(pd.DatetimeIndex(table["window_start"])))
    energy_j, found = check_transitions(evidence, stated)
    assert found == []
    assert energy_j.sum() == pytest.approx(table["energy_j"].sum())


def test_energy_in_the_wrong_row_is_found() -> None:
    """Tests cold starts of a TP2 (88,000 J) and a TP4 (176,000 J) whose sum is right, all of it in the TP4's row.

    The TP2 then takes less than re-sharding (2 · 110 · 5 = 1,100 J), the TP4 more than from cold.
    """
    evidence = make_evidence({("SS", 2): 1}, {("SS", 2): 2, ("LL", 4): 1})
    names = ["window", "model", "pool", "tp", "num_started", "num_stopped", "energy_j"]
    rows = [(1, "tiny-model", "SS", 2, 1, 0, 0.0), (1, "tiny-model", "LL", 4, 1, 0, 264_000.0)]
    energy_j, found = check_transitions(evidence, pd.DataFrame(rows, columns=names))
    assert energy_j.tolist() == [0.0, 264_000.0]
    assert [(v.where, v.found, v.expected) for v in found] == [
        ("tiny-model, pool SS, TP2", "0", "1100 to 88000 J"),
        ("tiny-model, pool LL, TP4", "264000", "2200 to 176000 J"),
    ]


def test_a_degree_that_the_profile_does_not_have_is_counted() -> None:
    """Tests that a stop of a TP1, which nothing ran, is told although no curve has that degree."""
    row = pd.DataFrame([(1, "tiny-model", "SS", 1, 0, 1, 0.0)], columns=list(NOTHING))
    _, found = check_transitions(make_evidence({("SS", 2): 1}, {("SS", 2): 1}), row)
    assert [(v.kind, v.where, v.found) for v in found] == [
        (ViolationKind.TRANSITION_COUNT, "tiny-model, TP1, num_stopped", "1")
    ]


def test_starts_of_all_models_add_up() -> None:
    """Tests a cold TP2 of each of two models: 2 · 88,000 J."""
    evidence = make_evidence({("SS", 2): 1}, {("SS", 2): 2})
    both = pd.concat([evidence.groups, evidence.groups.assign(model="other")], ignore_index=True)
    two = replace(evidence, profiles={"tiny-model": PROFILE, "other": PROFILE}, groups=both)
    assert check_transitions(two, NOTHING)[0].tolist() == [0.0, 176_000.0]
