"""Mirror tests of `dynaopt.coupled_shards`, `coupled_shard` and `coupled_helper`: windows spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from planning import OPTIONS, make_small_profile, make_week

from dynaopt import coupled_shards
from dynaopt.coupled_shard import COUPLED, Chosen, Found, WindowFacts
from dynaopt.coupled_shards import Shards
from dynaopt.horizon import Horizon, prepare
from dynaopt.result import Result, Termination

NUM_WINDOWS = 40


@pytest.fixture(scope="module")
def horizon() -> Horizon:
    """Make a small week ready, two of whose windows cannot be served."""
    return prepare(make_week(NUM_WINDOWS, too_much=(2, 30)), make_small_profile(), **OPTIONS)


def _shards(horizon: Horizon, workers: int) -> Shards:
    return Shards(horizon.task, [np.array([2, 8], dtype=np.int64)], workers)


def _ready(shards: Shards, horizon: Horizon) -> dict[int, WindowFacts | Result]:
    return dict(shards.ready([(number, horizon.window(number)) for number in range(NUM_WINDOWS)]))


def _numbers(known: dict[int, WindowFacts | Result]) -> list[int]:
    return sorted(number for number, facts in known.items() if isinstance(facts, WindowFacts))


def _search(shards: Shards, numbers: list[int]) -> list[list[Found]]:
    return shards.search(numbers, [[np.array([20.0, -50.0 + number])] for number in numbers])


def _told(found: list[list[Found]]) -> list[object]:
    return [(mix and mix.to_json(), lower_w) for own in found for mix, lower_w in own]


@pytest.fixture
def two(horizon: Horizon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shards]:
    """Return shards of two processes, of which the helper has some windows for sure."""
    monkeypatch.setattr(coupled_shards, "CHUNK", 4)
    with _shards(horizon, 2) as shards:
        shards._start_helpers(1.0, NUM_WINDOWS)
        while not shards._helpers[0].is_up():
            time.sleep(0.01)
        monkeypatch.setattr(shards, "_start_helpers", lambda *_: None)
        yield shards


def test_tells_what_can_be_served_and_why_not(horizon: Horizon) -> None:
    """Tests that each window comes once, with its facts or the answer that there is none."""
    with _shards(horizon, 1) as shards:
        known = _ready(shards, horizon)
    assert sorted(known) == list(range(NUM_WINDOWS))
    assert _numbers(known) == [n for n in range(NUM_WINDOWS) if n not in (2, 30)]
    none = known[2]
    assert isinstance(none, Result)
    assert none.termination is Termination.INFEASIBLE
    facts = known[0]
    assert isinstance(facts, WindowFacts)
    assert facts.lower_w <= facts.base_w + facts.mixes[0].power_w
    assert facts.most_w >= facts.mixes[0].power_w


def test_helpers_find_the_same(horizon: Horizon, two: Shards) -> None:
    """Tests facts and mixes of two processes against those of one, digit by digit."""
    with _shards(horizon, 1) as shards:
        known = _ready(shards, horizon)
        numbers = _numbers(known)
        found = _told(_search(shards, numbers))
    assert _numbers(_ready(two, horizon)) == numbers
    assert 0 < len(two._owner) < NUM_WINDOWS
    assert _told(_search(two, numbers)) == found
    mixes = {number: known[number].mixes for number in numbers}  # type: ignore[union-attr]
    chosen = [(n, Chosen(mixes=mixes[n], idle=[np.array([0, 1])], runtime_s=0.5)) for n in numbers]
    parts = two.answers(chosen)
    assert sorted(number for part in parts for number in part["windows"]["window"]) == numbers
    assert {name for part in parts for name in part["windows"]["solver"]} == {COUPLED}


def test_windows_of_a_helper_that_dies_are_taken_over(horizon: Horizon, two: Shards) -> None:
    """Tests that a helper that is killed between two passes, and in one, changes nothing."""
    with _shards(horizon, 1) as shards:
        numbers = _numbers(_ready(shards, horizon))
        found = _told(_search(shards, numbers))
    _ready(two, horizon)
    helper = two._helpers[0]
    os.kill(helper.pid, signal.SIGKILL)
    assert _told(_search(two, numbers)) == found
    assert (two._helpers, two._owner) == ([], {})


def test_a_helper_that_dies_while_windows_are_made_ready(
    horizon: Horizon, two: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that every window comes all the same, and can be searched."""
    helper = two._helpers[0]
    asked = []

    def ask(method: str, argument: object) -> None:
        type(helper).ask(helper, method, argument)
        asked.append(method)
        if len(asked) == 3:
            os.kill(helper.pid, signal.SIGKILL)

    monkeypatch.setattr(helper, "ask", ask)
    known = _ready(two, horizon)
    assert sorted(known) == list(range(NUM_WINDOWS))
    assert len(_search(two, _numbers(known))) == NUM_WINDOWS - 2


def test_what_a_helper_raises_is_raised_here(two: Shards, horizon: Horizon) -> None:
    """Tests that a fault in the other process is not swallowed."""
    _ready(two, horizon)
    number = next(iter(two._owner))
    with pytest.raises(ValueError, match="zip"):
        two.search([number], [[]])


def test_a_worker_of_a_pool_starts_no_helpers(horizon: Horizon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a daemon, which may have no children, does all by itself."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with _shards(horizon, 2) as shards:
        assert len(_ready(shards, horizon)) == NUM_WINDOWS
        assert shards._helpers == []


@pytest.mark.parametrize(("load", "helpers"), [(0.3, 1), (1.4, 0), (7.0, 0)])
def test_helpers_are_started_on_cores_that_others_leave(
    horizon: Horizon, monkeypatch: pytest.MonkeyPatch, load: float, helpers: int
) -> None:
    """Tests a long plan on two cores, beside nothing and beside other work."""
    monkeypatch.setattr(coupled_shards, "num_cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    with Shards(horizon.task, [np.array([2, 8], dtype=np.int64)], None) as shards:
        shards._start_helpers(pace_s=1.0, left=2_000)
        assert len(shards._helpers) == helpers


def test_few_windows_are_not_worth_a_helper(horizon: Horizon) -> None:
    """Tests that by default a small plan starts no process."""
    with Shards(horizon.task, [np.array([2, 8], dtype=np.int64)], None) as shards:
        _ready(shards, horizon)
        assert shards._helpers == []
