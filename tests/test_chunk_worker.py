"""Tests of what a worker process does: tasks unpacked once and few kept, one chunk at a time, no other version."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from planning import make_week
from test_window_task import make_task

from dynaopt import chunk_worker
from dynaopt.answers import join_answers, window_numbers
from dynaopt.chunk_worker import own_version, pack, solve_chunk, solve_parcel
from dynaopt.errors import InvalidInputError
from dynaopt.problem import Cluster
from dynaopt.window_task import Task, Window


def make_windows(number: int) -> list[Window]:
    """Return the windows of a small demand."""
    week = make_week(number, model="tiny-model")
    return [(n, week.window(n)) for n in range(number)]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_worker, "_TASKS", {})


def test_a_parcel_is_solved_as_its_task() -> None:
    """Tests that travelling changes no bit, and that the time is told."""
    task, windows = make_task(), make_windows(5)
    here, there = (
        join_answers([solve(what, windows)[0]]) for solve, what in ((solve_chunk, task), (solve_parcel, pack(task)))
    )
    for name in here:
        drop = ["runtime_s"] if name == "windows" else []
        assert here[name].drop(columns=drop).equals(there[name].drop(columns=drop))
    assert solve_parcel(pack(task), windows)[1] > 0


def test_a_task_is_unpacked_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests five tasks in turn: each unpacked once while it is in use, and the one used longest ago forgotten."""
    unpacked: list[bytes] = []
    original = chunk_worker.pickle.loads
    monkeypatch.setattr(chunk_worker.pickle, "loads", lambda data: unpacked.append(data) or original(data))
    parcels = [pack(make_task(cluster=Cluster(num_gpus=64 + n))) for n in range(5)]
    for parcel in (*parcels[:4], *parcels[:4]):
        solve_parcel(parcel, make_windows(1))
    assert len(unpacked) == 4
    solve_parcel(parcels[4], make_windows(1))
    solve_parcel(parcels[3], make_windows(1))
    assert len(unpacked) == 5
    solve_parcel(parcels[0], make_windows(1))
    assert len(unpacked) == 6


def test_another_version_is_refused() -> None:
    """Tests that what was asked for and what is here are told."""
    parcel = replace(pack(make_task()), dynaopt_version="0.0.1")
    with pytest.raises(InvalidInputError, match=rf"expected dynaopt 0.0.1 as where .* got {own_version()}"):
        solve_parcel(parcel, make_windows(1))


def test_threads_of_a_worker_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a solver never runs twice at a time in a process, which neither it nor its caches are made for."""
    running, most = 0, 0
    guard = threading.Lock()
    original = Task.solve

    def watched(task: Task, window: object) -> object:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        result = original(task, window)  # type: ignore[arg-type]
        with guard:
            running -= 1
        return result

    monkeypatch.setattr(Task, "solve", watched)
    monkeypatch.setenv("SIMPLE_SLEEP_S", "0.01")
    parcel = pack(make_task())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda window: solve_parcel(parcel, [window])[0], make_windows(8)))
    assert most == 1
    assert [list(window_numbers(answers)) for answers in found] == [[n] for n in range(8)]
