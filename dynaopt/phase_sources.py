"""Reference points out of the raw files of others: which rows are of what, and what is dropped.

Dropped from splitwise, since they measured something else: batches of 64 on TP2 (six times too fast: they did not fit
into memory), powers of 0 (all of H100), and mean powers at prompts beyond 2,048 tokens, whose sampling missed the work
the more the longer the prompt (at 8,192 it shows an idle GPU on every degree).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from dynaopt.fit_options import FitOptions
from dynaopt.phase_reference import FORMATS, ReferencePoints, no_points
from dynaopt.provenance import Section

MILLISECOND_S = 1e-3
BYTES_PER_PARAMETER = {"bfloat16": 2, "fp8": 1}
LONGEST_MEAN_POWER_PROMPT = 2048
"""Mean powers at longer prompts were sampled beside the work."""
LEAST_PEAK_TOKENS = 2048
"""A prefill of fewer tokens is shorter than the sampling of its power."""
MOST_PEAK_TOKENS = 4096


_DEFAULTS = FitOptions()


class Sources(Section):
    """Which raw rows the points of a phase model are made of.

    Parameters
    ----------
    hardware, language_model
        Rows of ``splitwise/perf_model.csv``; none where empty.
    degree_divisor
        By what splitwise's degrees are divided, where they stand for those of a GPU so many times as fast.
    tdp_w
        Power that its shares are of, in watts; 0 where its powers are not used.
    gpu
        Rows of ``mlenergy/llm_configurations_flat.csv``; none where empty.
    served_models
        Part of the `model_id` of those that are served, as a regular expression; none where empty.
    halved, sizes
        Whether dense models on one GPU and on two, or of several sizes on one, tell how fast weights are read.
    figure, figure_idle
        Whether figure 3 of DynamoLLM is used, or its idle power alone.
    """

    hardware: str = ""
    language_model: str = ""
    degree_divisor: Annotated[int, Field(gt=0)] = 1
    tdp_w: Annotated[float, Field(ge=0)] = 0.0
    gpu: str = ""
    served_models: str = ""
    halved: bool = False
    sizes: bool = False
    figure: bool = False
    figure_idle: bool = False


LLAMA2_ON_H100 = Sources(
    hardware="h100-80gb",
    language_model="llama2-70b",
    gpu="H100",
    served_models="Llama-3.[13]-70B",
    halved=True,
    figure=True,
)


def derive_points(
    data: str | Path,
    reference: str | Path,
    sources: Sources = LLAMA2_ON_H100,
    options: FitOptions = _DEFAULTS,
) -> ReferencePoints:
    """Derive reference points from the raw files.

    Parameters
    ----------
    data
        Folder with ``splitwise/perf_model.csv`` and ``mlenergy/llm_configurations_flat.csv``.
    reference
        Folder with ``dynamollm_fig3_power.csv``.
    sources
        What is used of them; by default all there is of Llama2-70B on H100.
    options
        How the phase model is fitted.
    """
    frames = {name: no_points(name) for name in FORMATS} | {"clock": clock_ranges()}
    if sources.hardware:
        frames |= _splitwise_points(Path(data) / "splitwise" / "perf_model.csv", sources)
    if sources.gpu:
        frames |= _mlenergy_points(
            Path(data) / "mlenergy" / "llm_configurations_flat.csv", sources, options.largest_batch
        )
    if sources.figure or sources.figure_idle:
        frames["power"] = _figure(Path(reference) / "dynamollm_fig3_power.csv", idle_only=not sources.figure)
    return ReferencePoints(**frames, options=options)


def clock_ranges() -> pd.DataFrame:
    """Exponents measured on an L20 over its clocks, as the project's design states them (section 7).

    Ranges over batches up to 64 are read as running from a batch of 8 to one of 64; of a prefill's range the middle.
    """
    exponents = [
        ("decode_time", 8, -0.07),
        ("decode_time", 64, -0.24),
        ("decode_time", 256, -0.70),
        ("decode_power", 8, 0.20),
        ("decode_power", 64, 0.45),
        ("decode_power", 256, 0.55),
        ("prefill_power", 2048, 0.675),
    ]
    return pd.DataFrame(exponents, columns=["quantity", "tokens", "exponent"])


def _splitwise_points(path: Path, sources: Sources) -> dict[str, pd.DataFrame]:
    raw = pd.read_csv(path)
    raw = raw[(raw["hardware"] == sources.hardware) & (raw["model"] == sources.language_model)]
    raw = raw.rename(columns={"tensor_parallel": "tp", "prompt_size": "prompt_tokens", "batch_size": "batch"})
    # 128 output tokens was measured at every prompt size and batch; longer outputs only repeat the point of 512 × 1.
    raw = raw[(raw["token_size"] == 128) & ~((raw["tp"] == 2) & (raw["batch"] == 64))]
    raw = raw.assign(tp=raw["tp"] // sources.degree_divisor)
    frames = {
        "prefill": _means(raw, ["tp", "prompt_tokens", "batch"], "prompt_time"),
        "token": _means(raw[raw["prompt_tokens"] == 512], ["tp", "batch"], "token_time"),
    }
    if sources.tdp_w:
        frames["steps"] = _step_powers(raw[raw["average_power"] > 0], sources.tdp_w)
    return frames


def _means(raw: pd.DataFrame, keys: list[str], quantity: str) -> pd.DataFrame:
    means = raw.groupby(keys)[quantity].agg(["size", "mean"]).reset_index()
    means["mean"] = (means["mean"] * MILLISECOND_S).round(7)
    return means.rename(columns={"size": "repeats", "mean": f"{quantity}_s"})


def _step_powers(raw: pd.DataFrame, tdp_w: float) -> pd.DataFrame:
    """Return powers of decode steps and of prefills: shares of `tdp_w` of each GPU.

    The mean over a run is read as that of its decode steps: it does not rise with the prompt, as it would if the
    prefill counted. The peak is that of the prefill; a sample above the limit is the limit.
    """
    tokens = raw["prompt_tokens"] * raw["batch"]
    decode = raw[raw["prompt_tokens"] <= LONGEST_MEAN_POWER_PROMPT].assign(phase="decode", share=raw["average_power"])
    is_peak = tokens.between(LEAST_PEAK_TOKENS, MOST_PEAK_TOKENS)
    prefill = raw[is_peak].assign(phase="prefill", share=raw["peak_power"].clip(upper=1.0))
    keys = ["tp", "phase", "prompt_tokens", "batch"]
    means = pd.concat([decode, prefill]).groupby(keys)["share"].agg(["size", "mean"]).reset_index()
    means["power_w"] = (means["mean"] * tdp_w * means["tp"]).round(1)
    return means.rename(columns={"size": "repeats"}).drop(columns="mean")


def _mlenergy_points(path: Path, sources: Sources, largest_batch: int) -> dict[str, pd.DataFrame]:
    raw = pd.read_csv(path)
    raw = raw[(raw["gpu_model"] == sources.gpu) & (raw["task"] == "lm-arena-chat")]
    dense = raw[raw["architecture"] == "Dense Transformer"]
    frames = {}
    if sources.served_models:
        served = raw["model_id"].str.contains(sources.served_models) & (raw["max_num_seqs"] <= largest_batch)
        frames["serving"] = _serving(raw[served])
    if sources.halved:
        frames["halved"] = _halved(dense)
    if sources.sizes:
        frames["sizes"] = _sizes(dense)
    return frames


def _serving(raw: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "served_model": raw["nickname"],
            "tp": raw["tensor_parallel"],
            "batch_limit": raw["max_num_seqs"],
            "batch": raw["avg_batch_size"].round(3),
            "output_tokens": raw["avg_output_len"].round(2),
            "step_p50_s": (raw["median_itl_ms"] * MILLISECOND_S).round(7),
            "output_tps": raw["output_throughput_tokens_per_sec"].round(2),
            "power_w": raw["avg_power_watts"].round(1),
        }
    )
    return frame.sort_values(["served_model", "batch_limit"], ignore_index=True)


def _halved(raw: pd.DataFrame) -> pd.DataFrame:
    """Pair runs of a model on one GPU with those on two, at batches small enough that reading weights dominates."""
    raw = raw[(raw["max_num_seqs"] <= 16) & (raw["num_gpus"] == raw["tensor_parallel"])]
    steps = raw.pivot_table(index=["nickname", "max_num_seqs"], columns="tensor_parallel", values="median_itl_ms")
    steps = steps[[1, 2]].dropna() * MILLISECOND_S
    first = raw.groupby("nickname").first().loc[steps.index.get_level_values(0)]
    frame = steps.round(7).reset_index()
    frame.columns = pd.Index(["served_model", "batch_limit", "step_tp1_s", "step_tp2_s"])
    frame.insert(2, "weights_bytes", _weights_bytes(first).to_numpy())
    return frame


def _sizes(raw: pd.DataFrame) -> pd.DataFrame:
    """Return steps of models on one GPU, at batches small enough that reading weights dominates."""
    raw = raw[(raw["max_num_seqs"] <= 16) & (raw["num_gpus"] == 1)]
    frame = pd.DataFrame(
        {
            "served_model": raw["nickname"],
            "batch_limit": raw["max_num_seqs"],
            "weights_bytes": _weights_bytes(raw),
            "step_s": (raw["median_itl_ms"] * MILLISECOND_S).round(7),
        }
    )
    return frame.sort_values(["weights_bytes", "served_model", "batch_limit"], ignore_index=True)


def _weights_bytes(raw: pd.DataFrame) -> pd.Series:
    return raw["total_params_billions"] * 1e9 * raw["weight_precision"].map(BYTES_PER_PARAMETER)


def _figure(path: Path, *, idle_only: bool) -> pd.DataFrame:
    figure = pd.read_csv(path, comment="#")
    frame = pd.DataFrame(
        {"tp": 8, "tokens": figure["tokens_in_parallel"], "power_w": figure["power_8gpu_w"].astype(float)}
    )
    return frame[frame["tokens"] == 0] if idle_only else frame
