"""Tests solving a group of models under its limits."""

import numpy as np
import pytest
from search_builders import AT, only_group, two_size_problem

from dynaopt.flat_problem import groups_of
from dynaopt.group_search import GroupAnswer, solve_group, usage_of
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace


def solve(rates: dict[str, float], deadline_s: float = np.inf, **cluster: object) -> GroupAnswer:
    """Solve the only group of a problem of the two sizes."""
    group = only_group(two_size_problem(rates, **cluster))
    return solve_group(PlainPools(group, Workspace()), 600, 1e-6, deadline_s)


def test_a_limit_that_does_not_bind() -> None:
    """Tests SS 3.0 on 8 GPUs: the TP8 of 280 W."""
    answer = solve({"SS": 3.0}, num_gpus=8)
    assert (answer.cost_w, answer.lower_w) == (pytest.approx(280.0), pytest.approx(280.0))


def test_a_limit_that_binds() -> None:
    """Tests SS 3.0 on 7 GPUs: three TP2 of 300 W. A price gives 290 W, half of either, which is 7 GPUs."""
    answer = solve({"SS": 3.0}, num_gpus=7)
    assert answer.cost_w == pytest.approx(300.0)
    assert 285.0 <= answer.lower_w <= 300.0
    assert answer.chosen is not None
    assert usage_of(answer.chosen, np.ones(1)).tolist() == [6.0]


def test_too_few_gpus_are_proved_to_be_too_few() -> None:
    """Tests SS 3.0 on 4 GPUs, where 6 are the least."""
    answer = solve({"SS": 3.0}, num_gpus=4)
    assert (answer.chosen, answer.lower_w, answer.cost_w) == (None, np.inf, np.inf)


def test_a_class_that_nothing_serves_is_proved_to_be() -> None:
    """Tests ML, which neither SS, MM nor LL... is for, but LL takes; and LL's own, without which there is nothing."""
    assert solve({"ML": 0.5}).chosen is not None
    group = only_group(two_size_problem({"LL": 1.0}, ("SS",)))
    assert solve_group(PlainPools(group, Workspace()), 600, 1e-6, np.inf).lower_w == np.inf


def test_every_number_of_gpus_from_the_least() -> None:
    """Tests three pools on 12 to 40 GPUs: the more there are the less is drawn, and the bound is never above."""
    rates, before = {"SS": 5.2, "MM": 1.7, "LL": 0.6}, np.inf
    for num_gpus in range(16, 40, 2):
        answer = solve(rates, num_gpus=num_gpus)
        assert answer.lower_w <= answer.cost_w * (1 + 1e-9)
        assert answer.cost_w <= before * (1 + 1e-9)
        before = answer.cost_w
    assert np.isfinite(before)
    assert solve(rates, num_gpus=14).lower_w == np.inf


def test_one_gpu_fewer_than_nothing() -> None:
    """Tests that fixed mixes of more GPUs than there are leave nothing that is feasible."""
    shared, fixed = groups_of(two_size_problem({"SS": 0.1}, num_gpus=8, fixed_mix={"tiny-model": {2: 1, 8: 1}}))
    assert solve_group(PlainPools(shared, Workspace()), 100, 1e-4, np.inf).lower_w == np.inf
    assert solve_group(PlainPools(fixed, Workspace()), 100, 1e-4, np.inf).chosen is not None


def test_a_fixed_mix_limits_each_degree() -> None:
    """Tests SS 5.0 on two TP8 and one TP2, whose idle 250 W run anyway.

    The first TP8 is full: 220 W beyond idle, 55 a request/s. The fifth request/s costs the TP2 50 W, another TP8 100 W.
    """
    fixed = groups_of(two_size_problem({"SS": 5.0}, fixed_mix={"tiny-model": {2: 1, 8: 2}}))[1]
    answer = solve_group(PlainPools(fixed, Workspace()), 600, 1e-6, np.inf)
    assert fixed.base_w == pytest.approx(250.0)
    assert answer.cost_w == pytest.approx(270.0)
    assert answer.chosen is not None
    assert usage_of(answer.chosen, np.ones(2)).tolist() == [1.0, 1.0]
    assert answer.loads_rps[AT["SS"]] == pytest.approx(5.0)


def test_a_fixed_mix_that_binds() -> None:
    """Tests SS 9.0 on one TP8 and five TP2: 4 on the TP8 and 5 on the TP2, all of them full."""
    fixed = groups_of(two_size_problem({"SS": 9.0}, fixed_mix={"tiny-model": {2: 5, 8: 1}}))[1]
    answer = solve_group(PlainPools(fixed, Workspace()), 600, 1e-6, np.inf)
    assert answer.cost_w == pytest.approx(220.0 + 5 * 50.0)
    assert answer.lower_w <= answer.cost_w


def test_a_fixed_mix_that_is_too_small() -> None:
    """Tests SS 9.5 on what carries 9, which is proved to be too little."""
    fixed = groups_of(two_size_problem({"SS": 9.5}, fixed_mix={"tiny-model": {2: 5, 8: 1}}))[1]
    assert solve_group(PlainPools(fixed, Workspace()), 600, 1e-6, np.inf).lower_w == np.inf


def test_past_the_deadline_the_first_answer_is_kept() -> None:
    """Tests that a deadline in the past leaves an answer within the limits, if not the best."""
    late, best = solve({"SS": 5.2, "MM": 1.7}, -np.inf, num_gpus=16), solve({"SS": 5.2, "MM": 1.7}, num_gpus=16)
    assert late.chosen is not None
    assert usage_of(late.chosen, np.ones(1))[0] <= 16
    assert late.cost_w >= best.cost_w * (1 - 1e-9)
