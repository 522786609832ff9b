"""Tests of what a request's gaps between tokens keep."""

import pytest

from dynaopt.token_gaps import tail_gap_s


@pytest.mark.parametrize(("number", "expected"), [(1, 1.0), (99, 99.0), (100, 99.0), (199, 198.0), (200, 198.0)])
def test_one_gap_in_a_hundred_is_left_aside(number: int, expected: float) -> None:
    """Tests gaps of 1, 2, 3, … s: of 99 none is left aside, of 100 to 199 the longest, of 200 two."""
    assert tail_gap_s([float(n) for n in range(number, 0, -1)]) == expected


def test_without_gaps_every_bound_is_kept() -> None:
    """Tests a request of one token."""
    assert tail_gap_s([]) == 0
