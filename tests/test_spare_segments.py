"""Tests segments of sums and their envelope by hand."""

import numpy as np
import pytest

from dynaopt.envelope import ABSENT, ENVELOPE
from dynaopt.spare_segments import cheapest_at, collect_segments, draw_envelope

SUMS = np.array([0.0, 1.0]), np.array([0.0, 2.0]), np.array([0.0, 130.0])
"""Nothing, and an instance that carries 1 request/s beside one that idles, 1 each, for 130 W."""
PARTS = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 50.0, 100.0, 1.0]])
"""No instance, or one of 1 request/s, 50 to 100 W."""
WINDOW, FLOOR = (0.0, 2.0), (1000.0, 0.0)


def collect(floor: tuple[float, float], slope: float = 1.0, offset: float = 1.0) -> list[list[float]]:
    """Collect segments where load L needs a capacity of slope L + offset: here of one instance more."""
    least, segments, n = np.full(8, ABSENT), np.empty((50, 4)), 0
    for room in (segments[:0], segments):
        n = collect_segments(SUMS, PARTS, slope, offset, WINDOW, floor, least, room, 0)
        least = np.minimum.accumulate(least[::-1])[::-1].copy()
    return segments[:n].tolist()


def test_segments_are_cut_where_the_capacity_ends() -> None:
    """Tests two instances for loads up to 1, and three of which one is part-filled for loads from 1 to 2."""
    assert collect(FLOOR) == [[1.0, 1.0, 130.0, 130.0], [1.0, 2.0, 180.0, 230.0]]


def test_what_lies_above_the_floor_is_left_out() -> None:
    """Tests a floor of 150 W."""
    assert collect((150.0, 0.0)) == [[1.0, 1.0, 130.0, 130.0]]


def test_a_sum_serves_less_where_its_capacity_is_too_small_for_its_load() -> None:
    """Tests two more instances to spare: the sum of two with one more serves nothing above 1, as the third idles."""
    assert collect(FLOOR, offset=2.0) == [[1.0, 1.0, 180.0, 180.0]]
    assert cheapest_at(SUMS, PARTS, 1.0, 2.0, 0.5) == (180.0, 1, 1)


def test_a_call_without_room_only_lowers_costs() -> None:
    """Tests that 130 W are possible up to 1 request/s, and 205 W at 1.5."""
    least = np.full(8, ABSENT)
    assert collect_segments(SUMS, PARTS, 1.0, 1.0, WINDOW, FLOOR, least, np.empty((0, 4)), 0) == 0
    assert least[3] == 130.0
    assert least[5] == pytest.approx(205.0)
    assert least[0] == ABSENT


def test_the_envelope_has_the_floor_where_nothing_is_below() -> None:
    """Tests 130 W up to 1, then a rise from 180 W that meets a floor of 200 W at 1.4."""
    segments, out = np.array([[1.0, 1.0, 130.0, 130.0], [1.0, 2.0, 180.0, 230.0]]), np.zeros(1, ENVELOPE)
    draw_envelope(segments, WINDOW, (200.0, 0.0), out, np.zeros(2, ENVELOPE))
    n = int(out[0]["num_pieces"])
    assert n == 3
    assert out[0]["break_rps"][: n + 1] == pytest.approx([0.0, 1.0, 1.4, 2.0])
    assert out[0]["left"][:n].tolist() == pytest.approx([130.0, 180.0, 200.0])
    assert out[0]["right"][:n].tolist() == pytest.approx([130.0, 200.0, 200.0])
    assert out[0]["option"][:n].tolist() == [0, 0, -1]


def test_the_cheapest_at_a_load() -> None:
    """Tests 0.5 and 1.5 requests/s, and 3, which these sums do not carry."""
    assert cheapest_at(SUMS, PARTS, 1.0, 1.0, 0.5) == (130.0, 1, 0)
    assert cheapest_at(SUMS, PARTS, 1.0, 1.0, 1.5) == (205.0, 1, 1)
    assert cheapest_at(SUMS, PARTS, 1.0, 1.0, 3.0) == (np.inf, -1, -1)
