"""Tests of `dynaopt.replay_fleet`."""

import pytest
from builders import make_profile
from hypothesis import given
from hypothesis import strategies as st

from dynaopt.replay_fleet import Running, hand_over, start_up_energy_j
from dynaopt.replay_windows import Group


def _group(pool: str, tp: int, count: int, *, frequency_mhz: int = 1980, rate_rps: float = 1.0) -> Group:
    return Group(pool, tp, frequency_mhz, count, rate_rps, 500.0)


def _running(number: int, pool: str, tp: int, *, frequency_mhz: int = 1980, num_requests: int = 0) -> Running:
    return Running(number, pool, tp, frequency_mhz, num_requests)


def test_nothing_moves_when_nothing_changes() -> None:
    """Tests two groups of two pools that are there already."""
    running = [_running(0, "SS", 2), _running(1, "LL", 8), _running(2, "SS", 2)]
    handover = hand_over(running, [_group("SS", 2, 2), _group("LL", 8, 1)])
    assert handover.kept == ((0, 2), (1,))
    assert handover.stopped == ()


def test_busiest_stay() -> None:
    """Tests three instances of which one is to stay: that with 7 requests; of equals the lower number."""
    running = [_running(n, "SS", 2, num_requests=r) for n, r in enumerate((3, 7, 7))]
    handover = hand_over(running, [_group("SS", 2, 1)])
    assert handover.kept == ((1,),)
    assert handover.stopped == (0, 2)


def test_own_pool_comes_before_another() -> None:
    """Tests an idle LL and two busy SS, for one place in each pool: the idle one stays in LL, and one SS stops."""
    running = [_running(0, "SS", 8, num_requests=9), _running(1, "SS", 8, num_requests=8), _running(2, "LL", 8)]
    handover = hand_over(running, [_group("SS", 8, 1), _group("LL", 8, 1)])
    assert handover.kept == ((0,), (2,))
    assert handover.stopped == (1,)


def test_spare_ones_move_to_pools_that_grow() -> None:
    """Tests SS that shrinks by two and MM, a mix and LL that grow by one each: two move, in the order of the pools."""
    running = [_running(n, "SS", 4, num_requests=n) for n in range(3)]
    groups = [_group("ALL-x", 4, 1), _group("LL", 4, 1), _group("SS", 4, 1), _group("MM", 4, 1)]
    assert hand_over(running, groups).kept == ((), (0,), (2,), (1,))


def test_degrees_do_not_mix() -> None:
    """Tests that a TP4 instance never becomes one of TP8."""
    handover = hand_over([_running(0, "LL", 4)], [_group("LL", 8, 1)])
    assert handover.kept == ((),)
    assert handover.stopped == (0,)


def test_clocks_are_kept_and_the_busiest_get_the_highest_load() -> None:
    """Tests a fast group at two loads and a slow one: who is slow stays so, and of the fast the busier gets more."""
    running = [
        _running(0, "MS", 4, num_requests=1),
        _running(1, "MS", 4, num_requests=5),
        _running(2, "MS", 4, frequency_mhz=1200, num_requests=9),
    ]
    groups = [
        _group("MS", 4, 1, rate_rps=1.0),
        _group("MS", 4, 1, rate_rps=4.0),
        _group("MS", 4, 1, frequency_mhz=1200, rate_rps=2.0),
    ]
    assert hand_over(running, groups).kept == ((0,), (1,), (2,))


@given(
    st.lists(st.tuples(st.sampled_from(["SS", "MM", "LL"]), st.sampled_from([2, 4]), st.integers(0, 9)), max_size=12),
    st.lists(st.tuples(st.sampled_from(["SS", "MM", "LL"]), st.sampled_from([2, 4]), st.integers(1, 4)), max_size=6),
)
def test_as_many_go_on_as_can(before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]) -> None:
    """Tests that each instance is in one place, in a group of its degree, and that no start could have been saved."""
    running = [_running(n, pool, tp, num_requests=r) for n, (pool, tp, r) in enumerate(before)]
    groups = [_group(*g) for g in after]
    handover = hand_over(running, groups)
    placed = [n for kept in handover.kept for n in kept]
    assert sorted([*placed, *handover.stopped]) == list(range(len(running)))
    for group, kept in zip(groups, handover.kept, strict=True):
        assert len(kept) <= group.num_instances
        assert all(running[n].tp == group.tp for n in kept)
    for tp in (2, 4):
        had, wanted = (sum(r.tp == tp for r in running), sum(g.num_instances for g in groups if g.tp == tp))
        assert sum(running[n].tp == tp for n in placed) == min(had, wanted)


@pytest.mark.parametrize(
    ("started", "stopped", "expected_j"),
    [
        ([4, 8], [2, 2], 110.0 * (4 * 5 + 8 * 400)),
        ([2], [8], 110.0 * 2 * 5),
        ([8], [], 110.0 * 8 * 400),
        ([], [8], 0.0),
    ],
)
def test_starts_reshard_what_is_freed(started: list[int], stopped: list[int], expected_j: float) -> None:
    """Tests the example of docs/horizon.md without its moves, fewer starts than stops, cold ones, and none."""
    assert start_up_energy_j(started, stopped, make_profile([])) == expected_j
