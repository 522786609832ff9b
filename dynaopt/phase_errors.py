"""How far a phase model lies from the points that it was fitted to, and from points left out of the fit.

What is left out is a whole group, since its points resemble each other: all of one batch size, of one prompt size, or
of one number of tokens computed at once. Everything is fitted anew without it and asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dynaopt.phase_fit import (
    TOKEN_CONTEXT_TOKENS,
    chat_context_tokens,
    decode_exponent,
    decode_points,
    fit_decode,
    fit_older_decode,
    fit_prefill,
    halving_errors,
    launch_factor,
    prefill_points,
    size_errors,
    transfer_decode,
    with_launch_scaled,
)
from dynaopt.phase_model import FloatArray, PhaseModel, read_phase_model
from dynaopt.phase_power_fit import (
    carry_power,
    exponent_errors,
    figure_errors,
    fit_power,
    infer_prompt_tokens,
    serving_duration_errors,
    serving_power_errors,
    step_power_errors,
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
        Of models fitted without the point and all others of its group, shape (points,); empty where nothing was fitted.
    held_out_by
        What the points of a group have in common, for example ``batch size``; empty where nothing was fitted.
    target
        The mean error that is asked for; None where nothing is.
    """

    quantity: str
    reference: str
    errors: FloatArray
    held_out: FloatArray
    held_out_by: str = ""
    measure: str = "relative"
    target: float | None = None


SPLITWISE = "splitwise (MIT)"
MLENERGY = "ML.ENERGY (Apache-2.0)"
FIGURE = "DynamoLLM, fig. 3"
L20 = "L20 exponents"
LATENCY_TARGET = 0.07
POWER_TARGET = 0.10
TOKENS_AT_ONCE = "tokens at once"
PROMPT_SIZE = "prompt size"
BATCH_SIZE = "batch size"
_PREFILL_GROUPS: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    TOKENS_AT_ONCE: lambda points: points["prompt_tokens"] * points["batch"],
    PROMPT_SIZE: lambda points: points["prompt_tokens"],
    BATCH_SIZE: lambda points: points["batch"],
}
_NOTHING = np.empty(0)


def compare_prefill(
    model: PhaseModel, tp: int, points: ReferencePoints, held_out_by: str = TOKENS_AT_ONCE
) -> Comparison:
    """Compare the time of a prefill on one tensor-parallel degree, launched as by the engine that was measured.

    Parameters
    ----------
    model, tp, points
        The phase model, the degree, and what was measured.
    held_out_by
        ``tokens at once``, ``prompt size`` or ``batch size``. Prompts of several sizes were measured one at a time, and
        several at a time only of 512 tokens: without a batch of 1 nothing tells what length costs, and without 512
        tokens nothing tells what an iteration costs.
    """
    used = prefill_points(points.prefill, tp)
    as_measured = with_launch_scaled(model, tp, 1 / launch_factor(model, tp, points))

    def errors(model: PhaseModel, points: pd.DataFrame) -> FloatArray:
        return np.array(
            [prompt_time_s(model, tp, r.prompt_tokens, r.batch) / r.prompt_time_s - 1 for r in rows(points)]
        )

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_prefill(model, tp, rest, points.options)

    is_main = held_out_by == TOKENS_AT_ONCE
    return Comparison(
        quantity=f"prefill, TP{tp}" if is_main else f"prefill, TP{tp}, by {held_out_by.split()[0]}",
        reference=SPLITWISE,
        errors=errors(as_measured, used),
        held_out=_held_out(used, _PREFILL_GROUPS[held_out_by](used), refit, errors),
        held_out_by=held_out_by,
        target=LATENCY_TARGET if is_main else None,
    )


def compare_decode(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the decode step on the base degree; held out by batch size."""
    used = decode_points(points.serving, points.options)
    prompt_tokens = points.options.serving_prompt_tokens

    def errors(model: PhaseModel, points: pd.DataFrame) -> FloatArray:
        steps = [
            decode_step_s(model, r.tp, r.batch, chat_context_tokens(r.output_tokens, prompt_tokens))
            for r in rows(points)
        ]
        errors: FloatArray = np.array(steps) / np.asarray(points["step_p50_s"], dtype=np.float64) - 1
        return errors

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_decode(model, rest, points.clock, points.options)

    return Comparison(
        quantity=f"decode step, TP{points.options.base_tp}",
        reference=MLENERGY,
        errors=errors(model, used),
        held_out=_held_out(used, used["batch_limit"], refit, errors),
        held_out_by=BATCH_SIZE,
        target=LATENCY_TARGET,
    )


def compare_serving(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the mean iteration of a full server, prompts included; held out by batch size from the mean prompt."""
    errors = [
        serving_duration_errors(model, own, infer_prompt_tokens(model, rest))
        for own, rest in _splits(points.serving, points.serving["batch_limit"])
    ]
    return Comparison(
        quantity=f"full server, step, TP{points.options.base_tp}",
        reference=MLENERGY,
        errors=serving_duration_errors(model, points.serving, points.options.serving_prompt_tokens),
        held_out=np.concatenate(errors),
        held_out_by=BATCH_SIZE,
        target=LATENCY_TARGET,
    )


def compare_serving_power(model: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare the power of a full server; held out by batch size."""

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_power(model, replace(points, serving=rest))

    return Comparison(
        quantity=f"full server, power, TP{points.options.base_tp}",
        reference=MLENERGY,
        errors=serving_power_errors(model, points.serving),
        held_out=_held_out(points.serving, points.serving["batch_limit"], refit, serving_power_errors),
        held_out_by=BATCH_SIZE,
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
        held_out_by="tokens",
        target=POWER_TARGET,
    )


def compare_halving(points: ReferencePoints) -> Comparison:
    """Compare what a step saves when each GPU reads half the weights; held out by model. TP2's base rests on it."""
    halved = points.halved
    errors = [halving_errors(own, rest, points.options) for own, rest in _splits(halved, halved["served_model"])]
    return Comparison(
        quantity="step saved by second GPU",
        reference=MLENERGY,
        errors=halving_errors(halved, halved, points.options),
        held_out=np.concatenate(errors),
        held_out_by="served model",
    )


def compare_ratio(model: PhaseModel, tp: int, points: ReferencePoints) -> Comparison:
    """Compare the ratio of the decode step on one degree to that on the base degree with the older engine's.

    Held out by batch size: what the other degree takes over from the older engine comes from the other batches.
    """
    base_tp = points.options.base_tp
    token = points.token[points.token["tp"].isin((tp, base_tp))]
    batches = sorted(set.intersection(*(set(own["batch"]) for _, own in token.groupby("tp"))))

    def errors(model: PhaseModel, batches: Iterable[int]) -> FloatArray:
        return np.array(
            [_ratio(model, tp, base_tp, batch) / _measured_ratio(token, tp, base_tp, batch) - 1 for batch in batches]
        )

    def held_out(batch: int) -> FloatArray:
        rest = token[token["batch"] != batch]
        return errors(transfer_decode(model, tp, replace(points, token=rest)), [batch])

    return Comparison(
        quantity=f"decode step, TP{tp} over TP{points.options.base_tp}",
        reference=SPLITWISE,
        errors=errors(model, batches),
        held_out=np.concatenate([held_out(batch) for batch in batches]),
        held_out_by=BATCH_SIZE,
    )


def compare_clock(model: PhaseModel, points: ReferencePoints) -> tuple[Comparison, Comparison]:
    """Compare how decode time and how power go with the clock."""
    times = points.clock[points.clock["quantity"] == "decode_time"]
    of_time = [decode_exponent(model, points.options.base_tp, r.tokens) - r.exponent for r in rows(times)]
    quantities = (f"decode by clock, TP{points.options.base_tp}", f"power by clock, TP{points.options.base_tp}")
    errors = (np.array(of_time), exponent_errors(model, points.clock, points.options))
    first, second = (
        Comparison(quantity=q, reference=L20, errors=e, held_out=_NOTHING, measure="difference")
        for q, e in zip(quantities, errors, strict=True)
    )
    return first, second


def compare_token(model: PhaseModel, tp: int, points: ReferencePoints) -> Comparison:
    """Compare the decode step on one degree with the engine of 2023, where it was fitted to it; held out by batch."""
    used = points.token[points.token["tp"] == tp]

    def errors(model: PhaseModel, points: pd.DataFrame) -> FloatArray:
        steps = [decode_step_s(model, tp, r.batch, TOKEN_CONTEXT_TOKENS) for r in rows(points)]
        errors: FloatArray = np.array(steps) / points["token_time_s"].to_numpy(dtype=np.float64) - 1
        return errors

    def refit(rest: pd.DataFrame) -> PhaseModel:
        return fit_older_decode(model, tp, rest, points.clock, points.options)

    return Comparison(
        quantity=f"decode step, TP{tp}",
        reference=SPLITWISE,
        errors=errors(model, used),
        held_out=_held_out(used, used["batch"], refit, errors),
        held_out_by=BATCH_SIZE,
        target=LATENCY_TARGET,
    )


def compare_sizes(points: ReferencePoints) -> Comparison:
    """Compare the line of the step on one GPU against the size of a model's weights; held out by model."""
    sizes = points.sizes
    smallest = sizes[sizes["batch_limit"] == sizes["batch_limit"].min()]
    errors = [size_errors(own, rest) for own, rest in _splits(smallest, smallest["served_model"])]
    return Comparison(
        quantity="step by size of weights, TP1",
        reference=MLENERGY,
        errors=size_errors(smallest, smallest),
        held_out=np.concatenate(errors),
        held_out_by="served model",
    )


def compare_steps(model: PhaseModel, tp: int, points: ReferencePoints) -> Comparison:
    """Compare the power of prefills and decode steps on one degree; held out by batch."""
    own = points.steps[points.steps["tp"] == tp]

    def refit(rest: pd.DataFrame) -> PhaseModel:
        others = points.steps[points.steps["tp"] != tp]
        return fit_power(model, replace(points, steps=pd.concat([others, rest])))

    return Comparison(
        quantity=f"power of a step, TP{tp}",
        reference=SPLITWISE,
        errors=step_power_errors(model, own),
        held_out=_held_out(own, own["phase"] + own["batch"].astype(str), refit, step_power_errors),
        held_out_by=BATCH_SIZE,
        target=POWER_TARGET,
    )


def compare_carried(model: PhaseModel, source: PhaseModel, points: ReferencePoints) -> Comparison:
    """Compare powers measured here with those of another language model on the same GPU, carried over."""
    return Comparison(
        quantity=f"power of a step, as {source.name}",
        reference=SPLITWISE,
        errors=step_power_errors(carry_power(model, source), points.steps),
        held_out=_NOTHING,
    )


def compare_all(model: PhaseModel, points: ReferencePoints) -> tuple[Comparison, ...]:
    """Make every comparison for which something was measured.

    Parameters
    ----------
    model
        The phase model.
    points
        What was measured; frames without rows are left out.
    """
    options = points.options
    found: list[Comparison] = []
    if not options.prefill_scaled:
        prefilled = [tp for tp in model.tps if len(prefill_points(points.prefill, tp))]
        groupings = (TOKENS_AT_ONCE, PROMPT_SIZE, BATCH_SIZE)
        found += [compare_prefill(model, tp, points, by) for by in groupings for tp in prefilled]
    if len(decode_points(points.serving, options)):
        found += [compare(model, points) for compare in (compare_decode, compare_serving, compare_serving_power)]
        found += [compare_figure(model, points)] if (points.power["tokens"] > 0).any() else []
        found += [compare_halving(points)] if len(points.halved) else []
        found += [compare_sizes(points)] if len(points.sizes) else []
        decoded = sorted(set(points.token["tp"]) & set(model.tps))
        found += [compare_ratio(model, tp, points) for tp in decoded if tp != options.base_tp]
    else:
        found += [compare_token(model, tp, points) for tp in model.tps if (points.token["tp"] == tp).any()]
    found += [compare_steps(model, tp, points) for tp in model.tps if (points.steps["tp"] == tp).any()]
    if options.power_check:
        found.append(compare_carried(model, read_phase_model(options.power_check), points))
    return (*found, *(compare_clock(model, points) if len(points.clock) else ()))


def _ratio(model: PhaseModel, tp: int, base_tp: int, batch: int) -> float:
    own_s, base_s = (decode_step_s(model, t, batch, TOKEN_CONTEXT_TOKENS) for t in (tp, base_tp))
    return own_s / base_s


def _measured_ratio(token: pd.DataFrame, tp: int, base_tp: int, batch: int) -> float:
    own_s = token[token["batch"] == batch].set_index("tp")["token_time_s"]
    return float(own_s[tp] / own_s[base_tp])


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
