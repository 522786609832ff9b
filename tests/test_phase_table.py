"""Tests of `dynaopt.phase_table`: that a fit finds what made the rows, and goes no further than they."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import find_gpu
from dynaopt.model_config import read_shape
from dynaopt.modelled_build import modelled_build
from dynaopt.phase_model import PhaseModel, iteration
from dynaopt.phase_predict import decode_step_s, prompt_time_s
from dynaopt.phase_table import fit_phase_table, is_phase_table, spec_within
from dynaopt.roofline import roofline_model

CONFIG = Path(__file__).parent / "data" / "configs" / "llama-3.1-8b.json"
CLOCKS_MHZ = (1200, 1980)


@pytest.fixture(scope="module")
def scaled() -> PhaseModel:
    """Return Llama-3.1-8B on H100 as its sizes have it."""
    return roofline_model(read_shape(CONFIG), find_gpu("H100-SXM-80GB"), name="a", model="a")


@pytest.fixture(scope="module")
def truth(scaled: PhaseModel) -> PhaseModel:
    """Return a server that takes half as long again to decode, and draws more."""
    latency = scaled.latency[2]
    slower = latency.model_copy(
        update={
            "memory_base_s": 1.5 * latency.memory_base_s,
            "compute_per_prompt_token_s": 0.8 * latency.compute_per_prompt_token_s,
            "compute_per_sequence_s": 1.3 * latency.compute_per_sequence_s,
        }
    )
    energies = {name: 1.4 * getattr(scaled.power, name) for name in ("weights_j", "context_token_j")}
    power = scaled.power.model_copy(update={**energies, "idle_gpu_w": 90.0})
    return scaled.model_copy(update={"latency": {2: slower}, "power": power})


def _rows(truth: PhaseModel) -> pd.DataFrame:
    """Return what such a server shows: three prefills, four decode steps and an idle row at each clock."""
    found = []
    for mhz in CLOCKS_MHZ:
        coefficients = truth.coefficients(2, mhz)
        found.append((2, mhz, 0, 0, 0.0, 1.0, truth.idle_power_w(2, mhz)))
        for prompt, batch in ((512, 1), (1024, 1), (512, 4)):
            work = (float(prompt * batch), prompt / 2, 0.0, 0.0)
            found.append((2, mhz, prompt, batch, 0.0, *iteration(coefficients, *work)))
        for batch, context in ((1, 500.0), (16, 500.0), (64, 1000.0), (128, 500.0)):
            work = (0.0, 0.0, float(batch), batch * context)
            found.append((2, mhz, 0, batch, context, *iteration(coefficients, *work)))
    columns = ["tp", "frequency_mhz", "prompt_tokens", "batch", "context_tokens", "duration_s", "power_w"]
    return pd.DataFrame(found, columns=columns)


def _write(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "phases.csv"
    table.to_csv(path, index=False)
    return path


def test_a_fit_finds_what_made_the_rows(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel) -> None:
    """Tests exact rows: errors below 2 %, and steps and prompts between the rows met as well."""
    fit = fit_phase_table(_write(tmp_path, _rows(truth)), scaled)
    assert np.abs(fit.duration_errors).max() < 0.02
    assert np.abs(fit.power_errors).max() < 0.02
    for mhz in CLOCKS_MHZ:
        expected = decode_step_s(truth, 2, 32, 600, frequency_mhz=mhz)
        assert decode_step_s(fit.model, 2, 32, 600, frequency_mhz=mhz) == pytest.approx(expected, rel=0.03)
        expected = prompt_time_s(truth, 2, 1536, frequency_mhz=mhz)
        assert prompt_time_s(fit.model, 2, 1536, frequency_mhz=mhz) == pytest.approx(expected, rel=0.03)
    assert fit.model.power.idle_gpu_w == pytest.approx(90.0)
    assert fit.model.power.weights_j == pytest.approx(truth.power.weights_j, rel=0.05)


def test_the_model_goes_no_further(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel) -> None:
    """Tests clocks and degrees of the rows, budgets up to 2,048 tokens and batches up to 128 as measured."""
    path = _write(tmp_path, _rows(truth))
    model = fit_phase_table(path, scaled).model
    assert (model.min_frequency_mhz, model.max_frequency_mhz, model.tps) == (1200, 1980, (2,))
    spec = spec_within(modelled_build(CONFIG, "H100-SXM-80GB")[0], path)
    assert spec.frequencies_mhz == CLOCKS_MHZ
    assert (max(spec.token_budgets), spec.max_num_seqs) == (2048, 128)
    smaller = _rows(truth).query("prompt_tokens * batch <= 1024")
    assert max(spec_within(spec, _write(tmp_path, smaller)).token_budgets) == 1024


def test_what_was_fitted_is_told(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel) -> None:
    """Tests that the table is the first source, and that what it does not tell is marked as modelled."""
    provenance = fit_phase_table(_write(tmp_path, _rows(truth)), scaled).model.provenance
    assert (provenance[0].basis, provenance[0].source) == ("fitted", "phases.csv")
    assert {p.basis for p in provenance[1:]} == {"modelled"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("batch > 0", "expected a row of batch 0, the loaded instance that is idle, got none"),
        ("batch > 0 or frequency_mhz == 1200", "expected a row of batch 0 at 1980 MHz, got other clocks only"),
        ("prompt_tokens == 0", "expected at least 3 numbers of prompt tokens on TP2 at the highest clock, got 0"),
        ("batch not in (16, 64)", "expected at least 3 batches of decode steps on TP2 at the highest clock, got 2"),
    ],
)
def test_too_few_rows(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel, query: str, message: str) -> None:
    """Tests that what is missing is told."""
    with pytest.raises(InvalidInputError, match=message):
        fit_phase_table(_write(tmp_path, _rows(truth).query(query)), scaled)


def test_a_degree_that_does_not_fit(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel) -> None:
    """Tests a degree that a server cannot have."""
    with pytest.raises(InvalidInputError, match="expected degrees on which the model fits: 1, 2, 4, 8, got TP3"):
        fit_phase_table(_write(tmp_path, _rows(truth).assign(tp=3)), scaled)


def test_only_small_prefills(tmp_path: Path, scaled: PhaseModel, truth: PhaseModel) -> None:
    """Tests prompts too short to tell what an iteration of an engine takes."""
    rows = _rows(truth)
    rows.loc[rows["prompt_tokens"] > 0, "prompt_tokens"] //= 8
    with pytest.raises(
        InvalidInputError, match=r"expected prefills of 512 tokens at once or more, .*, got at most 256"
    ):
        fit_phase_table(_write(tmp_path, rows), scaled)


def test_which_tables_are_of_phases(tmp_path: Path, truth: PhaseModel) -> None:
    """Tests a phase table behind a comment, a load table, and what is no table."""
    path = _write(tmp_path, _rows(truth))
    path.write_text("# mine\n" + path.read_text())
    assert is_phase_table(path)
    (tmp_path / "load.csv").write_text("rate_rps,power_w\n")
    assert not is_phase_table(tmp_path / "load.csv")
    assert not is_phase_table(tmp_path / "runs.json")
    assert not is_phase_table(tmp_path / "none.csv")
