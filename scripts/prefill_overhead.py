"""Tell what an iteration with prompts costs an engine of 2025 beyond reading and computing, on TP4.

    python scripts/prefill_overhead.py ../shared/data/mlenergy/llm_configurations_flat.csv

The shipped model takes `launch_s` from an engine of 2023. ML.ENERGY gives percentiles of the time between tokens of
full servers, of which the upper ones are iterations that take in prompts. Their lengths are not published: here they
are taken as lognormal, and median, spread and overhead are fitted together to the percentiles over the median and to
the mean iteration, at batches of 8 to 128. Prints, for given overheads and for the best, the prompts inferred and the
error.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit
from scipy.optimize import minimize

from dynaopt.phase_fit import chat_context_tokens, with_latency
from dynaopt.phase_model import PhaseModel, iteration, read_phase_model
from dynaopt.phase_reference import rows

FloatArray = npt.NDArray[np.float64]

NAME = "llama2-70b-h100"
TP = 4
LARGEST_BATCH = 128
LONGEST_PROMPT = 8000.0
NUM_ITERATIONS = 20_000
OVERHEADS_MS = (0.0, 3.0, 6.7, 11.4, 20.0)
QUANTILES = {"p90_itl_ms": 0.90, "p95_itl_ms": 0.95, "p99_itl_ms": 0.99}
# A percentile tells of prompts where no more than this share of the iterations with prompts lies above it.
_LARGEST_SHARE = 0.9
_MEAN_WEIGHT = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """One full server: what was measured, and one draw of prompts for each iteration that all candidates share."""

    batch: float
    output_tokens: float
    over_median: dict[str, float]
    num_prompts: npt.NDArray[np.int64]
    normal: FloatArray


def read_servers(path: Path, seed: int = 0) -> list[Server]:
    """Read Llama-3.1-70B and 3.3-70B on H100 at batches up to 128."""
    frame = pd.read_csv(path)
    is_own = frame["model_id"].str.contains("Llama-3.[13]-70B") & (frame["gpu_model"] == "H100")
    rng = np.random.default_rng(seed)
    servers = []
    for row in rows(frame[is_own & (frame["max_num_seqs"] <= LARGEST_BATCH)]):
        num_prompts = rng.poisson(row.avg_batch_size / row.avg_output_len, NUM_ITERATIONS)
        over = {name: getattr(row, name) / row.median_itl_ms for name in QUANTILES}
        over["mean"] = row.avg_batch_size / row.output_throughput_tokens_per_sec * 1e3 / row.median_itl_ms
        normal = rng.standard_normal(int(num_prompts.sum()))
        servers.append(Server(row.avg_batch_size, row.avg_output_len, over, num_prompts, normal))
    return servers


@njit  # type: ignore[untyped-decorator]
def durations_s(coefficients: FloatArray, prompt_tokens: FloatArray, batch: float, context_tokens: float) -> FloatArray:
    """Return the duration of iterations that take in so many prompt tokens each, in seconds."""
    durations = np.empty(len(prompt_tokens))
    for i, tokens in enumerate(prompt_tokens):
        durations[i] = iteration(coefficients, tokens, tokens / 2, batch, context_tokens)[0]
    return durations


def errors(
    model: PhaseModel, servers: list[Server], median_tokens: float, spread: float, overhead_ms: float
) -> FloatArray:
    """Return logarithmic errors of percentiles and means over the medians, of all servers."""
    coefficients = with_latency(model, TP, launch_s=overhead_ms / 1e3).coefficients(TP, model.max_frequency_mhz)
    mean_tokens = median_tokens * np.exp(min(spread, 3.0) ** 2 / 2)
    found = []
    for server in servers:
        lengths = np.minimum(median_tokens * np.exp(spread * server.normal), LONGEST_PROMPT)
        of_iteration = np.repeat(np.arange(NUM_ITERATIONS), server.num_prompts)
        tokens = np.bincount(of_iteration, lengths, minlength=NUM_ITERATIONS)
        context = server.batch * chat_context_tokens(server.output_tokens, mean_tokens)
        steps_s = durations_s(coefficients, tokens, server.batch, context)
        median_s = float(np.median(steps_s))
        share = float((server.num_prompts > 0).mean())
        found += [
            np.log(np.quantile(steps_s, q) / median_s / server.over_median[name])
            for name, q in QUANTILES.items()
            if 1 - q < _LARGEST_SHARE * share
        ]
        found.append(_MEAN_WEIGHT * np.log(steps_s.mean() / median_s / server.over_median["mean"]))
    return np.array(found)


def fit(model: PhaseModel, servers: list[Server], overhead_ms: float | None) -> tuple[float, float, float, float]:
    """Return median and spread of the prompts and the overhead in milliseconds that fit best, and the RMS error."""

    def values(x: FloatArray) -> tuple[float, float, float]:
        return float(np.exp(x[0])), abs(float(x[1])), abs(float(x[2])) if overhead_ms is None else overhead_ms

    def cost(x: FloatArray) -> float:
        return float((errors(model, servers, *values(x)) ** 2).mean())

    guess = [4.3, 1.4, 4.0] if overhead_ms is None else [4.3, 1.4]
    best = minimize(cost, guess, method="Nelder-Mead", options={"maxiter": 150, "xatol": 0.01, "fatol": 1e-6})
    return (*values(best.x), float(np.sqrt(best.fun)))


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mlenergy", type=Path)
    servers, model = read_servers(parser.parse_args().mlenergy), read_phase_model(NAME)
    print("| overhead, ms | median prompt | mean prompt | RMS error |\n|---|---|---|---|")
    for overhead_ms in (*OVERHEADS_MS, None):
        median_tokens, spread, found_ms, rms = fit(model, servers, overhead_ms)
        name = f"{found_ms:.1f}" + (" (best)" if overhead_ms is None else "")
        print(f"| {name} | {median_tokens:.0f} | {median_tokens * np.exp(spread**2 / 2):.0f} | {rms:.1%} |", flush=True)


if __name__ == "__main__":
    main()
