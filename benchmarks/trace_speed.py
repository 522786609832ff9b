"""Compare `read_trace` with the bare DuckDB aggregation of the same file: time, and peak memory.

    python benchmarks/trace_speed.py [--folder /tmp] [--repeats 3]

generates a trace like the conversation week of 2024 (27.3 million requests, 1.1 GB), measures both ways of reading it
in fresh processes by turns, and deletes it. The least of the repeats counts, since disturbance only ever adds.
Targets: at most 1.5 times the time, and at most 1 GB of memory. The result goes to
``benchmarks/results/<version>/trace_speed.json`` and to stdout; the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from dynaopt.bench_summary import describe_machine
from dynaopt.demand import read_demand
from dynaopt.request_class import TABLE_IV
from dynaopt.trace import read_trace

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
WEEK = "azure-2024-conversation"
NUM_REQUESTS = 27_303_999
WINDOW_S = 300
LARGEST_RATIO = 1.5
LARGEST_PEAK_BYTES = 10**9
DISK_BYTES = 2 * 10**9
DRAWS = 65_536
ONE_IN_WHOLE_SECONDS = 1000
"""The real files leave out the fraction where it is zero, about once in a million; here often enough to matter."""
Sample = dict[str, float]


def main() -> None:
    """Generate, measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where 1.1 GB may lie")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    free = shutil.disk_usage(options.folder).free
    if free < DISK_BYTES:
        raise SystemExit(f"{options.folder} has {free / 1e9:.1f} GB free, {DISK_BYTES / 1e9:.0f} GB are needed")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "week.csv"
        generate(path)
        size = path.stat().st_size
        samples = compare(path, options.repeats)
    result = summarise(samples, size)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "trace_speed.json").write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    if not (result["keeps_time_target"] and result["keeps_memory_target"]):
        raise SystemExit(1)


def generate(path: Path) -> None:
    """Write the trace: the windows of the shipped week, its lengths drawn from the shipped histogram."""
    week = read_demand(WEEK)
    requests = (week.rates_rps[""].sum(axis=1) * week.window_s).round().astype(int)
    windows = pd.DataFrame({"start_us": week.starts.as_unit("us").astype("int64"), "n": requests})
    cells = pd.read_csv(str(files("dynaopt") / "data" / f"lengths-{WEEK}.csv"))
    drawn = np.searchsorted(cells["weight"].cumsum(), (np.arange(DRAWS) + 0.5) / DRAWS)
    lengths = cells.iloc[drawn].round().astype(int).assign(draw=np.arange(DRAWS))
    with duckdb.connect() as connection:
        connection.register("windows", windows)
        connection.register("lengths", lengths)
        connection.execute(
            f"""
            COPY (
                SELECT
                    CASE WHEN us % 1000000 = 0 THEN strftime(make_timestamp(us), '%Y-%m-%d %H:%M:%S+00:00')
                    ELSE strftime(make_timestamp(us), '%Y-%m-%d %H:%M:%S.%f+00:00') END AS TIMESTAMP,
                    input_tokens AS ContextTokens, output_tokens AS GeneratedTokens
                FROM (
                    SELECT draw, exact_us - CASE WHEN k % {ONE_IN_WHOLE_SECONDS} = 0 THEN exact_us % 1000000
                        ELSE 0 END AS us
                    FROM (
                        SELECT k, start_us + k * {WINDOW_S * 1_000_000} // n AS exact_us,
                            hash(start_us + k) % {DRAWS} AS draw
                        FROM windows, unnest(range(n)) AS requests(k)
                    )
                ) JOIN lengths USING (draw)
            ) TO '{path}' (HEADER)
            """
        )


def compare(path: Path, repeats: int) -> dict[str, list[Sample]]:
    """Measure both readers by turns, each time in a fresh process."""
    samples: dict[str, list[Sample]] = {"bare": [], "dynaopt": []}
    for _ in range(repeats):
        for reader, own in samples.items():
            command = [sys.executable, __file__, "--measure", reader, str(path)]
            own.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(reader, own[-1], file=sys.stderr)
    return samples


def measure(reader: str, path: Path) -> Sample:
    """Read the trace once; return seconds, processor seconds, requests counted and bytes of memory at the peak."""
    wall, cpu = time.perf_counter(), time.process_time()
    num_requests = read_bare(path) if reader == "bare" else read_trace(path).num_requests
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if round(num_requests) != NUM_REQUESTS:
        raise SystemExit(f"{reader} counted {num_requests} of {NUM_REQUESTS} requests")
    return {"wall_s": wall, "cpu_s": cpu, "peak_bytes": peak_bytes()}


def read_bare(path: Path) -> int:
    """Count requests and sum up tokens per window and class with plain DuckDB: nothing checked, nothing else made."""
    (i1, i2), (o1, o2) = TABLE_IV.input_tokens, TABLE_IV.output_tokens
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"""
            SELECT time_bucket(INTERVAL '{WINDOW_S} seconds', t) AS w,
                CASE WHEN i <= {i1} THEN 0 WHEN i <= {i2} THEN 3 ELSE 6 END
                + CASE WHEN o <= {o1} THEN 0 WHEN o <= {o2} THEN 1 ELSE 2 END AS c,
                count(*), sum(i), sum(o)
            FROM read_csv('{path}', columns={{'t': 'TIMESTAMP', 'i': 'BIGINT', 'o': 'BIGINT'}},
                auto_detect=false, header=true, delim=',')
            GROUP BY w, c
            """
        ).fetchall()
    return sum(row[2] for row in rows)


def peak_bytes() -> int:
    """Return the most memory that this process has held; not `ru_maxrss`, which a child inherits from its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def summarise(samples: dict[str, list[Sample]], size: int) -> dict[str, object]:
    """Take the least of each and compare."""
    least = {
        reader: {"wall_s": min(s["wall_s"] for s in own), "cpu_s": min(s["cpu_s"] for s in own)}
        | {"peak_bytes": max(s["peak_bytes"] for s in own)}
        for reader, own in samples.items()
    }
    bare, dynaopt = least["bare"], least["dynaopt"]
    return {
        "machine": describe_machine(),
        "duckdb": duckdb.__version__,
        "num_requests": NUM_REQUESTS,
        "file_bytes": size,
        "samples": samples,
        "least": least,
        "wall_ratio": dynaopt["wall_s"] / bare["wall_s"],
        "cpu_ratio": dynaopt["cpu_s"] / bare["cpu_s"],
        "keeps_time_target": dynaopt["wall_s"] <= LARGEST_RATIO * bare["wall_s"],
        "keeps_memory_target": dynaopt["peak_bytes"] <= LARGEST_PEAK_BYTES,
    }


def show(result: dict[str, object]) -> None:
    """Print the table."""
    print(f"{result['num_requests']:,} requests, {result['file_bytes'] / 1e9:.2f} GB")
    print(f"{'':10}{'wall s':>10}{'cpu s':>10}{'peak MB':>10}")
    for reader, own in result["least"].items():
        print(f"{reader:10}{own['wall_s']:10.2f}{own['cpu_s']:10.2f}{own['peak_bytes'] / 1e6:10.0f}")
    print(f"{'ratio':10}{result['wall_ratio']:10.2f}{result['cpu_ratio']:10.2f}")


if __name__ == "__main__":
    main()
