"""Measure how fast and how well `dynaopt.Planner` re-plans a whole week, window after window.

    python benchmarks/replan_speed.py [--deadlines 0.01 0.1] [--demand azure-2024-conversation] [--windows 2016]

Each window is asked of a planner for each deadline and solved afresh (`solve` with `greedy`, its problem posed anew),
one right after the other in this process. The result goes to ``benchmarks/results/<version>/replan_speed.json`` and to
stdout. `docs/replanning.md` says how to read it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

from dynaopt.allocation import Allocation
from dynaopt.bench_summary import describe_machine
from dynaopt.check import check_allocation
from dynaopt.demand import Demand, read_demand
from dynaopt.planner import Planner
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.replan import Replan
from dynaopt.solvers import solve
from dynaopt.start_charges import StartCharges

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
PROFILE = "llama2-70b-h100"
NUM_GPUS = 320
CHECK_EVERY = 8


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deadlines", type=float, nargs="+", default=[0.01, 0.1], help="seconds")
    parser.add_argument("--demand", default="azure-2024-conversation")
    parser.add_argument("--windows", type=int, default=None, help="windows of the week; all by default")
    options = parser.parse_args()
    demand = read_demand(options.demand)
    result = measure(demand, read_profile(PROFILE), options.deadlines, options.windows or demand.num_windows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": describe_machine(), "demand": options.demand, **result}, indent=2)
    (RESULTS / "replan_speed.json").write_text(text + "\n")
    print(text)


def measure(demand: Demand, profile: Profile, deadlines_s: Sequence[float], num_windows: int) -> dict[str, object]:
    """Return latencies, gaps and energies of planners and of solving afresh."""
    planners = {deadline_s: Planner(profile, num_gpus=NUM_GPUS) for deadline_s in deadlines_s}
    answers: dict[float, list[Answer]] = {deadline_s: [] for deadline_s in deadlines_s}
    cpus: dict[float, list[float]] = {deadline_s: [] for deadline_s in deadlines_s}
    fresh: list[Allocation] = []
    fresh_cpu_s: list[float] = []
    fresh_s: list[float] = []
    wrong: list[str] = []
    load = os.getloadavg()[0]
    gc.collect()
    gc.freeze()  # as the documentation advises: one full collection of all that is imported takes 0.1 s
    for number in range(num_windows):
        window = demand.window(number)
        for deadline_s, planner in planners.items():
            cpu_s = time.process_time()
            answer = planner.replan(window, deadline_s=deadline_s)
            cpus[deadline_s].append(time.process_time() - cpu_s)
            answers[deadline_s].append(Answer.of(answer))
            if number % CHECK_EVERY == 0 and answer.allocation is not None:
                wrong += [str(violation) for violation in check_allocation(answer.problem, answer.allocation)]
        started, cpu_s = time.perf_counter(), time.process_time()
        alone = solve(window.problem(profile, num_gpus=NUM_GPUS), solver="greedy")
        fresh_s.append(time.perf_counter() - started)
        fresh_cpu_s.append(time.process_time() - cpu_s)
        if alone.allocation is None:
            raise SystemExit(f"window {number}: {alone.reason}")
        fresh.append(alone.allocation)
    return {
        "windows": num_windows,
        "load_average": [load, os.getloadavg()[0]],
        "violations": wrong,
        "planner": {
            f"{1e3 * d:g} ms": {"cpu_s": quantiles(cpus[d]), **summary(own, d, fresh_s)} for d, own in answers.items()
        },
        "solve": {
            "wall_s": quantiles(fresh_s),
            "cpu_s": quantiles(fresh_cpu_s),
            **energies(fresh, profile, demand.window_s),
        },
    }


@dataclass(frozen=True)
class Answer:
    """What counts of a `Replan`: to keep all of 4,000 would be work for the garbage collector, and so measured too."""

    runtime_s: float
    by: str
    termination: str
    gap: float | None
    serving_j: float
    starts_j: float

    @classmethod
    def of(cls, answer: Replan) -> Answer:
        """Take from an answer what counts."""
        power_w = 0.0 if answer.allocation is None else answer.power_w
        return cls(
            runtime_s=answer.runtime_s,
            by=answer.answered_by,
            termination=str(answer.termination),
            gap=answer.gap if answer.allocation is not None else None,
            serving_j=power_w * answer.problem.demand.window_s,
            starts_j=answer.transition_energy_j,
        )


def summary(answers: Sequence[Answer], deadline_s: float, fresh_s: Sequence[float]) -> dict[str, object]:
    """Return how fast and how good a planner's answers were."""
    runtime_s = np.array([answer.runtime_s for answer in answers])
    gaps = [answer.gap for answer in answers if answer.gap is not None]
    serving_j, starts_j = sum(answer.serving_j for answer in answers), sum(answer.starts_j for answer in answers)
    return {
        "wall_s": quantiles(runtime_s),
        "within_deadline_share": float((runtime_s <= deadline_s).mean()),
        "times_solve_p50": float(np.median(runtime_s) / np.median(fresh_s)),
        "times_solve_p99": float(np.percentile(runtime_s, 99) / np.percentile(fresh_s, 99)),
        "answered": sum(answer.by != "" for answer in answers),
        "answered_by": dict(Counter(answer.by for answer in answers)),
        "optimal": sum(answer.termination == "optimal" for answer in answers),
        "gap": quantiles(gaps),
        "serving_kwh": serving_j / 3.6e6,
        "starts_kwh": starts_j / 3.6e6,
        "total_kwh": (serving_j + starts_j) / 3.6e6,
    }


def energies(allocations: Sequence[Allocation], profile: Profile, window_s: float) -> dict[str, float]:
    """Return what windows solved each by itself take, starts between them included."""
    profiles = {profile.model: profile}
    pairs = pairwise(allocations)
    starts_j = sum(StartCharges.beyond(before, profiles).of(after) for before, after in pairs)
    serving_j = sum(allocation.power_w * window_s for allocation in allocations)
    return {
        "serving_kwh": serving_j / 3.6e6,
        "starts_kwh": starts_j / 3.6e6,
        "total_kwh": (serving_j + starts_j) / 3.6e6,
    }


def quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the median, the 90th and 99th percentile and the maximum."""
    return {f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 99, 100)} if len(values) else {}


if __name__ == "__main__":
    main()
