"""Tests of `dynaopt.paper_cells`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dynaopt.lengths import Lengths
from dynaopt.paper_cells import Assumption, simulate_cells
from dynaopt.paper_table import TOKENS_PER_S, agreement, read_paper_table
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.phase_predict import decode_step_s, prompt_time_s
from dynaopt.phase_reference import SHIPPED_POINTS
from dynaopt.request_class import TABLE_IV
from dynaopt.slo import Slo

NAME = "llama2-70b-h100"
BUDGETS = (256, 2048)
TWO = 2
"""Two tokens of output: one that decodes."""


@pytest.fixture(scope="module")
def model() -> PhaseModel:
    """Return the shipped phase model."""
    return read_phase_model(NAME)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return four cells of the paper's table."""
    whole = read_paper_table(SHIPPED_POINTS / NAME)
    chosen = (
        (whole["request_class"].isin(["SS", "LS"])) & (whole["tp"] == 4) & (whole["frequency_mhz"].isin([800, 1980]))
    )
    return whole[chosen].reset_index(drop=True)


def _assumption(model: PhaseModel, lengths: Lengths | None = None, **differences: object) -> Assumption:
    """Assume requests of 200 + 2 and of 2,000 + 2 tokens."""
    own = lengths or Lengths(np.array([200, 2000]), np.array([TWO, TWO]), np.ones(2))
    base = Assumption(name="x", model=model, lengths=own, token_budgets=BUDGETS)
    return replace(base, **differences)  # type: ignore[arg-type]


def _cells(assumption: Assumption, table: pd.DataFrame, size: int = 600) -> pd.DataFrame:
    cells = simulate_cells(assumption, table, Slo.table_iv(), TABLE_IV, num_requests=size)
    return cells.set_index(["request_class", "tp", "frequency_mhz"])


def test_rates_and_energies_by_hand(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests rates of 2,000 tokens/s over 202 and 2,002 tokens, and that both energies are powers by them."""
    cells = _cells(_assumption(model), table)
    assert cells.loc[("SS", 4, 1980), "rate_rps"] == pytest.approx(TOKENS_PER_S / 202)
    assert cells.loc[("LS", 4, 1980), "rate_rps"] == pytest.approx(TOKENS_PER_S / 2002)
    row = cells.loc[("LS", 4, 1980)]
    assert row["kept"]
    power_w = row["request_j"] * row["rate_rps"]
    assert model.idle_power_w(4, 1980) < power_w < 4 * 700
    # A prompt of 2,000 tokens and one decode step, and on top what the prompt takes in pieces and waits for others.
    alone_s = prompt_time_s(model, 4, 2000) + decode_step_s(model, 4, 1, 2001)
    assert alone_s < row["service_j"] / power_w < 2 * alone_s


def test_input_tokens_alone(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests 2,000 tokens/s over 200 tokens of input."""
    cells = _cells(_assumption(model, counts_output=False), table)
    assert cells.loc[("SS", 4, 800), "rate_rps"] == pytest.approx(10)


def test_the_largest_budget_that_keeps_the_slo(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests prompts of 2,000 tokens, one decode step each: half of all gaps contain others' prompts.

    At once such a prompt takes 200 ms, more than the 100 ms that a gap may last; in pieces of 256 tokens it takes 45.
    """
    cells = _cells(_assumption(model), table)
    assert cells.loc[("LS", 4, 1980), "token_budget"] == 256
    assert cells.loc[("LS", 4, 1980), "tbt_s"] < 0.1
    without = _cells(_assumption(model, token_budgets=(2048,)), table).loc[("LS", 4, 1980)]
    assert not without["kept"]
    assert without["tbt_s"] > 0.15
    assert np.isnan(without["request_j"])


def test_a_bound_on_the_mean_gap_is_looser(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests the same with requests of 60 tokens, of whose gaps few contain a prompt."""
    lengths = Lengths(np.array([2000]), np.array([60]), np.ones(1))
    whole = {"lengths": lengths, "token_budgets": (2048,)}
    own = table[table["request_class"] == "LS"]
    on_p99 = _cells(_assumption(model, **whole), own).loc[("LS", 4, 1980)]
    on_mean = _cells(_assumption(model, bounds_mean_gap=True, **whole), own).loc[("LS", 4, 1980)]
    assert (on_p99["kept"], on_mean["kept"]) == (False, True)
    assert on_mean["tbt_s"] < 0.1 < on_p99["tbt_s"]


def test_requests_that_never_fit(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests a KV cache of a thousand tokens: no LS request of 2,002 fits, and every SS request does."""
    memory = model.memory
    weights = 4 * (memory.utilisation * memory.gpu_memory_bytes - memory.activation_bytes_per_gpu)
    small = memory.model_copy(update={"weights_bytes": weights - 1000 * memory.kv_bytes_per_token})
    cells = _cells(_assumption(model.model_copy(update={"memory": small})), table)
    assert not cells.loc[("LS", 4, 1980), "kept"]
    assert np.isnan(cells.loc[("LS", 4, 1980), "token_budget"])
    assert cells.loc[("SS", 4, 1980), "kept"]


def test_cells_can_be_judged_and_come_again(model: PhaseModel, table: pd.DataFrame) -> None:
    """Tests that the table's readings apply to them, and that the same seed gives the same numbers."""
    cells = simulate_cells(_assumption(model), table, Slo.table_iv(), TABLE_IV, num_requests=300)
    again = simulate_cells(_assumption(model), table, Slo.table_iv(), TABLE_IV, num_requests=300)
    pd.testing.assert_frame_equal(cells, again)
    assert agreement(cells, "service_j")["num_cells"] == 4
