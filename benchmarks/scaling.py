"""Show how solving a window scales with GPUs, classes, models and configurations.

    python benchmarks/scaling.py [--seeds 5] [--repeats 3] [--part gpus …] [--solver greedy] [--out DIR]

Cases are those of `dynaopt.large_problems`. Each is posed and solved anew for every repeat, every answer is checked,
and the table goes to ``benchmarks/results/<version>/scaling.csv`` case by case, so that a run that was stopped goes on
where it was. The picture goes beside it as HTML and PNG, the machine and a summary in ``scaling.json``.
`docs/scaling.md` says how to read them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from dynaopt.bench_summary import describe_machine
from dynaopt.check import check_allocation
from dynaopt.figures_scaling import MOST_GAP, MOST_S, scaling
from dynaopt.large_problems import ROOMS, Room, large_problem
from dynaopt.problem import Problem
from dynaopt.solvers import solve
from dynaopt.tables import write_table

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
GPUS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 10_240)
LEAST_GPUS_OF_TEN = 1024
"""Ten models need some 90 GPUs for one instance of each class and model, however little arrives."""
CLASSES, MODELS = (1, 3, 5, 7, 9), (1, 2, 5, 10)
CONFIGURATIONS = (3, 6, 12, 21, 42, 63)
RESERVE = 0.1
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=8000"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingCase:
    """One problem; `num_configurations` is 0 for the mixed set of models. The fields are the table's key."""

    solver: str
    room: Room
    num_gpus: int = GPUS[-1]
    num_models: int = 10
    num_classes: int = 9
    num_configurations: int = 0
    reserve: float = 0.0
    seed: int = 0

    def build(self) -> Problem:
        """Make the problem."""
        return large_problem(
            self.seed,
            self.room,
            num_gpus=self.num_gpus,
            num_models=self.num_models,
            num_classes=self.num_classes,
            num_configurations=self.num_configurations or None,
            reserve=self.reserve,
        )


def cases(part: str, solver: str, seeds: int) -> Iterator[ScalingCase]:
    """List the cases of a part of the benchmark.

    Parameters
    ----------
    part
        ``gpus``, ``classes`` (and models), ``configurations`` or ``reserve``.
    solver
        Who solves them.
    seeds
        How many of each.
    """
    for room, seed in product(ROOMS, range(seeds)):
        if part == "gpus":
            sizes = [(n, m) for n, m in product(GPUS, (1, 10)) if m == 1 or n >= LEAST_GPUS_OF_TEN]
            yield from (ScalingCase(solver=solver, room=room, seed=seed, num_gpus=n, num_models=m) for n, m in sizes)
        elif part == "classes":
            sizes = product(CLASSES, MODELS)
            yield from (ScalingCase(solver=solver, room=room, seed=seed, num_classes=c, num_models=m) for c, m in sizes)
        elif part == "configurations":
            yield from (ScalingCase(solver=solver, room=room, seed=seed, num_configurations=k) for k in CONFIGURATIONS)
        elif room == "slack":
            yield from (
                ScalingCase(solver=solver, room=room, seed=seed, num_models=m, reserve=RESERVE) for m in (1, 10)
            )


PARTS = ("gpus", "classes", "configurations", "reserve")
KEY = list(ScalingCase.__dataclass_fields__)


def main() -> None:
    """Measure what is not there yet, and draw all that there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--solver", default="greedy")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "scaling.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    known = {tuple(row[name] for name in KEY) for row in rows}
    warm_up(options.solver)
    for case in dict.fromkeys(c for part in options.part for c in cases(part, options.solver, options.seeds)):
        if tuple(asdict(case).values()) not in known:
            rows += measure(case, options.repeats)
            write_table(pd.DataFrame(rows), path)
            print(line_of(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    summary = {"machine": describe_machine(), "load": os.getloadavg(), "cases": summaries(table)}
    (options.out / "scaling.json").write_text(json.dumps(summary, indent=2) + "\n")
    draw(scaling(table[(table["reserve"] == 0) & (table["solver"] == options.solver)]), options.out)
    print(pd.DataFrame(summary["cases"]).to_string(index=False))


def draw(figure: go.Figure, out: Path) -> None:
    """Write the picture as HTML, which loads Plotly from the network, and as PNG where there is a browser."""
    figure.write_html(out / "scaling.html", include_plotlyjs="cdn")
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"no PNG: none of {', '.join(BROWSERS)} is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "scaling.html"
        figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
        size = f"--window-size={figure.layout.width + 20},{figure.layout.height + 20}"
        target = f"--screenshot={(out / 'scaling.png').resolve()}"
        options = [*BROWSER_OPTIONS, f"--user-data-dir={folder}/user", size, target]
        subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=120)


def warm_up(solver: str) -> None:
    """Compile what is compiled, which no later window waits for."""
    for room in ROOMS:
        solve(large_problem(0, room, num_gpus=512, num_models=2), solver=solver)


def measure(case: ScalingCase, repeats: int) -> list[dict[str, object]]:
    """Pose and solve a case some times; check the answer."""
    problem, rows = case.build(), []
    for repeat in range(repeats):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        posed = problem.replace()
        build_s = time.perf_counter() - wall_s
        result = solve(posed, solver=case.solver)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        found = result.allocation
        violations = [] if found is None else check_allocation(problem, found)
        if violations:
            raise SystemExit(f"{case}: {violations[0]}")
        answer = {"repeat": repeat, "termination": result.termination.value, "wall_s": wall_s, "cpu_s": cpu_s}
        answer |= {"build_s": build_s, "gap": None if found is None else result.gap}
        answer |= {"power_w": found and found.power_w, "used_gpus": found and found.num_gpus}
        rows.append(asdict(case) | {k: round(v, 9) if isinstance(v, float) else v for k, v in answer.items()})
    return rows


def summaries(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return for each level how many answers, of which seeds, in which time and at which gap."""
    found = []
    for key, rows in table.groupby([name for name in KEY if name != "seed"], sort=True):
        one = dict(zip([name for name in KEY if name != "seed"], key, strict=True))
        times, gaps = rows["wall_s"], rows["gap"]
        one |= {"answers": int(gaps.notna().sum()), "infeasible": int((rows["termination"] == "infeasible").sum())}
        one |= {"unsolved": len(rows) - one["answers"] - one["infeasible"]}
        one |= {"wall_p50_s": round(float(times.median()), 4), "wall_p99_s": round(float(times.quantile(0.99)), 4)}
        one |= {"cpu_p50_s": round(float(rows["cpu_s"].median()), 4), "build_p50_s": round(rows["build_s"].median(), 4)}
        one |= {"gap_p50": _share(gaps.median()), "gap_max": _share(gaps.max())}
        one |= {"within_goal": int(((times <= MOST_S) & (gaps <= MOST_GAP)).sum())}
        found.append(one)
    return found


def _share(gap: float) -> float | None:
    return None if pd.isna(gap) else round(float(gap), 8)


def line_of(row: dict[str, object]) -> str:
    """Say in one line what was measured."""
    case = ", ".join(f"{name} {row[name]}" for name in KEY)
    return f"{case}: {row['termination']}, {row['wall_s']:.3f} s, gap {row['gap'] if row['gap'] is not None else '-'}"


if __name__ == "__main__":
    main()
