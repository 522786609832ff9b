"""Tests of `dynaopt.instance_state`."""

import pytest

from dynaopt.instance_state import make_fleet, make_slots


@pytest.mark.parametrize(("longest_output", "ring"), [(1, 4), (6, 8), (7, 16), (2000, 2048), (4591, 8192)])
def test_ring_is_longer_than_any_output(longest_output: int, ring: int) -> None:
    """Tests powers of two: a sequence that begins now never ends in the place of this iteration."""
    fleet = make_fleet(2, 9, 4, 8, longest_output)
    assert fleet.ending.shape == fleet.ending_tokens.shape == (2, ring)
    assert (fleet.ending == -1).all()


def test_durations_are_kept_only_if_asked_for() -> None:
    """Tests that without the question they take no room, and with it as much as the ring."""
    assert make_fleet(3, 1, 4, 8, 100).durations_s.shape == (3, 0)
    assert make_fleet(3, 1, 4, 8, 100, keeps_durations=True).durations_s.shape == (3, 128)


def test_slots_share_no_memory() -> None:
    """Tests that writing one array of the slots leaves the others as they were."""
    slots = make_slots(5)
    slots.tail_gap_s[:] = 1.0
    slots.slow_gaps[:] = 2
    assert slots.end_s.tolist() == slots.first_s.tolist() == [0.0] * 5
    assert slots.following.tolist() == [0] * 5
