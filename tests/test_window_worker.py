"""Tests of chunks: every window once, about a second each, few where windows are slow."""

import time

import pytest
import simple_solver
from planning import make_small_profile, make_week

from dynaopt import window_worker
from dynaopt.answers import Answers, window_numbers
from dynaopt.problem import Cluster
from dynaopt.slo import Slo
from dynaopt.window_worker import Task, Window, solve_windows


def make_task(solver: str = simple_solver.NAME) -> Task:
    """Make a task for the simple solver."""
    simple_solver.register()
    return Task(
        profiles={"tiny-model": make_small_profile()},
        slo=Slo.table_iv(),
        cluster=Cluster(num_gpus=64),
        solver=solver,
        time_limit_s=None,
        gap_tolerance=0.0,
    )


def make_windows(number: int) -> list[Window]:
    """Return the windows of a small demand."""
    week = make_week(max(number, 1), model="tiny-model")
    return [(n, week.window(n)) for n in range(number)]


def chunks_of(task: Task, windows: list[Window], workers: int | None = 1) -> list[list[int]]:
    """Solve windows and return the numbers in each chunk."""
    parts: list[Answers] = []
    solve_windows(task, windows, workers=workers, keep=parts.append)
    return [list(window_numbers(part)) for part in parts]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 200])
def test_every_window_is_solved_once(number: int) -> None:
    """Tests that chunks cover the windows, however few, and that none is larger than the limit."""
    chunks = chunks_of(make_task(), make_windows(number))
    assert [n for chunk in chunks for n in chunk] == list(range(number))
    assert all(0 < len(chunk) <= 64 for chunk in chunks)


def test_only_the_windows_asked_for_are_solved() -> None:
    """Tests that what a journal has already is left out."""
    assert [n for c in chunks_of(make_task(), make_windows(20)[5::3]) for n in c] == [5, 8, 11, 14, 17]


def test_slow_windows_are_kept_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a chunk ends once it has taken about the time that a kill may cost, 0.05 s here, 0.03 s a window."""
    monkeypatch.setattr(window_worker, "_CHUNK_S", 0.05)
    monkeypatch.setenv("SIMPLE_SLEEP_S", "0.03")
    assert max(map(len, chunks_of(make_task(), make_windows(8)))) == 1


def test_few_fast_windows_start_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that this process does them alone where nobody asked for workers."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("workers were started")

    monkeypatch.setattr(window_worker.joblib, "Parallel", refuse)
    assert len(chunks_of(make_task(), make_windows(20), None)) > 1
    with pytest.raises(AssertionError, match="workers were started"):
        chunks_of(make_task(), make_windows(20), 2)


def test_many_slow_windows_start_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that their number is that of the cores."""
    started = []

    class Recorder:
        def __init__(self, *, n_jobs: int, **_: object) -> None:
            started.append(n_jobs)

        def __call__(self, _: object) -> list[object]:
            return []

    monkeypatch.setattr(window_worker.joblib, "Parallel", Recorder)
    monkeypatch.setattr(window_worker.os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(window_worker, "_WORTH_WORKERS_S", 0.0)
    chunks_of(make_task(), make_windows(20), None)
    assert started == [3]


def test_a_failure_in_a_worker_comes_home() -> None:
    """Tests that the error of a window on another process is raised here, in good time."""
    start_s = time.monotonic()
    with pytest.raises(Exception, match="simple"):  # the worker's registry does not have the solver
        chunks_of(make_task(), make_windows(20), 2)
    assert time.monotonic() - start_s < 60
