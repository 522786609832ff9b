"""Tests of `dynaopt.deadline_queue`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dynaopt.deadline_queue import pop, push, remove


def _drain(heap: np.ndarray, size: int, deadline_s: np.ndarray) -> list[int]:
    order = []
    while size:
        order.append(int(heap[0]))
        size = pop(heap, size, deadline_s)
    return order


def test_earliest_deadline_comes_first() -> None:
    """Tests five requests pushed out of order."""
    deadline_s = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    heap = np.empty(5, dtype=np.int64)
    size = 0
    for request in (3, 0, 4, 2, 1):
        size = push(heap, size, deadline_s, request)
    assert size == 5
    assert _drain(heap, size, deadline_s) == [1, 2, 0, 4, 3]


def test_first_come_first_served_among_equals() -> None:
    """Tests that equal deadlines keep the order of arrival, however they were pushed."""
    deadline_s = np.ones(6)
    heap = np.empty(6, dtype=np.int64)
    size = 0
    for request in (5, 2, 0, 4, 1, 3):
        size = push(heap, size, deadline_s, request)
    assert _drain(heap, size, deadline_s) == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.one_of(st.integers(0, 20), st.none()), max_size=60))
def test_behaves_like_a_sorted_list(steps: list[int | None]) -> None:
    """Tests any order of pushes (a deadline) and pops (None) against a list that is sorted each time."""
    deadline_s = np.array([float(step or 0) for step in steps] or [0.0])
    heap = np.empty(max(1, len(steps)), dtype=np.int64)
    size = 0
    model: list[tuple[float, int]] = []
    for request, step in enumerate(steps):
        if step is not None:
            size = push(heap, size, deadline_s, request)
            model = sorted([*model, (float(step), request)])
        elif model:
            assert heap[0] == model.pop(0)[1]
            size = pop(heap, size, deadline_s)
        assert size == len(model)
    assert _drain(heap, size, deadline_s) == [request for _, request in model]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_removed_request_is_gone_and_the_others_keep_their_order(deadlines: list[int], data: st.DataObject) -> None:
    """Tests any request of any queue, with equal deadlines among them."""
    deadline_s = np.array(deadlines, dtype=float)
    heap = np.empty(len(deadlines), dtype=np.int64)
    size = 0
    for request in range(len(deadlines)):
        size = push(heap, size, deadline_s, request)
    gone = data.draw(st.integers(0, len(deadlines) - 1))
    size = remove(heap, size, deadline_s, gone)
    expected = sorted((d, r) for r, d in enumerate(deadlines) if r != gone)
    assert _drain(heap, size, deadline_s) == [r for _, r in expected]
