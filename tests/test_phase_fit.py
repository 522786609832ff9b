"""Tests of `dynaopt.phase_fit`: that the fits find what made the points, and how well they meet the real ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dynaopt.fit_options import FitOptions
from dynaopt.phase_fit import (
    CHAT_PROMPT_TOKENS,
    DEFAULTS,
    TOKEN_CONTEXT_TOKENS,
    chat_context_tokens,
    decode_exponent,
    decode_points,
    fit_decode,
    fit_latency,
    fit_older_decode,
    fit_prefill,
    halving_errors,
    launch_factor,
    prefill_points,
    read_efficiency,
    scale_prefill,
    size_efficiency,
    size_errors,
    size_line,
    token_line,
    transfer_decode,
    weight_read_efficiency,
    with_latency,
    with_launch_scaled,
)
from dynaopt.phase_model import PhaseModel
from dynaopt.phase_predict import decode_step_s, prompt_time_s
from dynaopt.phase_reference import SHIPPED_POINTS, ReferencePoints, read_points, rows

BASE_TP = DEFAULTS.base_tp
BANDWIDTH_BYTES_PER_S = DEFAULTS.bandwidth_bytes_per_s


def _blurred(model: PhaseModel, tp: int) -> PhaseModel:
    """Return the model with every fitted duration of a degree off, as a start that gives nothing away."""
    fitted = ("memory_base_s", "memory_per_sequence_s", "compute_base_s", "compute_per_sequence_s")
    return with_latency(model, tp, **{name: getattr(model.latency[tp], name) * 1.7 for name in fitted})


class TestSelection:
    """Which points are fitted."""

    def test_decode_points(self, points: ReferencePoints) -> None:
        """Tests that batches above 256, whose median step takes in a prompt, are left out."""
        assert sorted(set(decode_points(points.serving)["batch_limit"])) == [8, 16, 32, 64, 96, 128, 192, 256]

    def test_decode_points_mostly_decode(self, points: ReferencePoints) -> None:
        """Tests the reason: with batch / output prompts per iteration, up to 256 about half or more have none."""
        used = decode_points(points.serving)
        assert np.exp(-used["batch"] / used["output_tokens"]).min() > 0.48

    def test_prefill_points(self, points: ReferencePoints) -> None:
        """Tests prompts from 512 and computations up to 8,192 tokens."""
        used = prefill_points(points.prefill, 4)
        assert set(used["tp"]) == {4}
        assert len(used) == 9
        assert used["prompt_tokens"].min() == 512
        assert (used["prompt_tokens"] * used["batch"]).max() == 8192

    def test_chat_context(self) -> None:
        """Tests the prompt and three quarters of the output."""
        assert chat_context_tokens(400, 100) == 400
        assert chat_context_tokens(0) == CHAT_PROMPT_TOKENS


class TestRecovery:
    """Points made by a model give that model back."""

    def test_prefill(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests the four durations of a prefill on TP8, from exact points."""
        exact = points.prefill.copy()
        exact["prompt_time_s"] = [prompt_time_s(model, r.tp, r.prompt_tokens, r.batch) for r in rows(exact)]
        start = with_latency(model, 8, compute_per_prompt_token_s=2e-4, launch_s=0.0, late_per_prompt_token_s=0.0)
        found = fit_prefill(start, 8, exact).latency[8]
        for name in ("compute_per_prompt_token_s", "late_per_prompt_token_s", "attention_per_pair_s", "launch_s"):
            assert getattr(found, name) == pytest.approx(getattr(model.latency[8], name), rel=1e-3)

    def test_decode(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that a fit to exact steps and exact exponents predicts steps within 0.1 % at all clocks."""
        serving, clock = points.serving.copy(), points.clock.copy()
        serving["step_p50_s"] = [
            decode_step_s(model, r.tp, r.batch, chat_context_tokens(r.output_tokens)) for r in rows(serving)
        ]
        times = clock["quantity"] == "decode_time"
        clock.loc[times, "exponent"] = [decode_exponent(model, BASE_TP, r.tokens) for r in rows(clock[times])]
        found = fit_decode(_blurred(model, BASE_TP), serving, clock)
        for mhz in (800, 1400, 1980):
            for batch in (1, 16, 128, 256):
                expected = decode_step_s(model, BASE_TP, batch, 400, frequency_mhz=mhz)
                assert decode_step_s(found, BASE_TP, batch, 400, frequency_mhz=mhz) == pytest.approx(expected, rel=1e-3)

    def test_an_older_engine(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests decode fitted degree by degree to steps of one context, where there are no full servers."""
        token, clock = points.token.copy(), points.clock.copy()
        token["token_time_s"] = [decode_step_s(model, r.tp, r.batch, TOKEN_CONTEXT_TOKENS) for r in rows(token)]
        times = clock["quantity"] == "decode_time"
        clock.loc[times, "exponent"] = [decode_exponent(model, 8, r.tokens) for r in rows(clock[times])]
        found = fit_older_decode(_blurred(model, 8), 8, token, clock)
        for mhz in (800, 1980):
            for batch in (1, 32):
                expected = decode_step_s(model, 8, batch, 576, frequency_mhz=mhz)
                assert decode_step_s(found, 8, batch, 576, frequency_mhz=mhz) == pytest.approx(expected, rel=2e-3)

    def test_no_servers_means_the_older_engine(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that without full servers each degree follows its own steps, a half slower here."""
        slower = points.token.assign(token_time_s=points.token["token_time_s"] * 1.5)
        options = FitOptions(guess_scale=3.0)
        found = fit_latency(model, replace(points, serving=points.serving.iloc[:0], token=slower, options=options))
        for row in rows(slower):
            assert decode_step_s(found, row.tp, row.batch, 576) == pytest.approx(row.token_time_s, rel=0.15)

    def test_scaled_prefill(self, model: PhaseModel) -> None:
        """Tests that all costs of prompts, and nothing else, take twice as long."""
        found = scale_prefill(model, 2.0)
        assert found.latency[2].launch_s == 2 * model.latency[2].launch_s
        assert found.latency[8].attention_per_pair_s == 2 * model.latency[8].attention_per_pair_s
        assert decode_step_s(found, 4, 64, 500) == decode_step_s(model, 4, 64, 500)

    def test_points_left_out_do_not_matter(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that nonsense at short prompts, other degrees and batches above 256 changes nothing."""
        prefill = points.prefill.copy()
        prefill.loc[(prefill["prompt_tokens"] < 512) | (prefill["tp"] != 4), "prompt_time_s"] = 99.0
        assert fit_prefill(model, 4, prefill) == fit_prefill(model, 4, points.prefill)
        serving = points.serving.copy()
        serving.loc[serving["batch_limit"] > 256, "step_p50_s"] = 99.0
        assert fit_decode(model, serving, points.clock) == fit_decode(model, points.serving, points.clock)

    def test_a_fit_leaves_other_degrees_alone(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that fitting TP4 changes TP4 only."""
        prefill = points.prefill.assign(prompt_time_s=points.prefill["prompt_time_s"] * 2)
        found = fit_prefill(model, 4, prefill)
        assert found.latency[2] == model.latency[2]
        assert found.latency[8] == model.latency[8]
        assert found.latency[4] != model.latency[4]


class TestTransfer:
    """Degrees on which the newest engine was not measured."""

    def test_line(self) -> None:
        """Tests slope and intercept of points on 30 + 0.5 · batch ms; another degree does not matter."""
        token = pd.DataFrame({"tp": [4, 4, 4, 8], "batch": [1, 8, 32, 1], "token_time_s": [0.0305, 0.034, 0.046, 9.0]})
        assert token_line(token, 4) == pytest.approx([0.0005, 0.030])

    def test_efficiency(self) -> None:
        """Tests 67 GB on two GPUs instead of one: 10 ms less to read at 3.35 TB/s; 12.5 ms saved make 80 %."""
        halved = pd.DataFrame({"weights_bytes": [67e9], "step_tp1_s": [0.030], "step_tp2_s": [0.0175]})
        assert BANDWIDTH_BYTES_PER_S == 3.35e12
        assert weight_read_efficiency(halved) == pytest.approx(0.8)
        assert halving_errors(halved, halved) == pytest.approx([0.0])
        other = halved.assign(step_tp1_s=0.0275)
        assert halving_errors(halved, other) == pytest.approx([0.010 / 0.0125 - 1])

    def test_more_gpus_follow_the_ratio(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests TP8: base times the ratio of intercepts, slopes times the ratio of slopes."""
        found = transfer_decode(model, 8, points).latency[8]
        base = model.latency[4]
        slope, intercept = token_line(points.token, 8) / token_line(points.token, 4)
        assert found.memory_base_s == pytest.approx(base.memory_base_s * intercept)
        assert found.compute_per_sequence_s == pytest.approx(base.compute_per_sequence_s * slope)
        assert found.memory_per_context_token_s == pytest.approx(base.memory_per_context_token_s / 2)

    def test_fewer_gpus_read_more_weights(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests TP2: 34.49 GB more for each GPU at the measured efficiency, 11.1 ms."""
        found = transfer_decode(model, 2, points).latency[2]
        extra_s = found.memory_base_s - model.latency[4].memory_base_s
        assert extra_s == pytest.approx(34.49e9 / (3.35e12 * weight_read_efficiency(points.halved)))
        assert extra_s == pytest.approx(0.0111, abs=1e-4)

    def test_launch_got_shorter_as_decode_did(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests TP4: a step of one sequence took 28.3 ms in 2023 and takes 16.7; without the option nothing changes."""
        step_s = decode_step_s(model, 4, 1, 576)
        assert launch_factor(model, 4, points) == pytest.approx(step_s / float(token_line(points.token, 4).sum()))
        assert launch_factor(model, 4, points) == pytest.approx(0.0167 / 0.0283, rel=0.02)
        options = points.options.model_copy(update={"launch_quickened": False})
        assert launch_factor(model, 4, replace(points, options=options)) == 1
        older = fit_latency(model, replace(points, options=options))
        assert model.latency[4].launch_s == pytest.approx(
            older.latency[4].launch_s * launch_factor(model, 4, points), rel=1e-4
        )

    def test_another_base(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests options: from TP8 as the base, TP4 has more weights to read at a bandwidth of 8 TB/s."""
        options = FitOptions(base_tp=8, bandwidth_bytes_per_s=8e12)
        found = transfer_decode(model, 4, replace(points, options=options)).latency[4]
        saved_s = found.memory_base_s - model.latency[8].memory_base_s
        assert saved_s == pytest.approx(17.245e9 / (8e12 * weight_read_efficiency(points.halved, options)))
        assert found.memory_per_context_token_s == pytest.approx(327680 / (4 * 8e12 * 0.8))

    def test_efficiency_by_size(self) -> None:
        """Tests steps of 2 ms and 1 ms for 3 GB: 3 TB/s, 75 % of 4; other batches do not count."""
        sizes = pd.DataFrame(
            {
                "served_model": ["a", "b", "c", "a"],
                "batch_limit": [8, 8, 8, 16],
                "weights_bytes": [3e9, 6e9, 12e9, 3e9],
                "step_s": [0.003, 0.004, 0.006, 9.0],
            }
        )
        assert size_line(sizes) == pytest.approx((1 / 3e12, 0.002))
        assert size_efficiency(sizes, FitOptions(bandwidth_bytes_per_s=4e12)) == pytest.approx(0.75)
        slower = sizes.assign(step_s=sizes["step_s"] * 2)
        assert size_errors(slower, sizes) == pytest.approx([-0.5, -0.5, -0.5])

    def test_efficiency_from_what_there_is(self, points: ReferencePoints) -> None:
        """Tests that pairs of one and two GPUs go before sizes on one."""
        assert read_efficiency(points) == weight_read_efficiency(points.halved)
        other = read_points(SHIPPED_POINTS / "llama-3.1-70b-b200", partial=True)
        assert read_efficiency(other) == size_efficiency(other.sizes, other.options) == pytest.approx(0.655, abs=0.005)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_no_step_beats_the_memory(self, model: PhaseModel, tp: int) -> None:
        """Tests that reading the weights alone at full bandwidth takes less than any step."""
        at_full_bandwidth_s = model.weights_bytes / (tp * BANDWIDTH_BYTES_PER_S)
        assert decode_step_s(model, tp, 1, 1) > 1.2 * at_full_bandwidth_s


class TestRealPoints:
    """The shipped model."""

    def test_the_fit_gives_the_shipped_model(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that fitting again, from a blurred start, gives the file's numbers as rounded there."""
        start = model
        for tp in model.tps:
            start = _blurred(start, tp)
        found = fit_latency(start, points)
        for tp in model.tps:
            expected = model.latency[tp].model_dump()
            assert found.latency[tp].model_dump() == pytest.approx(expected, rel=2e-3)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_prefill(self, model: PhaseModel, points: ReferencePoints, tp: int) -> None:
        """Tests a mean error of at most 7 % on each degree, and none above 15 %, launched as by the engine measured."""
        used = prefill_points(points.prefill, tp)
        model = with_launch_scaled(model, tp, 1 / launch_factor(model, tp, points))
        errors = [prompt_time_s(model, tp, r.prompt_tokens, r.batch) / r.prompt_time_s - 1 for r in rows(used)]
        assert np.abs(errors).mean() < 0.07
        assert np.abs(errors).max() < 0.15

    def test_decode(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests a mean error of at most 7 %, and none above 15 %."""
        used = decode_points(points.serving)
        errors = [
            decode_step_s(model, r.tp, r.batch, chat_context_tokens(r.output_tokens)) / r.step_p50_s - 1
            for r in rows(used)
        ]
        assert np.abs(errors).mean() < 0.07
        assert np.abs(errors).max() < 0.15

    @pytest.mark.parametrize(
        ("batch", "least", "greatest"), [(8, -0.24, -0.03), (64, -0.30, -0.07), (256, -0.75, -0.6)]
    )
    def test_decode_against_clock(self, model: PhaseModel, batch: int, least: float, greatest: float) -> None:
        """Tests the exponents of TP4 against those measured on an L20, within 0.06."""
        assert least < decode_exponent(model, 4, batch) < greatest

    @pytest.mark.parametrize("tp", [2, 4])
    def test_prefill_against_clock(self, model: PhaseModel, tp: int) -> None:
        """Tests that of a prefill of 1,024 tokens about nine tenths scale with the clock; on an L20 86-92 %."""
        slow_s, fast_s = (prompt_time_s(model, tp, 1024, frequency_mhz=f) for f in (800, 1980))
        scaling = (slow_s / fast_s - 1) / (1980 / 800 - 1)
        assert 0.86 < scaling < 0.97

    def test_removing_the_clock_data_changes_the_split(self, model: PhaseModel, points: ReferencePoints) -> None:
        """Tests that the exponents matter: with steeper ones, more of the decode step is compute."""
        clock = points.clock.assign(exponent=np.where(points.clock["quantity"] == "decode_time", -0.9, 0.0))
        steep = fit_latency(model, replace(points, clock=clock))
        assert decode_exponent(steep, 4, 64) < decode_exponent(model, 4, 64) - 0.2
