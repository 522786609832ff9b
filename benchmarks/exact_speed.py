"""Measure the solver `exact` against the integer programs on windows of both shipped weeks, and on the whole library.

    python benchmarks/exact_speed.py [--windows 12] [--limit 15] [--library-limit 60] [--gap 1e-4]

Windows are posed as `dynaopt plan` does, mixed pools included; each is solved once by each solver, one right after the
other in this process, its problem built anew each time so that none finds what another left. Every answer is checked.
The result goes to ``benchmarks/results/<version>/exact_speed.json`` and to stdout. `docs/benchmarks.md` says how to
read it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.bench_cases import FAMILIES as LIBRARY
from dynaopt.bench_cases import (
    NUM_GPUS,
    PROFILE,
    SEED,
    Case,
    find_cases,
    sample_windows,
    shipped_demand,
    shipped_profile,
)
from dynaopt.bench_run import BenchOptions, Run, expected_fields, run_case, warm_up
from dynaopt.bench_summary import UNSOLVED_GAP, describe_machine
from dynaopt.best_known import BestKnown, Status, find_best_known, read_best_known
from dynaopt.demand import demand_names
from dynaopt.problem import Problem

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
EXACT = "exact"
PROGRAMS = ("highs", "scip", "cbc")
FAMILIES = tuple(family.name for family in LIBRARY)
SPREAD = {"least": 0.0, "p50": 0.5, "most": 1.0}
WARMED = ("reserve", "n+1", "fixed-mix")
KEPT = ("case", "solver", "answered_by", "termination", "power_w", "lower_bound_w", "violation", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One run, and the processor time that it took in this process and in those that it started, as CBC is."""

    run: Run
    cpu_s: float


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=12, help="windows sampled from each week")
    parser.add_argument("--limit", type=float, default=15.0, help="seconds for each solve, of any solver")
    parser.add_argument("--library-limit", type=float, default=60.0, help="seconds for each case of the library")
    parser.add_argument("--gap", type=float, default=1e-4, help="relative gap at which an answer counts as optimal")
    parser.add_argument("--families", nargs="*", default=FAMILIES, help="families of the library")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result")
    asked = parser.parse_args()
    options = BenchOptions(time_limit_s=asked.limit, gap_tolerance=asked.gap)
    load = os.getloadavg()
    runs = pd.concat([run_week(name, asked.windows, options) for name in demand_names()], ignore_index=True)
    known = read_best_known(find_best_known())
    library = run_library(asked.families, known, replace(options, time_limit_s=asked.library_limit))
    result = {
        "machine": {**describe_machine(), "cbcbox": version("cbcbox"), "load_average": [load, os.getloadavg()]},
        "asked": {
            "profile": PROFILE,
            "num_gpus": NUM_GPUS,
            "seed": SEED,
            "windows_per_week": asked.windows,
            "time_limit_s": asked.limit,
            "library_time_limit_s": asked.library_limit,
            "gap_tolerance": asked.gap,
            "threads": 1,
            "solves_per_window": 1,
        },
        "windows": {week: compare(part, asked.gap) for week, part in [("all", runs), *runs.groupby("week")]},
        "library": {family: hold(part, asked.gap) for family, part in [("all", library), *library.groupby("family")]},
    }
    print(json.dumps(result, indent=2))
    stored = {**result, "runs": records(runs), "library_runs": records(library)}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "exact_speed.json").write_text(json.dumps(stored, indent=1) + "\n")


def run_week(name: str, num_windows: int, options: BenchOptions) -> pd.DataFrame:
    """Solve sampled windows of one week by `exact` and by each program; a row for each run, see `judged`."""
    runs = []
    cases = [window_case(name, number) for number in sample_windows(shipped_demand(name), num_windows)]
    for solver in (EXACT, *PROGRAMS):
        warm_up(cases[0].build(), solver)
    for case in cases:
        for solver in (EXACT, *PROGRAMS):
            runs.append(run_once(case, solver, options))
            run = runs[-1].run
            print(case.name, solver, run.termination, f"{run.runtime_p50_s:.3f} s", flush=True)
    return judged(runs, options.time_limit_s).assign(week=name)


def window_case(name: str, number: int) -> Case:
    """Make a case of one window; unlike the library's of that name it has mixed pools, hence another name."""
    family = name.rpartition("-")[2]
    return Case(
        name=f"{family}-mixed-w{number:04d}",
        family=family,
        level=f"{shipped_demand(name).total_rates_rps[number].sum():.1f}",
        quick=False,
        build=partial(pose_window, name, number),
    )


def pose_window(name: str, number: int) -> Problem:
    """Pose the problem of one window of a shipped week as `dynaopt plan` does."""
    return shipped_demand(name).window(number).problem(shipped_profile(), num_gpus=NUM_GPUS)


def run_library(families: Sequence[str], known: dict[str, BestKnown], options: BenchOptions) -> pd.DataFrame:
    """Solve the feasible cases of families by `exact`; a row for each run, with what is known of the case.

    Raises
    ------
    SystemExit
        If what is known is of another problem than the case.
    """
    cases = [case for case in find_cases(families, full=True) if known[case.name].status is Status.FEASIBLE]
    warm_up(cases[0].build(), EXACT)
    for level in WARMED:  # what only these need is compiled, or read from disk, before it is timed
        for case in [case for case in cases if case.level == level][:1]:
            run_once(case, EXACT, options)
    runs = [run_once(case, EXACT, options) for case in cases]
    if other := [t.run.case for t in runs if t.run.problem_sha256 != known[t.run.case].problem_sha256]:
        raise SystemExit(f"best known answers are of other problems: {', '.join(other)}")
    frame = judged(runs, options.time_limit_s)
    return frame.assign(
        family=frame["case"].map({case.name: case.family for case in cases}),
        best_power_w=frame["case"].map({case.name: known[case.name].power_w for case in cases}),
        best_lower_bound_w=frame["case"].map({case.name: known[case.name].lower_bound_w for case in cases}),
    )


def run_once(case: Case, solver: str, options: BenchOptions) -> Timed:
    """Build a case, solve it once and check the answer."""
    problem = case.build()
    before_s = children_cpu_s()
    run = run_case(case, problem, solver, options, expected_fields(case, problem, options))
    return Timed(run=run, cpu_s=run.cpu_p50_s + children_cpu_s() - before_s)


def children_cpu_s() -> float:
    """Return the processor time of processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judged(runs: Sequence[Timed], limit_s: float) -> pd.DataFrame:
    """Return runs with `wall_s`, `cpu_s`, `proved`, `counted_s` and `gap`.

    A run without a right answer that was proved counts with the limit, whenever it ended, and one without a right
    answer has no power and the gap of an unsolved case.
    """
    frame = pd.DataFrame([{name: getattr(timed.run, name) for name in KEPT} for timed in runs])
    frame["wall_s"] = [timed.run.runtime_p50_s for timed in runs]
    frame["cpu_s"] = [timed.cpu_s for timed in runs]
    right = frame["violation"] == ""
    frame["power_w"] = frame["power_w"].astype(float).where(right)
    frame["proved"] = (frame["termination"] == "optimal") & right
    frame["counted_s"] = frame["wall_s"].where(frame["proved"], limit_s)
    frame["gap"] = (1 - frame["lower_bound_w"] / frame["power_w"]).clip(lower=0).fillna(UNSOLVED_GAP)
    return frame


def compare(runs: pd.DataFrame, gap: float) -> dict[str, object]:
    """Hold `exact` against the programs, window by window against the fastest and the best of them."""
    powers_w = by_solver(runs, "power_w")
    best_w = powers_w.drop(columns=EXACT).min(axis=1)
    return {
        "windows": len(powers_w),
        "solvers": {str(name): describe(part) for name, part in runs.groupby("solver", sort=False)},
        "wall_clock": race(by_solver(runs, "counted_s")),
        "processor_time": race(by_solver(runs, "cpu_s")),
        "exact_above_best_program": excess(powers_w[EXACT], best_w, gap),
        "best_program_above_exact": excess(best_w, powers_w[EXACT], gap),
    }


def by_solver(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one column of runs as a row for each case and a column for each solver."""
    return runs.pivot_table(index="case", columns="solver", values=column, dropna=False)


def race(times_s: pd.DataFrame) -> dict[str, object]:
    """Hold the times of `exact` against those of the program that was the fastest in each window."""
    programs, exact_s = times_s.drop(columns=EXACT), times_s[EXACT]
    fastest_s = programs.min(axis=1)
    return {
        "fastest_program_s": quantiles(fastest_s),
        "fastest_program": {str(k): int(v) for k, v in programs.idxmin(axis=1).value_counts().items()},
        "exact_s": quantiles(exact_s),
        "times_faster_p50": float(fastest_s.quantile(0.5) / exact_s.quantile(0.5)),
        "times_faster_p99": float(fastest_s.quantile(0.99) / exact_s.quantile(0.99)),
        "times_faster_in_a_window": {q: float((fastest_s / exact_s).quantile(at)) for q, at in SPREAD.items()},
    }


def describe(runs: pd.DataFrame) -> dict[str, object]:
    """Return times, proofs and gaps of one solver."""
    return {
        "n": len(runs),
        "counted_s": quantiles(runs["counted_s"]),
        "cpu_s": quantiles(runs["cpu_s"]),
        "proved_share": float(runs["proved"].mean()),
        "counted_with_the_limit": int((~runs["proved"]).sum()),
        "worst_gap": float(runs["gap"].max()),
        "violations": [text for text in runs["violation"] if text],
        "answered_by": {str(k): int(v) for k, v in runs["answered_by"].value_counts().items()},
    }


def excess(power_w: pd.Series, other_w: pd.Series, gap: float) -> dict[str, object]:
    """Return by how much, relatively, answers lie above others, where both are there, and how often beyond the gap."""
    above = (power_w / other_w - 1).dropna()
    return {
        "compared": len(above),
        "most": float(above.max()) if len(above) else None,
        "beyond_the_gap": int((above > gap / (1 - gap)).sum()),
    }


def hold(runs: pd.DataFrame, gap: float) -> dict[str, object]:
    """Hold `exact` against the best known answers and bounds."""
    to_bound = (1 - runs["best_lower_bound_w"] / runs["power_w"]).clip(lower=0).fillna(UNSOLVED_GAP)
    return {
        "cases": len(runs),
        **describe(runs),
        "gap_to_best_known_bound": float(to_bound.max()),
        "above_best_known": excess(runs["power_w"], runs["best_power_w"], gap),
        "below_best_known": excess(runs["best_power_w"], runs["power_w"], gap),
        "bounds_above_best_known_answer": int((runs["lower_bound_w"] > runs["best_power_w"] * (1 + 1e-6)).sum()),
    }


def quantiles(seconds: pd.Series) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum."""
    return {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 99, 100)}


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return rows as plain values; what has no number is None."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


if __name__ == "__main__":
    main()
