"""Tests of `dynaopt.phase_predict`."""

import numpy as np
import pytest
from phase_builders import round_model

from dynaopt.phase_model import iteration, read_phase_model
from dynaopt.phase_predict import clock_exponent, decode_step_s, prompt_time_s, serving


def test_a_prefill_computes_all_prompts_at_once() -> None:
    """Tests 4 prompts of 100 tokens: 40 ms of computing beside 20 ms of reading."""
    assert prompt_time_s(round_model(), 4, 100, 4) == pytest.approx((0.04**4 + 0.02**4) ** 0.25)


def test_a_prefill_of_several_prompts_attends_within_each() -> None:
    """Tests that two prompts of 500 tokens have half the pairs of one of 1,000: 125 ms less at 0.5 µs a pair."""
    model = round_model({"attention_per_pair_s": 5e-7, "memory_base_s": 1e-9})
    assert prompt_time_s(model, 4, 1000) - prompt_time_s(model, 4, 500, 2) == pytest.approx(0.125)


def test_a_decode_step_reads_every_context() -> None:
    """Tests 50 sequences of 1,000 tokens: reading 30 ms and computing 10 ms."""
    assert decode_step_s(round_model(), 4, 50, 1000) == pytest.approx((0.03**4 + 0.01**4) ** 0.25)


@pytest.mark.parametrize(
    "predict",
    [
        lambda m, f: prompt_time_s(m, 4, 1000, frequency_mhz=f),
        lambda m, f: decode_step_s(m, 4, 200, 10, frequency_mhz=f),
    ],
)
def test_the_highest_clock_is_the_default(predict) -> None:  # type: ignore[no-untyped-def]
    """Tests that leaving the clock out means the highest, and that a lower one is slower."""
    model = round_model()
    assert predict(model, None) == predict(model, 2000) < predict(model, 1000)


def test_a_full_server_without_prompts_only_decodes() -> None:
    """Tests that with endless outputs no prompt comes in."""
    model = round_model()
    duration_s, power_w = serving(model, 4, 50, 1e12, 100, 1000)
    expected = iteration(model.coefficients(4, 2000), 0.0, 0.0, 50.0, 50_000.0)
    assert (duration_s, power_w) == pytest.approx(expected)


def test_a_full_server_takes_in_as_many_prompts_as_requests_end() -> None:
    """Tests that where time is linear in prompt tokens, the mean iteration is that of the mean number of them.

    50 sequences of 100 tokens each: half a request ends per iteration. Computing alone, 0.2 ms for each sequence and
    0.1 ms for each of 200 · 0.5 prompt tokens: 10 + 10 ms.
    """
    nothing_to_read = {"memory_base_s": 1e-9, "memory_per_sequence_s": 0.0, "memory_per_context_token_s": 0.0}
    model = round_model(nothing_to_read, cap_gpu_w=5000)
    assert serving(model, 4, 50, 100, 200, 1000)[0] == pytest.approx(0.020, rel=1e-5)


def test_the_mean_power_weighs_iterations_by_their_time() -> None:
    """Tests mean energy over mean time against a simulation of 200,000 iterations with Poisson numbers of prompts."""
    model = read_phase_model("llama2-70b-h100")
    coefficients = model.coefficients(4, 1980)
    prompts = np.random.default_rng(1).poisson(64 / 350, 200_000)
    kinds = {k: iteration(coefficients, 175.0 * k, 87.5, 64.0, 64 * 400.0) for k in set(prompts.tolist())}
    time_s = sum(kinds[k][0] for k in prompts.tolist())
    energy_j = sum(kinds[k][0] * kinds[k][1] for k in prompts.tolist())
    duration_s, power_w = serving(model, 4, 64, 350, 175, 400)
    assert duration_s == pytest.approx(time_s / len(prompts), rel=5e-3)
    assert power_w == pytest.approx(energy_j / time_s, rel=5e-3)


@pytest.mark.parametrize("exponent", [-1.0, -0.24, 0.0, 0.675, 2.0])
def test_clock_exponent(exponent: float) -> None:
    """Tests that the exponent of a power law is found."""
    low, high = 7 * 800**exponent, 7 * 1980**exponent
    assert clock_exponent(low, high, 800, 1980) == pytest.approx(exponent)
