"""Chunks on a Dask cluster. Needs the package `distributed` (``pip install 'dynaopt[dask]'``).

Joblib has a backend for Dask, which is not used: what it scatters lies on one worker, and is lost with it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from distributed import Client, Future, as_completed
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from dynaopt.answers import Answers
from dynaopt.chunk_worker import Chunk, Parcel, own_version, pack, solve_parcel
from dynaopt.errors import InvalidInputError, MissingFileError, SolverError
from dynaopt.window_task import Solves
from dynaopt.workers import Solved, lost_too_often

_CONNECT_S = 10.0
_WAIT_FOR_WORKERS_S = 60.0
_COUNT_EVERY_S = 1.0


class DaskWorkers:
    """The workers of a Dask cluster, those that come and go while windows are solved included.

    Parameters
    ----------
    address
        Of its scheduler, or the ``.json`` file that this wrote.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Solved]:
        """Iterate over the answers to chunks; see `Workers.run`.

        Where no worker is left it waits until one comes.

        Raises
        ------
        InvalidInputError
            If there is no such scheduler, it gets no worker within a minute, or a worker has another version of
            dynaopt.
        SolverError
            If a chunk has cost four workers their lives, or the scheduler is lost.
        """
        with self._connect() as client:
            self._check_versions(client)
            yield from _Run(client, self.address, iter(chunks)).answers()

    def _connect(self) -> Client:
        is_file = self.address.endswith(".json")
        if is_file and not Path(self.address).is_file():  # Dask would wait for it to appear
            expected = "the file that 'dask scheduler --scheduler-file' wrote"
            raise MissingFileError(f"option dask, {self.address}", expected=expected, found="nothing there")
        place = "scheduler_file" if is_file else "address"
        try:
            client = Client(**{place: self.address}, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error).strip().splitlines()
            expected = "the address of a Dask scheduler that answers, such as tcp://127.0.0.1:8786"
            found = f"'{self.address}' ({reason[0] if reason else type(error).__name__})"
            raise InvalidInputError("option dask", expected=expected, found=found) from None
        try:
            client.wait_for_workers(1, timeout=_WAIT_FOR_WORKERS_S)
        except TimeoutError:
            client.close()
            found = f"none within {_WAIT_FOR_WORKERS_S:g} s; type: dask worker {self.address} --nthreads 1"
            raise InvalidInputError(f"Dask scheduler {self.address}", expected="a worker", found=found) from None
        return client

    def _check_versions(self, client: Client) -> None:
        """Tell at once, and in plain words, what the first chunk would fail of."""
        for worker, found in client.run(own_version, on_error="return").items():
            if found != own_version():
                expected = f"dynaopt {own_version()} on every worker, as here"
                told = found if isinstance(found, str) else f"an error ({found})"
                raise InvalidInputError(f"Dask worker {worker}", expected=expected, found=told)


class _Run:
    """One run of chunks on a cluster."""

    def __init__(self, client: Client, address: str, chunks: Iterator[Chunk]) -> None:
        self._client = client
        self._address = address
        self._chunks = chunks
        self._running: dict[Future, Chunk] = {}
        self._finished = as_completed(loop=client.loop)
        self._task: tuple[Solves, Future] | None = None
        self._counted_s = -_COUNT_EVERY_S
        self._most_running = 0

    def answers(self) -> Iterator[Solved]:
        """Iterate over the answers as they come, and keep every worker busy."""
        try:
            self._top_up()
            for future in self._finished:
                chunk = self._running.pop(future)
                answers, seconds = self._result(future, chunk)
                yield chunk, answers, seconds
                self._top_up()
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone, and another error on its way
                self._client.cancel(list(self._running))

    def _top_up(self) -> None:
        while len(self._running) < self._room():
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            # Not pure: the same windows may be solved again, under another name.
            future = self._client.submit(
                solve_parcel, self._parcel(chunk.task), chunk.windows, key=_key("chunk"), pure=False
            )
            self._running[future] = chunk
            self._finished.add(future)

    def _room(self) -> int:
        """Chunks to have on the way: two for each thread of the workers that are there now."""
        if time.monotonic() - self._counted_s >= _COUNT_EVERY_S:
            try:
                self._most_running = 2 * max(1, sum(self._client.nthreads().values()))
            except OSError as error:  # how Distributed tells of a connection that was closed
                raise self._lost(str(error)) from error
            self._counted_s = time.monotonic()
        return self._most_running

    def _parcel(self, task: Solves) -> Future:
        """Return the task as the result of a call: the scheduler keeps the call, and repeats it if a worker is lost."""
        if self._task is None or self._task[0] is not task:
            self._task = task, self._client.submit(_same, pack(task), key=_key("task"), pure=False)
        return self._task[1]

    def _result(self, future: Future, chunk: Chunk) -> tuple[Answers, float]:
        try:
            found: tuple[Answers, float] = future.result()
        except KilledWorker as error:
            raise lost_too_often([chunk]) from error
        except FutureCancelledError as error:
            raise self._lost(error.reason) from error
        return found

    def _lost(self, reason: str) -> SolverError:
        what = f"Dask scheduler {self._address} was lost, or forgot its work ({reason})"
        return SolverError(f"{what}: what is finished is kept, and the same call goes on there")


def _key(what: str) -> str:
    return f"dynaopt-{what}-{uuid.uuid4().hex}"


def _same(parcel: Parcel) -> Parcel:
    return parcel
