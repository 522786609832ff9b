"""Requests one by one, window after window: what a replay takes in.

A week of a service is tens of millions of requests, so that a stream never holds more of them than one window and one
block of its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import CutPoints

FloatArray = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

US_PER_S = 1_000_000
_NS_PER_US = 1_000


class RequestPart(NamedTuple):
    """The requests of one window, in the order of arrival; all arrays have shape (requests,).

    Parameters
    ----------
    arrival_s
        Arrival of each request, in seconds since the stream's `start`, ascending.
    input_tokens, output_tokens
        Their lengths, at least 1.
    request_class
        Index into `REQUEST_CLASSES` of each.
    model
        Name of the model that all of them ask for; ``""`` if there is only one.
    """

    arrival_s: FloatArray
    input_tokens: Int32Array
    output_tokens: Int32Array
    request_class: Int8Array
    model: str = ""

    @property
    def num_requests(self) -> int:
        """How many there are, possibly none."""
        return len(self.arrival_s)


class RequestStream(Protocol):
    """Whatever gives requests window by window: a trace file, or a synthesised week.

    Attributes
    ----------
    start
        The moment, UTC, that arrivals are counted from.
    """

    @property
    def start(self) -> pd.Timestamp: ...  # noqa: D102 - see above

    def parts(self, starts: pd.DatetimeIndex, window_s: float) -> Iterator[RequestPart]:
        """Give the requests of each window, one part per window, in order; the same again at each call.

        Parameters
        ----------
        starts
            Start of each window, UTC, ascending. Windows may not overlap; there may be gaps between them.
        window_s
            Length of each window, in seconds. A window holds its start but not its end.
        """
        ...


class Block(NamedTuple):
    """Some requests in the order of time, as a source gives them; all arrays have shape (requests,).

    Parameters
    ----------
    us
        Arrival of each, in microseconds since 1970.
    input_tokens, output_tokens
        Their lengths.
    """

    us: Int64Array
    input_tokens: Int32Array
    output_tokens: Int32Array

    def split(self, at: int) -> tuple[Block, Block]:
        """Return the first `at` requests and the others."""
        head, tail = zip(*((column[:at], column[at:]) for column in self), strict=True)
        return Block(*head), Block(*tail)


_NO_BLOCK = Block(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Windows of one length, in the order of time, in microseconds since 1970.

    Parameters
    ----------
    starts_us
        Start of each, shape (windows,).
    window_us
        Length of each.
    """

    starts_us: Int64Array
    window_us: int

    @classmethod
    def of(cls, starts: pd.DatetimeIndex, window_s: float) -> WindowGrid:
        """Take the windows that a stream was asked for.

        Parameters
        ----------
        starts, window_s
            As in `RequestStream.parts`.

        Raises
        ------
        InvalidInputError
            If windows overlap or are not in the order of time, or there is none; with the first one at fault.
        """
        where = "windows of a request stream"
        if starts.empty:
            raise InvalidInputError(where, expected="at least one", found="none")
        grid = cls(starts.as_unit("us").asi8, round(window_s * US_PER_S))
        early = np.diff(grid.starts_us) < grid.window_us
        if early.any():
            at = int(np.flatnonzero(early)[0])
            expected = f"windows of {window_s:g} s in the order of time that do not overlap"
            found = f"{starts[at + 1].isoformat()} after {starts[at].isoformat()}"
            raise InvalidInputError(where, expected=expected, found=found)
        return grid

    @property
    def first_us(self) -> int:
        """Where the first window starts."""
        return int(self.starts_us[0])

    @property
    def end_us(self) -> int:
        """Where the last window ends."""
        return int(self.starts_us[-1]) + self.window_us


def cut_windows(
    blocks: Iterator[Block], grid: WindowGrid, *, start: pd.Timestamp, cut_points: CutPoints, model: str
) -> Iterator[RequestPart]:
    """Cut a series of blocks into windows, holding no more than one window and one block.

    Parameters
    ----------
    blocks
        Requests in the order of time, none before the first window; those in gaps between windows are left out.
    grid
        The windows.
    start
        The moment that arrivals are counted from.
    cut_points
        Where lengths are cut into classes.
    model
        Name of the model that serves the requests.
    """
    start_us = start.value // _NS_PER_US
    queue = _Queue(blocks)
    for edge_us in grid.starts_us.tolist():
        queue.take(edge_us)
        block = queue.take(edge_us + grid.window_us)
        classes = cut_points.classify(block.input_tokens, block.output_tokens).astype(np.int8)
        arrival_s = (block.us - start_us) / US_PER_S
        yield RequestPart(arrival_s, block.input_tokens, np.maximum(block.output_tokens, 1), classes, model)


class _Queue:
    """Blocks that are taken apart at any moment, not only where one ends."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest = _NO_BLOCK

    def take(self, until_us: int) -> Block:
        """Take what arrives before a moment and was not taken yet."""
        taken = []
        block: Block | None = self._rest
        self._rest = _NO_BLOCK
        while block is not None:
            head, self._rest = block.split(int(np.searchsorted(block.us, until_us)))
            taken.append(head)
            block = None if len(self._rest.us) else next(self._blocks, None)
        return Block(*(np.concatenate(column) for column in zip(*taken, strict=True)))
