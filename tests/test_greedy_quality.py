"""Tests the arithmetic of ``benchmarks/greedy_quality.py``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from dynaopt.allocation import Allocation
from dynaopt.bench_cases import find_cases
from dynaopt.result import Result, Termination

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "greedy_quality.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("greedy_quality", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_result(power_w: float | None, bound_w: float = 0.0) -> Result:
    """Make a result of a power, or one without an answer."""
    if power_w is None:
        return Result(solver="greedy", termination=Termination.NO_SOLUTION_FOUND)
    allocation = Allocation(groups=(), routes=(), power_w=power_w)
    return Result(solver="greedy", termination=Termination.FEASIBLE, allocation=allocation, lower_bound_w=bound_w)


def test_quality_is_held_against_the_proof(script: ModuleType) -> None:
    """Tests 102 W and 100 W against proofs of 100 W with bounds of 99 and 100 W: 1 % above on average, 2 % at most."""
    known = pd.DataFrame({"power_w": [100.0, 100.0], "lower_bound_w": [99.0, 100.0]})
    found = script.quality([make_result(102.0, 51.0), make_result(100.0, 100.0)], known)
    assert found["above_best_mean"] == pytest.approx(0.01)
    assert found["above_best_max"] == pytest.approx(0.02)
    assert found["gap_to_proved_bound_max"] == pytest.approx(3 / 102)
    assert (found["own_gap_mean"], found["own_gap_max"]) == (0.25, 0.5)
    assert (found["answered"], found["answered_share"]) == (2, 1.0)


def test_a_missing_answer_lowers_the_share(script: ModuleType) -> None:
    """Tests that the share is of the windows that an exact solver answered, others left out."""
    known = pd.DataFrame({"power_w": [100.0, 100.0, float("nan")], "lower_bound_w": [100.0, 100.0, 0.0]})
    found = script.quality([make_result(100.0), make_result(None), make_result(None)], known)
    assert (found["answered"], found["answered_share"]) == (1, 0.5)


def test_an_answer_below_the_milp_is_counted(script: ModuleType) -> None:
    """Tests that a better answer than the integer program's, within its tolerance, counts as 0 above it."""
    known = pd.DataFrame({"power_w": [100.0], "lower_bound_w": [99.99]})
    found = script.quality([make_result(99.995)], known)
    assert (found["below_milp_answer"], found["above_best_max"]) == (1, 0.0)


def test_quantiles(script: ModuleType) -> None:
    """Tests the median and the maximum of 1 to 101."""
    found = script.quantiles([float(n) for n in range(1, 102)])
    assert (found["p50"], found["p100"]) == (51.0, 101.0)
    assert found["p99"] == pytest.approx(100.0)


def test_the_library_holds_every_second_window_of_the_sample(script: ModuleType) -> None:
    """Tests names and number, so that proofs of the sample serve as best known of the library."""
    names = [case.name for case in script.week_cases("azure-2024-coding", 100)]
    assert len(names) == 100
    assert names[::2] == [case.name for case in find_cases(["coding"], full=True)]
