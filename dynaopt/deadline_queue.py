"""A queue that gives the earliest deadline first, for use inside compiled code.

A binary heap of request numbers in an integer array; of equal deadlines the lower number, which arrived first, wins.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@njit  # type: ignore[untyped-decorator]
def push(heap: IntArray, size: int, deadline_s: FloatArray, request: int) -> int:
    """Put a request into the queue and return the queue's new size.

    Parameters
    ----------
    heap
        The queue's memory, at least one longer than `size`.
    size
        Requests in the queue.
    deadline_s
        Deadline of every request there is, in seconds.
    request
        Number of the request.
    """
    at = size
    while at > 0:
        parent = (at - 1) // 2
        if not _before(deadline_s, request, heap[parent]):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = request
    return size + 1


@njit  # type: ignore[untyped-decorator]
def pop(heap: IntArray, size: int, deadline_s: FloatArray) -> int:
    """Take the first request, ``heap[0]``, out of the queue and return the queue's new size.

    Parameters
    ----------
    heap, size, deadline_s
        As for `push`; `size` is at least 1.
    """
    size -= 1
    last = heap[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(deadline_s, heap[child + 1], heap[child]):
            child += 1
        if not _before(deadline_s, heap[child], last):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = last
    return size


@njit  # type: ignore[untyped-decorator]
def _before(deadline_s: FloatArray, a: int, b: int) -> bool:
    if deadline_s[a] == deadline_s[b]:
        return a < b
    return bool(deadline_s[a] < deadline_s[b])


@njit  # type: ignore[untyped-decorator]
def remove(heap: IntArray, size: int, deadline_s: FloatArray, request: int) -> int:
    """Take a request out of the queue, wherever it stands, and return the queue's new size.

    Parameters
    ----------
    heap, size, deadline_s
        As for `push`.
    request
        Number of a request in the queue.
    """
    found = 0
    kept = 0
    for at in range(size):
        if heap[at] == request and found == 0:
            found = 1
        else:
            # The first requests of a heap are a heap, so that the queue can be rebuilt in its own place.
            kept = push(heap, kept, deadline_s, heap[at])
    return kept
