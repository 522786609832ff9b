"""Tests of `scripts/derive_weeks.py` and of what it derived, against the raw data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from dynaopt.demand import read_demand
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.tables import Column, read_table

ROOT = Path(__file__).parents[1]
RAW = ROOT.parent / "shared" / "data"
SHIPPED = ROOT / "dynaopt" / "data"
PREFIXES = {"conversation": "conv", "coding": "code"}
LENGTHS = (Column("input_tokens", positive=True), Column("output_tokens", positive=True), Column("weight", minimum=0))

_raw_data = pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")


def _minutes(service: str) -> np.ndarray:
    """Read requests, input tokens and output tokens of every minute, shape (2016, 5, 3)."""
    frame = pd.read_csv(RAW / "azure2024" / "minutes.csv")
    columns = [f"{PREFIXES[service]}_{what}" for what in ("requests", "context_tokens", "generated_tokens")]
    return frame[columns].to_numpy().reshape(2016, 5, 3)


def _sample(service: str) -> np.ndarray:
    frame = pd.read_csv(RAW / "azure2024" / f"lengths_{service}.csv")
    return frame[["input_tokens", "output_tokens"]].to_numpy(float)


def _lengths(service: str) -> pd.DataFrame:
    return read_table(SHIPPED / f"lengths-azure-2024-{service}.csv", LENGTHS)


@pytest.mark.raw_data
@_raw_data
def test_script_gives_the_shipped_files(tmp_path: Path) -> None:
    """Tests that the shipped files are those that the script derives, byte for byte.

    A Parquet file names the version of the library that wrote it, so that another one is held to the contents only.
    """
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "derive_weeks.py"), str(RAW), "--out", str(tmp_path)], check=True
    )
    derived = sorted(path.name for path in tmp_path.iterdir())
    assert derived == sorted(path.name for path in SHIPPED.glob("*azure-2024-*"))
    for name in derived:
        mine, theirs = tmp_path / name, SHIPPED / name
        if name.endswith(".parquet") and pa.__version__ not in pq.read_metadata(theirs).created_by:
            assert_frame_equal(pd.read_parquet(mine), pd.read_parquet(theirs), check_exact=True)
        else:
            assert mine.read_bytes() == theirs.read_bytes(), name


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
def test_requests_of_every_window_are_those_measured(service: str) -> None:
    """Tests that a window's classes add up to its real requests, exactly."""
    rates = read_demand(f"azure-2024-{service}").rates_rps[""]
    assert rates.sum(axis=1) * 300 == pytest.approx(_minutes(service)[:, :, 0].sum(axis=1), abs=1e-9)


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
@pytest.mark.parametrize(("column", "at"), [("input_tokens", 1), ("output_tokens", 2)])
def test_tokens_of_every_window_are_those_measured(service: str, column: str, at: int) -> None:
    """Tests that a window's tokens are within 1e-4 of the real ones: what rounding leaves, where 1 % is asked for."""
    table = read_demand(f"azure-2024-{service}").table
    tokens = (table["rate_rps"] * 300 * table[column]).groupby(table["window_start"]).sum()
    assert tokens.to_numpy() == pytest.approx(_minutes(service)[:, :, at].sum(axis=1), rel=1e-4)


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
def test_peak_factors_are_those_measured(service: str) -> None:
    """Tests that the peak factor is the busiest of five minutes over the mean of the five."""
    minutes = _minutes(service)[:, :, 0]
    peaks = read_demand(f"azure-2024-{service}").peak_factors[""]
    assert peaks == pytest.approx(minutes.max(axis=1) / minutes.mean(axis=1), rel=1e-12)


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
def test_mix_stays_near_the_sample(service: str) -> None:
    """Tests that no class's share of the week leaves the sample's by more than 1.5 points: tilting is slight."""
    sample = _sample(service)
    shares = np.bincount(TABLE_IV.classify(sample[:, 0], sample[:, 1]), minlength=9) / len(sample)
    rates = read_demand(f"azure-2024-{service}").rates_rps[""].sum(axis=0)
    assert rates / rates.sum() == pytest.approx(shares, abs=0.015)
    assert ((rates == 0) == (shares == 0)).all()


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
def test_histogram_has_the_week_s_means(service: str) -> None:
    """Tests that the weights add up to 1 and the means are those of the whole week."""
    cells = _lengths(service)
    requests, *tokens = _minutes(service).sum(axis=(0, 1))
    assert cells["weight"].sum() == pytest.approx(1, abs=1e-12)
    means = cells["weight"] @ cells[["input_tokens", "output_tokens"]]
    assert means.to_numpy() == pytest.approx(np.array(tokens) / requests, rel=1e-6)


@pytest.mark.raw_data
@_raw_data
@pytest.mark.parametrize("service", PREFIXES)
def test_histogram_keeps_the_classes(service: str) -> None:
    """Tests that cells do not straddle cut-points: the mix of the cells is that of the tilted sample."""
    cells = _lengths(service)
    classes = TABLE_IV.classify(cells["input_tokens"], cells["output_tokens"])
    shares = np.bincount(classes, cells["weight"], minlength=len(REQUEST_CLASSES))
    rates = read_demand(f"azure-2024-{service}").rates_rps[""].sum(axis=0)
    # The week tilted as a whole and window by window are not the same, but nearly.
    assert shares == pytest.approx(rates / rates.sum(), abs=0.003)


# Mean, p50, p90, p99 of the full files: AzureLLMInferenceDataset2024, as in ../shared/data/README.md.
@pytest.mark.parametrize(
    ("service", "column", "published", "tolerance"),
    [
        ("conversation", "input_tokens", (1632, 928, 3830, 6683), 0.02),
        ("conversation", "output_tokens", (106, 41, 342, 694), 0.06),
        ("coding", "input_tokens", (2511, 1930, 6251, 7685), 0.02),
        ("coding", "output_tokens", (23, 8, 43, 271), 0.05),
    ],
)
def test_histogram_agrees_with_published_statistics(
    service: str, column: str, published: tuple[float, ...], tolerance: float
) -> None:
    """Tests mean and percentiles of the tilted sample against those of all requests, which it was not made from."""
    cells = _lengths(service).sort_values(column)
    reached = cells["weight"].cumsum().to_numpy()
    values = cells[column].to_numpy()
    percentiles = [values[np.searchsorted(reached, share)] for share in (0.5, 0.9, 0.99)]
    assert [cells["weight"] @ cells[column], *percentiles] == pytest.approx(published, rel=tolerance)
