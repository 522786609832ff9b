"""Fits of the durations in a phase model to measured points; `docs/profiles.md` explains each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from dynaopt.fit_options import FitOptions
from dynaopt.phase_model import FloatArray, PhaseModel
from dynaopt.phase_predict import clock_exponent, decode_step_s, prompt_time_s
from dynaopt.phase_reference import ReferencePoints, rows

KV_READ_EFFICIENCY = 0.8
"""Share of the bandwidth at which KV cache is read; assumed, the measurements hardly tell (batch 1 on TP2: 0.6)."""
DEFAULTS = FitOptions()
CHAT_PROMPT_TOKENS = DEFAULTS.serving_prompt_tokens
"""Mean prompt of the served chat requests; inferred, see `phase_power_fit.infer_prompt_tokens`."""
TOKEN_CONTEXT_TOKENS = 576.0
"""Mean context of the older engine's decode steps: 512 prompt tokens and half of 128 output tokens."""
CONTEXT_OUTPUT_SHARE = 0.75
"""Mean generated context over mean output: 0.5 if all outputs were equally long, 1 if geometric; assumed between."""
LARGEST_DECODE_BATCH = 256
"""Up to here most steps take in no prompt, so that the median step is one that only decodes."""
SHORTEST_PROMPT = 512
LONGEST_PREFILL = 8192
"""Prompts outside these lengths are not fitted: below, time is a flat 50 ms of the engine of 2023; above, not used."""
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

    The decode step is fitted to full servers of the newest engine, on the one degree where there are such, and taken to
    the other degrees; where there are none, to the older engine's steps on each degree.

    Parameters
    ----------
    draft
        A model with the facts (memory, clocks, powers, knees) in place; its durations are replaced.
    points
        What was measured.
    """
    options = points.options
    if len(decode_points(points.serving, options)):
        model = fit_decode(draft, points.serving, points.clock, options)
        for tp in model.tps:
            if tp != options.base_tp:
                model = transfer_decode(model, tp, points)
    else:
        model = draft
        for tp in model.tps:
            model = fit_older_decode(model, tp, points.token, points.clock, options)
    for tp in model.tps:
        model = fit_prefill(model, tp, points.prefill, options)
        model = with_launch_scaled(model, tp, launch_factor(model, tp, points))
    return model


def decode_points(serving: pd.DataFrame, options: FitOptions = DEFAULTS) -> pd.DataFrame:
    """Return the rows whose median step only decodes."""
    return serving[(serving["tp"] == options.base_tp) & (serving["batch_limit"] <= LARGEST_DECODE_BATCH)]


def prefill_points(prefill: pd.DataFrame, tp: int) -> pd.DataFrame:
    """Return the prefills on a tensor-parallel degree that are fitted: prompts of 512 tokens or more."""
    tokens = prefill["prompt_tokens"] * prefill["batch"]
    return prefill[(prefill["tp"] == tp) & (prefill["prompt_tokens"] >= SHORTEST_PROMPT) & (tokens <= LONGEST_PREFILL)]


def chat_context_tokens(output_tokens: float, prompt_tokens: float = CHAT_PROMPT_TOKENS) -> float:
    """Return the mean context of a decoding sequence of the served chat requests."""
    return prompt_tokens + CONTEXT_OUTPUT_SHARE * output_tokens


def fit_decode(
    draft: PhaseModel, serving: pd.DataFrame, clock: pd.DataFrame, options: FitOptions = DEFAULTS
) -> PhaseModel:
    """Fit the decode step on the base degree to full servers, and how it goes with the clock.

    The cost of reading KV cache is set from memory bandwidth, since the measurements all have about one context.

    Parameters
    ----------
    draft
        As in `fit_latency`.
    serving, clock, options
        As in `ReferencePoints`.
    """
    prompt_tokens = options.serving_prompt_tokens
    steps = [
        (r.batch, chat_context_tokens(r.output_tokens, prompt_tokens), r.step_p50_s)
        for r in rows(decode_points(serving, options))
    ]
    return _fit_steps(draft, options.base_tp, steps, clock, options)


def fit_older_decode(
    draft: PhaseModel, tp: int, token: pd.DataFrame, clock: pd.DataFrame, options: FitOptions = DEFAULTS
) -> PhaseModel:
    """Fit the decode step on one degree to the older engine's steps, and how it goes with the clock.

    Parameters
    ----------
    draft
        As in `fit_latency`.
    tp
        Tensor-parallel degree.
    token, clock, options
        As in `ReferencePoints`.
    """
    steps = [(r.batch, TOKEN_CONTEXT_TOKENS, r.token_time_s) for r in rows(token[token["tp"] == tp])]
    return _fit_steps(draft, tp, steps, clock, options)


def transfer_decode(model: PhaseModel, tp: int, points: ReferencePoints) -> PhaseModel:
    """Set the decode step of another degree from ratios of the older engine, and from memory bandwidth.

    Slopes in batch follow the older engine's ratio. So does the base on more GPUs; on fewer GPUs that ratio would ask
    for weights faster than memory delivers them, so there the extra weights are read at the measured efficiency.

    Parameters
    ----------
    model
        With the base degree fitted.
    tp
        The other degree.
    points
        What was measured: the older engine's steps, and what tells how fast weights are read.
    """
    options = points.options
    base = model.latency[options.base_tp]
    slope, intercept = map(float, token_line(points.token, tp) / token_line(points.token, options.base_tp))
    extra_bytes = model.weights_bytes * (1 / tp - 1 / options.base_tp)
    if extra_bytes > 0:
        read_s = extra_bytes / (options.bandwidth_bytes_per_s * read_efficiency(points))
        memory_base_s = base.memory_base_s + read_s
    else:
        memory_base_s = base.memory_base_s * intercept
    return with_latency(
        model,
        tp,
        memory_base_s=memory_base_s,
        memory_per_sequence_s=base.memory_per_sequence_s * slope,
        memory_per_context_token_s=_kv_read_s(model, tp, options),
        compute_base_s=base.compute_base_s * slope,
        compute_per_sequence_s=base.compute_per_sequence_s * slope,
    )


def fit_prefill(model: PhaseModel, tp: int, prefill: pd.DataFrame, options: FitOptions = DEFAULTS) -> PhaseModel:
    """Fit what prompt tokens cost on one degree; its decode step stays as it is.

    Parameters
    ----------
    model
        With the decode step of this degree in place.
    tp
        Tensor-parallel degree.
    prefill, options
        As in `ReferencePoints`.
    """
    measured = list(rows(prefill_points(prefill, tp)))

    def misfit(model: PhaseModel) -> list[float]:
        return [np.log(prompt_time_s(model, tp, r.prompt_tokens, r.batch) / r.prompt_time_s) for r in measured]

    return _fit(model, tp, _scaled(_PREFILL, options), misfit)


def launch_factor(model: PhaseModel, tp: int, points: ReferencePoints) -> float:
    """Return what an iteration with prompts costs beyond both today over what it did when prefills were measured.

    Launching is the engine's own work, as is much of a decode step of one sequence, and no prefill of an engine of
    today was measured: so it is taken to have got shorter alike (`FitOptions.launch_quickened`).

    Parameters
    ----------
    model
        With the decode step of this degree in place.
    tp
        Tensor-parallel degree.
    points
        What was measured.
    """
    if not points.options.launch_quickened:
        return 1.0
    older_s = float(token_line(points.token, tp) @ [1, 1])
    return decode_step_s(model, tp, 1, TOKEN_CONTEXT_TOKENS) / older_s


def with_launch_scaled(model: PhaseModel, tp: int, factor: float) -> PhaseModel:
    """Return the model with what an iteration with prompts costs beyond both multiplied by a factor, on one degree."""
    return with_latency(model, tp, launch_s=model.latency[tp].launch_s * factor)


def scale_prefill(model: PhaseModel, factor: float) -> PhaseModel:
    """Return the model with all costs of prompts, on all degrees, multiplied by a factor."""
    for tp, latency in model.latency.items():
        model = with_latency(model, tp, **{name: getattr(latency, name) * factor for name in _PREFILL})
    return model


def token_line(token: pd.DataFrame, tp: int) -> FloatArray:
    """Return slope (s per sequence) and intercept (s) of the older engine's decode step against batch."""
    own = token[token["tp"] == tp]
    return np.polyfit(own["batch"], own["token_time_s"], 1)


def read_efficiency(points: ReferencePoints) -> float:
    """Return the share of bandwidth at which weights are read, from models on one GPU and on two, or on one."""
    if len(points.halved):
        return weight_read_efficiency(points.halved, points.options)
    return size_efficiency(points.sizes, points.options)


def weight_read_efficiency(halved: pd.DataFrame, options: FitOptions = DEFAULTS) -> float:
    """Return the share of bandwidth at which weights are read: time for half of them over the time a step saves."""
    return float((_half_at_bandwidth_s(halved, options) / _saved_s(halved)).mean())


def size_efficiency(sizes: pd.DataFrame, options: FitOptions = DEFAULTS) -> float:
    """Return the share of bandwidth at which weights are read: from the line of the step against their size."""
    slope, _ = size_line(sizes)
    return 1 / (slope * options.bandwidth_bytes_per_s)


def size_line(sizes: pd.DataFrame) -> tuple[float, float]:
    """Return slope (s/byte) and intercept (s) of the step of the smallest batch against the size of the weights."""
    small = sizes[sizes["batch_limit"] == sizes["batch_limit"].min()]
    slope, intercept = np.polyfit(small["weights_bytes"], small["step_s"], 1)
    return float(slope), float(intercept)


def size_errors(sizes: pd.DataFrame, fitted: pd.DataFrame) -> FloatArray:
    """Return the relative errors of the line through the steps of the smallest batch, shape (points,).

    Parameters
    ----------
    sizes
        The points, as in `ReferencePoints`.
    fitted
        Those from which the line is taken.
    """
    slope, intercept = size_line(fitted)
    small = sizes[sizes["batch_limit"] == sizes["batch_limit"].min()]
    errors: FloatArray = np.asarray(
        (slope * small["weights_bytes"] + intercept) / small["step_s"] - 1, dtype=np.float64
    )
    return errors


def halving_errors(halved: pd.DataFrame, fitted: pd.DataFrame, options: FitOptions = DEFAULTS) -> FloatArray:
    """Return the relative errors of what a step saves when each GPU reads half the weights, shape (points,).

    Parameters
    ----------
    halved
        The points, as in `ReferencePoints`.
    fitted
        Those from which the efficiency is taken.
    options
        As in `ReferencePoints`.
    """
    modelled_s = _half_at_bandwidth_s(halved, options) / weight_read_efficiency(fitted, options)
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


def _kv_read_s(model: PhaseModel, tp: int, options: FitOptions) -> float:
    return model.kv_bytes_per_token / (tp * options.bandwidth_bytes_per_s * KV_READ_EFFICIENCY)


def _half_at_bandwidth_s(halved: pd.DataFrame, options: FitOptions) -> pd.Series[float]:
    return halved["weights_bytes"] / 2 / options.bandwidth_bytes_per_s


def _saved_s(halved: pd.DataFrame) -> pd.Series[float]:
    return halved["step_tp1_s"] - halved["step_tp2_s"]


def _scaled(
    free: Mapping[str, tuple[float, float, float]], options: FitOptions
) -> Mapping[str, tuple[float, float, float]]:
    guess, least, greatest = (tuple(v[i] * options.guess_scale for v in free.values()) for i in range(3))
    return dict(zip(free, zip(guess, least, greatest, strict=True), strict=True))


def _fit_steps(
    draft: PhaseModel,
    tp: int,
    steps: Sequence[tuple[float, float, float]],
    clock: pd.DataFrame,
    options: FitOptions,
) -> PhaseModel:
    """Fit decode steps, each of a batch, a mean context and seconds, and how they go with the clock."""
    exponents = list(rows(clock[clock["quantity"] == "decode_time"]))
    base = with_latency(draft, tp, memory_per_context_token_s=_kv_read_s(draft, tp, options))

    def misfit(model: PhaseModel) -> list[float]:
        errors = [np.log(decode_step_s(model, tp, batch, context) / step_s) for batch, context, step_s in steps]
        off = [decode_exponent(model, tp, r.tokens) - r.exponent for r in exponents]
        return [e / ERROR_SCALE for e in errors] + [e / EXPONENT_SCALE for e in off]

    return _fit(base, tp, _scaled(_DECODE, options), misfit)


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

    # With as many coefficients as points, as when points are held out, the default tolerances stop short of the
    # optimum, and where depends on the machine.
    bounds = (least / guess, greatest / guess)
    found = least_squares(residuals, np.ones(len(free)), bounds=bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return at(found.x)
