"""Mirror tests of `dynaopt.whole_numbers`: what is kept of whole numbers, and what stops them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_link_rows import links

from dynaopt import whole_numbers
from dynaopt.restricted_master import Choice, RestrictedMaster
from dynaopt.window_mixes import InstanceMix

T = 6


class _Dict:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """Return what is kept under a name."""
        return self.kept.get(name)

    def put(self, name: str, value: Any) -> None:
        """Keep it."""
        self.kept[name] = value


def _mixes(many_w: float = 90.0) -> list[list[list[InstanceMix]]]:
    """In every window one TP4 at 100 W or two TP2 at `many_w`, and in odd ones three TP4 at 50 W."""
    one, two, three = ([0, 1], 100.0), ([2, 0], many_w), ([0, 3], 50.0)
    return [
        [
            [
                InstanceMix(counts=np.array(n), power_w=w, pools=())
                for n, w in ([one, two, three] if t % 2 else [one, two])
            ]
        ]
        for t in range(T)
    ]


@pytest.fixture
def solves(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Cut the horizon into stretches of two windows; return the options of every whole-number program solved."""
    monkeypatch.setattr(whole_numbers, "STRETCH", 2)
    monkeypatch.setattr(whole_numbers, "OVERLAP", 1)
    calls: list[dict[str, Any]] = []
    milp: Callable[..., Any] = whole_numbers.milp

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(dict(options["options"]))  # which SciPy takes apart
        return milp(*args, **options)

    monkeypatch.setattr(whole_numbers, "milp", counted)
    return calls


def _choose(store: _Dict, mixes: list[list[list[InstanceMix]]]) -> Choice:
    return RestrictedMaster(links(T, cold_j=np.array([1_000.0]))).choose(mixes, gap=0.0, store=store)


def test_stretches_that_are_kept_are_not_solved_again(solves: list[dict[str, Any]]) -> None:
    """Tests three stretches of two windows: solved once, told as they come, and the same when they are read."""
    store, told = _Dict(), list[tuple[int, float]]()
    master = RestrictedMaster(links(T))
    first = master.choose(_mixes(), gap=0.0, store=store, settled=lambda done, w: told.append((int(done.sum()), w)))
    assert (len(solves), len(store.kept)) == (3, 3)
    # The cheapest mix of each window, for starts take next to nothing: 90 W in even ones, 50 W in odd ones.
    assert told == [(2, 140.0), (4, 280.0), (6, 420.0)]
    again = master.choose(_mixes(), gap=0.0, store=store)
    assert len(solves) == 3
    assert np.array_equal(again.mixes, first.mixes)


def test_what_is_kept_of_other_mixes_is_not_taken(solves: list[dict[str, Any]]) -> None:
    """Tests that a store of another program, of the same names and sizes, is no answer to this one."""
    store = _Dict()
    _choose(store, _mixes(90.0))
    before = len(solves)
    other = _choose(store, _mixes(110.0))
    assert len(solves) == before + 3
    assert np.array_equal(other.mixes, _choose(_Dict(), _mixes(110.0)).mixes)


def test_halves_that_fit_are_joined(solves: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that two halves at once, with a stretch between them, find what one chain finds."""
    both = _choose(_Dict(), _mixes())
    monkeypatch.setattr(whole_numbers, "LEAST_HALVED", 100)
    one = _choose(_Dict(), _mixes())
    assert len(solves) == 6
    assert np.array_equal(both.mixes, one.mixes)


def test_halves_that_do_not_fit_are_solved_one_after_the_other(solves: list[dict[str, Any]]) -> None:
    """Tests that where nothing may start and each half would run something else, no window is left out.

    The first four windows are cheaper with a TP4, the last two with two TP2: 10 W less, but 20 W more before.
    """
    costs = [(80.0, 100.0)] * 4 + [(100.0, 90.0)] * 2
    mixes = [
        [[InstanceMix(counts=np.array(n), power_w=w, pools=()) for n, w in zip(([0, 1], [2, 0]), own, strict=True)]]
        for own in costs
    ]
    told: list[int] = []
    choice = RestrictedMaster(links(T, max_starts=0)).choose(
        mixes, gap=0.0, store=_Dict(), settled=lambda done, _: told.append(int(done.sum()))
    )
    assert choice.mixes.ravel().tolist() == [0] * T
    assert len(solves) > 3
    assert told[-1] == T


def test_what_is_raised_in_a_half_is_raised(solves: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a failure on another thread ends the search."""

    def fail(*_: object) -> None:
        raise OSError("disk full")

    store = _Dict()
    monkeypatch.setattr(store, "put", fail)
    with pytest.raises(OSError, match="disk full"):
        _choose(store, _mixes())
    assert solves


def test_no_clock_stops_whole_numbers(solves: list[dict[str, Any]]) -> None:
    """Tests that the limit is one of nodes, so that the schedule does not depend on how busy the machine is."""
    _choose(_Dict(), _mixes())
    assert all(set(options) == {"mip_rel_gap", "node_limit"} for options in solves)
