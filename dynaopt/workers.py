"""Where chunks of windows are solved: on processes of this machine, or on a Dask cluster. Answers come as they finish.

A worker that dies takes the chunk with it that it was at, and no more: the chunk is solved again by another.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor
from importlib import import_module
from typing import Any, Protocol, cast

import joblib

from dynaopt.answers import Answers
from dynaopt.chunk_worker import Chunk, Parcel, pack, solve_parcel
from dynaopt.errors import InvalidInputError, SolverError
from dynaopt.window_task import Solves, Window

Solved = tuple[Chunk, Answers, float]
"""A chunk, the answers to its windows, and the seconds they took."""

_DASK = "dynaopt.dask_workers"
_MOST_LOSSES = 3  # as many as Dask allows


class Workers(Protocol):
    """Somewhere chunks are solved."""

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Solved]:
        """Iterate over the answers to chunks, in the order in which they finish.

        Parameters
        ----------
        chunks
            Taken one by one as workers become free, maybe from another thread.
        """


class LocalWorkers:
    """Processes of this machine, through joblib.

    Parameters
    ----------
    number
        How many.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Solved]:
        """Iterate over the answers to chunks; see `Workers.run`.

        Raises
        ------
        SolverError
            If processes die again and again and nothing is finished in between.
        """
        pending, losses = iter(chunks), 0
        while True:
            running: dict[int, Chunk] = {}
            try:
                for number, (answers, seconds) in self._start(pending, running):
                    losses = 0
                    yield running.pop(number), answers, seconds
                return
            except BrokenExecutor as error:
                # Joblib gives up all processes when one dies, so that every chunk on the way is lost.
                losses += 1
                if losses > _MOST_LOSSES:
                    raise lost_too_often(running.values()) from error
                pending = itertools.chain(list(running.values()), pending)

    def _start(self, chunks: Iterator[Chunk], running: dict[int, Chunk]) -> Iterable[Any]:
        parallel = joblib.Parallel(
            n_jobs=self.number, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )
        found: Iterable[Any] = parallel(self._calls(chunks, running))
        return found

    def _calls(self, chunks: Iterator[Chunk], running: dict[int, Chunk]) -> Iterator[Any]:
        packer = Packer()
        for number, chunk in enumerate(chunks):
            running[number] = chunk
            yield joblib.delayed(_solve_numbered)(number, packer.pack(chunk.task), chunk.windows, os.getpid())


class Packer:
    """Packs each of the tasks that follow one another once."""

    def __init__(self) -> None:
        self._last: tuple[Solves, Parcel] | None = None

    def pack(self, task: Solves) -> Parcel:
        """Return a task ready to travel."""
        if self._last is None or self._last[0] is not task:
            self._last = task, pack(task)
        return self._last[1]


def _solve_numbered(
    number: int, parcel: Parcel, windows: tuple[Window, ...], planner: int
) -> tuple[int, tuple[Answers, float]]:
    return number, solve_parcel(parcel, windows, planner)


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def dask_workers(address: str) -> Workers:
    """Return the workers of a Dask cluster.

    Parameters
    ----------
    address
        Of its scheduler, for example ``tcp://10.0.0.1:8786``, or the file that ``dask scheduler --scheduler-file``
        wrote (``.json``).

    Raises
    ------
    InvalidInputError
        If the package `distributed` is not installed.
    """
    try:
        module = import_module(_DASK)  # on demand: it is an extra, and takes half a second
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("dask", "distributed"):
            raise
        raise InvalidInputError(
            "option dask",
            expected="the package 'distributed', which an extra brings",
            found=f"no module '{error.name}'",
            hint="type: pip install 'dynaopt[dask]'",
        ) from None
    return cast("Workers", module.DaskWorkers(address))


def check_workers(workers: int | None, dask: str | None = None) -> None:
    """Refuse a number of workers that there cannot be.

    Parameters
    ----------
    workers
        Processes; None for as many as are worth it.
    dask
        Address of a scheduler, which has its own workers; None for this machine.

    Raises
    ------
    InvalidInputError
        If there are fewer than one, or both were given.
    """
    if workers is not None and workers < 1:
        raise InvalidInputError("option workers", expected="at least 1", found=str(workers))
    if workers is not None and dask is not None:
        found = f"{workers} beside the Dask scheduler {dask}"
        raise InvalidInputError("option workers", expected="none with Dask, which has its own", found=found)


def lost_too_often(chunks: Iterable[Chunk]) -> SolverError:
    """Make the error for windows at which workers die again and again.

    Parameters
    ----------
    chunks
        Those at which they may have died.
    """
    starts = [window.start for chunk in chunks for _, window in chunk.windows]
    where = (
        f"in windows {min(starts):%Y-%m-%d %H:%M} to {max(starts):%Y-%m-%d %H:%M}" if starts else "before any window"
    )
    return SolverError(f"workers died again and again {where}: out of memory, maybe; try fewer workers")
