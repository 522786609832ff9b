"""Tests of `dynaopt.request_class`."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV, CutPoints, is_part, is_promotable, part_name

LENGTHS = st.lists(st.integers(1, 9000), min_size=3, max_size=60)


def test_nine_classes_in_order() -> None:
    """Tests that input length comes first and that both run from short to long."""
    assert REQUEST_CLASSES == ("SS", "SM", "SL", "MS", "MM", "ML", "LS", "LM", "LL")


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "expected"),
    [
        (1, 0, "SS"),
        (255, 99, "SS"),
        (256, 99, "MS"),
        (255, 100, "SM"),
        (1023, 349, "MM"),
        (1024, 350, "LL"),
        (8192, 1, "LS"),
        (100_000, 100_000, "LL"),
    ],
)
def test_table_iv_cut_points(tokens_in: int, tokens_out: int, expected: str) -> None:
    """Tests both sides of every cut of the paper's Table IV."""
    assert REQUEST_CLASSES[int(TABLE_IV.classify(tokens_in, tokens_out))] == expected


def test_promotion_needs_both_lengths() -> None:
    """Tests that a pool may serve only classes that are at most as long in input and in output."""
    assert is_promotable("SM", "SM")
    assert is_promotable("SM", "LM")
    assert not is_promotable("SM", "LS")
    assert not is_promotable("MS", "SM")
    assert [p for p in REQUEST_CLASSES if is_promotable("SL", p)] == ["SL", "ML", "LL"]


def test_every_class_may_go_to_the_longest_pool() -> None:
    """Tests that LL serves all and SS serves only itself."""
    assert all(is_promotable(c, "LL") for c in REQUEST_CLASSES)
    assert [c for c in REQUEST_CLASSES if is_promotable(c, "SS")] == ["SS"]


@pytest.mark.parametrize("cuts", [(0, 5), (5, 5), (9, 5), (-1, 2)])
def test_cut_points_must_increase(cuts: tuple[int, int]) -> None:
    """Tests that cuts out of order are refused, for inputs and for outputs."""
    with pytest.raises(InvalidInputError, match="input_tokens: expected two positive, increasing numbers"):
        CutPoints(input_tokens=cuts)
    with pytest.raises(InvalidInputError, match="output_tokens"):
        CutPoints(output_tokens=cuts)


def test_terciles_cut_a_sample_in_thirds() -> None:
    """Tests that 1..99 is cut at 33 and 66, which puts 33 into each third."""
    lengths = list(range(1, 100))
    cuts = CutPoints.of_terciles(lengths, lengths)
    assert cuts == CutPoints((33, 66), (33, 66))
    assert np.bincount(cuts.classify(lengths, lengths), minlength=9).tolist() == [33, 0, 0, 0, 33, 0, 0, 0, 33]


@given(LENGTHS, LENGTHS)
def test_longer_requests_are_never_of_a_shorter_class(inputs: list[int], outputs: list[int]) -> None:
    """Tests that classes follow lengths monotonically."""
    n = min(len(inputs), len(outputs))
    tokens_in, tokens_out = np.sort(inputs[:n]), np.sort(outputs[:n])
    classes = TABLE_IV.classify(tokens_in, tokens_out)
    names = [REQUEST_CLASSES[i] for i in classes]
    assert all(is_promotable(a, b) for a, b in itertools.pairwise(names))


@pytest.mark.parametrize(("name", "part"), [("ALL-own", False), ("ALL-own-2023", False), ("ALL-S", True)])
def test_parts_of_a_mix_are_told_by_their_names(name: str, part: bool) -> None:
    """Tests that what `part_name` makes is a part, whatever the mix is called."""
    assert is_part(name) == part
    assert is_part(part_name(name, "M"))
