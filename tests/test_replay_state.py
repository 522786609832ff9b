"""Tests of `dynaopt.replay_state`: what is made longer keeps what is in it."""

import numpy as np
import pytest

from dynaopt.replay_state import (
    Engines,
    Pools,
    Rules,
    World,
    make_world,
    with_longer_outputs,
    with_longer_queues,
    with_more_instances,
    with_more_slots,
)


@pytest.fixture
def world() -> World:
    """Return a world with room for eight requests, of which three are taken."""
    n = np.zeros(0, np.int64)
    engines = Engines(np.zeros((1, 17)), np.ones(1), np.array([1000]), np.array([512]), np.array([64]))
    pools = Pools(np.zeros(1, np.int64), n, np.zeros(10, np.int64), n, np.zeros(0), n, np.zeros((9, 0), np.int64), n)
    rules = Rules(300.0, 1.0, True, True, True, True, 0.1, 5.0, np.ones(9))
    made = make_world(engines, np.full(9, 0.1), pools, rules, 4, num_slots=8)
    made.num_free[0] = 5
    made.slots.input_tokens[5:] = [11, 12, 13]
    return made


def test_slots_are_doubled(world: World) -> None:
    """Tests that taken ones keep their requests and numbers, and that every other is free exactly once."""
    longer = with_more_slots(world)
    taken = set(range(16)) - set(longer.free[: longer.num_free[0]].tolist())
    assert longer.num_free[0] == 13
    assert taken == set(range(16)) - set(world.free[:5].tolist()) - set(range(8, 16))
    assert len(set(longer.free[:13].tolist())) == 13
    assert longer.slots.input_tokens[5:8].tolist() == [11, 12, 13]
    assert len(longer.record.finished) == 16


def test_queues_are_doubled(world: World) -> None:
    """Tests that what waits stays at its place."""
    world.fleet.waiting[2, :3] = [7, 8, 9]
    longer = with_longer_queues(world)
    assert longer.fleet.waiting.shape[1] == 2 * world.fleet.waiting.shape[1]
    assert longer.fleet.waiting[2, :3].tolist() == [7, 8, 9]


def test_instances_are_doubled(world: World) -> None:
    """Tests that new ones have nothing that ends, and old ones what they had."""
    size = len(world.fleet.counts)
    world.fleet.ending[0, 5] = 3
    world.instances.due_s[1] = 2.5
    more = with_more_instances(world)
    assert len(more.fleet.counts) == len(more.instances.due_s) == 2 * size
    assert more.fleet.ending[0, 5] == 3
    assert (more.fleet.ending[size:] == -1).all()
    assert more.instances.due_s[1] == 2.5


@pytest.mark.parametrize("iterations", [0, 1000, 4095, 10_000_019])
def test_what_ends_later_still_ends_then(world: World, iterations: int) -> None:
    """Tests requests that end 0, 7 and 2,000 iterations from now, wherever in its ring an instance stands."""
    ring = world.fleet.ending.shape[1]
    world.fleet.counts[3, 0] = iterations
    for slot, ahead in enumerate((0, 7, 2000)):
        world.fleet.ending[3, (iterations + ahead) % ring] = slot
        world.fleet.ending_tokens[3, (iterations + ahead) % ring] = 100 + slot
    longer = with_longer_outputs(world, 9000).fleet
    size = longer.ending.shape[1]
    assert size > 9000
    assert [longer.ending[3, (iterations + a) % size] for a in (0, 7, 2000)] == [0, 1, 2]
    assert [longer.ending_tokens[3, (iterations + a) % size] for a in (0, 7, 2000)] == [100, 101, 102]
    assert (longer.ending[3] >= 0).sum() == 3


def test_outputs_that_fit_change_nothing(world: World) -> None:
    """Tests an output no longer than there is room for."""
    assert with_longer_outputs(world, 100) is world
