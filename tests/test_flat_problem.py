"""Tests taking a problem apart into groups of models with their own limits."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_profile
from search_builders import AT, only_group, three_mixes_problem, two_size_problem

from dynaopt.flat_problem import groups_of
from dynaopt.problem import Problem


def two_models(**cluster: object) -> Problem:
    """Pose a problem of two models that both serve SS."""
    one = two_size_problem({"SS": 1.0}, **cluster)
    other = make_profile([make_curve(4, 1000, "SS", [(0, 200), (2, 400)])], model="other", name="other")
    demand = replace(
        one.demand,
        rate_rps={**one.demand.rate_rps, "other": np.array([2.0] + [0.0] * 8)},
        peak_factor={**one.demand.peak_factor, "other": 1.0},
    )
    return one.replace(demand=demand, profiles={**one.profiles, "other": other})


def test_arrays_of_one_model() -> None:
    """Tests options, breakpoints and arrivals: SS, MM and LL have two options each, the other six pools none."""
    group = only_group(two_size_problem({"SS": 1.0, "LL": 2.0}))
    assert group.first_option.tolist() == [0, 2, 2, 2, 2, 4, 4, 4, 4, 6]
    assert list(group.pool_options(AT["LL"])) == [4, 5]
    assert group.curve(1)[0].tolist() == [0.0, 1.0, 4.0]
    assert group.curve(1)[1].tolist() == [100.0, 200.0, 320.0]
    assert group.usage.tolist() == [[2.0, 8.0] * 3]
    assert group.limits.tolist() == [64.0]
    assert group.families[0][0].rates_rps[[AT["SS"], AT["LL"]]].tolist() == [1.0, 2.0]


def test_families_are_the_mixed_pools_that_may_be_open_together() -> None:
    """Tests two pairs and a mix of all four: none, each pair, both, all; and what each leaves to the pools of classes.

    SM and LS may be promoted to LM, which can get 1 + 4 + 8 requests/s where no mixed pool is open.
    """
    problem = three_mixes_problem({"SM": 1.0, "SL": 2.0, "LS": 4.0, "LM": 8.0})
    group = only_group(problem)
    assert [problem.pools[p].request_class for p in group.pools[9:]] == ["ALL-S", "ALL-L", "ALL-both"]
    assert group.most_rps[9:].tolist() == [3.0, 12.0, 15.0]
    families = {family.mixed: family for family in group.families[0]}
    assert list(families) == [(), (9,), (10,), (9, 10), (11,)]
    assert [family.rates_rps.sum() for family in families.values()] == [15.0, 12.0, 3.0, 0.0, 0.0]
    assert [family.most_rps[AT["LM"]] for family in families.values()] == [13.0, 12.0, 1.0, 0.0, 0.0]


def test_the_open_family_is_read_off_the_loads() -> None:
    """Tests that a mixed pool with load is open, and one without is not."""
    group = only_group(three_mixes_problem({"SM": 1.0, "SL": 2.0, "LS": 4.0, "LM": 8.0}))
    loads_rps = np.zeros(len(group.pools))
    assert [family.mixed for family in group.open_families(loads_rps)] == [()]
    loads_rps[[9, 10]] = group.most_rps[[9, 10]]
    assert [family.mixed for family in group.open_families(loads_rps)] == [(9, 10)]


def test_most_load_of_a_pool_is_all_that_may_come_to_it() -> None:
    """Tests that MM may get SS's arrivals besides its own, and LL all."""
    most = only_group(two_size_problem({"SS": 1.0, "MM": 0.5, "LL": 2.0})).most_rps
    assert most[[AT["SS"], AT["MM"], AT["LL"]]] == pytest.approx([1.0, 1.5, 3.5])


def test_unused_gpus_are_charged_to_nobody() -> None:
    """Tests that an instance costs what its GPUs take beyond 20 W each unused ones draw; 64 x 20 W run anyway."""
    problem = two_size_problem({"SS": 1.0}, unused_gpus="on")
    profile = next(iter(problem.profiles.values()))
    power = profile.metadata.power.model_copy(update={"gpu_on_w": 10.0})
    metadata = profile.metadata.model_copy(update={"power": power})
    group = only_group(problem.replace(profiles={profile.model: replace(profile, metadata=metadata)}))
    assert group.base_w == 640.0
    assert group.curve(0)[1].tolist() == [50.0 - 20.0, 100.0 - 20.0]
    assert group.fillers == ((),)


def test_idle_instances_that_draw_less_than_unused_gpus_fill_them() -> None:
    """Tests 70 W of an unused GPU against an idle TP8's 100 / 8 = 12.5 W: no cost is negative; TP8 fills, then TP2."""
    group = only_group(two_size_problem({"SS": 1.0}, unused_gpus="on"))
    assert group.base_w == pytest.approx(64 * 12.5)
    assert group.cost_w.min() == pytest.approx(0.0)
    assert [(option.tp, size) for _, option, size in group.fillers[0]] == [(8, 8.0), (2, 2.0)]


def test_models_without_a_fixed_mix_share_a_group() -> None:
    """Tests two models on one cluster."""
    group = only_group(two_models())
    assert len(group.pools) == 18
    assert len(group.families) == 2
    assert group.limits.tolist() == [64.0]


def test_a_fixed_mix_makes_a_group_of_its_own() -> None:
    """Tests that a mix of 3 TP2 and 2 TP8 leaves 64 - 22 = 42 GPUs to the other model, and is limited by degree."""
    shared, fixed = groups_of(two_models(fixed_mix={"tiny-model": {2: 3, 8: 2}}))
    assert shared.limits.tolist() == [42.0]
    assert shared.pools == tuple(range(9, 18))
    assert fixed.limits.tolist() == [3.0, 2.0]
    assert fixed.usage.tolist() == [[1.0, 0.0] * 3, [0.0, 1.0] * 3]


def test_idle_instances_of_a_fixed_mix_run_anyway() -> None:
    """Tests that 3 TP2 at 50 W and 2 TP8 at 100 W are the base, and an instance costs what it draws beyond."""
    fixed = groups_of(two_models(fixed_mix={"tiny-model": {2: 3, 8: 2}}))[1]
    assert fixed.base_w == pytest.approx(3 * 50 + 2 * 100)
    assert fixed.curve(0)[1].tolist() == [0.0, 50.0]
    assert fixed.curve(2)[1].tolist() == pytest.approx([5.0, 60.0])


def test_degrees_without_instances_have_no_options() -> None:
    """Tests that a mix of TP8 only leaves no TP2 to choose."""
    fixed = groups_of(two_models(fixed_mix={"tiny-model": {8: 2}}))[1]
    assert {option.tp for option in fixed.options} == {8}


def test_falling_curves_are_lowered_to_rise() -> None:
    """Tests 100, 90, 120, 110 W: from the right each becomes the least so far, and none is above the curve."""
    curve = make_curve(2, 1000, "SS", [(0, 100), (1, 90), (2, 120), (3, 110)])
    problem = two_size_problem({"SS": 1.0}).replace(profiles={"tiny-model": make_profile([curve])})
    assert only_group(problem).curve(0)[1].tolist() == [90.0, 90.0, 110.0, 110.0]
