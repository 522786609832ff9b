"""Tests of `scripts/table1_assumptions.py`."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from dynaopt.lengths import Lengths
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.phase_predict import decode_step_s
from dynaopt.phase_reference import SHIPPED_POINTS, read_points
from dynaopt.request_class import TABLE_IV

ROOT = Path(__file__).parents[1]
NAME = "llama2-70b-h100"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("table1_assumptions", ROOT / "scripts" / "table1_assumptions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model() -> PhaseModel:
    """Return the shipped phase model."""
    return read_phase_model(NAME)


def test_every_assumption_differs_from_the_profile(script: ModuleType, model: PhaseModel) -> None:
    """Tests names that all differ, and that each but the first changes something."""
    base, *others = script.assumptions(model, TABLE_IV, None)
    assert base.model == model
    assert len({a.name for a in (base, *others)}) == len(others) + 1
    for other in others:
        same_settings = (other.token_budgets, other.counts_output, other.bounds_mean_gap) == (
            base.token_budgets,
            base.counts_output,
            base.bounds_mean_gap,
        )
        assert not (other.model == base.model and other.lengths is base.lengths and same_settings), other.name


def test_memory_by_hand(script: ModuleType, model: PhaseModel) -> None:
    """Tests TP2: 2·(0.9·80e9 - 0.5e9) - 2·70e9 bytes of 327,680 a token: 9,155 tokens instead of 42,517."""
    assert model.kv_capacity_tokens(2) == 42517
    expected = int((2 * (0.9 * 80e9 - 0.5e9) - 2 * 70e9) // 327680)
    assert script.less_memory(model).kv_capacity_tokens(2) == expected == 9155


def test_overhead_by_hand(script: ModuleType, model: PhaseModel) -> None:
    """Tests that TP4's 6.6 ms grow to 11.4 as its step at a batch of 1 was: 28.5 ms on the line of 2023, now 16.7."""
    older = script.older_launch(model)
    slope_s, base_s = script.token_line(read_points(SHIPPED_POINTS / NAME).token, 4)
    ratio = decode_step_s(model, 4, 1, 576) / (slope_s + base_s)
    assert 0.55 < ratio < 0.62
    assert older.latency[4].launch_s == pytest.approx(model.latency[4].launch_s / ratio)
    assert older.latency[4].launch_s == pytest.approx(0.0114, abs=1e-4)
    assert older.latency[4].memory_base_s == model.latency[4].memory_base_s


def test_the_decode_of_2023_is_met(script: ModuleType, model: PhaseModel) -> None:
    """Tests the stretched steps against the measured ones: within 8 % at each degree and batch up to 32."""
    older = script.older_decode(model)
    token = read_points(SHIPPED_POINTS / NAME).token
    for row in token[token["batch"] <= 32].itertuples():
        step_s = decode_step_s(older, row.tp, row.batch, 576)
        assert step_s == pytest.approx(row.token_time_s, rel=0.08), (row.tp, row.batch)


def test_lengths_by_hand(script: ModuleType) -> None:
    """Tests cuts, and means by weight: SS of 100 and, three times, 200 tokens make 175."""
    lengths = Lengths(np.array([100, 200, 5000]), np.array([10, 30, 400]), np.array([3.0, 1.0, 1.0]))
    cut = script.capped(lengths, 4096, 350)
    assert cut.input_tokens.tolist() == [100, 200, 4096]
    assert cut.output_tokens.tolist() == [10, 30, 350]
    inputs, outputs = np.meshgrid([100, 500, 5000], [10, 150, 400], indexing="ij")
    weights = np.ones(9)
    whole = Lengths(np.append(inputs, 200), np.append(outputs, 30), np.append(weights, 3.0))
    first = script.means(whole, TABLE_IV)
    assert (first.input_tokens[0], first.output_tokens[0], first.weight[0]) == (175, 25, 4)
    assert first.input_tokens[1:].tolist() == inputs.ravel()[1:].tolist()


def test_a_row_of_the_documentation(script: ModuleType, model: PhaseModel) -> None:
    """Tests two cells: one that only the table keeps, one that both do; too few to rank."""
    cells = pd.DataFrame(
        {
            "request_class": ["SS", "SS"],
            "tp": [2, 4],
            "frequency_mhz": [800, 800],
            "meets_slo": [True, True],
            "energy_wh": [1.0, 2.0],
            "kept": [False, True],
            "request_j": [np.nan, 5.0],
            "service_j": [np.nan, 7.0],
        }
    )
    base = next(script.assumptions(model, TABLE_IV, None))
    assert script.row_of(base, cells) == "| as the profile has it | 1 | 0 | 1 | 0, 1 | 0, 1 | 1, 1 of 1 | nan | nan |"


def test_the_docs_have_every_assumption(script: ModuleType, model: PhaseModel) -> None:
    """Tests that the table in `docs/profiles.md` has a row for each, the profile's own with today's count of cells."""
    text = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    for assumption in script.assumptions(model, TABLE_IV, None):
        assert f"\n| {assumption.name} | " in text, assumption.name
