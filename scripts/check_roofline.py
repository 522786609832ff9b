"""Compare phase models scaled from others (`dynaopt profile build --config`) with what was measured.

    python scripts/check_roofline.py ../shared/data

prints how far models scaled to Llama2-70B on H100 lie from the one fitted to it, by the fitted model that they are
scaled from; and how far those of other language models lie from ML.ENERGY's measurements, which no fit has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.gpu_table import find_gpu
from dynaopt.model_config import read_shape
from dynaopt.phase_fit import CHAT_PROMPT_TOKENS, chat_context_tokens
from dynaopt.phase_model import PhaseModel, iteration
from dynaopt.phase_predict import decode_step_s, prompt_time_s, serving
from dynaopt.roofline import Reference, roofline_model

CONFIGS = Path(__file__).parents[1] / "tests" / "data" / "configs"
KNOWN = "llama2-70b-h100"
SOURCES = (KNOWN, "llama-3.1-70b-b200", "llama2-70b-a100", "bloom-176b-h100")
LARGEST_BATCH = 256
GPUS = {"H100": "H100-SXM-80GB", "B200": "B200-SXM"}
DTYPES = {"bfloat16": "bf16", "fp8": "fp8"}
MODELS = {
    "Llama-3.1-8B": "llama-3.1-8b",
    "Llama-3.1-405B": "llama-3.1-405b",
    "Qwen3-8B": "qwen3-8b",
    "Qwen3-14B": "qwen3-14b",
    "Qwen3-32B": "qwen3-32b",
    "Qwen3-30B-A3B": "qwen3-30b-a3b",
    "Qwen3-235B-A22B": "qwen3-235b-a22b",
}
CONTEXT_TOKENS = 500.0


def scaled_to_known() -> pd.DataFrame:
    """Return mean absolute errors of models scaled to Llama2-70B on H100, over its degrees."""
    known = Reference.shipped(KNOWN)
    rows = []
    for source in SOURCES:
        found = roofline_model(known.shape, known.gpu, name="x", model="x", reference=Reference.shipped(source))
        errors = [_against(found, known.model, tp) for tp in known.model.tps]
        rows.append({"scaled from": source, **pd.DataFrame(errors).mean().to_dict()})
    return pd.DataFrame(rows)


def _against(found: PhaseModel, known: PhaseModel, tp: int) -> dict[str, float]:
    def error(values: Iterator[tuple[float, float]]) -> float:
        return float(np.mean([abs(a / b - 1) for a, b in values]))

    batches, prompts = (1, 8, 64, 256), (512, 2048, 8192)
    work = [*((0.0, 0.0, float(b), b * CONTEXT_TOKENS) for b in batches), (2048.0, 1024.0, 0.0, 0.0)]
    first, second = (m.coefficients(tp, m.max_frequency_mhz) for m in (found, known))
    return {
        "decode": error(_steps(found, known, tp, batch) for batch in batches),
        "prefill": error((prompt_time_s(found, tp, n), prompt_time_s(known, tp, n)) for n in prompts),
        "power": error((iteration(first, *w)[1], iteration(second, *w)[1]) for w in work),
    }


def _steps(found: PhaseModel, known: PhaseModel, tp: int, batch: int) -> tuple[float, float]:
    return decode_step_s(found, tp, batch, CONTEXT_TOKENS), decode_step_s(known, tp, batch, CONTEXT_TOKENS)


def unseen(path: Path) -> pd.DataFrame:
    """Return errors against full servers of other language models, up to batch 256."""
    raw = pd.read_csv(path)
    raw = raw[(raw["task"] == "lm-arena-chat") & (raw["max_num_seqs"] <= LARGEST_BATCH)]
    raw["short"] = raw["model_id"].str.extract(r"/(Llama-3.1-\d+B|Qwen3-[\dBA-]+B)(?:-|$)", expand=False)
    rows = []
    for (short, gpu, gpus, precision), own in raw.groupby(["short", "gpu_model", "num_gpus", "weight_precision"]):
        if short not in MODELS:
            continue
        shape = read_shape(CONFIGS / f"{MODELS[short]}.json")
        model = roofline_model(shape, find_gpu(GPUS[gpu]), name="x", model="x", dtype=DTYPES[precision])
        if gpus in model.tps:
            what = {"model": short, "GPU": gpu, "GPUs": gpus, "dtype": DTYPES[precision]}
            rows.append(what | _errors(model, gpus, own))
    return pd.DataFrame(rows)


def _errors(model: PhaseModel, tp: int, own: pd.DataFrame) -> dict[str, float]:
    steps, powers = [], []
    for row in own.sort_values("max_num_seqs").itertuples():
        context = chat_context_tokens(row.avg_output_len)
        steps.append(decode_step_s(model, tp, row.avg_batch_size, context) / (row.median_itl_ms / 1e3) - 1)
        power_w = serving(model, tp, row.avg_batch_size, row.avg_output_len, CHAT_PROMPT_TOKENS, context)[1]
        powers.append(power_w / row.avg_power_watts - 1)
    return {
        "decode": float(np.abs(steps).mean()),
        "from": steps[0],
        "to": steps[-1],
        "power": float(np.abs(powers).mean()),
    }


def main() -> None:
    """Read the arguments and print both tables."""
    parser = argparse.ArgumentParser(description="Compare scaled phase models with measurements.")
    parser.add_argument("data", type=Path, help="folder with mlenergy/")
    options = parser.parse_args()
    for table in (scaled_to_known(), unseen(options.data / "mlenergy" / "llm_configurations_flat.csv")):
        print(table.to_string(index=False, float_format=lambda x: f"{x:.0%}"), end="\n\n")


if __name__ == "__main__":
    main()
