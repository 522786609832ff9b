"""Fits of the powers in a phase model to measured points; `docs/profiles.md` explains each choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, minimize_scalar

from dynaopt.fit_options import FitOptions
from dynaopt.phase_fit import (
    BASE_CONTEXT_TOKENS,
    CHAT_PROMPT_TOKENS,
    DEFAULTS,
    EXPONENT_SCALE,
    chat_context_tokens,
    decode_points,
    fit_latency,
    scale_prefill,
)
from dynaopt.phase_model import FloatArray, PhaseModel, iteration
from dynaopt.phase_predict import clock_exponent, serving
from dynaopt.phase_reference import ReferencePoints, rows

POWER_ERROR_SCALE = 0.05
LARGEST_DECODE_TOKENS = 16
"""The figure counts tokens processed in parallel: up to here read as a batch that decodes, above as a prompt."""
STEP_OUTPUT_TOKENS = 128.0
"""Output of the requests whose decode power splitwise measured."""
_ROUNDS = 3
_NO_CAP_W = 1e6
_FREE = {
    "weights_j": (20.0, 0.0, 100.0),
    "compute_gpu_w": (500.0, 0.0, 2000.0),
    "memory_clock_share": (0.3, 0.0, 1.0),
    "compute_clock_share": (0.6, 0.0, 1.0),
}


def fit_phase_model(draft: PhaseModel, points: ReferencePoints, power_of: PhaseModel | None = None) -> PhaseModel:
    """Fit all durations and powers.

    A GPU at its power cap is slower, so that durations depend a little on powers: both are fitted in turn.

    Parameters
    ----------
    draft
        A model with the facts (memory, clocks, thresholds) in place; its fitted numbers serve as first guesses.
    points
        What was measured.
    power_of
        The model whose powers hold, where none were measured (`FitOptions.power_of`).
    """
    model = draft
    for _ in range(_ROUNDS):
        model = fit_latency(model, points)
        if points.options.prefill_scaled:
            model = scale_prefill(model, prefill_factor(model, points))
        model = fit_power(model, points) if power_of is None else carry_power(model, power_of)
    return model


def fit_power(model: PhaseModel, points: ReferencePoints) -> PhaseModel:
    """Fit the energy of an iteration, the power of computing, and the share of each that follows the clock.

    Energy per byte of KV cache read is set to that of the weights.

    Parameters
    ----------
    model
        With all durations fitted.
    points
        What was measured; of `power`, a row with 0 tokens gives the power of an idle instance, which else stays.
    """
    idle = points.power[points.power["tokens"] == 0]
    if len(idle):
        model = _with_power(model, idle_gpu_w=float(idle.iloc[0]["power_w"] / idle.iloc[0]["tp"]))
    guess, least, greatest = np.array(list(_FREE.values())).T

    def at(scaled: FloatArray) -> PhaseModel:
        values = dict(zip(_FREE, map(float, scaled * guess), strict=True))
        per_byte_j = values["weights_j"] / model.weights_bytes
        return _with_power(model, context_token_j=per_byte_j * model.kv_bytes_per_token, **values)

    def misfit(scaled: FloatArray) -> FloatArray:
        candidate = at(scaled)
        errors = np.concatenate(
            [
                serving_power_errors(candidate, points.serving, points.options),
                figure_errors(candidate, points.power),
                # A GPU at its limit draws the limit, whatever it would draw: only what it would draw can be fitted.
                step_power_errors(_with_power(candidate, cap_gpu_w=_NO_CAP_W), points.steps),
            ]
        )
        exponents = exponent_errors(candidate, points.clock, points.options)
        return np.concatenate([np.log1p(errors) / POWER_ERROR_SCALE, exponents / EXPONENT_SCALE])

    return at(least_squares(misfit, np.ones(len(_FREE)), bounds=(least / guess, greatest / guess)).x)


def carry_power(model: PhaseModel, source: PhaseModel) -> PhaseModel:
    """Take over the powers of another language model on the same GPU: by byte read, and by time of computing.

    Parameters
    ----------
    model
        With all durations fitted.
    source
        The other one, with powers.
    """
    per_byte_j = source.power.weights_j / source.weights_bytes
    power = source.power.model_copy(
        update={
            "weights_j": per_byte_j * model.weights_bytes,
            "context_token_j": per_byte_j * model.kv_bytes_per_token,
        }
    )
    return model.model_copy(update={"power": power})


def prefill_factor(model: PhaseModel, points: ReferencePoints) -> float:
    """Return the factor of all costs of prompts with which full servers take as long as measured.

    Parameters
    ----------
    model
        With the durations of another GPU's prefills.
    points
        What was measured; batches beyond those whose median step only decodes are left out.
    """
    served, options = decode_points(points.serving, points.options), points.options

    def misfit(factor: float) -> float:
        errors = serving_duration_errors(scale_prefill(model, factor), served, options.serving_prompt_tokens)
        return float((np.log1p(errors) ** 2).sum())

    return float(minimize_scalar(misfit, bounds=(0.05, 5), method="bounded").x)


def step_power_errors(model: PhaseModel, steps: pd.DataFrame) -> FloatArray:
    """Return the relative error of the power of each prefill and of each decode step, shape (points,)."""
    return np.array([_step_w(model, r) / r.power_w - 1 for r in rows(steps)])


def serving_power_errors(model: PhaseModel, points: pd.DataFrame, options: FitOptions = DEFAULTS) -> FloatArray:
    """Return the relative error of the power of each full server, shape (points,)."""
    prompt_tokens = options.serving_prompt_tokens
    return np.array([_full_server(model, r, prompt_tokens)[1] / r.power_w - 1 for r in rows(points)])


def serving_duration_errors(
    model: PhaseModel, points: pd.DataFrame, prompt_tokens: float = CHAT_PROMPT_TOKENS
) -> FloatArray:
    """Return the relative error of the mean iteration of each full server, prompts included, shape (points,)."""
    return np.array([_full_server(model, r, prompt_tokens)[0] / (r.batch / r.output_tps) - 1 for r in rows(points)])


def infer_prompt_tokens(model: PhaseModel, points: pd.DataFrame) -> float:
    """Return the mean prompt with which the full servers take as long as measured; the measurements do not give it.

    Parameters
    ----------
    model
        With all durations fitted.
    points
        `ReferencePoints.serving`.
    """

    def misfit(prompt_tokens: float) -> float:
        return float((np.log1p(serving_duration_errors(model, points, prompt_tokens)) ** 2).sum())

    return float(minimize_scalar(misfit, bounds=(1, 2000), method="bounded").x)


def figure_errors(model: PhaseModel, power: pd.DataFrame) -> FloatArray:
    """Return the relative error of the power at each number of tokens above 0, shape (points,)."""
    loaded = power[power["tokens"] > 0]
    return np.array([_at_tokens_w(model, r.tp, r.tokens) / r.power_w - 1 for r in rows(loaded)])


def exponent_errors(model: PhaseModel, clock: pd.DataFrame, options: FitOptions = DEFAULTS) -> FloatArray:
    """Return by how much the exponents of power with the clock, on the base degree, lie off, shape (rows,)."""
    powers = clock[clock["quantity"].isin(["decode_power", "prefill_power"])]
    return np.array([power_exponent(model, options.base_tp, r.quantity, r.tokens) - r.exponent for r in rows(powers)])


def power_exponent(model: PhaseModel, tp: int, quantity: str, tokens: float) -> float:
    """Return the exponent with which power goes with the clock, over all clocks.

    Parameters
    ----------
    model, tp
        Phase model and tensor-parallel degree.
    quantity
        ``decode_power`` or ``prefill_power``.
    tokens
        Batch of the decode step, or length of the prompt.
    """
    low_mhz, high_mhz = model.min_frequency_mhz, model.max_frequency_mhz
    work = _decode(tokens) if quantity == "decode_power" else _prefill(tokens)
    low_w, high_w = (float(iteration(model.coefficients(tp, f), *work)[1]) for f in (low_mhz, high_mhz))
    return clock_exponent(low_w, high_w, low_mhz, high_mhz)


def _full_server(model: PhaseModel, row: Any, prompt_tokens: float) -> tuple[float, float]:
    context = chat_context_tokens(row.output_tokens, prompt_tokens)
    return serving(model, row.tp, row.batch, row.output_tokens, prompt_tokens, context)


def _at_tokens_w(model: PhaseModel, tp: int, tokens: float) -> float:
    work = _decode(tokens) if tokens <= LARGEST_DECODE_TOKENS else _prefill(tokens)
    return float(iteration(model.coefficients(tp, model.max_frequency_mhz), *work)[1])


def _step_w(model: PhaseModel, row: Any) -> float:
    if row.phase == "decode":
        # The steps that follow a prompt and make 128 tokens see half of them on average.
        work = (0.0, 0.0, float(row.batch), row.batch * (row.prompt_tokens + STEP_OUTPUT_TOKENS / 2))
    else:
        work = (float(row.batch * row.prompt_tokens), row.prompt_tokens / 2, 0.0, 0.0)
    return float(iteration(model.coefficients(row.tp, model.max_frequency_mhz), *work)[1])


def _decode(batch: float) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(batch), batch * BASE_CONTEXT_TOKENS


def _prefill(tokens: float) -> tuple[float, float, float, float]:
    return float(tokens), tokens / 2, 0.0, 0.0


def _with_power(model: PhaseModel, **values: float) -> PhaseModel:
    return model.model_copy(update={"power": model.power.model_copy(update=values)})
