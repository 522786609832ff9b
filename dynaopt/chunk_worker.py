"""What a worker process does: it keeps the tasks that it was given last, and solves chunks of their windows.

A task travels as bytes, which a worker unpacks once: solvers keep what they compute once for each profile object.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

from dynaopt.answers import Answers, answers_of
from dynaopt.errors import InvalidInputError
from dynaopt.window_task import Solves, Window

_MOST_TASKS = 4  # a worker is seldom at more than two: the end of one horizon and the beginning of the next
_TASKS: dict[str, Solves] = {}
"""The tasks that this process was at last, by token, the latest at the end."""
# A Dask worker may run several threads. Solvers and their caches are made for one at a time in a process.
_ALONE = threading.Lock()
_watched: set[int] = set()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Windows that are solved in one go.

    Parameters
    ----------
    job
        Number of the horizon that they are of.
    task
        What its windows have in common.
    windows
        Their numbers and what is asked of each: its demand for a `Task`.
    """

    job: int
    task: Solves
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A task as it travels to a worker.

    Parameters
    ----------
    token
        Names the content.
    data
        The task, pickled.
    dynaopt_version
        That of who packed it.
    """

    token: str
    data: bytes
    dynaopt_version: str


def pack(task: Solves) -> Parcel:
    """Make a task ready to travel.

    Parameters
    ----------
    task
        What windows have in common.
    """
    data = pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL)
    return Parcel(hashlib.sha256(data).hexdigest(), data, own_version())


def own_version() -> str:
    """Return the version of dynaopt in this process."""
    return version("dynaopt")


def solve_chunk(task: Solves, windows: Iterable[Window]) -> tuple[Answers, float]:
    """Solve windows in this process.

    Parameters
    ----------
    task
        What they have in common.
    windows
        Their numbers and what is asked of each: its demand for a `Task`.

    Returns
    -------
    answers : dict
        Of each window.
    runtime_s : float
        What it took.
    """
    start_s = time.perf_counter()
    answers = answers_of((number, task.solve(window)) for number, window in windows)
    return answers, time.perf_counter() - start_s


def solve_parcel(parcel: Parcel, windows: Iterable[Window], planner: int | None = None) -> tuple[Answers, float]:
    """Solve windows of a task that came from another process.

    Parameters
    ----------
    parcel
        The task.
    windows
        Their numbers and what is asked of each: its demand for a `Task`.
    planner
        Process that this one ends with, if it is a child of it; None for one that nobody here started.

    Raises
    ------
    InvalidInputError
        If the task comes from another version of dynaopt, which may give other answers.
    """
    end_with(planner)
    with _ALONE:
        return solve_chunk(_unpack(parcel), windows)


def _unpack(parcel: Parcel) -> Solves:
    if parcel.dynaopt_version != own_version():
        raise InvalidInputError(
            "worker", expected=f"dynaopt {parcel.dynaopt_version} as where it is planned", found=own_version()
        )
    task = _TASKS.pop(parcel.token, None)
    _TASKS[parcel.token] = pickle.loads(parcel.data) if task is None else task
    while len(_TASKS) > _MOST_TASKS:
        del _TASKS[next(iter(_TASKS))]
    return _TASKS[parcel.token]


def end_with(planner: int | None) -> None:
    """End this worker process soon after the planner's, where that is its parent.

    Parameters
    ----------
    planner
        Process that this one ends with; None for none.

    Notes
    -----
    Loky's workers wait minutes for work from a parent that was killed, and keep its output open: a shell that reads
    from it would wait as long.
    """
    is_loky = multiprocessing.current_process().name.startswith("LokyProcess")
    if planner is not None and planner not in _watched and is_loky:
        _watched.add(planner)
        threading.Thread(target=_wait_for_end, args=(planner,), daemon=True).start()


def _wait_for_end(planner: int) -> None:
    while os.getppid() == planner:
        time.sleep(0.25)
    os._exit(1)
