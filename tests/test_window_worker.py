"""Tests of chunks: every window once, about a second each, few where windows are slow."""

import time

import pytest
import simple_solver
from planning import make_small_profile, make_week

from dynaopt import window_worker, workers
from dynaopt.answers import Answers, window_numbers
from dynaopt.problem import Cluster, WindowDemand
from dynaopt.slo import Slo
from dynaopt.window_task import Task, Window
from dynaopt.window_worker import Job, solve_jobs, solve_windows


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


def chunks_of(task: Task, windows: list[Window], number: int | None = 1) -> list[list[int]]:
    """Solve windows and return the numbers in each chunk."""
    parts: list[Answers] = []
    solve_windows(task, windows, workers=number, keep=parts.append)
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

    monkeypatch.setattr(workers.joblib, "Parallel", refuse)
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

    monkeypatch.setattr(workers.joblib, "Parallel", Recorder)
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(window_worker, "_WORTH_WORKERS_S", 0.0)
    chunks_of(make_task(), make_windows(20), None)
    assert started == [3]


def test_a_failure_in_a_worker_comes_home() -> None:
    """Tests that the error of a window on another process is raised here, in good time."""
    start_s = time.monotonic()
    with pytest.raises(Exception, match="simple"):  # the worker's registry does not have the solver
        chunks_of(make_task(), make_windows(20), 2)
    assert time.monotonic() - start_s < 60


def test_jobs_follow_one_another_without_a_pause() -> None:
    """Tests that windows of several horizons are all solved once, under the number of their job, in its order."""
    found: list[tuple[int, list[int]]] = []
    week = make_week(30, model="tiny-model")
    jobs = [Job(task=make_task(), numbers=numbers, window=week.window) for numbers in (range(30), [], [3, 7], [29])]
    solve_jobs(jobs, workers=1, keep=lambda job, part: found.append((job, list(window_numbers(part)))))
    assert [job for job, _ in found] == sorted(job for job, _ in found)
    assert [(job, n) for job, numbers in found for n in numbers] == [
        *((0, n) for n in range(30)),
        (2, 3),
        (2, 7),
        (3, 29),
    ]


def test_windows_are_asked_for_when_their_turn_comes() -> None:
    """Tests that a long horizon is not laid out before it is solved: at the first chunk one window has been made."""
    week = make_week(5, model="tiny-model")
    made: list[int] = []
    made_at_first: list[int] = []

    def window(number: int) -> WindowDemand:
        made.append(number)
        return week.window(number)

    def keep(_: int, __: Answers) -> None:
        made_at_first.append(len(made))

    solve_jobs([Job(task=make_task(), numbers=range(5), window=window)], workers=1, keep=keep)
    assert made == list(range(5))
    assert made_at_first[0] == 1


def test_nothing_left_needs_no_workers() -> None:
    """Tests that a finished horizon asks no scheduler, not even one that there is not."""
    week = make_week(1, model="tiny-model")
    jobs = [Job(task=make_task(), numbers=[], window=week.window)]
    solve_jobs(jobs, dask="tcp://127.0.0.1:1", keep=lambda *_: pytest.fail("nothing was to be solved"))
