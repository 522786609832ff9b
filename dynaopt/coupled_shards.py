"""The windows of a coupled plan over the cores of this machine.

Passes over the windows are many and short, and what they need of a window is large. So each window belongs to one
process, which makes it ready and keeps it: this one, or a helper that does nothing else. A helper that dies loses
nothing: this process takes its windows over. What is found does not depend on who finds it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from dynaopt.answers import Answers
from dynaopt.coupled_helper import LOST, Helper
from dynaopt.coupled_shard import Chosen, Found, Shard, WindowFacts
from dynaopt.coupling import IntArray
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.result import Result
from dynaopt.window_task import Task
from dynaopt.workers import num_cores

Part = Sequence[tuple[int, Any]]
"""Numbers of windows, and what is asked of each."""
Queues = dict["Helper | None", deque[Part]]

CHUNK = 32
_FIRST = (1, 15)
"""Windows made ready before helpers are thought of: the first loads kernels, and does not tell how long others take."""
_WORTH_HELPERS_S = 8.0  # one takes 2 to 4 s until it has imported everything
_TIMES_READY = 4.0
"""How many times as long as making a window ready all takes that is done with it."""
_AHEAD = 2
"""Chunks that a helper is asked for before the first is received; more would fill the pipe before it has started."""
_LOG = logging.getLogger(__name__)


class Shards:
    """All windows of a plan. A context: helpers end with it.

    Parameters
    ----------
    task
        What all windows have in common.
    degrees
        Tensor-parallel degrees of each model without a fixed mix.
    workers
        Processes, this one included; None for as many as there are cores without other work, where that is worth it.
    """

    def __init__(self, task: Task, degrees: Sequence[IntArray], workers: int | None) -> None:
        self._task, self._degrees, self._workers = task, tuple(degrees), workers
        self._own = Shard(task, self._degrees)
        self._helpers: list[Helper] = []
        self._owner: dict[int, Helper] = {}
        self._demand: dict[int, WindowDemand] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for helper in self._helpers:
            helper.stop()

    def ready(self, windows: Sequence[tuple[int, WindowDemand]]) -> Iterator[tuple[int, WindowFacts | Result]]:
        """Make windows ready; yields each number with what is to be known of it, in the order in which that comes."""
        self._demand.update(windows)
        rest: Part = windows
        pace_s = 0.0
        for size in _FIRST:
            began_s = time.perf_counter()
            chunk, rest = rest[:size], rest[size:]
            yield from zip((number for number, _ in chunk), self._own.ready(chunk), strict=True)
            pace_s = (time.perf_counter() - began_s) / size
        self._start_helpers(pace_s, len(rest))
        # Whoever is free takes the next chunk, so that each gets as many as it is fast.
        chunks: deque[Part] = deque(rest[at : at + CHUNK] for at in range(0, len(rest), CHUNK))
        for helper, chunk, facts in self._each("ready", dict.fromkeys([None, *self._helpers], chunks)):
            if helper is not None:
                self._owner |= {number: helper for number, _ in chunk}
            yield from zip((number for number, _ in chunk), facts, strict=True)

    def search(self, numbers: Sequence[int], prices: Sequence[Sequence[FloatArray]]) -> list[list[Found]]:
        """Search windows at prices, of an instance of each degree of each model; answers in the order of numbers."""
        found: dict[int, list[Found]] = {}
        for _, part, own in self._each("search", self._by_owner(list(zip(numbers, prices, strict=True)))):
            found.update(zip((number for number, _ in part), own, strict=True))
        return [found[number] for number in numbers]

    def answers(self, chosen: Sequence[tuple[int, Chosen]]) -> list[Answers]:
        """Write down what windows run, in parts."""
        return [answers for *_, answers in self._each("answers", self._by_owner(chosen))]

    def _start_helpers(self, pace_s: float, left: int) -> None:
        number = self._workers
        if number is None:
            number = _free_cores() if left * pace_s * _TIMES_READY > _WORTH_HELPERS_S else 1
        if multiprocessing.current_process().daemon:  # a worker of somebody's pool, which may have no children
            number = 1
        self._helpers = [Helper(self._task, self._degrees) for _ in range(min(number - 1, -(-left // CHUNK)))]

    def _by_owner(self, asked: Sequence[tuple[int, Any]]) -> Queues:
        queues: Queues = {owner: deque() for owner in (None, *self._helpers)}
        for owner, queue in queues.items():
            own = [(number, what) for number, what in asked if self._owner.get(number) is owner]
            queue.extend([own] if own else [])
        return queues

    def _each(self, method: str, queues: Queues) -> Iterator[tuple[Helper | None, Part, Any]]:
        """Call a method of the shards with parts; yields who did each, the part, and what came of it.

        Parameters
        ----------
        method
            Of `Shard`.
        queues
            The parts of each helper, and under None of this process; one queue may be that of several.
        """
        asked: dict[Helper, deque[Part]] = {helper: deque() for helper in self._helpers}
        while any(queues.values()) or any(asked.values()):
            for helper in list(self._helpers):
                try:
                    if not helper.is_up():
                        continue
                    while queues[helper] and len(asked[helper]) < _AHEAD:
                        helper.ask(method, queues[helper][0])
                        asked[helper].append(queues[helper].popleft())
                    if asked[helper] and (not queues[None] or helper.has_answer()):
                        answer = helper.receive()
                        yield helper, asked[helper].popleft(), answer
                except LOST:
                    own = queues.pop(helper)
                    queues[None].extend([*asked.pop(helper), *(own if own is not queues[None] else ())])
                    self._lose(helper)
            if queues[None]:
                part = queues[None].popleft()
                yield None, part, self._call(method, part)

    def _call(self, method: str, part: Part) -> Any:
        """Call a method of this process's own shard; windows that it has taken over are made ready first."""
        if method != "ready":
            self._own.ready([(number, self._demand[number]) for number, _ in part if number not in self._own])
        return getattr(self._own, method)(part)

    def _lose(self, helper: Helper) -> None:
        _LOG.warning("A process of the plan died; its windows are taken over here.")
        helper.stop()
        self._helpers.remove(helper)
        self._owner = {number: owner for number, owner in self._owner.items() if owner is not helper}


def _free_cores() -> int:
    """Return how many cores others leave, this process's among them: where none is free a helper only costs time."""
    return max(num_cores() - round(os.getloadavg()[0]), 1)
