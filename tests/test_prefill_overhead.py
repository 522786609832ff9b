"""Tests of `scripts/prefill_overhead.py`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from dynaopt.phase_fit import chat_context_tokens, with_latency
from dynaopt.phase_model import PhaseModel, read_phase_model

ROOT = Path(__file__).parents[1]
TRUTH = (60.0, 1.2, 5.0)
"""Median and spread of the prompts, and overhead in milliseconds, of the made-up measurements."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("prefill_overhead", ROOT / "scripts" / "prefill_overhead.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model() -> PhaseModel:
    """Return the shipped phase model."""
    return read_phase_model("llama2-70b-h100")


def _measured(script: ModuleType, model: PhaseModel) -> pd.DataFrame:
    """Make up what servers at three batches show if prompts and overhead are those of `TRUTH`, from another draw."""
    median, spread, overhead_ms = TRUTH
    coefficients = with_latency(model, 4, launch_s=overhead_ms / 1e3).coefficients(4, 1980)
    rng = np.random.default_rng(7)
    rows = []
    for batch in (16, 64, 128):
        num_prompts = rng.poisson(batch / 350, 60_000)
        tokens = np.array([(median * np.exp(spread * rng.standard_normal(n))).sum() for n in num_prompts])
        context = batch * chat_context_tokens(350, median * np.exp(spread**2 / 2))
        steps_ms = 1e3 * script.durations_s(coefficients, tokens, float(batch), context)
        rows.append(
            {
                "model_id": "meta-llama/Llama-3.1-70B-Instruct",
                "gpu_model": "H100",
                "max_num_seqs": batch,
                "avg_batch_size": float(batch),
                "avg_output_len": 350.0,
                "output_throughput_tokens_per_sec": batch / steps_ms.mean() * 1e3,
                "median_itl_ms": float(np.median(steps_ms)),
                **{name: float(np.quantile(steps_ms, q)) for name, q in script.QUANTILES.items()},
            }
        )
    others = [
        rows[0] | {"gpu_model": "B200"},
        rows[0] | {"max_num_seqs": 256},
        rows[0] | {"model_id": "Qwen/Qwen3-14B"},
    ]
    return pd.DataFrame([*rows, *others])


def test_a_known_overhead_is_found(script: ModuleType, model: PhaseModel, tmp_path: Path) -> None:
    """Tests that prompts and overhead come back from made-up servers, and that other overheads fit worse."""
    path = tmp_path / "measured.csv"
    _measured(script, model).to_csv(path, index=False)
    servers = script.read_servers(path)
    assert [server.batch for server in servers] == [16, 64, 128]
    *found, rms = script.fit(model, servers, None)
    assert found[0] == pytest.approx(TRUTH[0], rel=0.25)
    assert found[2] == pytest.approx(TRUTH[2], abs=2.0)
    assert rms < 0.03
    assert script.fit(model, servers, 20.0)[3] > 1.5 * rms
