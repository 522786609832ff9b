"""Tests of `dynaopt.replay_router`: whose turn it is."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.replay_router import latest_s, next_instance, next_pool, take_turn
from dynaopt.replay_state import Pools, make_instances


def _pools(routes: Sequence[Sequence[tuple[int, float]]], members: Sequence[Sequence[int]] = ()) -> Pools:
    """Make pools of these members, and for each class routes of (pool, requests/s)."""
    flat = [r for own in routes for r in own]
    return Pools(
        first_member=np.cumsum([0, *(len(m) for m in members)]),
        members=np.array([i for m in members for i in m], np.int64),
        first_route=np.cumsum([0, *(len(r) for r in routes)]),
        route_pool=np.array([p for p, _ in flat], np.int64),
        route_rps=np.array([r for _, r in flat]),
        route_served=np.zeros(len(flat), np.int64),
        others=np.zeros((9, 0), np.int64),
        num_larger=np.zeros(9, np.int64),
    )


def _world(
    planned_rps: Sequence[float], limit_rps: Sequence[float], *, burst: float = 0.0, kv: Sequence[int] = ()
) -> Any:
    """Make one pool of these instances, each an engine of its own."""
    n = len(planned_rps)
    instances = make_instances(n)
    instances.planned_rps[:], instances.limit_rps[:] = planned_rps, limit_rps
    instances.engine[:] = np.arange(n)
    return SimpleNamespace(
        instances=instances,
        pools=_pools([], [range(n)]),
        engines=SimpleNamespace(kv_capacity_tokens=np.array(kv or [10_000] * n)),
        rules=SimpleNamespace(burst_requests=burst),
    )


def _serve(world: Any, times: Sequence[float]) -> list[int]:
    """Return who gets the requests that come at these times."""
    found = []
    for now_s in times:
        i = next_instance.py_func(world, 0, 100, now_s)
        take_turn.py_func(world.instances, i, now_s)
        found.append(i)
    return found


class TestPools:
    """Turns of pools."""

    def test_turns_keep_the_proportion(self) -> None:
        """Tests 3 to 1: of eight turns six and two, never two of the rarer in a row."""
        pools = _pools([[(4, 3.0), (7, 1.0)]])
        turns = [next_pool.py_func(pools, 0) for _ in range(8)]
        assert turns == [4, 4, 4, 7, 4, 4, 4, 7]

    def test_class_without_a_route_has_no_pool(self) -> None:
        """Tests a class between two with routes."""
        pools = _pools([[(0, 1.0)], [], [(1, 1.0)]])
        assert [next_pool.py_func(pools, c) for c in range(3)] == [0, -1, 1]

    @given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=5), st.integers(1, 300))
    def test_no_pool_is_ever_a_request_ahead_of_all_others(self, rates: list[float], n: int) -> None:
        """Tests that after any number of turns, each pool has its share to within one request a pool."""
        pools = _pools([list(enumerate(rates))])
        for _ in range(n):
            next_pool.py_func(pools, 0)
        expected = n * np.array(rates) / sum(rates)
        assert np.abs(pools.route_served - expected).max() <= len(rates)


class TestInstances:
    """Turns of instances inside a pool."""

    def test_the_cheapest_is_kept_at_its_planned_rate(self) -> None:
        """Tests 2 and 1 requests/s: one comes each 0.25 s, and the first gets each second one, the other what is left.

        At 0.25 s the first is due at 0.5 s, the second at once; at 0.75 s the second is due at 1.25 s and the first at
        1.0 s: both are ahead, by half a request each, of limits of 4 and 2, so that the first takes it.
        """
        world = _world([2.0, 1.0], [4.0, 2.0])
        assert _serve(world, [0.0, 0.25, 0.5, 0.75]) == [0, 1, 0, 0]

    def test_burst_goes_to_the_first_as_far_as_allowed(self) -> None:
        """Tests three at once with two allowed ahead, and then the other."""
        assert _serve(_world([1.0, 1.0], [4.0, 4.0], burst=2.0), [0.0] * 5) == [0, 0, 0, 1, 1]

    def test_what_is_beyond_all_rates_goes_by_what_each_can_carry(self) -> None:
        """Tests 40 at once: limits of 6 and 2 requests/s get 30 and 10, whatever their planned rates."""
        world = _world([1.0, 2.0], [6.0, 2.0])
        found = _serve(world, [0.0] * 40)
        assert found.count(0) == pytest.approx(30, abs=1)

    def test_request_goes_where_it_fits(self) -> None:
        """Tests 5,000 tokens beside a cache of 4,000, and 20,000 that fit nowhere."""
        world = _world([1.0, 1.0], [1.0, 1.0], kv=[4000, 9000])
        assert next_instance.py_func(world, 0, 5000, 0.0) == 1
        assert next_instance.py_func(world, 0, 20_000, 0.0) == -1

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.floats(0.5, 5.0), min_size=1, max_size=6), st.integers(0, 2**31))
    def test_planned_rates_are_kept(self, rates: list[float], seed: int) -> None:
        """Tests Poisson arrivals, as many as planned in 400 s: each instance gets at most its part, + 10 %.

        The limits are in proportion to the rates, so that what is beyond them is shared like them too.
        """
        rng = np.random.default_rng(seed)
        total = sum(rates)
        times = np.cumsum(rng.standard_exponential(int(400 * total)))
        times *= len(times) / total / times[-1]
        found = _serve(_world(rates, [2 * r for r in rates], burst=1.0), times.tolist())
        share = np.bincount(found, minlength=len(rates)) / np.array(rates) / times[-1]
        assert share.max() < 1.1
        assert share.min() > 0.85


def test_margin_is_a_share_of_the_bound() -> None:
    """Tests a request that came at 10 s with a bound of 2 s: at a margin of 10 % it should be served by 11.8 s."""
    slots = SimpleNamespace(arrival_s=np.array([0.0, 10.0]), deadline_s=np.array([1.0, 12.0]))
    world = SimpleNamespace(slots=slots, rules=SimpleNamespace(margin=0.1))
    assert latest_s.py_func(world, 1) == pytest.approx(11.8)
