"""Tests of `dynaopt.phase_power_fit`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from phase_builders import round_model

from dynaopt.phase_fit import chat_context_tokens, scale_prefill
from dynaopt.phase_model import PhaseModel, iteration, read_phase_model
from dynaopt.phase_power_fit import (
    LARGEST_DECODE_TOKENS,
    carry_power,
    exponent_errors,
    figure_errors,
    fit_power,
    infer_prompt_tokens,
    power_exponent,
    prefill_factor,
    serving_duration_errors,
    serving_power_errors,
    step_power_errors,
)
from dynaopt.phase_predict import serving
from dynaopt.phase_reference import SHIPPED_POINTS, ReferencePoints, read_points, rows


def _exact(model: PhaseModel, points: ReferencePoints) -> ReferencePoints:
    """Return points that a model meets exactly in power."""
    power, servers, clock = points.power.copy(), points.serving.copy(), points.clock.copy()
    power["power_w"] *= 1 + np.concatenate([[0.0], figure_errors(model, power)])
    servers["power_w"] *= 1 + serving_power_errors(model, servers, points.options)
    powers = clock["quantity"] != "decode_time"
    clock.loc[powers, "exponent"] += exponent_errors(model, clock)
    return replace(points, power=power, serving=servers, clock=clock)


def test_exact_points_give_the_model_back(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests energies, power and both clock shares, from a start that is far off."""
    start = model.model_copy(
        update={"power": model.power.model_copy(update={"weights_j": 1.0, "compute_gpu_w": 90.0, "idle_gpu_w": 70.0})}
    )
    found = fit_power(start, _exact(model, points)).power
    assert found.model_dump() == pytest.approx(model.power.model_dump(), rel=1e-3)


def test_the_fit_gives_the_shipped_model(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that fitting again gives the file's numbers as rounded there."""
    assert fit_power(model, points).power.model_dump() == pytest.approx(model.power.model_dump(), rel=2e-3)


def test_idle_power_is_the_figures(points: ReferencePoints, model: PhaseModel) -> None:
    """Tests 880 W of 8 GPUs, and that another idle power would be taken over."""
    assert fit_power(model, points).power.idle_gpu_w == 110
    power = points.power.assign(power_w=np.where(points.power["tokens"] == 0, 960.0, points.power["power_w"]))
    assert fit_power(model, replace(points, power=power)).power.idle_gpu_w == 120


def test_reading_context_costs_what_reading_weights_costs(model: PhaseModel) -> None:
    """Tests one energy per byte."""
    per_byte_j = model.power.weights_j / model.weights_bytes
    assert model.power.context_token_j == pytest.approx(per_byte_j * model.kv_bytes_per_token, rel=1e-4)


def test_power_of_servers(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests a mean error of at most 10 % on TP4, none above 15 %."""
    errors = np.abs(serving_power_errors(model, points.serving))
    assert errors.mean() < 0.10
    assert errors.max() < 0.15


def test_power_of_the_figure(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests a mean error of at most 10 % on TP8, none above 15 %; the idle point is not counted."""
    errors = np.abs(figure_errors(model, points.power))
    assert len(errors) == len(points.power) - 1
    assert errors.mean() < 0.10
    assert errors.max() < 0.15


def test_how_the_figure_is_read(model: PhaseModel) -> None:
    """Tests that few tokens are a batch that decodes and many are a prompt."""
    c = model.coefficients(8, 1980)
    few, many = LARGEST_DECODE_TOKENS, LARGEST_DECODE_TOKENS + 1
    power = pd.DataFrame({"tp": [8, 8, 8], "tokens": [0, few, many], "power_w": [880.0, 1.0, 1.0]})
    batch_w = iteration(c, 0.0, 0.0, float(few), few * 450.0)[1]
    prompt_w = iteration(c, float(many), many / 2, 0.0, 0.0)[1]
    assert figure_errors(model, power) == pytest.approx([batch_w - 1, prompt_w - 1])


def test_time_of_servers(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that prompts of one length explain the throughput of all batches within 7 %."""
    errors = np.abs(serving_duration_errors(model, points.serving))
    assert errors.mean() < 0.07


def test_the_mean_prompt_is_the_one_that_fits(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests that the mean prompt given in the options is what the points say, to 2 %."""
    found = infer_prompt_tokens(model, points.serving)
    assert found == pytest.approx(points.options.serving_prompt_tokens, rel=0.02)


def test_the_mean_prompt_is_found(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests servers made with prompts of 400 tokens."""
    servers = points.serving.copy()
    servers["output_tps"] = [
        r.batch / serving(model, r.tp, r.batch, r.output_tokens, 400, chat_context_tokens(r.output_tokens, 400))[0]
        for r in rows(servers)
    ]
    assert infer_prompt_tokens(model, servers) == pytest.approx(400, rel=1e-3)


@pytest.mark.parametrize("tp", [2, 4, 8])
@pytest.mark.parametrize(
    ("quantity", "tokens", "least", "greatest"),
    [("decode_power", 8, 0.2, 0.45), ("decode_power", 64, 0.2, 0.45), ("decode_power", 256, 0.45, 0.6)],
)
def test_decode_power_against_clock(
    model: PhaseModel, tp: int, quantity: str, tokens: int, least: float, greatest: float
) -> None:
    """Tests the ranges measured on an L20, on every degree."""
    assert least < power_exponent(model, tp, quantity, tokens) < greatest


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_prefill_power_against_clock(model: PhaseModel, tp: int) -> None:
    """Tests the range measured on an L20, 0.60 to 0.75, at 2,048 tokens."""
    assert 0.59 < power_exponent(model, tp, "prefill_power", 2048) < 0.76


def test_exponent_of_power_by_hand() -> None:
    """Tests a prefill that is all compute: 200 W idle, of which 40 W follow the clock, and 1,000 W that go as f.

    At 1 GHz 160 + 500 W, at 2 GHz 200 + 1,000 W.
    """
    model = round_model({"memory_base_s": 1e-9, "late_per_prompt_token_s": 0.0}, weights_j=0.0)
    expected = np.log2(1200 / 660)
    assert power_exponent(model, 2, "prefill_power", 1000) == pytest.approx(expected)


def test_powers_of_steps(model: PhaseModel) -> None:
    """Tests a prefill of 2 prompts of 1,024 tokens and decode steps of 4 sequences, each of 512 + 64 tokens by then."""
    coefficients = model.coefficients(8, model.max_frequency_mhz)
    prefill_w = iteration(coefficients, 2048, 512, 0, 0)[1]
    decode_w = iteration(coefficients, 0, 0, 4, 4 * 576)[1]
    steps = pd.DataFrame(
        {
            "tp": 8,
            "phase": ["prefill", "decode"],
            "prompt_tokens": [1024, 512],
            "batch": [2, 4],
            "repeats": 1,
            "power_w": [prefill_w / 1.5, decode_w * 2],
        }
    )
    assert step_power_errors(model, steps) == pytest.approx([0.5, -0.5])


def test_a_fit_to_steps_alone() -> None:
    """Tests Llama2-70B on A100, from a start that is far off: exact points give weights and computing back."""
    model = read_phase_model("llama2-70b-a100")
    points = read_points(SHIPPED_POINTS / "llama2-70b-a100", partial=True)
    steps, clock = points.steps.copy(), points.clock.copy()
    steps["power_w"] *= 1 + step_power_errors(model.model_copy(update={"power": _uncapped(model)}), steps)
    powers = clock["quantity"] != "decode_time"
    clock.loc[powers, "exponent"] += exponent_errors(model, clock)
    start = model.model_copy(update={"power": model.power.model_copy(update={"weights_j": 5.0, "compute_gpu_w": 90.0})})
    found = fit_power(start, replace(points, steps=steps, clock=clock)).power
    assert found.weights_j == pytest.approx(model.power.weights_j, rel=1e-3)
    assert found.compute_gpu_w == pytest.approx(model.power.compute_gpu_w, rel=1e-3)


def _uncapped(model: PhaseModel):
    return model.power.model_copy(update={"cap_gpu_w": 1e6})


def test_carried_powers(model: PhaseModel) -> None:
    """Tests BLOOM with Llama2-70B's powers: 352 GB of weights and 4 MB a token by byte, the rest as it is."""
    bloom = read_phase_model("bloom-176b-h100")
    carried = carry_power(bloom, model).power
    assert carried.weights_j == pytest.approx(model.power.weights_j * 352 / 137.96)
    assert carried.context_token_j == pytest.approx(model.power.weights_j / 137.96e9 * 4014080)
    assert carried.compute_gpu_w == model.power.compute_gpu_w
    assert carried.model_dump() == pytest.approx(bloom.power.model_dump(), rel=1e-4)


def test_the_factor_of_prefills_is_found(model: PhaseModel, points: ReferencePoints) -> None:
    """Tests servers made by a model: with prompts three times as costly it takes a third."""
    servers = points.serving.copy()
    exact = 1 + serving_duration_errors(model, servers, points.options.serving_prompt_tokens)
    servers["output_tps"] /= exact
    found = prefill_factor(scale_prefill(model, 3.0), replace(points, serving=servers))
    assert found == pytest.approx(1 / 3, rel=1e-3)
