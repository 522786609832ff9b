"""Tell which assumption makes the shipped profile differ from DynamoLLM's table I.

    python scripts/table1_assumptions.py [--lengths-2023 ../shared/data/azure2023] [--cells FILE] [--only NAME]…

simulates the table's 108 cells under each of `assumptions`, one difference from the profile at a time and then some
together, and prints the table that stands in `docs/profiles.md`. Half a minute for each on one core. The same input
gives the same output.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.lengths import SERVICE_REQUESTS, Lengths, merged, service_lengths
from dynaopt.paper_cells import Assumption, simulate_cells
from dynaopt.paper_table import agreement, read_paper_table
from dynaopt.phase_fit import launch_factor, token_line, with_latency, with_launch_scaled
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.phase_predict import decode_step_s
from dynaopt.phase_reference import SHIPPED_POINTS, read_points
from dynaopt.profile_build import read_build_spec
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo

NAME = "llama2-70b-h100"
LONGEST_CONTEXT_TOKENS = 4096
LONG_OUTPUT_TOKENS = 350
LARGEST_BATCH_2023 = 32


def assumptions(model: PhaseModel, cut_points: CutPoints, lengths_2023: Path | None) -> Iterator[Assumption]:
    """Yield what the cells are simulated with: first as the profile has it, then what may be otherwise.

    Parameters
    ----------
    model
        The shipped phase model.
    cut_points
        Where classes are cut.
    lengths_2023
        Folder with ``code.csv`` and ``conv.csv`` of the Azure trace of 2023; None to leave its lengths out.
    """
    budgets = read_build_spec(NAME).token_budgets
    lengths = merged([service_lengths(s) for s in SERVICE_REQUESTS])
    base = Assumption(name="as the profile has it", model=model, lengths=lengths, token_budgets=budgets)
    yield base
    tight, slow = less_memory(model), older_launch(model)
    yield replace(base, name="80 GB a GPU, 70e9 parameters", model=tight)
    yield replace(base, name="prefill overhead of 2023", model=slow)
    yield replace(base, name="no prefill overhead", model=all_degrees(model, launch_s=0.0))
    yield replace(base, name="kink counted from the prompt's start", model=context_kink(model))
    yield replace(base, name="TP2's decode by the ratio of 2023", model=older_ratio(model))
    yield replace(base, name="all decode steps of 2023", model=older_decode(model))
    yield replace(base, name="token budget of 512 everywhere", token_budgets=(512,))
    yield replace(base, name="token budget of 2,048 everywhere", token_budgets=(2048,))
    yield replace(base, name="TBT bound on the mean gap", bounds_mean_gap=True)
    if lengths_2023 is not None:
        yield replace(base, name="lengths of 2023", lengths=read_lengths_2023(lengths_2023))
    yield replace(base, name="inputs up to 4,096 tokens", lengths=capped(lengths, LONGEST_CONTEXT_TOKENS, None))
    yield replace(base, name="outputs up to 350 tokens", lengths=capped(lengths, None, LONG_OUTPUT_TOKENS))
    yield replace(base, name="every request its class's mean", lengths=means(lengths, cut_points))
    yield replace(base, name="no idle power", model=powers(model, no_model_gpu_w=0.0, idle_gpu_w=0.0))
    yield replace(
        base, name="idle power whatever the clock", model=powers(model, no_model_gpu_w=model.power.idle_gpu_w)
    )
    all_clock = powers(model, memory_clock_share=1.0, compute_clock_share=1.0)
    yield replace(base, name="all power follows the clock", model=all_clock)
    yield replace(base, name="memory of 80 GB, overhead of 2023", model=less_memory(slow))
    yield replace(base, name="the same; input tokens alone", model=less_memory(slow), counts_output=False)
    yield replace(base, name="input tokens alone", counts_output=False)


def less_memory(model: PhaseModel) -> PhaseModel:
    """Count a GPU's memory as 80e9 bytes and the weights as 70e9 parameters of 2 bytes."""
    memory = model.memory.model_copy(update={"gpu_memory_bytes": 80e9, "weights_bytes": 2 * 70e9})
    return model.model_copy(update={"memory": memory})


def older_launch(model: PhaseModel) -> PhaseModel:
    """Let an iteration with prompts cost what it did when the prefills were measured."""
    points = read_points(SHIPPED_POINTS / NAME)
    for tp in model.tps:
        model = with_launch_scaled(model, tp, 1 / launch_factor(model, tp, points))
    return model


def context_kink(model: PhaseModel) -> PhaseModel:
    """Count the tokens of the kink from the start of the prompt, so that chunks of a long one have it too."""
    return all_degrees(model, late_context_share=1.0)


def older_ratio(model: PhaseModel) -> PhaseModel:
    """Let TP2's decode step exceed TP4's by the ratio that the engine of 2023 had."""
    token = read_points(SHIPPED_POINTS / NAME).token
    _, intercept = token_line(token, 2) / token_line(token, 4)
    return with_latency(model, 2, memory_base_s=model.latency[4].memory_base_s * float(intercept))


def older_decode(model: PhaseModel) -> PhaseModel:
    """Stretch the base of each degree's decode step, and what it grows by, to those of the engine of 2023."""
    token = read_points(SHIPPED_POINTS / NAME).token
    for tp in model.tps:
        slope_s, base_s = map(float, token_line(token, tp))
        first_s, last_s = (decode_step_s(model, tp, batch, 576) for batch in (1, LARGEST_BATCH_2023))
        base = (base_s + slope_s) / first_s
        growth = slope_s * (LARGEST_BATCH_2023 - 1) / (last_s - first_s)
        own = model.latency[tp]
        model = with_latency(
            model,
            tp,
            memory_base_s=own.memory_base_s * base,
            compute_base_s=own.compute_base_s * base,
            memory_per_sequence_s=own.memory_per_sequence_s * growth,
            compute_per_sequence_s=own.compute_per_sequence_s * growth,
        )
    return model


def all_degrees(model: PhaseModel, **coefficients: float) -> PhaseModel:
    """Replace durations of every degree."""
    for tp in model.tps:
        model = with_latency(model, tp, **coefficients)
    return model


def powers(model: PhaseModel, **coefficients: float) -> PhaseModel:
    """Replace powers."""
    return model.model_copy(update={"power": model.power.model_copy(update=coefficients)})


def capped(lengths: Lengths, input_tokens: int | None, output_tokens: int | None) -> Lengths:
    """Cut inputs or outputs off."""
    inputs, outputs = lengths.input_tokens, lengths.output_tokens
    return Lengths(
        inputs if input_tokens is None else np.minimum(inputs, input_tokens),
        outputs if output_tokens is None else np.minimum(outputs, output_tokens),
        lengths.weight,
    )


def means(lengths: Lengths, cut_points: CutPoints) -> Lengths:
    """Give every request of a class the mean lengths of the class."""
    own = [lengths.of_class(c, cut_points) for c in REQUEST_CLASSES]
    tokens = [[np.average(n, weights=part.weight) for n in (part.input_tokens, part.output_tokens)] for part in own]
    inputs, outputs = np.rint(tokens).astype(np.int64).T
    return Lengths(inputs, outputs, np.array([part.weight.sum() for part in own]))


def read_lengths_2023(folder: Path) -> Lengths:
    """Read the lengths of the Azure trace of 2023, inputs up to the longest that Table IV knows."""
    frame = pd.concat([pd.read_csv(folder / f"{name}.csv") for name in ("code", "conv")])
    frame = frame[frame["GeneratedTokens"] > 0]
    lengths = Lengths(
        frame["ContextTokens"].to_numpy(np.int64), frame["GeneratedTokens"].to_numpy(np.int64), np.ones(len(frame))
    )
    return capped(lengths, 8192, None)


def row_of(assumption: Assumption, cells: pd.DataFrame) -> str:
    """Return a row of the documentation's table."""
    request, service = (agreement(cells, energy) for energy in ("request_j", "service_j"))
    more = int((cells["kept"] & ~cells["meets_slo"]).sum())
    fewer = int((cells["meets_slo"] & ~cells["kept"]).sum())
    texts = [
        assumption.name,
        f"{request['cells']}",
        f"{more}",
        f"{fewer}",
        f"{request['cheapest_tp']}, {request['cheapest_common_tp']}",
        f"{service['cheapest_tp']}, {service['cheapest_common_tp']}",
        f"{request['cheapest_clock']}, {service['cheapest_clock']} of {request['num_degrees']}",
        f"{request['rank_correlation']:.2f}",
        f"{service['rank_correlation']:.2f}",
    ]
    return "| " + " | ".join(texts) + " |"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths-2023", type=Path, help="folder with the Azure trace of 2023")
    parser.add_argument("--cells", type=Path, help="CSV file for every cell of every assumption")
    parser.add_argument("--only", action="append", help="name of an assumption; may be given more than once")
    options = parser.parse_args()
    table, cut_points = read_paper_table(SHIPPED_POINTS / NAME), read_build_spec(NAME).cut_points
    parts = []
    for assumption in assumptions(read_phase_model(NAME), cut_points, options.lengths_2023):
        if options.only and assumption.name not in options.only:
            continue
        cells = simulate_cells(assumption, table, Slo.table_iv(), cut_points)
        parts.append(cells.assign(assumption=assumption.name))
        print(row_of(assumption, cells), flush=True)
    if options.cells:
        pd.concat(parts).to_csv(options.cells, index=False)


if __name__ == "__main__":
    main()
