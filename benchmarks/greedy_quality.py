"""Measure `greedy` against proved optima, and `exact` under a deadline, on windows sampled from both shipped weeks.

    python benchmarks/greedy_quality.py [--windows 100] [--proof-limit 60]

The proofs of HiGHS are kept in ``benchmarks/results/<version>/proofs`` and taken from there when the script runs again.
The result goes to ``benchmarks/results/<version>/greedy_quality.json`` and to stdout. `docs/benchmarks.md` says how to
read it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.bench import run_bench
from dynaopt.bench_cases import Case, find_cases, sample_windows, shipped_demand, window_problem
from dynaopt.bench_run import BenchOptions
from dynaopt.bench_summary import BenchReport, describe_machine
from dynaopt.best_known import find_best_known, read_best_known, write_best_known
from dynaopt.check import check_allocation
from dynaopt.demand import demand_names
from dynaopt.problem import Problem
from dynaopt.result import Result
from dynaopt.solvers import solve

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
DEADLINE_S = 0.05
REPEATS = 10


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=100, help="windows sampled from each week")
    parser.add_argument("--proof-limit", type=float, default=60.0, help="seconds for each proof")
    options = parser.parse_args()
    result = {"machine": describe_machine(), "deadline_s": DEADLINE_S, "repeats": REPEATS}
    for name in demand_names():
        result[name] = measure(name, options.windows, options.proof_limit)
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2)
    (RESULTS / "greedy_quality.json").write_text(text + "\n")
    print(text)


def measure(name: str, num_windows: int, proof_limit_s: float) -> dict[str, object]:
    """Return quality and times of `greedy` and `exact` on windows of one week."""
    cases = week_cases(name, num_windows)
    options = BenchOptions(time_limit_s=proof_limit_s, store=RESULTS / "proofs" / name)
    path = find_best_known()
    proofs = run_bench(
        cases,
        ("highs",),
        options=options,
        best_known=read_best_known(path) if path.is_file() else {},
        progress=lambda run: print(run.case, run.termination, flush=True),
    )
    if proofs.defects:
        raise SystemExit("\n".join(proofs.defects))
    _keep_best_known(proofs)
    known = proofs.runs.set_index("case")
    problems = [case.build() for case in cases]
    solve(problems[0], solver="greedy")
    solve(problems[0], solver="exact", time_limit_s=DEADLINE_S)
    return {
        "windows": len(cases),
        "proved": int((known["termination"] == "optimal").sum()),
        "feasible": int(known["power_w"].notna().sum()),
        "proof_time_s": quantiles(known["runtime_p50_s"].tolist()),
        "greedy": measure_solver("greedy", None, problems, known),
        "exact": measure_solver("exact", DEADLINE_S, problems, known),
    }


def _keep_best_known(proofs: BenchReport) -> None:
    """Take the proofs of windows that the library has into the file of best-known answers."""
    path = find_best_known()
    library = {case.name for case in find_cases(["conversation", "coding"], full=True)}
    known = read_best_known(path) if path.is_file() else {}
    own = {name: best for name, best in proofs.best_known.items() if name in library}
    write_best_known({**known, **own}, path)


def week_cases(name: str, num_windows: int) -> list[Case]:
    """Sample windows evenly over load."""
    family = name.rpartition("-")[2]
    numbers = sample_windows(shipped_demand(name), num_windows)
    rates_rps = shipped_demand(name).total_rates_rps.sum(axis=1)
    return [
        Case(
            name=f"{family}-w{number:04d}",
            family=family,
            level=f"{rates_rps[number]:.1f}",
            quick=False,
            build=partial(window_problem, name, number),
        )
        for number in numbers
    ]


def measure_solver(
    solver: str, time_limit_s: float | None, problems: Sequence[Problem], known: pd.DataFrame
) -> dict[str, object]:
    """Solve each problem `REPEATS` times; every answer is checked, the first of each is held against the proof."""
    walls, cpus, answered = [], [], Counter()
    first: list[Result] = []
    for problem in problems:
        for repeat in range(REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            result = solve(problem, solver=solver, time_limit_s=time_limit_s)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
            answered[result.solver] += 1
            if repeat == 0:
                first.append(result)
    wrong = [v for p, r in zip(problems, first, strict=True) if r.allocation for v in check_allocation(p, r.allocation)]
    return {
        "violations": [str(v) for v in wrong],
        **quality(first, known),
        "wall_s": quantiles(walls),
        "cpu_s": quantiles(cpus),
        **({} if time_limit_s is None else {"overshoot_s": quantiles([w - time_limit_s for w in walls])}),
        "answered_by": dict(answered),
    }


def quality(results: Sequence[Result], known: pd.DataFrame) -> dict[str, object]:
    """Return the share of feasible windows with an answer, and gaps to the proved answer and to the proved bound."""
    power_w = np.array([np.nan if r.allocation is None else r.power_w for r in results])
    feasible = known["power_w"].notna().to_numpy()
    above = (power_w / known["power_w"].to_numpy() - 1)[feasible]
    to_bound = (1 - known["lower_bound_w"].to_numpy() / power_w)[feasible]
    own_gap = [r.gap for r in results if r.allocation is not None]
    return {
        "answered": int(np.isfinite(above).sum()),
        "answered_share": float(np.isfinite(above).mean()),
        "above_best_mean": float(np.nanmean(np.maximum(above, 0))),
        "above_best_max": float(np.nanmax(np.maximum(above, 0))),
        "below_milp_answer": int((above < -1e-9).sum()),
        "gap_to_proved_bound_mean": float(np.nanmean(to_bound)),
        "gap_to_proved_bound_max": float(np.nanmax(to_bound)),
        "own_gap_mean": float(np.mean(own_gap)),
        "own_gap_max": float(np.max(own_gap)),
    }


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum."""
    return {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 99, 100)}


if __name__ == "__main__":
    main()
