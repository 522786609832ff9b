"""Tests of `dynaopt.request_stream`: blocks become windows, and no request is lost or seen twice."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import TABLE_IV
from dynaopt.request_stream import Block, RequestPart, WindowGrid, cut_windows

START = pd.Timestamp("2024-05-12T00:00:00Z")
START_US = START.value // 1000


def _block(us: Sequence[int]) -> Block:
    """Make a block of requests so many microseconds after the start; a request's input tells its number."""
    at = np.array(us, np.int64)
    return Block(START_US + at, (at % 5000 + 1).astype(np.int32), (at % 7).astype(np.int32))


def _starts(seconds: Sequence[float]) -> pd.DatetimeIndex:
    return START + pd.to_timedelta(seconds, unit="s")


def _cut(blocks: list[Block], starts: pd.DatetimeIndex, window_s: float) -> list[RequestPart]:
    grid = WindowGrid.of(starts, window_s)
    return list(cut_windows(iter(blocks), grid, start=START, cut_points=TABLE_IV, model="m"))


def test_a_window_holds_its_start_but_not_its_end() -> None:
    """Tests requests at both edges of two windows of one second."""
    parts = _cut([_block([0, 999_999, 1_000_000, 1_999_999])], _starts([0, 1]), 1.0)
    assert [part.arrival_s.tolist() for part in parts] == [[0, 0.999999], [1.0, 1.999999]]


def test_requests_in_gaps_are_left_out() -> None:
    """Tests two windows of one second, one second apart, and what lies before, between and behind them."""
    parts = _cut([_block([500_000]), _block([1_500_000, 2_500_000, 3_500_000, 4_500_000])], _starts([1, 3]), 1.0)
    assert [part.arrival_s.tolist() for part in parts] == [[1.5], [3.5]]


def test_a_part_names_class_model_and_whole_tokens() -> None:
    """Tests classes by Table IV, the model's name, and that no tokens at all count as one."""
    block = Block(np.array([START_US] * 3), np.array([255, 256, 1024], np.int32), np.array([0, 100, 350], np.int32))
    (part,) = _cut([block], _starts([0]), 1.0)
    assert part.request_class.tolist() == [0, 4, 8]
    assert part.output_tokens.tolist() == [1, 100, 350]
    assert (part.model, part.num_requests) == ("m", 3)
    assert [column.dtype for column in part[:4]] == [np.float64, np.int32, np.int32, np.int8]


def test_windows_without_requests_are_parts_too() -> None:
    """Tests that nothing arriving gives empty arrays, not fewer parts."""
    parts = _cut([], _starts([0, 1, 2]), 1.0)
    assert [part.num_requests for part in parts] == [0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10_000_000), max_size=40).map(sorted), st.lists(st.integers(0, 40), max_size=6))
def test_however_blocks_are_cut_windows_are_the_same(us: list[int], cuts: list[int]) -> None:
    """Tests that only times decide which window a request is in, not the blocks it came in."""
    edges = [0, *sorted(min(cut, len(us)) for cut in cuts), len(us)]
    blocks = [_block(us[low:high]) for low, high in itertools.pairwise(edges)]
    parts = _cut(blocks, _starts([0, 2, 4, 6, 8]), 2.0)
    for number, part in enumerate(parts):
        expected = [moment for moment in us if 2_000_000 * number <= moment < 2_000_000 * (number + 1)]
        assert np.rint(part.arrival_s * 1e6).astype(int).tolist() == expected


def test_no_block_is_read_before_it_is_needed() -> None:
    """Tests that the first window of three takes the first block alone, so that a week never lies in memory."""
    read = []

    def blocks() -> Iterator[Block]:
        for number in range(3):
            read.append(number)
            yield _block([number * 1_000_000 + 1, number * 1_000_000 + 999_999])

    parts = cut_windows(blocks(), WindowGrid.of(_starts([0, 1, 2]), 0.5), start=START, cut_points=TABLE_IV, model="")
    assert next(parts).num_requests == 1
    assert read == [0]


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        ([], "none"),
        ([0, 0], "2024-05-12T00:00:00"),
        ([0, 5], "2024-05-12T00:00:05"),
        ([10, 0], "2024-05-12T00:00:00"),
    ],
)
def test_windows_that_overlap_are_refused(seconds: list[int], found: str) -> None:
    """Tests no windows, one twice, two that overlap and two in the wrong order."""
    with pytest.raises(InvalidInputError, match=found):
        WindowGrid.of(_starts(seconds), 10.0)
