"""How far a phase model lies from the points that it was fitted to, and from points left out of the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dynaopt.phase_fit import (
    BASE_TP,
    chat_context_tokens,
    decode_exponent,
    decode_points,
    fit_decode,
    fit_prefill,
    halving_errors,
    prefill_points,
)
from dynaopt.phase_model import FloatArray, PhaseModel
from dynaopt.phase_power_fit import (
    exponent_errors,
    figure_errors,
    fit_power,
    infer_prompt_tokens,
    serving_duration_errors,
    serving_power_errors,
)
from dynaopt.phase_predict import decode_step_s, prompt_time_s
from dynaopt.phase_reference import ReferencePoints, rows


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparison:
    """A model against the points of one quantity.

    Parameters
    ----------
    quantity, reference
        What is compared with what.
    measure
        What an error is: ``relative``, ``difference`` or, of cells that agree or not, ``disagreement``.
    errors
        Of the model as it is, shape (points,).
    held_out
        Of models fitted without the point (and all others of its batch or prompt size), shape (points,); empty where
        nothing was fitted.
    target
        The mean error that is asked for; None where nothing is.
    """

    quantity: str
    reference: str
    errors: FloatArray
    held_out: FloatArray
    measure: str = "relative"
    target: float | None = None


SPLITWISE = "splitwise (MIT)"
MLENERGY = "ML.ENERGY (Apache-2.0)"
FIGURE = "DynamoLLM, fig. 3"
L20 = "L20 exponents"
LATENCY_TARGET = 0.07
POWER_TARGET = 0.10
_NOTHING = np.empty(0)


def compare_prefill(model: PhaseModel, tp: int, points: ReferencePoints) -> Comparison:
    """Compare the time of a prefill on one tensor-parallel degree; held out by the tokens computed at once."""
    used = prefill_points(points.prefill, tp)

    def errors(model: PhaseModel, points: pd.DataFrame) -> FloatArray:
        return np.array(
            [prompt_time_s(model, tp, r.prompt_tokens, r.batch) / r.prompt_time_s - 1 for r in rows(points)]
        )

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_prefill(model, tp, rest)

    return Comparison(
        quantity=f"prefill, TP{tp}",
        reference=SPLITWISE,
        errors=errors(model, used),
        held_out=_held_out(used, used["prompt_tokens"] * used["batch"], refit, errors),
        target=LATENCY_TARGET,
    )


def compare_decode(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the decode step on the base degree; held out by batch size."""
    used = decode_points(points.serving)

    def errors(model: PhaseModel, points: pd.DataFrame) -> FloatArray:
        steps = [decode_step_s(model, r.tp, r.batch, chat_context_tokens(r.output_tokens)) for r in rows(points)]
        errors: FloatArray = np.array(steps) / np.asarray(points["step_p50_s"], dtype=np.float64) - 1
        return errors

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_decode(model, rest, points.clock)

    return Comparison(
        quantity=f"decode step, TP{BASE_TP}",
        reference=MLENERGY,
        errors=errors(model, used),
        held_out=_held_out(used, used["batch_limit"], refit, errors),
        target=LATENCY_TARGET,
    )


def compare_serving(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the mean iteration of a full server, prompts included; held out by batch size from the mean prompt."""
    errors = [
        serving_duration_errors(model, own, infer_prompt_tokens(model, rest))
        for own, rest in _splits(points.serving, points.serving["batch_limit"])
    ]
    return Comparison(
        quantity=f"full server, step, TP{BASE_TP}",
        reference=MLENERGY,
        errors=serving_duration_errors(model, points.serving),
        held_out=np.concatenate(errors),
        target=LATENCY_TARGET,
    )


def compare_serving_power(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the power of a full server; held out by batch size."""

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_power(model, replace(points, serving=rest))

    return Comparison(
        quantity=f"full server, power, TP{BASE_TP}",
        reference=MLENERGY,
        errors=serving_power_errors(model, points.serving),
        held_out=_held_out(points.serving, points.serving["batch_limit"], refit, serving_power_errors),
        target=POWER_TARGET,
    )


def compare_figure(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the power at some number of tokens in parallel; held out point by point."""
    loaded = points.power[points.power["tokens"] > 0]
    idle = points.power[points.power["tokens"] == 0]

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_power(model, replace(points, power=pd.concat([idle, rest])))

    return Comparison(
        quantity="power at n tokens, TP8",
        reference=FIGURE,
        errors=figure_errors(model, loaded),
        held_out=_held_out(loaded, loaded["tokens"], refit, figure_errors),
        target=POWER_TARGET,
    )


def compare_halving(points: ReferencePoints) -> Comparison:
    """Compare what a step saves when each GPU reads half the weights; held out by model. TP2's base rests on it."""
    halved = points.halved
    errors = [halving_errors(own, rest) for own, rest in _splits(halved, halved["served_model"])]
    return Comparison(
        quantity="step saved by second GPU",
        reference=MLENERGY,
        errors=halving_errors(halved, halved),
        held_out=np.concatenate(errors),
    )


def compare_ratio(model: PhaseModel, tp: int, points: ReferencePoints) -> Comparison:
    """Compare the ratio of the decode step on one degree to that on the base degree with the older engine's."""
    own, base = (points.token[points.token["tp"] == t] for t in (tp, BASE_TP))
    batches = sorted(set(own["batch"]) & set(base["batch"]))
    own_s, base_s = (p.set_index("batch")["token_time_s"].loc[batches].to_numpy(dtype=np.float64) for p in (own, base))
    # The points were measured at 512 prompt and 128 output tokens: 576 in the mean.
    modelled = [decode_step_s(model, tp, b, 576) / decode_step_s(model, BASE_TP, b, 576) for b in batches]
    return Comparison(
        quantity=f"decode step, TP{tp} over TP{BASE_TP}",
        reference=SPLITWISE,
        errors=np.array(modelled) / (own_s / base_s) - 1,
        held_out=_NOTHING,
    )


def compare_clock(model: PhaseModel, points: ReferencePoints) -> tuple[Comparison, Comparison]:
    """Compare how decode time and how power go with the clock."""
    times = points.clock[points.clock["quantity"] == "decode_time"]
    of_time = [decode_exponent(model, BASE_TP, r.tokens) - r.exponent for r in rows(times)]
    quantities = (f"decode by clock, TP{BASE_TP}", f"power by clock, TP{BASE_TP}")
    errors = (np.array(of_time), exponent_errors(model, points.clock))
    first, second = (
        Comparison(quantity=q, reference=L20, errors=e, held_out=_NOTHING, measure="difference")
        for q, e in zip(quantities, errors, strict=True)
    )
    return first, second


def compare_all(model: PhaseModel, points: ReferencePoints) -> tuple[Comparison, ...]:
    """Make every comparison.

    Parameters
    ----------
    model
        The phase model.
    points
        What was measured.
    """
    return (
        *(compare_prefill(model, tp, points) for tp in model.tps),
        compare_decode(model, points),
        compare_serving(model, points),
        compare_serving_power(model, points),
        compare_figure(model, points),
        compare_halving(points),
        *(compare_ratio(model, tp, points) for tp in model.tps if tp != BASE_TP),
        *compare_clock(model, points),
    )


def _splits(points: pd.DataFrame, groups: pd.Series) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Split into one group and all others, for each group in turn."""
    return [(points[groups == group], points[groups != group]) for group in sorted(groups.unique())]


def _held_out(
    points: pd.DataFrame,
    groups: pd.Series,
    refit: Callable[[pd.DataFrame], PhaseModel],
    errors: Callable[[PhaseModel, pd.DataFrame], FloatArray],
) -> FloatArray:
    return np.concatenate([errors(refit(rest), own) for own, rest in _splits(points, groups)])
