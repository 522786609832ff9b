"""The measurements that a phase model rests on, as small tables of reference points.

`derive_points` makes them from the raw files (means over repeats); `read_points` reads those that the package ships,
each with its source and licence in its first lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.errors import MissingFileError
from dynaopt.tables import Column, read_table

SHIPPED_POINTS = Path(__file__).parent / "data" / "reference"
MILLISECOND_S = 1e-3
BYTES_PER_PARAMETER = {"bfloat16": 2, "fp8": 1}

_PREFILL = (
    Column("tp", "integer", positive=True),
    Column("prompt_tokens", "integer", positive=True),
    Column("batch", "integer", positive=True),
    Column("repeats", "integer", positive=True),
    Column("prompt_time_s", positive=True),
)
_TOKEN = (
    Column("tp", "integer", positive=True),
    Column("batch", "integer", positive=True),
    Column("repeats", "integer", positive=True),
    Column("token_time_s", positive=True),
)
_SERVING = (
    Column("served_model", "text"),
    Column("tp", "integer", positive=True),
    Column("batch_limit", "integer", positive=True),
    Column("batch", positive=True),
    Column("output_tokens", positive=True),
    Column("step_p50_s", positive=True),
    Column("output_tps", positive=True),
    Column("power_w", positive=True),
)
_HALVED = (
    Column("served_model", "text"),
    Column("batch_limit", "integer", positive=True),
    Column("weights_bytes", positive=True),
    Column("step_tp1_s", positive=True),
    Column("step_tp2_s", positive=True),
)
_POWER = (
    Column("tp", "integer", positive=True),
    Column("tokens", "integer", minimum=0),
    Column("power_w", positive=True),
)
_CLOCK = (
    Column("quantity", "text", choices=("decode_time", "decode_power", "prefill_power")),
    Column("tokens", "integer", positive=True),
    Column("exponent"),
)
FORMATS = {
    "prefill": _PREFILL,
    "token": _TOKEN,
    "serving": _SERVING,
    "halved": _HALVED,
    "power": _POWER,
    "clock": _CLOCK,
}
_DTYPES = {"integer": "int64", "number": "float64", "text": "object"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReferencePoints:
    """Measured points, one frame for each kind; durations in seconds, powers in watts of the whole instance.

    Parameters
    ----------
    prefill
        Time of a prefill: `tp`, `prompt_tokens` of each of `batch` prompts, `repeats`, `prompt_time_s`.
    token
        Time of a decode step by an engine of 2023: `tp`, `batch`, `repeats`, `token_time_s`.
    serving
        A server kept full with `batch` sequences: `served_model`, `tp`, `batch_limit`, `batch`, mean `output_tokens`
        of a request, `step_p50_s` (median time between tokens), `output_tps` (tokens/s), `power_w`.
    halved
        Median step of models with `weights_bytes` on one GPU and on two, at the same batch.
    power
        Power against the `tokens` processed in parallel; 0 for a loaded instance that is idle.
    clock
        `exponent` with which a quantity goes with the clock; `tokens` is the batch of a decode step or the length of a
        prompt.
    """

    prefill: pd.DataFrame
    token: pd.DataFrame
    serving: pd.DataFrame
    halved: pd.DataFrame
    power: pd.DataFrame
    clock: pd.DataFrame


def read_points(folder: str | Path, *, partial: bool = False) -> ReferencePoints:
    """Read reference points.

    Parameters
    ----------
    folder
        Holds ``prefill.csv``, ``token.csv``, ``serving.csv``, ``halved.csv``, ``power.csv`` and ``clock.csv``.
    partial
        Whether files may be missing; what was not measured is then a frame without rows.

    Raises
    ------
    MissingFileError
        If the folder or a file is not there.
    InvalidInputError
        If a cell does not fit its column.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(str(folder), expected="a folder of reference points", found="nothing there")
    frames = {}
    for name in (f.name for f in fields(ReferencePoints)):
        path = folder / f"{name}.csv"
        if partial and not path.is_file():
            frames[name] = pd.DataFrame({c.name: pd.Series(dtype=_DTYPES[c.kind]) for c in FORMATS[name]})
        else:
            frames[name] = read_table(path, FORMATS[name])
    return ReferencePoints(**frames)


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows of a frame as named tuples, whose fields the type checker need not know."""
    return iter(frame.itertuples(index=False))


def derive_points(data: str | Path, reference: str | Path) -> ReferencePoints:
    """Derive the points of Llama2-70B on H100 from the raw files.

    Dropped, since they measured something else: splitwise's prompts at batch 64 on TP2 (six times too fast: the batch
    did not fit into memory). Its H100 powers are all zero and are not read.

    Parameters
    ----------
    data
        Folder with ``splitwise/perf_model.csv`` and ``mlenergy/llm_configurations_flat.csv``.
    reference
        Folder with ``dynamollm_fig3_power.csv``.
    """
    splitwise = _splitwise(Path(data) / "splitwise" / "perf_model.csv")
    mlenergy = pd.read_csv(Path(data) / "mlenergy" / "llm_configurations_flat.csv")
    mlenergy = mlenergy[(mlenergy["gpu_model"] == "H100") & (mlenergy["task"] == "lm-arena-chat")]
    figure = pd.read_csv(Path(reference) / "dynamollm_fig3_power.csv", comment="#")
    power = pd.DataFrame(
        {"tp": 8, "tokens": figure["tokens_in_parallel"], "power_w": figure["power_8gpu_w"].astype(float)}
    )
    return ReferencePoints(
        prefill=_means(splitwise, ["tp", "prompt_tokens", "batch"], "prompt_time"),
        token=_means(splitwise[splitwise["prompt_tokens"] == 512], ["tp", "batch"], "token_time"),
        serving=_serving(mlenergy[mlenergy["model_id"].str.contains("Llama-3.[13]-70B")]),
        halved=_halved(mlenergy[(mlenergy["architecture"] == "Dense Transformer")]),
        power=power,
        clock=_clock_ranges(),
    )


def _splitwise(path: Path) -> pd.DataFrame:
    raw = pd.read_csv(path)
    raw = raw[(raw["hardware"] == "h100-80gb") & (raw["model"] == "llama2-70b")]
    raw = raw.rename(columns={"tensor_parallel": "tp", "prompt_size": "prompt_tokens", "batch_size": "batch"})
    # 128 output tokens was measured at every prompt size and batch; longer outputs only repeat the point of 512 × 1.
    return raw[(raw["token_size"] == 128) & ~((raw["tp"] == 2) & (raw["batch"] == 64))]


def _means(raw: pd.DataFrame, keys: list[str], quantity: str) -> pd.DataFrame:
    means = raw.groupby(keys)[quantity].agg(["size", "mean"]).reset_index()
    means["mean"] = (means["mean"] * MILLISECOND_S).round(7)
    return means.rename(columns={"size": "repeats", "mean": f"{quantity}_s"})


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
    weights = first["total_params_billions"] * 1e9 * first["weight_precision"].map(BYTES_PER_PARAMETER)
    frame = steps.round(7).reset_index()
    frame.columns = pd.Index(["served_model", "batch_limit", "step_tp1_s", "step_tp2_s"])
    frame.insert(2, "weights_bytes", weights.to_numpy())
    return frame


def _clock_ranges() -> pd.DataFrame:
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
