"""Tests of answers as columns: nothing is lost on the way to a journal and back to tables."""

import json

import numpy as np
import pytest

from dynaopt.allocation import Allocation, InstanceGroup, Route
from dynaopt.answers import answers_of, is_complete, join_answers, total_power_w, window_numbers
from dynaopt.result import Result, Termination

GROUP = InstanceGroup(
    model="m", pool="LL", tp=8, frequency_mhz=1980, num_instances=2, rate_per_instance_rps=0.1, power_per_instance_w=0.3
)
ROUTE = Route(model="m", request_class="SL", pool="LL", rate_rps=0.2)
ANSWER = Result(
    solver="greedy",
    termination=Termination.FEASIBLE,
    allocation=Allocation(groups=(GROUP,), routes=(ROUTE,), power_w=0.6),
    lower_bound_w=0.45,
    runtime_s=0.25,
)
NONE = Result(solver="greedy", termination=Termination.INFEASIBLE, reason="too small", runtime_s=0.5)


def test_an_answer_by_hand() -> None:
    """Tests every cell of an answered window and of one without an answer."""
    answers = answers_of([(4, ANSWER), (5, NONE)])
    assert answers["windows"] == {
        "window": [4, 5],
        "termination": ["feasible", "infeasible"],
        "solver": ["greedy", "greedy"],
        "power_w": [0.6, None],
        "lower_bound_w": [0.45, None],
        "gap": [pytest.approx(0.25), None],
        "num_gpus": [16, None],
        "runtime_s": [0.25, 0.5],
        "reason": ["", "too small"],
    }
    assert list(answers["allocations"].values()) == [[4], ["m"], ["LL"], [8], [1980], [2], [0.1], [0.3]]
    assert list(answers["routes"].values()) == [[4], ["m"], ["SL"], ["LL"], [0.2]]
    assert window_numbers(answers) == [4, 5]
    assert total_power_w(answers) == 0.6


def test_json_keeps_every_digit() -> None:
    """Tests numbers that have no short form, NumPy's among them."""
    group = InstanceGroup(
        model="m",
        pool="LL",
        tp=np.int64(8),
        frequency_mhz=1980,
        num_instances=np.int64(2),
        rate_per_instance_rps=np.float64(1 / 3),
        power_per_instance_w=0.1 + 0.2,
    )
    allocation = Allocation(groups=(group,), routes=(), power_w=np.float64(np.nextafter(1.0, 2.0)))
    result = Result(solver="s", termination=Termination.FEASIBLE, allocation=allocation)
    answers = answers_of([(0, result)])
    assert json.loads(json.dumps(answers)) == answers
    assert answers["allocations"]["rate_per_instance_rps"] == [1 / 3]
    assert answers["windows"]["power_w"] == [np.nextafter(1.0, 2.0)]


def test_a_bound_above_the_answer_by_rounding_is_cut() -> None:
    """Tests that a table never shows a bound above its answer."""
    result = Result(
        solver="s",
        termination=Termination.OPTIMAL,
        allocation=Allocation(groups=(), routes=(), power_w=100.0),
        lower_bound_w=100.00001,
    )
    assert answers_of([(0, result)])["windows"]["lower_bound_w"] == [100.0]


def test_parts_are_joined_in_the_order_of_windows() -> None:
    """Tests chunks that come back out of order, groups of one window in their own order."""
    frames = join_answers([answers_of([(5, ANSWER), (6, ANSWER)]), answers_of([(1, NONE)]), answers_of([(0, ANSWER)])])
    assert frames["windows"]["window"].tolist() == [0, 1, 5, 6]
    assert frames["allocations"]["window"].tolist() == [0, 5, 6]


def test_no_parts_make_empty_tables() -> None:
    """Tests that all columns are there."""
    frames = join_answers([])
    assert all(frame.empty and len(frame.columns) for frame in frames.values())


def test_completeness_is_of_tables_columns_and_lengths() -> None:
    """Tests what a reader of a journal relies on."""
    assert is_complete(answers_of([(0, ANSWER), (1, NONE)]))
    for damage in (
        lambda a: a.pop("routes"),
        lambda a: a["windows"].pop("gap"),
        lambda a: a["windows"]["gap"].pop(),
        lambda a: a["windows"].update(more=[1]),
        lambda a: a["windows"].update(gap=3),
        lambda a: a.update(routes=[]),
    ):
        answers = answers_of([(0, ANSWER)])
        damage(answers)  # type: ignore[arg-type]
        assert not is_complete(answers)
    assert not is_complete([])
