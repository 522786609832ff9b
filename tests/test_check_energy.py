"""Tests the arithmetic of gaps and totals in the independent check; faults are planted in `test_check`."""

import numpy as np
import pandas as pd
import pytest

from dynaopt.check_energy import gap_of, numbers
from dynaopt.check_evidence import differ, exceeds


def test_the_gap_is_a_share_of_the_energy() -> None:
    """Tests (100 - 90) / 100, a bound above the energy by rounding, and no energy at all."""
    gaps = gap_of(np.array([100.0, 100.0, 0.0]), np.array([90.0, 100.0 + 1e-9, 0.0]))
    assert gaps == pytest.approx([0.1, 0.0, 0.0])


def test_empty_cells_become_no_number() -> None:
    """Tests nullable integers and floats alike."""
    table = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [2.5, None]})
    assert np.isnan(numbers(table, "a")).tolist() == [False, True]
    assert numbers(table, "b")[0] == 2.5


@pytest.mark.parametrize(
    ("found", "expected", "wrong"),
    [(1.0, 1.0, False), (1e6, 1e6 + 0.5, False), (1e6, 1e6 + 1.5, True), (0.0, 1e-9, True), (np.nan, 1.0, True)],
)
def test_equal_means_to_a_millionth(found: float, expected: float, wrong: bool) -> None:
    """Tests the stated tolerance at both of its sides, and that no number equals nothing."""
    assert differ(np.array([found]), np.array([expected])).tolist() == [wrong]


@pytest.mark.parametrize(
    ("found", "limit", "wrong"),
    [(1.0, 1.0, False), (1.0 + 5e-7, 1.0, False), (1.0 + 2e-6, 1.0, True), (0.0, 1.0, False), (np.nan, 1.0, True)],
)
def test_a_limit_is_kept_to_a_millionth(found: float, limit: float, wrong: bool) -> None:
    """Tests the stated tolerance of limits, and that no number keeps one."""
    assert exceeds(np.array([found]), np.array([limit])).tolist() == [wrong]
