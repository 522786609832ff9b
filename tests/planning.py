"""Small horizons for tests of planning, and the program that is killed in some of them.

Run as a program it plans `make_week` into a folder: ``python -m planning OUT SOLVER WORKERS KILL``, where SOLVER may be
``coupled`` for all windows together, and KILL is ``never``, ``window:N`` (the process kills itself once N windows are
done), ``replace:N`` (at the N-th file moved into place) or ``outside`` (it says when it has begun, and somebody else
does).
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import simple_solver
from builders import make_profile, same_for_all_classes

from dynaopt import coupled_shards, whole_numbers, window_worker
from dynaopt.demand import Demand
from dynaopt.horizon import plan
from dynaopt.profile import Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import Schedule

START = pd.Timestamp("2024-05-12T00:00:00Z")
OPTIONS: dict[str, Any] = {"num_gpus": 64, "headroom": 0.0}


def make_small_profile(model: str = "tiny-model") -> Profile:
    """Make a profile of TP2 and TP8, the same for all classes."""
    curves = [
        *same_for_all_classes(2, 1000, [(0, 100), (5, 400), (10, 600)]),
        *same_for_all_classes(8, 1980, [(0, 700), (25, 1600), (50, 2200)]),
    ]
    return make_profile(curves, model=model, name=f"small-{model}")


def make_week(num_windows: int = 60, *, too_much: tuple[int, ...] = (), model: str = "", seed: int = 0) -> Demand:
    """Make a demand of random rates in three classes; in the windows of `too_much` 64 GPUs are too few."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(1, 40, (num_windows, 3))
    rates[list(too_much)] = 2000.0
    starts = pd.date_range(START, periods=num_windows, freq="300s", unit="us")
    frame = pd.DataFrame(
        {
            "window_start": np.repeat(starts, 3),
            "model": model,
            "request_class": ["SS", "MM", "LL"] * num_windows,
            "rate_rps": rates.ravel(),
            "input_tokens": 500.0,
            "output_tokens": 100.0,
            "peak_factor": np.repeat(rng.uniform(1, 1.2, num_windows), 3),
        }
    )
    assert set(frame["request_class"]) <= set(REQUEST_CLASSES)
    return Demand("small-week", 300.0, frame)


def plan_simply(demand: Demand, **options: Any) -> Schedule:
    """Plan with the simple solver in this process."""
    simple_solver.register()
    return plan(demand, make_small_profile(), **{"solver": simple_solver.NAME, "workers": 1, **OPTIONS, **options})


def contents(folder: Path) -> dict[str, Any]:
    """Return what a finished folder holds, byte by byte, but for the times that solvers took."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if name == "windows.csv":
            found[name] = pd.read_csv(path, dtype=str).drop(columns="runtime_s").to_csv()
        elif name == "schedule.json":
            found[name] = json.loads(path.read_text())
            del found[name]["totals"]["runtime_s"]
        else:
            found[name] = path.read_bytes()
    return found


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killing_replace(count: int) -> Callable[[Path, Path], Path]:
    original = Path.replace
    calls = 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == count:
            _die()
        return original(self, target)

    return replace


def main(out: str, solver: str, workers: str, kill: str) -> None:
    """Plan the week, and die as told."""
    simple_solver.register()
    window_worker._CHUNK_S = 0.05  # more chunks, more moments to be killed at
    whole_numbers.STRETCH, whole_numbers.OVERLAP = 16, 8
    coupled_shards.CHUNK = 4
    how, _, count = kill.partition(":")
    if how == "replace":
        Path.replace = _killing_replace(int(count))  # type: ignore[method-assign,assignment]

    def progress(num_done: int, num_windows: int, energy_j: float) -> None:
        if how == "outside":
            print(num_done, flush=True)  # noqa: T201
        if how == "window" and num_done >= int(count):
            _die()

    name = None if solver == "coupled" else solver
    plan(make_week(), make_small_profile(), out=out, solver=name, workers=int(workers), progress=progress, **OPTIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
