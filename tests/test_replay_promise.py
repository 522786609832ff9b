"""Tests of `dynaopt.replay_promise`."""

import math

import pytest
from replay_samples import class_row, make_result

from dynaopt.replay_promise import broken_promises


def test_a_promise_that_was_kept_leaves_nothing_to_say() -> None:
    """Tests that 99 % exactly is enough, for both objectives."""
    assert broken_promises(make_result(class_row("SS", ttft_attainment=0.99, tbt_attainment=0.99))) == []


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (
            {"ttft_attainment": 0.98},
            "class LM: 98.00% of 1,000 requests kept a time to first token of 250 ms, 99% were to",
        ),
        (
            {"tbt_attainment": 0.9899},
            "class LM: 98.99% of 1,000 requests kept a time between tokens of 100 ms, 99% were to",
        ),
        ({"num_lost": 3}, "class LM: 3 of 1,000 requests were lost"),
    ],
)
def test_each_broken_promise_is_a_line(cells: dict[str, float], line: str) -> None:
    """Tests late first tokens, late further ones and lost requests, of one class of two."""
    assert broken_promises(make_result(class_row("SS"), class_row("LM", **cells))) == [line]


def test_only_classes_are_held_to_it() -> None:
    """Tests that the row of all requests is no class, and one without a share is not late."""
    result = make_result(class_row("SS", tbt_attainment=math.nan), class_row("all", ttft_attainment=0.5))
    assert broken_promises(result) == []


def test_models_are_named_where_there_are_several() -> None:
    """Tests two models, one of which is late."""
    result = make_result(class_row("SS"), class_row("SS", model="n", ttft_attainment=0.5))
    assert [line.partition(":")[0] for line in broken_promises(result)] == ["n, class SS"]
