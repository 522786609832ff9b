"""Tests of `dynaopt.trace`: requests are counted, none is lost, and DuckDB says the same as pandas."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dynaopt.demand import Demand, read_demand, write_demand
from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV, CutPoints
from dynaopt.trace import read_trace, trace_summary

RAW = Path(__file__).parents[2] / "shared" / "data"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
Request = tuple[pd.Timestamp, int, int]

# Three requests in the first minute and one in the third of window 00:00; two in window 00:10; none in 00:05.
SMALL = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-12 00:00:00+00:00,100,10
2024-05-12 00:00:00.5+00:00,200,30
2024-05-12 00:00:59.999999+00:00,3000,400
2024-05-12 00:02:00+00:00,255,99
2024-05-12 00:10:00.004803+00:00,256,100
2024-05-12 00:14:59.99+00:00,1024,350
"""

requests = st.lists(
    st.tuples(
        st.integers(0, 3 * 3600 * 10**6).map(lambda us: pd.Timestamp("2024-05-12T23:00:00Z") + pd.Timedelta(us, "us")),
        st.integers(1, 9000) | st.sampled_from([255, 256, 1023, 1024]),
        st.integers(0, 1500) | st.sampled_from([99, 100, 349, 350]),
    ),
    min_size=1,
    max_size=60,
)


def _write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def _lines(rows: Sequence[Request], stamp: str) -> str:
    """Write requests as the 2024 files do (mixed fractions, zone) or as those of 2023 (seven digits, no zone)."""
    if stamp == "2024":
        times = [str(time) for time, _, _ in rows]
    else:
        times = [f"{time:%Y-%m-%d %H:%M:%S.%f}0" for time, _, _ in rows]
    return "\n".join([HEADER, *(f"{time},{row[1]},{row[2]}" for time, row in zip(times, rows, strict=True))])


def _expected(rows: Sequence[Request], window_s: int, cuts: CutPoints) -> pd.DataFrame:
    """Count with pandas alone, in the plainest way."""
    frame = pd.DataFrame(rows, columns=["time", "i", "o"])
    frame["window_start"] = frame["time"].dt.floor(f"{window_s}s").dt.as_unit("us")
    frame["c"] = cuts.classify(frame["i"], frame["o"])
    frame["minute"] = frame["time"].dt.floor("60s")
    groups = frame.groupby(["window_start", "c"])
    table = groups.agg(n=("i", "size"), input_tokens=("i", "mean"), output_tokens=("o", "mean")).reset_index()
    busiest = frame.groupby(["window_start", "minute"]).size().groupby("window_start").max()
    total = frame.groupby("window_start").size()
    table["peak_factor"] = table["window_start"].map(busiest * (window_s / 60) / total)
    table["rate_rps"] = table["n"] / window_s
    table["model"] = ""
    table["request_class"] = [REQUEST_CLASSES[c] for c in table["c"]]
    names = ["window_start", "model", "request_class", "rate_rps", "input_tokens", "output_tokens", "peak_factor"]
    return table[names]


def test_small_trace_by_hand(tmp_path: Path) -> None:
    """Tests classes at the cut-points (255 and 99 are S), rates of n / 300 s, and 3 / (4 / 5) = 3.75 as peak factor."""
    demand = read_trace(_write(tmp_path, SMALL))
    first = demand.window(0)
    assert first.start == pd.Timestamp("2024-05-12T00:00:00Z")
    assert (first.rate_rps[""] * 300).tolist() == pytest.approx([3, 0, 0, 0, 0, 0, 0, 0, 1])
    assert first.peak_factor[""] == pytest.approx(3.75)
    assert demand.window(1).rate_rps[""].sum() == 0
    assert (demand.window(2).rate_rps[""] * 300).tolist() == pytest.approx([0, 0, 0, 0, 1, 0, 0, 0, 1])
    assert demand.window(2).peak_factor[""] == pytest.approx(2.5)
    ss = demand.table.iloc[0]
    assert ss["input_tokens"] == pytest.approx((100 + 200 + 255) / 3)
    assert ss["output_tokens"] == pytest.approx((10 + 30 + 99) / 3)


@settings(max_examples=40, deadline=None)
@given(
    rows=requests, minutes=st.sampled_from([1, 5, 7, 60]), stamp=st.sampled_from(["2023", "2024"]), cut=st.booleans()
)
def test_any_trace_agrees_with_pandas(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Request], minutes: int, stamp: str, cut: bool
) -> None:
    """Tests that no request is lost or moved, whatever the times, lengths, order, window, cut-points and schema."""
    cuts = CutPoints((1000, 4000), (50, 700)) if cut else TABLE_IV
    path = _write(tmp_path_factory.mktemp("any"), _lines(rows, stamp))
    demand = read_trace(path, window_s=60 * minutes, cut_points=cuts)
    assert round(demand.num_requests) == len(rows)
    # Windows of 7 min begin at multiples since 1970, as pandas floors too.
    assert_frame_equal(demand.table, _expected(rows, 60 * minutes, cuts), check_dtype=False, rtol=1e-12)
    assert (demand.table["peak_factor"] >= 1).all()


@settings(max_examples=20, deadline=None)
@given(rows=requests, seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Request], seed: int
) -> None:
    """Tests that a shuffled trace is the same demand."""
    folder = tmp_path_factory.mktemp("order")
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    one = read_trace(_write(folder, _lines(rows, "2024"), "one.csv"))
    other = read_trace(_write(folder, _lines(shuffled, "2024"), "other.csv"))
    assert_frame_equal(one.table, other.table)


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
@pytest.mark.parametrize("end", ["\n", "", "\r\n", "\n\n"], ids=["lf", "no end", "crlf", "blank line"])
def test_packing_and_line_ends_do_not_matter(tmp_path: Path, name: str, end: str) -> None:
    """Tests plain and packed text, either kind of line end, and a last line with or without one."""
    text = SMALL.rstrip("\n").replace("\n", "\r\n" if end == "\r\n" else "\n") + end
    expected = read_trace(_write(tmp_path, SMALL, "plain.csv"))
    assert_frame_equal(read_trace(_write(tmp_path, text, name)).table, expected.table)


@pytest.mark.parametrize("kind", ["texts", "naive", "zoned", "nanoseconds"])
def test_parquet_gives_the_same(tmp_path: Path, kind: str) -> None:
    """Tests that Parquet files with times as text, without a zone, in a zone, or in nanoseconds are read alike."""
    csv = _write(tmp_path, SMALL)
    frame = pd.read_csv(csv)
    times = pd.to_datetime(frame["TIMESTAMP"], format="ISO8601", utc=True)
    if kind == "naive":
        frame["TIMESTAMP"] = times.dt.tz_localize(None)
    elif kind == "zoned":
        frame["TIMESTAMP"] = times.dt.tz_convert("Asia/Tokyo")
    elif kind == "nanoseconds":
        frame["TIMESTAMP"] = times.dt.tz_localize(None).dt.as_unit("ns")
    frame.to_parquet(tmp_path / "trace.parquet", index=False)
    assert_frame_equal(read_trace(tmp_path / "trace.parquet").table, read_trace(csv).table)


def test_offsets_are_heeded(tmp_path: Path) -> None:
    """Tests that 02:00+02:00, 00:00Z and 00:00 without a zone are the same minute."""
    rows = "2024-05-12 02:00:00+02:00,1,1\n2024-05-12T00:00:01Z,1,1\n2024-05-12 00:00:02,1,1\n"
    demand = read_trace(_write(tmp_path, f"{HEADER}\n{rows}"))
    assert demand.num_windows == 1
    assert demand.starts[0] == pd.Timestamp("2024-05-12T00:00:00Z")


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    """Tests that columns are found by name."""
    rows = [line.split(",") for line in SMALL.splitlines()]
    swapped = "\n".join(f"{o},{t},{i}" for t, i, o in rows)
    expected = read_trace(_write(tmp_path, SMALL, "plain.csv"))
    assert_frame_equal(read_trace(_write(tmp_path, swapped)).table, expected.table)


def test_model_is_named(tmp_path: Path) -> None:
    """Tests that every row carries the model that was given."""
    demand = read_trace(_write(tmp_path, SMALL), model="llama2-70b")
    assert demand.models == ("llama2-70b",)
    assert set(demand.table["model"]) == {"llama2-70b"}


@pytest.mark.parametrize("window_s", [0, -300, 30, 90, float("nan"), float("inf")])
def test_windows_are_whole_minutes(tmp_path: Path, window_s: float) -> None:
    """Tests that a window in which the busiest minute has no meaning is refused."""
    with pytest.raises(InvalidInputError, match="option window_s: expected a whole number of minutes"):
        read_trace(_write(tmp_path, SMALL), window_s=window_s)


def test_unknown_cut_points_are_refused(tmp_path: Path) -> None:
    """Tests that a misspelt word is not taken for the default."""
    with pytest.raises(InvalidInputError, match="'tercile'"):
        read_trace(_write(tmp_path, SMALL), cut_points="tercile")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(rows=requests)
def test_terciles_are_those_of_the_sample(tmp_path_factory: pytest.TempPathFactory, rows: list[Request]) -> None:
    """Tests the pass over the file against NumPy on the lengths; a trace without thirds is refused by both."""
    path = _write(tmp_path_factory.mktemp("terciles"), _lines(rows, "2024"))
    try:
        expected = CutPoints.of_terciles([i for _, i, _ in rows], [o for _, _, o in rows])
    except InvalidInputError:
        with pytest.raises(InvalidInputError, match="cut-points"):
            trace_summary(path, cut_points="terciles")
        return
    assert trace_summary(path, cut_points="terciles").cut_points == expected
    assert_frame_equal(
        read_trace(path, cut_points="terciles").table, _expected(rows, 300, expected), check_dtype=False, rtol=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(rows=requests)
def test_summary_agrees_with_numpy(tmp_path_factory: pytest.TempPathFactory, rows: list[Request]) -> None:
    """Tests count, span, mean, percentiles, maximum and class mix."""
    summary = trace_summary(_write(tmp_path_factory.mktemp("summary"), _lines(rows, "2024")))
    times, inputs, outputs = (np.array(values) for values in zip(*rows, strict=True))
    assert summary.num_requests == len(rows)
    assert (summary.first, summary.last) == (times.min(), times.max())
    for name, values in (("input_tokens", inputs), ("output_tokens", outputs)):
        own = summary.lengths[name]
        assert own["mean"] == pytest.approx(values.mean())
        assert own["max"] == values.max()
        for share in (50, 90, 95, 99):
            assert own[f"p{share}"] == np.percentile(values, share, method="lower")
    mix = np.bincount(TABLE_IV.classify(inputs, outputs), minlength=9) / len(rows)
    assert summary.class_share.to_numpy() == pytest.approx(mix)
    assert list(summary.class_share.index) == list(REQUEST_CLASSES)


def test_demand_of_a_trace_is_a_demand_file(tmp_path: Path) -> None:
    """Tests that what is read from a trace can be written and read as a demand table."""
    demand = read_trace(_write(tmp_path, SMALL))
    write_demand(demand, tmp_path / "demand.csv")
    assert_frame_equal(read_demand(tmp_path / "demand.csv", window_s=300).table, demand.table)


def _sums(demand: Demand) -> tuple[float, float, float]:
    requests_ = demand.table["rate_rps"] * demand.window_s
    return (
        requests_.sum(),
        (requests_ * demand.table["input_tokens"]).sum(),
        (requests_ * demand.table["output_tokens"]).sum(),
    )


@pytest.mark.raw_data
@pytest.mark.skipif(not RAW.is_dir(), reason="the raw data is not beside the project")
@pytest.mark.parametrize(("name", "num_requests"), [("code", 8_819), ("conv", 19_366)])
def test_real_trace_of_2023_is_counted_whole(name: str, num_requests: int) -> None:
    """Tests that requests and tokens of the real files add up, and that all columns agree with pandas."""
    path = RAW / "azure2023" / f"{name}.csv"
    frame = pd.read_csv(path)
    demand = read_trace(path)
    expected = (num_requests, frame["ContextTokens"].sum(), frame["GeneratedTokens"].sum())
    assert _sums(demand) == pytest.approx(expected, rel=1e-12)
    rows = list(
        zip(
            pd.to_datetime(frame["TIMESTAMP"], utc=True),
            frame["ContextTokens"],
            frame["GeneratedTokens"],
            strict=True,
        )
    )
    assert_frame_equal(demand.table, _expected(rows, 300, TABLE_IV), check_dtype=False, rtol=1e-12)
