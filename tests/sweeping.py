"""Small sweeps for tests, and the program that is killed in some of them.

Run as a program it sweeps a file into a folder: ``python -m sweeping FILE OUT WORKERS KILL [ADDRESS]``, where KILL is
``never``, ``window:N`` (the process kills itself once N windows are done), or ``replace:N`` (at the N-th file that is
moved into place).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import simple_solver
from planning import contents, make_small_profile, make_week

from dynaopt import window_worker
from dynaopt.demand import write_demand
from dynaopt.profile_io import write_profile
from dynaopt.sweep import SweepState, sweep

NUM_WINDOWS = 20
LISTS = {
    "services": '["week.csv", "other.csv"]',
    "profiles": '"profile"',
    "slo_scales": "[1, 2]",
    "num_gpus": "[14, 64]",
    "headroom": "0.0",
    "solver": '"simple"',
}
NUM_POINTS = 8


def write_sweep(folder: Path, **changes: str | None) -> Path:
    """Write two demands, a profile and a sweep of them into a folder; changes are keys and their TOML."""
    folder.mkdir(parents=True, exist_ok=True)
    write_profile(make_small_profile(), folder / "profile")
    write_demand(make_week(NUM_WINDOWS), folder / "week.csv")
    write_demand(make_week(NUM_WINDOWS, seed=1), folder / "other.csv")
    lists = {key: value for key, value in {**LISTS, **changes}.items() if value is not None}
    path = folder / "small.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in lists.items()))
    return path


def sweep_simply(path: Path, **options: Any) -> pd.DataFrame:
    """Sweep in this process and return the points."""
    simple_solver.register()
    return sweep(path, **{"workers": 1, **options}).points


def kept(folder: Path) -> dict[str, Any]:
    """Return what the folder of a sweep holds, but for the times that solvers took."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "lock"):
        name = str(path.relative_to(folder))
        if name == "sweep.csv":
            found[name] = pd.read_csv(path, dtype=str).drop(columns="runtime_s").to_csv()
        elif name == "sweep.parquet":
            found[name] = pd.read_parquet(path).drop(columns="runtime_s").to_json(double_precision=15)
        elif name.startswith("points/"):
            found[name] = "".join(line for line in path.read_text().splitlines() if "runtime_s" not in line)
    for path in (folder / "schedules").glob("*"):
        found[path.name] = contents(path)
    return found


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killing_replace(count: int) -> Callable[[Path, Path], Path]:
    original, calls = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == count:
            _die()
        return original(self, target)

    return replace


def main(path: str, out: str, workers: str, kill: str, dask: str | None = None) -> None:
    """Sweep, and die as told."""
    simple_solver.register()
    window_worker._CHUNK_S = 0.01  # more chunks, more moments to be killed at
    how, _, count = kill.partition(":")
    if how == "replace":
        Path.replace = _killing_replace(int(count))  # type: ignore[method-assign,assignment]

    def progress(state: SweepState) -> None:
        if how == "window" and state.windows_done >= int(count):
            _die()

    sweep(path, out=out, workers=None if dask else int(workers), dask=dask, progress=progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
