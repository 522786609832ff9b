"""Measure how bursty the Azure LLM inference traces are inside a minute, and whether lengths come in runs.

    python scripts/measure_burstiness.py ../shared/data

reads `azure2023/conv.csv` and `code.csv` (an hour of each service, request by request) and `azure2024/minutes.csv` (a
week's counts per minute), and prints the figures of `docs/replay.md` and of `dynaopt.burstiness.MEASURED`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.burstiness import bin_statistics, count_statistics, minute_dispersion, minute_law
from dynaopt.synthesis import SynthesisedStream
from dynaopt.trace_stream import open_trace

FILES = {"conversation": ("conv.csv", "conv_requests"), "coding": ("code.csv", "code_requests")}
BINS_S = (0.1, 1.0, 10.0)
LAGS = (1, 10, 50)
NUM_RESAMPLES = 1000
FloatArray = npt.NDArray[np.float64]


def read_hour(path: Path) -> pd.DataFrame:
    """Read a trace of 2023: `arrival_s` since the minute of the first request, and both lengths."""
    stream = open_trace(path)
    span_s = (stream.last - stream.start).total_seconds() + 1
    part = next(stream.parts(pd.DatetimeIndex([stream.start]), span_s))
    return pd.DataFrame(part._asdict())[["arrival_s", "input_tokens", "output_tokens"]]


def counts(arrival_s: FloatArray, bin_s: float) -> npt.NDArray[np.int64]:
    """Count requests per bin of each minute but the first and the last, shape (minutes, bins)."""
    per_minute = round(60 / bin_s)
    first, last = int(arrival_s[0] // 60) + 1, int(arrival_s[-1] // 60)
    at = np.floor(arrival_s / bin_s).astype(np.int64) - first * per_minute
    num_bins = (last - first) * per_minute
    return np.bincount(at[(at >= 0) & (at < num_bins)], minlength=num_bins).reshape(-1, per_minute)


def interval(table: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return a 95 % interval of the index of dispersion, minutes resampled."""
    rng = np.random.default_rng(0)
    draws = [count_statistics(table[rng.integers(0, len(table), len(table))]).dispersion for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def autocorrelation(hour: pd.DataFrame, column: str) -> list[float]:
    """Return the correlation of a request's length (log) with those of later ones, means of 5 min taken out."""
    logs = np.log(hour[column].astype(float))
    own = logs - logs.groupby(hour["arrival_s"] // 300).transform("mean")
    scaled = (own / own.std()).to_numpy()
    return [float(np.mean(scaled[:-lag] * scaled[lag:])) for lag in LAGS]


def print_service(data: Path, service: str) -> None:
    """Print what is measured of one service."""
    file, column = FILES[service]
    hour = read_hour(data / "azure2023" / file)
    arrival_s = hour["arrival_s"].to_numpy()
    print(f"{service}: {len(hour):,} requests in 2023")
    for bin_s in BINS_S:
        found = bin_statistics(arrival_s, bin_s)
        low, high = interval(counts(arrival_s, bin_s))
        print(
            f"  {bin_s:4g} s: dispersion {found.dispersion:.3f} ({low:.2f} to {high:.2f}), "
            f"clustering {found.clustering:.3g}"
        )
    per_minute = counts(arrival_s, 60.0).ravel()
    print(f"  between minutes, 2023: dispersion {minute_dispersion(per_minute):.2f}, {per_minute.mean():.0f} a minute")
    week = pd.read_csv(data / "azure2024" / "minutes.csv")[column].to_numpy()
    print(f"  between minutes, 2024: dispersion {minute_dispersion(week):.2f}, {week.mean():.0f} a minute")
    at_1000, exponent = minute_law(week)
    print(f"    by traffic: {at_1000:.2f} at 1,000 a minute, growing with its power {exponent:.3f}")
    for column in ("input_tokens", "output_tokens"):
        values = ", ".join(f"{value:.3f}" for value in autocorrelation(hour, column))
        print(f"  correlation of {column} with those {', '.join(map(str, LAGS))} requests later: {values}")
    stream = SynthesisedStream(service)
    sample = stream.parts(pd.date_range(stream.start, periods=168, freq="h"), 300.0)
    drawn = np.concatenate([counts(part.arrival_s, 1.0) for part in sample])
    print(f"  synthesised, 3 min of each hour of 2024: dispersion {count_statistics(drawn).dispersion:.2f} at 1 s")


def main() -> None:
    """Measure both services."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds azure2023/ and azure2024/")
    options = parser.parse_args()
    for service in FILES:
        print_service(options.data, service)


if __name__ == "__main__":
    main()
