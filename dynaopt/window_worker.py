"""Solving the windows of horizons in chunks of about a second, in this process or wherever there are workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dynaopt.answers import Answers, window_numbers
from dynaopt.chunk_worker import Chunk, solve_chunk
from dynaopt.window_task import Solves, Window
from dynaopt.workers import LocalWorkers, dask_workers, num_cores

_CHUNK_S = 1.0
_MOST_WINDOWS = 64
_FIRST_CHUNKS = 2
_WORTH_WORKERS_S = 8.0  # a worker takes 2 to 4 s until it has imported everything and solves


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Job:
    """Windows of one horizon that are yet to be solved.

    Parameters
    ----------
    task
        What they have in common.
    numbers
        Their numbers.
    window
        Returns what is asked of the window of a number, for a `Task` what arrives; called when its turn has come.
    """

    task: Solves
    numbers: Sequence[int]
    window: Callable[[int], Any]


def solve_windows(
    task: Solves, windows: Sequence[Window], *, workers: int | None, keep: Callable[[Answers], None]
) -> None:
    """Solve the windows of one horizon.

    Parameters
    ----------
    task
        What they have in common.
    windows
        Their numbers and what is asked of each: its demand for a `Task`.
    workers
        As for `solve_jobs`.
    keep
        Called in this process with the answers of every finished chunk, as they come.
    """
    by_number = dict(windows)
    job = Job(task=task, numbers=list(by_number), window=by_number.__getitem__)
    solve_jobs([job], workers=workers, keep=lambda _, answers: keep(answers))


def solve_jobs(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    dask: str | None = None,
    keep: Callable[[int, Answers], None],
) -> None:
    """Solve the windows of several horizons, one horizon after the other but without a pause between them.

    The answers do not depend on where they are found: each window is solved by itself.

    Parameters
    ----------
    jobs
        The horizons.
    workers
        Processes to use. None for as many as there are cores, or for this one alone where the windows that are left
        take less time than starting others.
    dask
        Address of the scheduler of a Dask cluster to use instead; None for this machine.
    keep
        Called in this process with the number of a job and the answers of a finished chunk of it, as they come.

    Raises
    ------
    InvalidInputError
        If there is no such scheduler.
    SolverError
        If workers die again and again.
    """
    pace = _Pace()
    chunks = _chunks(jobs, pace)
    left = sum(len(job.numbers) for job in jobs)
    if dask is None:
        left -= _solve_first(chunks, pace, left, workers, keep)
    if left:
        pool = LocalWorkers(workers or num_cores()) if dask is None else dask_workers(dask)
        for chunk, answers, seconds in pool.run(chunks):
            pace.note(len(window_numbers(answers)), seconds)
            keep(chunk.job, answers)


def _solve_first(
    chunks: Iterator[Chunk], pace: _Pace, number: int, workers: int | None, keep: Callable[[int, Answers], None]
) -> int:
    """Solve windows in this process, and return how many: the first few, or all where others are not worth it.

    It compiles kernels once for all processes of this machine, and it tells how long windows take.
    """
    done = 0
    for chunk in chunks:
        answers, seconds = solve_chunk(chunk.task, chunk.windows)
        pace.note(len(chunk.windows), seconds)
        keep(chunk.job, answers)
        done += len(chunk.windows)
        if done >= _FIRST_CHUNKS and _is_worth_workers(workers, (number - done) * pace.window_s):
            break
    return done


def _is_worth_workers(workers: int | None, alone_s: float) -> bool:
    if workers is None:
        return num_cores() > 1 and alone_s > _WORTH_WORKERS_S
    return workers > 1


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


def _chunks(jobs: Sequence[Job], pace: _Pace) -> Iterator[Chunk]:
    """Cut the windows of one job after the other into chunks, each sized when it is asked for."""
    for number, job in enumerate(jobs):
        pending = iter(job.numbers)
        while windows := tuple((n, job.window(n)) for n in islice(pending, pace.chunk_size)):
            yield Chunk(number, job.task, windows)
