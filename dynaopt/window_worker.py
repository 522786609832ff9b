"""Solving windows on worker processes: in chunks of about a second, each worker given the profiles once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

import joblib
import pandas as pd

from dynaopt.answers import Answers, answers_of, window_numbers
from dynaopt.problem import Cluster, Problem, WindowDemand
from dynaopt.profile import Profile
from dynaopt.result import Result
from dynaopt.slo import Slo
from dynaopt.solvers import solve

Window = tuple[int, WindowDemand]
Asked = TypeVar("Asked")
_AskedHere = TypeVar("_AskedHere", contravariant=True)

_CHUNK_S = 1.0
_MOST_WINDOWS = 64
_FIRST_CHUNKS = 2
_WORTH_WORKERS_S = 8.0  # a worker takes 2 to 4 s until it has imported everything and solves


class Solves(Protocol[_AskedHere]):
    """Solves whatever it is asked about a window. Worker processes are sent one of these, pickled."""

    def solve(self, asked: _AskedHere, /) -> Result:
        """Solve it."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Task:
    """What all windows of a horizon have in common.

    Parameters
    ----------
    profiles
        The profile of each model.
    slo, cluster
        As in `Problem`.
    solver, time_limit_s, gap_tolerance
        As `dynaopt.solvers.solve` takes them.
    gpu_price_w
        What a GPU in use costs in the window of each start, in watts; a window that is not named: nothing.
    """

    profiles: Mapping[str, Profile]
    slo: Slo
    cluster: Cluster
    solver: str
    time_limit_s: float | None
    gap_tolerance: float
    gpu_price_w: Mapping[pd.Timestamp, float] = field(default_factory=dict)

    def problem(self, window: WindowDemand) -> Problem:
        """Pose the problem of a window."""
        price_w = self.gpu_price_w.get(window.start, 0.0)
        return Problem(demand=window, profiles=self.profiles, slo=self.slo, cluster=self.cluster, gpu_price_w=price_w)

    def solve(self, window: WindowDemand) -> Result:
        """Solve a window."""
        problem = self.problem(window)
        return solve(problem, solver=self.solver, time_limit_s=self.time_limit_s, gap_tolerance=self.gap_tolerance)


def solve_windows(
    task: Solves[Asked], windows: Sequence[tuple[int, Asked]], *, workers: int | None, keep: Callable[[Answers], None]
) -> None:
    """Solve windows, on worker processes where there are several.

    The answers do not depend on the number of workers: each window is solved by itself.

    Parameters
    ----------
    task
        What they have in common.
    windows
        Their numbers and what is asked of each: its demand for a `Task`.
    workers
        Processes to use. None for as many as there are cores, or for this one alone where the windows that are left
        take less time than starting others.
    keep
        Called in this process with the answers of every finished chunk, as they come.
    """
    pace = _Pace()
    pending = iter(windows)
    left = len(windows)
    # The first windows are solved here: it compiles kernels once for all processes, and it tells how long windows take.
    for chunk in _chunks(pending, pace):
        keep(_solve_here(task, chunk, pace))
        left -= len(chunk)
        if len(windows) - left >= _FIRST_CHUNKS and _is_worth_workers(workers, left * pace.window_s):
            break
    if left:
        for answers, seconds in _solve_on_workers(task, _chunks(pending, pace), workers or _num_cores()):
            pace.note(len(window_numbers(answers)), seconds)
            keep(answers)


def _solve_on_workers(
    task: Solves[Asked], chunks: Iterable[list[tuple[int, Asked]]], workers: int
) -> Iterable[tuple[Answers, float]]:
    packed = pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL)
    token = f"{os.getpid()}-{time.monotonic_ns()}"
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    found: Iterable[tuple[Answers, float]] = parallel(
        joblib.delayed(_solve_there)(token, packed, os.getpid(), chunk) for chunk in chunks
    )
    return found


def _is_worth_workers(workers: int | None, alone_s: float) -> bool:
    if workers is None:
        return _num_cores() > 1 and alone_s > _WORTH_WORKERS_S
    return workers > 1


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


class _Pace:
    """How long windows take, measured as they finish; sizes chunks so that one lasts about a second."""

    def __init__(self) -> None:
        self.window_s = _CHUNK_S
        self._notes = 0

    def note(self, number: int, seconds: float) -> None:
        """Take in that so many windows took so long."""
        self.window_s = seconds / number
        self._notes += 1

    @property
    def chunk_size(self) -> int:
        """Windows of the next chunk."""
        if self._notes < _FIRST_CHUNKS:  # the first window compiles or loads kernels, and tells nothing
            return 1
        return int(min(max(_CHUNK_S / max(self.window_s, 1e-9), 1), _MOST_WINDOWS))


def _chunks(pending: Iterator[tuple[int, Asked]], pace: _Pace) -> Iterator[list[tuple[int, Asked]]]:
    """Cut windows into chunks, each sized when it is asked for."""
    while chunk := list(islice(pending, pace.chunk_size)):
        yield chunk


def _solve_here(task: Solves[Asked], chunk: Iterable[tuple[int, Asked]], pace: _Pace) -> Answers:
    start_s = time.perf_counter()
    answers = answers_of((number, task.solve(window)) for number, window in chunk)
    pace.note(len(window_numbers(answers)), time.perf_counter() - start_s)
    return answers


_TASKS: dict[str, Solves[Any]] = {}
"""The task that a worker process is at, by token: solvers keep what they compute once for each profile object."""


def _solve_there(token: str, packed: bytes, planner: int, chunk: Sequence[tuple[int, Any]]) -> tuple[Answers, float]:
    start_s = time.perf_counter()
    if token not in _TASKS:
        _end_with(planner)
        _TASKS.clear()
        _TASKS[token] = pickle.loads(packed)
    answers = answers_of((number, _TASKS[token].solve(window)) for number, window in chunk)
    return answers, time.perf_counter() - start_s


def _end_with(planner: int) -> None:
    """End this worker process soon after the planner's, where that is its parent.

    Loky's workers wait minutes for work from a parent that was killed, and keep its output open: a shell that reads
    from it would wait as long.
    """
    if multiprocessing.current_process().name.startswith("LokyProcess"):
        threading.Thread(target=_wait_for_end, args=(planner,), daemon=True).start()


def _wait_for_end(planner: int) -> None:
    while os.getppid() == planner:
        time.sleep(0.25)
    os._exit(1)
