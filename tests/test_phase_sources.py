"""Tests of `dynaopt.phase_sources`."""

from pathlib import Path

import pandas as pd
import pytest

from dynaopt.phase_reference import FORMATS, SHIPPED_POINTS, ReferencePoints, read_points
from dynaopt.phase_sources import Sources, clock_ranges, derive_points

SHARED = Path(__file__).parents[2] / "shared"
RAW = SHARED / "data" / "splitwise" / "perf_model.csv"
raw_data = [pytest.mark.raw_data, pytest.mark.skipif(not RAW.is_file(), reason="no raw files")]
COLUMNS = (
    "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,tensor_parallel"
)


def _derive(tmp_path: Path, rows: list[str], **sources: object) -> ReferencePoints:
    """Derive points from rows of splitwise: model, hardware, prompt, batch, output, powers, times, degree."""
    folder = tmp_path / "splitwise"
    folder.mkdir()
    (folder / "perf_model.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return derive_points(tmp_path, tmp_path, Sources(hardware="gpu", language_model="m", **sources))


def test_rows_of_others_do_not_count(tmp_path: Path) -> None:
    """Tests that only the model, the hardware and 128 output tokens count, and not a batch of 64 on TP2."""
    rows = [
        "m,gpu,512,1,128,0,0,100,20,2",
        "m,gpu,512,1,128,0,0,300,40,2",
        "m,gpu,512,1,256,0,0,9,9,2",
        "m,gpu,512,64,128,0,0,9,9,2",
        "m,other,512,1,128,0,0,9,9,2",
        "other,gpu,512,1,128,0,0,9,9,2",
    ]
    points = _derive(tmp_path, rows)
    assert points.prefill.to_dict("records") == [
        {"tp": 2, "prompt_tokens": 512, "batch": 1, "repeats": 2, "prompt_time_s": 0.2}
    ]
    assert points.token.to_dict("records") == [{"tp": 2, "batch": 1, "repeats": 2, "token_time_s": 0.03}]
    assert points.serving.empty
    assert points.clock.equals(clock_ranges())


def test_degrees_of_a_faster_gpu(tmp_path: Path) -> None:
    """Tests degrees divided by two."""
    points = _derive(tmp_path, [f"m,gpu,512,1,128,0,0,100,20,{tp}" for tp in (2, 4, 8)], degree_divisor=2)
    assert points.prefill["tp"].tolist() == [1, 2, 4]


def test_powers_of_steps(tmp_path: Path) -> None:
    """Tests a limit of 400 W on 2 GPUs.

    Means up to 2,048 tokens are of decode steps, peaks from 2,048 to 4,096 tokens at once of prefills; what stands
    above the limit is the limit, and a power of 0 is none.
    """
    rows = [
        "m,gpu,512,1,128,0.9,0.5,100,20,2",
        "m,gpu,512,8,128,1.2,0.6,100,20,2",
        "m,gpu,4096,1,128,0.8,0.3,100,20,2",
        "m,gpu,8192,1,128,0.8,0.1,100,20,2",
        "m,gpu,512,32,128,0,0,100,20,2",
    ]
    steps = _derive(tmp_path, rows, tdp_w=400.0).steps
    found = {(r.phase, r.prompt_tokens, r.batch): r.power_w for r in steps.itertuples()}
    assert found == {
        ("decode", 512, 1): 400.0,
        ("decode", 512, 8): 480.0,
        ("prefill", 512, 8): 800.0,
        ("prefill", 4096, 1): 640.0,
    }


class TestRaw:
    """From the raw files."""

    pytestmark = raw_data

    def test_the_shipped_points_are_derived_ones(self) -> None:
        """Tests that deriving again, for Llama2-70B on H100, gives what the package ships."""
        derived = derive_points(SHARED / "data", SHARED / "reference")
        shipped = read_points(SHIPPED_POINTS / "llama2-70b-h100")
        for name in FORMATS:
            pd.testing.assert_frame_equal(getattr(derived, name), getattr(shipped, name), check_dtype=False)

    def test_means_are_over_repeats(self) -> None:
        """Tests one point against the raw rows: five prompts of 8,192 tokens on TP8."""
        raw = pd.read_csv(RAW)
        raw = raw.query("hardware == 'h100-80gb' and model == 'llama2-70b' and tensor_parallel == 8")
        expected = raw.query("prompt_size == 8192 and batch_size == 1")["prompt_time"].mean() / 1000
        derived = derive_points(SHARED / "data", SHARED / "reference").prefill
        point = derived.query("tp == 8 and prompt_tokens == 8192").iloc[0]
        assert point["repeats"] == 5
        assert point["prompt_time_s"] == pytest.approx(expected, abs=1e-7)

    def test_why_long_prompts_have_no_mean_power(self) -> None:
        """Tests the reason: at 8,192 tokens Llama2-70B on A100 seems to draw the same 17 to 18 % on every degree."""
        raw = pd.read_csv(RAW)
        own = raw.query("hardware == 'a100-80gb' and model == 'llama2-70b' and prompt_size == 8192")
        shares = own.groupby("tensor_parallel")["average_power"].mean()
        assert shares.min() > 0.17
        assert shares.max() < 0.185
