"""A process beside the planner's that keeps a shard of the windows of a coupled plan, and is asked over a pipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from joblib.externals.loky.backend.context import get_context

from dynaopt.chunk_worker import end_with
from dynaopt.coupled_shard import Shard
from dynaopt.coupling import IntArray
from dynaopt.window_task import Task

LOST = (EOFError, ConnectionError, BrokenPipeError)
"""What is raised where the process has died."""


class Helper:
    """A helper process, from its start to `stop`. Answers come in the order of what was asked.

    Parameters
    ----------
    task
        What all windows have in common.
    degrees
        Tensor-parallel degrees of each model without a fixed mix.
    """

    def __init__(self, task: Task, degrees: Sequence[IntArray]) -> None:
        # Loky's processes, unlike those of `multiprocessing`, do not run the user's script again.
        context = get_context("loky")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, os.getpid()))
        self._process.start()
        other.close()
        self._shard, self._is_up = (task, tuple(degrees)), False

    @property
    def pid(self) -> int:
        """Number of the process."""
        return int(self._process.pid)

    def is_up(self) -> bool:
        """Tell whether it has imported what it needs, which takes seconds, and may be asked."""
        if not self._is_up and self._pipe.poll():
            self._pipe.recv()
            self._pipe.send(self._shard)
            self._is_up = True
        return self._is_up

    def ask(self, method: str, argument: Any) -> None:
        """Ask for a call of a method of the shard. What was asked before should be small, or received."""
        self._pipe.send((method, argument))

    def has_answer(self) -> bool:
        """Tell whether `receive` would not wait."""
        return bool(self._pipe.poll())

    def receive(self) -> Any:
        """Wait for the next answer, and return it or raise what the call raised."""
        answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, planner: int) -> None:
    """Answer calls until the planner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the planner's to deal with
    end_with(planner)
    try:
        pipe.send("up")
        shard = Shard(*pipe.recv())
        while True:
            method, argument = pipe.recv()
            pipe.send(_answer(shard, method, argument))
    except LOST:
        return


def _answer(shard: Shard, method: str, argument: Any) -> Any:
    try:
        return getattr(shard, method)(argument)
    except Exception as error:
        return error
