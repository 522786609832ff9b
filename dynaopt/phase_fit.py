"""Fits of the durations in a phase model to measured points; `docs/profiles.md` explains each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from dynaopt.phase_model import FloatArray, PhaseModel
from dynaopt.phase_predict import clock_exponent, decode_step_s, prompt_time_s
from dynaopt.phase_reference import ReferencePoints, rows

BANDWIDTH_BYTES_PER_S = 3.35e12
"""Memory bandwidth of one H100-SXM; data sheet."""
KV_READ_EFFICIENCY = 0.8
"""Share of the bandwidth at which KV cache is read; assumed, the measurements hardly tell (batch 1 on TP2: 0.6)."""
CHAT_PROMPT_TOKENS = 175.0
"""Mean prompt of the served chat requests; inferred, see `phase_power_fit.fit_prompt_tokens`."""
CONTEXT_OUTPUT_SHARE = 0.75
"""Mean generated context over mean output: 0.5 if all outputs were equally long, 1 if geometric; assumed between."""
LARGEST_DECODE_BATCH = 256
"""Up to here most steps take in no prompt, so that the median step is one that only decodes."""
SHORTEST_PROMPT = 512
LONGEST_PREFILL = 8192
"""Prompts outside these lengths are not fitted: below, time is a flat 50 ms of the engine of 2023; above, not used."""
BASE_TP = 4
"""The only tensor-parallel degree on which the newest engine was measured."""
BASE_CONTEXT_TOKENS = 450.0
"""Context at which exponents of the clock are taken."""
ERROR_SCALE = 0.03
EXPONENT_SCALE = 0.05
"""How far a step (relative) and an exponent may be off at the same cost in the fit."""
_DECODE = {
    "memory_base_s": (16e-3, 1e-3, 30e-3),
    "memory_per_sequence_s": (60e-6, 0.0, 1e-3),
    "compute_base_s": (3e-3, 0.5e-3, 20e-3),
    "compute_per_sequence_s": (100e-6, 10e-6, 1e-3),
}
_PREFILL = {
    "compute_per_prompt_token_s": (100e-6, 1e-6, 500e-6),
    "late_per_prompt_token_s": (20e-6, 0.0, 500e-6),
    "attention_per_pair_s": (2e-9, 0.0, 20e-9),
    "launch_s": (10e-3, 0.0, 60e-3),
}


def fit_latency(draft: PhaseModel, points: ReferencePoints) -> PhaseModel:
    """Fit all durations.

    Parameters
    ----------
    draft
        A model with the facts (memory, clocks, powers, knees) in place; its durations are replaced.
    points
        What was measured.
    """
    model = fit_decode(draft, points.serving, points.clock)
    for tp in model.tps:
        if tp != BASE_TP:
            model = transfer_decode(model, tp, points.token, points.halved)
    for tp in model.tps:
        model = fit_prefill(model, tp, points.prefill)
    return model


def decode_points(serving: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose median step only decodes."""
    return serving[(serving["tp"] == BASE_TP) & (serving["batch_limit"] <= LARGEST_DECODE_BATCH)]


def prefill_points(prefill: pd.DataFrame, tp: int) -> pd.DataFrame:
    """Return the prefills on a tensor-parallel degree that are fitted: prompts of 512 tokens or more."""
    tokens = prefill["prompt_tokens"] * prefill["batch"]
    return prefill[(prefill["tp"] == tp) & (prefill["prompt_tokens"] >= SHORTEST_PROMPT) & (tokens <= LONGEST_PREFILL)]


def chat_context_tokens(output_tokens: float, prompt_tokens: float = CHAT_PROMPT_TOKENS) -> float:
    """Return the mean context of a decoding sequence of the served chat requests."""
    return prompt_tokens + CONTEXT_OUTPUT_SHARE * output_tokens


def fit_decode(draft: PhaseModel, serving: pd.DataFrame, clock: pd.DataFrame) -> PhaseModel:
    """Fit the decode step on the base degree, and how it goes with the clock.

    The cost of reading KV cache is set from memory bandwidth, since the measurements all have about one context.

    Parameters
    ----------
    draft
        As in `fit_latency`.
    serving, clock
        As in `ReferencePoints`.
    """
    measured = list(rows(decode_points(serving)))
    exponents = list(rows(clock[clock["quantity"] == "decode_time"]))
    base = with_latency(draft, BASE_TP, memory_per_context_token_s=_kv_read_s(draft, BASE_TP))

    def misfit(model: PhaseModel) -> list[float]:
        errors = [
            np.log(decode_step_s(model, BASE_TP, r.batch, chat_context_tokens(r.output_tokens)) / r.step_p50_s)
            for r in measured
        ]
        off = [decode_exponent(model, BASE_TP, r.tokens) - r.exponent for r in exponents]
        return [e / ERROR_SCALE for e in errors] + [e / EXPONENT_SCALE for e in off]

    return _fit(base, BASE_TP, _DECODE, misfit)


def transfer_decode(model: PhaseModel, tp: int, token: pd.DataFrame, halved: pd.DataFrame) -> PhaseModel:
    """Set the decode step of another degree from ratios of the older engine, and from memory bandwidth.

    Slopes in batch follow the older engine's ratio. So does the base on more GPUs; on fewer GPUs that ratio would ask
    for weights faster than memory delivers them, so there the extra weights are read at the efficiency that models
    on one and two GPUs show.

    Parameters
    ----------
    model
        With the base degree fitted.
    tp
        The other degree.
    token, halved
        As in `ReferencePoints`.
    """
    base = model.latency[BASE_TP]
    slope, intercept = map(float, token_line(token, tp) / token_line(token, BASE_TP))
    extra_bytes = model.weights_bytes * (1 / tp - 1 / BASE_TP)
    if extra_bytes > 0:
        memory_base_s = base.memory_base_s + extra_bytes / (BANDWIDTH_BYTES_PER_S * weight_read_efficiency(halved))
    else:
        memory_base_s = base.memory_base_s * intercept
    return with_latency(
        model,
        tp,
        memory_base_s=memory_base_s,
        memory_per_sequence_s=base.memory_per_sequence_s * slope,
        memory_per_context_token_s=_kv_read_s(model, tp),
        compute_base_s=base.compute_base_s * slope,
        compute_per_sequence_s=base.compute_per_sequence_s * slope,
    )


def fit_prefill(model: PhaseModel, tp: int, prefill: pd.DataFrame) -> PhaseModel:
    """Fit what prompt tokens cost on one degree; its decode step stays as it is.

    Parameters
    ----------
    model
        With the decode step of this degree in place.
    tp
        Tensor-parallel degree.
    prefill
        As in `ReferencePoints`.
    """
    measured = list(rows(prefill_points(prefill, tp)))

    def misfit(model: PhaseModel) -> list[float]:
        return [np.log(prompt_time_s(model, tp, r.prompt_tokens, r.batch) / r.prompt_time_s) for r in measured]

    return _fit(model, tp, _PREFILL, misfit)


def token_line(token: pd.DataFrame, tp: int) -> FloatArray:
    """Return slope (s per sequence) and intercept (s) of the older engine's decode step against batch."""
    own = token[token["tp"] == tp]
    return np.polyfit(own["batch"], own["token_time_s"], 1)


def weight_read_efficiency(halved: pd.DataFrame) -> float:
    """Return the share of bandwidth at which weights are read: time for half of them over the time a step saves."""
    return float((_half_at_bandwidth_s(halved) / _saved_s(halved)).mean())


def halving_errors(halved: pd.DataFrame, fitted: pd.DataFrame) -> FloatArray:
    """Return the relative errors of what a step saves when each GPU reads half the weights, shape (points,).

    Parameters
    ----------
    halved
        The points, as in `ReferencePoints`.
    fitted
        Those from which the efficiency is taken.
    """
    modelled_s = _half_at_bandwidth_s(halved) / weight_read_efficiency(fitted)
    errors: FloatArray = np.asarray(modelled_s / _saved_s(halved) - 1, dtype=np.float64)
    return errors


def decode_exponent(model: PhaseModel, tp: int, batch: float) -> float:
    """Return the exponent with which the decode step goes with the clock, over all clocks."""
    low_mhz, high_mhz = model.min_frequency_mhz, model.max_frequency_mhz
    slow_s = decode_step_s(model, tp, batch, BASE_CONTEXT_TOKENS, frequency_mhz=low_mhz)
    fast_s = decode_step_s(model, tp, batch, BASE_CONTEXT_TOKENS, frequency_mhz=high_mhz)
    return clock_exponent(slow_s, fast_s, low_mhz, high_mhz)


def with_latency(model: PhaseModel, tp: int, **coefficients: float) -> PhaseModel:
    """Return the model with some durations of one degree replaced."""
    latency = dict(model.latency)
    latency[tp] = latency[tp].model_copy(update=coefficients)
    return model.model_copy(update={"latency": latency})


def _kv_read_s(model: PhaseModel, tp: int) -> float:
    return model.kv_bytes_per_token / (tp * BANDWIDTH_BYTES_PER_S * KV_READ_EFFICIENCY)


def _half_at_bandwidth_s(halved: pd.DataFrame) -> pd.Series[float]:
    return halved["weights_bytes"] / 2 / BANDWIDTH_BYTES_PER_S


def _saved_s(halved: pd.DataFrame) -> pd.Series[float]:
    return halved["step_tp1_s"] - halved["step_tp2_s"]


def _fit(
    model: PhaseModel,
    tp: int,
    free: Mapping[str, tuple[float, float, float]],
    misfit: Callable[[PhaseModel], list[float]],
) -> PhaseModel:
    """Choose the `free` durations (first guess, least, greatest) of a degree by least squares of `misfit`."""
    guess, least, greatest = np.array(list(free.values())).T

    def at(scaled: FloatArray) -> PhaseModel:
        # Durations span six orders of magnitude: the search runs in units of the first guess.
        return with_latency(model, tp, **dict(zip(free, map(float, scaled * guess), strict=True)))

    def residuals(scaled: FloatArray) -> FloatArray:
        return np.array(misfit(at(scaled)))

    return at(least_squares(residuals, np.ones(len(free)), bounds=(least / guess, greatest / guess)).x)
