"""Tests the package's own planner as a policy, with mixed pools and without."""

from __future__ import annotations

import numpy as np
import pytest
from policy_builders import MIX, TP2, TP8, make_policy_case, make_policy_profile, power_w

from dynaopt.check import check
from dynaopt.errors import UnknownNameError
from dynaopt.policies.planned import Planned, PlannedTogether
from dynaopt.policies.replanned import Replanned
from dynaopt.profile import Profile
from dynaopt.solvers.base import DEFAULT_GAP

SHARES = {"SS": 0.5, "SM": 0.25, "LL": 0.25}
MIXES = {MIX: SHARES, f"{MIX}-S": {"SS": 2 / 3, "SM": 1 / 3}, f"{MIX}-M": {"MM": 1.0}, f"{MIX}-L": {"LL": 1.0}}


def make_two_kinds() -> Profile:
    """Return a profile in which a request of LL takes ten times a short one, in a pool by class and in the mixes."""
    short = make_policy_profile(TP8, TP2, classes=("SS", "SM"), mixes=MIXES)
    dear = (8, 1980, [(0.0, 800.0), (10.0, 10800.0)])
    long = make_policy_profile(dear, classes=("LL",), mixes={})
    return Profile(short.metadata, {**long.curves, **short.curves})


def test_names_and_options() -> None:
    """Tests that it is named after its solver, and without mixed pools after that; only there the distance is 0."""
    case = make_policy_case(make_two_kinds(), {"SS": [0.3]}, max_mix_distance=0.2)
    plan, by_class = Planned("highs"), Planned("highs", by_class=True)
    assert (plan.name, plan.solver, plan.cluster(case).max_mix_distance) == ("plan-highs", "highs", 0.2)
    assert (by_class.name, by_class.solver, by_class.cluster(case).max_mix_distance) == ("plan-by-class", "highs", 0.0)
    with pytest.raises(UnknownNameError, match="got 'gurobi'"):
        Planned("gurobi")


def test_all_windows_together_take_no_more() -> None:
    """Tests a swing between few and many requests: starts are saved, and the schedule says that it is coupled."""
    case = make_policy_case(make_two_kinds(), {"SS": [0.3, 9.0] * 6, "LL": [0.1, 1.0] * 6})
    together, alone = PlannedTogether(workers=1).plan(case), Planned(workers=1).plan(case)
    assert check(together, profiles=case.profiles) == []
    assert (together.metadata.solver, set(together.windows["solver"])) == (PlannedTogether.solver, {"coupled"})
    assert together.energy_j < alone.energy_j
    assert together.transition_energy_j < alone.transition_energy_j


def test_few_requests_share_a_mixed_pool() -> None:
    """Tests 0.3, 0.1 and 0.1 requests/s: one TP2 takes 120 + 75 W; by class LL alone needs a TP8 of 800 W idle."""
    case = make_policy_case(make_two_kinds(), {"SS": [0.3], "SM": [0.1], "LL": [0.1]})
    schedule = Planned(workers=1).plan(case)
    assert power_w(schedule) == [195]
    assert set(schedule.routes["pool"]) == {MIX}
    assert check(schedule, profiles=case.profiles) == []
    by_class = Planned(by_class=True, workers=1).plan(case)
    assert power_w(by_class) == [120 + 60 + 800 + 100]
    assert by_class.metadata.cluster.max_mix_distance == 0


def test_a_mix_of_other_requests_is_not_trusted() -> None:
    """Tests 0.1, 0.1 and 0.3 requests/s, of which the mix takes 0.35 for another class: SS and SM share a TP2 of SM.

    That is 120 + 30 W, the mix S being too far as well, and 800 + 300 W for LL.
    """
    rates = {"SS": [0.1], "SM": [0.1], "LL": [0.3]}
    near, far = (make_policy_case(make_two_kinds(), rates, max_mix_distance=limit) for limit in (0.1, 0.4))
    assert power_w(Planned(workers=1).plan(near)) == [150 + 1100]
    assert power_w(Planned(workers=1).plan(far)) == [120 + 75]


@pytest.mark.parametrize("cluster", [{}, {"unused_gpus": "on"}, {"reserve": 0.2}, {"reserve": "n+1"}])
def test_no_grouping_serves_with_less(cluster: dict[str, object]) -> None:
    """Tests random rates: never more serving energy than by class or in one pool of the mix, but for the gap."""
    rng = np.random.default_rng(3)
    total = rng.uniform(0.3, 30, 12)
    rates = {c: (share * total * rng.uniform(0.95, 1.05, 12)).tolist() for c, share in SHARES.items()}
    case = make_policy_case(make_two_kinds(), rates, headroom=0.1, **cluster)
    schedule = Planned(workers=1).plan(case)
    assert check(schedule, profiles=case.profiles) == []
    for other in (Planned(by_class=True, workers=1), Replanned(by_input=False)):
        least = other.plan(case).windows["serving_energy_j"].to_numpy(float)
        assert (schedule.windows["serving_energy_j"].to_numpy(float) <= least * (1 + DEFAULT_GAP)).all()
