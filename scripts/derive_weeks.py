"""Derive the shipped weeks, minutes and length histograms from the Azure LLM inference trace 2024.

    python scripts/derive_weeks.py ../shared/data [--out dynaopt/data]

reads `azure2024/minutes.csv` (requests and tokens of every minute) and `azure2024/lengths_*.csv` (a sample of lengths)
and writes, for both services, `azure-2024-*.parquet` (the demand table), `minutes-azure-2024-*.parquet` (requests of
every minute) and `lengths-azure-2024-*.csv` (the joint histogram of lengths of the whole week).
`dynaopt/data/README.md` says what is measured in them and what is inferred.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.demand import Demand, write_demand
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.tables import write_table
from dynaopt.tilting import tilt

WINDOW_MINUTES = 5
WINDOW_S = 60 * WINDOW_MINUTES
PARTS_PER_REQUEST = 1000
"""Expected counts are kept in thousandths of a request, so that a window's classes add up to a whole number."""
BINS_PER_OCTAVE = 16
"""Bins of the histogram are 4 % wide: percentiles within a class stay within 2 %."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Service:
    """Names of a service's week: ours, the prefix of its columns in `minutes.csv`, and its first day."""

    name: str
    prefix: str
    first_day: str

    @property
    def start(self) -> pd.Timestamp:
        """First moment of the week."""
        return pd.Timestamp(self.first_day, tz="UTC").as_unit("us")


SERVICES = (Service("conversation", "conv", "2024-05-12"), Service("coding", "code", "2024-05-10"))


@dataclass(frozen=True)
class Measured:
    """What was measured of a service.

    Parameters
    ----------
    minutes
        Requests, input tokens and output tokens of every minute, shape (windows, 5, 3).
    lengths
        Input and output tokens of every request of the sample, shape (n, 2).
    """

    minutes: npt.NDArray[np.int64]
    lengths: FloatArray

    @property
    def windows(self) -> npt.NDArray[np.int64]:
        """Requests, input tokens and output tokens of every window, shape (windows, 3)."""
        totals: npt.NDArray[np.int64] = self.minutes.sum(axis=1)
        return totals


def read_measured(folder: Path, service: Service) -> Measured:
    """Read what was measured of a service."""
    minutes = pd.read_csv(folder / "minutes.csv")
    columns = [f"{service.prefix}_{what}" for what in ("requests", "context_tokens", "generated_tokens")]
    sample = pd.read_csv(folder / f"lengths_{service.name}.csv")
    return Measured(
        minutes=minutes[columns].to_numpy(np.int64).reshape(-1, WINDOW_MINUTES, len(columns)),
        lengths=sample[["input_tokens", "output_tokens"]].to_numpy(float),
    )


def share_out(total: int, shares: FloatArray) -> npt.NDArray[np.int64]:
    """Split a whole number by shares that add up to 1, into whole numbers that add up to it (largest remainders)."""
    ideal = total * shares
    parts = np.floor(ideal).astype(np.int64)
    missing = total - int(parts.sum())
    parts[np.argsort(parts - ideal, kind="stable")[:missing]] += 1
    return parts


def window_rows(start: pd.Timestamp, minutes: npt.NDArray[np.int64], lengths: FloatArray) -> pd.DataFrame:
    """Make the rows of one window from its five minutes, shape (5, 3), and the sample."""
    requests, input_tokens, output_tokens = (int(n) for n in minutes.sum(axis=0))
    weights = tilt(lengths, (input_tokens / requests, output_tokens / requests))
    classes = TABLE_IV.classify(lengths[:, 0], lengths[:, 1])
    shares = np.bincount(classes, weights, minlength=len(REQUEST_CLASSES)).astype(float)
    parts = share_out(PARTS_PER_REQUEST * requests, shares)
    kept = parts > 0
    means = [
        np.bincount(classes, weights * of, minlength=len(REQUEST_CLASSES))[kept] / shares[kept] for of in lengths.T
    ]
    return pd.DataFrame(
        {
            "window_start": start,
            "model": "",
            "request_class": np.asarray(REQUEST_CLASSES, dtype=object)[kept],
            "rate_rps": parts[kept] / (PARTS_PER_REQUEST * WINDOW_S),
            "input_tokens": means[0].round(3),
            "output_tokens": means[1].round(3),
            "peak_factor": int(minutes[:, 0].max()) * WINDOW_MINUTES / requests,
        }
    )


def derive_week(service: Service, measured: Measured) -> Demand:
    """Make the demand of a service's week."""
    first = service.start
    rows = [
        window_rows(first + pd.Timedelta(seconds=WINDOW_S * at), minutes, measured.lengths)
        for at, minutes in enumerate(measured.minutes)
    ]
    return Demand(f"azure-2024-{service.name}", float(WINDOW_S), pd.concat(rows, ignore_index=True))


def derive_minutes(service: Service, measured: Measured) -> pd.DataFrame:
    """List the requests of every minute, as they were counted."""
    requests = measured.minutes[:, :, 0].ravel()
    starts = pd.date_range(service.start, periods=len(requests), freq="min", unit="us")
    return pd.DataFrame({"minute_start": starts, "requests": requests})


def derive_lengths(measured: Measured) -> pd.DataFrame:
    """Make the joint histogram of a whole week's lengths: cell means and weights, which add up to 1."""
    requests, input_tokens, output_tokens = measured.windows.sum(axis=0)
    weights = tilt(measured.lengths, (input_tokens / requests, output_tokens / requests))
    cells = np.column_stack(
        [
            _bins(measured.lengths[:, 0], TABLE_IV.input_tokens),
            _bins(measured.lengths[:, 1], TABLE_IV.output_tokens),
        ]
    )
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    weight = np.bincount(cell, weights)
    means = [np.bincount(cell, weights * of) / weight for of in measured.lengths.T]
    billionths = share_out(10**9, weight / weight.sum())
    return pd.DataFrame(
        {"input_tokens": means[0].round(3), "output_tokens": means[1].round(3), "weight": billionths / 1e9}
    )


def _bins(tokens: FloatArray, cut_points: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the number of each length's logarithmic bin; none straddles a cut-point of Table IV."""
    octave: npt.NDArray[np.int64] = np.floor(np.log2(tokens) * BINS_PER_OCTAVE).astype(np.int64)
    size = np.searchsorted(np.asarray(cut_points), tokens, side="left")
    return octave * (len(cut_points) + 1) + size


def main() -> None:
    """Derive all files of both services."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds azure2024/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "dynaopt" / "data")
    options = parser.parse_args()
    for service in SERVICES:
        measured = read_measured(options.data / "azure2024", service)
        demand = derive_week(service, measured)
        write_demand(demand, options.out / f"{demand.name}.parquet")
        write_table(derive_minutes(service, measured), options.out / f"minutes-{demand.name}.parquet")
        write_table(derive_lengths(measured), options.out / f"lengths-{demand.name}.csv")
        print(demand)


if __name__ == "__main__":
    main()
