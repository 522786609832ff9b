"""What runs of solvers amount to: gaps to the best known, times, and claims that cannot be true."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.best_known import BestKnown, Status
from dynaopt.result import Termination
from dynaopt.solvers import get_solver

_LIBRARIES = ("dynaopt", "ortools", "pulp", "numpy", "pandas", "numba")
_TOLERANCE = 1e-6
UNSOLVED_GAP = 1.0
"""The gap of a case without an answer: (power - bound) / power as the power grows without end."""


class Outcome(StrEnum):
    """What a run counts as."""

    SOLVED = "solved"
    UNSOLVED = "unsolved"
    INFEASIBLE = "infeasible"
    WRONG = "wrong"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BenchReport:
    """What a benchmark found.

    Parameters
    ----------
    runs
        A row for each solver and case: the fields of `Run`, `outcome`, `best_power_w` and `best_lower_bound_w` (the
        best known), `gap` (to the best-known bound) and `gap_to_best` (to the best-known answer), `defect`.
    summary
        A row for each solver; see `summarise`.
    defects
        What cannot be true, in words; empty is right.
    best_known
        What is known of each case now.
    meta
        Machine, versions and options.
    """

    runs: pd.DataFrame
    summary: pd.DataFrame
    defects: tuple[str, ...]
    best_known: Mapping[str, BestKnown]
    meta: Mapping[str, Any]

    def by_family(self) -> pd.DataFrame:
        """Return the summary by family and solver."""
        return summarise(self.runs, ["family", "solver"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; what has no number is None."""
        return {
            "meta": dict(self.meta),
            "defects": list(self.defects),
            "summary": _records(self.summary),
            "by_family": _records(self.by_family()),
            "runs": _records(self.runs),
        }

    def __repr__(self) -> str:
        cases = self.runs["case"].nunique()
        return f"BenchReport({cases} cases, {len(self.summary)} solvers, {len(self.defects)} defects)"


def judge(runs: pd.DataFrame, known: Mapping[str, BestKnown], meta: Mapping[str, Any]) -> BenchReport:
    """Hold runs against what is known, their own findings included.

    Parameters
    ----------
    runs
        The fields of `Run`, a row for each.
    known
        What was known before, by case. What is known of a problem of another digest is dropped.
    meta
        Machine, versions and options.
    """
    now = _improve(runs, known)
    judged = [_judge(row, now[row["case"]]) for row in runs.to_dict("records")]
    names = ["outcome", "best_power_w", "best_lower_bound_w", "gap", "gap_to_best", "defect"]
    full = pd.concat([runs, pd.DataFrame(judged, columns=names, index=runs.index)], axis=1)
    wrong = full[full["defect"] != ""]
    defects = [f"{r['case']}, {r['solver']}: {r['defect']}" for r in wrong.to_dict("records")]
    defects += _disproved(known, now)
    return BenchReport(
        runs=full,
        summary=summarise(full, ["solver"]),
        defects=tuple(defects),
        best_known={**known, **now},
        meta=meta,
    )


def summarise(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Count and average judged runs.

    Parameters
    ----------
    runs
        As in `BenchReport.runs`.
    by
        Columns to group by.

    Returns
    -------
    pandas.DataFrame
        For each group: `cases`, `feasible` (of which an answer is known), how many are ``solved``, ``optimal``
        (claimed), ``unsolved``, ``infeasible``, ``wrong`` and ``failed``; `mean_gap`, `median_gap` and `max_gap` to
        the best-known bound and `mean_gap_to_best` and `max_gap_to_best` to the best-known answer over *all*
        feasible cases, those without a right answer counting as 1; and `time_p50_s` and `time_p99_s` over the cases.
    """
    rows = []
    for key, group in runs.groupby(list(by), sort=False):
        gaps, to_best = group["gap"].dropna(), group["gap_to_best"].dropna()
        counts = {str(o): int((group["outcome"] == o).sum()) for o in Outcome}
        rows.append(
            dict(zip(by, key, strict=True))
            | {"cases": len(group), "feasible": len(gaps)}
            | counts
            | {"optimal": int(((group["termination"] == Termination.OPTIMAL) & (group["defect"] == "")).sum())}
            | {"mean_gap": gaps.mean(), "median_gap": gaps.median(), "max_gap": gaps.max()}
            | {"mean_gap_to_best": to_best.mean(), "max_gap_to_best": to_best.max()}
            | {"time_p50_s": group["runtime_p50_s"].quantile(0.5)}
            | {"time_p99_s": group["runtime_p99_s"].quantile(0.99)}
        )
    return pd.DataFrame(rows)


def describe_machine() -> dict[str, Any]:
    """Return what times depend on: processor, cores, system, and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((text.partition(":")[2].strip() for text in lines if text.startswith("model name")), platform.machine())


def _improve(runs: pd.DataFrame, known: Mapping[str, BestKnown]) -> dict[str, BestKnown]:
    now: dict[str, BestKnown] = {}
    for row in runs.to_dict("records"):
        name, digest = row["case"], row["problem_sha256"]
        best = now.get(name) or known.get(name)
        if best is None or best.problem_sha256 != digest:
            best = BestKnown(case=name, problem_sha256=digest)
        now[name] = _take_in(best, row)
    return now


def _disproved(known: Mapping[str, BestKnown], now: Mapping[str, BestKnown]) -> Iterator[str]:
    """Yield what was known before and cannot be true."""
    for name, best in now.items():
        before = known.get(name)
        if before is None or before.problem_sha256 != best.problem_sha256 or best.power_w is None:
            continue
        answer = f"{best.solver} has a checked answer of {best.power_w:.6g} W"
        if before.status is Status.INFEASIBLE:
            yield f"{name}, best known: {before.solver} proved that there is no answer, but {answer}"
        if before.lower_bound_w > best.power_w * (1 + _TOLERANCE):
            yield f"{name}, best known: a bound of {before.lower_bound_w:.6g} W was proved, but {answer}"


def _take_in(best: BestKnown, row: Mapping[Any, Any]) -> BestKnown:
    if row["termination"] == "error":
        return best
    if _has_right_answer(row):
        best = best.with_answer(row["power_w"], row["answered_by"], row["version"])
    # A heuristic's bound may be right, but it is no proof of an exact solver.
    if get_solver(row["answered_by"]).proves:
        best = best.with_bound(row["lower_bound_w"])
        if row["termination"] == Termination.INFEASIBLE:
            best = best.with_proof_of_none(row["answered_by"], row["version"])
    return best


def _has_right_answer(row: Mapping[Any, Any]) -> bool:
    return bool(np.isfinite(row["power_w"])) and row["num_violations"] == 0


def _judge(row: Mapping[Any, Any], best: BestKnown) -> dict[str, Any]:
    defect = "; ".join(_defects(row, best))
    right = _has_right_answer(row) and not defect
    gap = gap_to_best = float("nan")
    if best.power_w is not None:
        gap = max(0.0, 1 - best.lower_bound_w / row["power_w"]) if right else UNSOLVED_GAP
        gap_to_best = max(0.0, 1 - best.power_w / row["power_w"]) if right else UNSOLVED_GAP
    return {
        "outcome": _outcome(row, defect),
        "best_power_w": float("nan") if best.power_w is None else best.power_w,
        "best_lower_bound_w": best.lower_bound_w,
        "gap": gap,
        "gap_to_best": gap_to_best,
        "defect": defect,
    }


def _outcome(row: Mapping[Any, Any], defect: str) -> Outcome:
    if row["termination"] == "error":
        return Outcome.FAILED
    if defect:
        return Outcome.WRONG
    if row["termination"] == Termination.INFEASIBLE:
        return Outcome.INFEASIBLE
    return Outcome.SOLVED if np.isfinite(row["power_w"]) else Outcome.UNSOLVED


def _defects(row: Mapping[Any, Any], best: BestKnown) -> Iterator[str]:
    """Yield what cannot be true of a run."""
    if row["termination"] == "error":
        yield f"the solver failed: {row['reason']}"
    if row["num_violations"]:
        yield f"{row['num_violations']} violations, the first: {row['violation']}"
    if best.power_w is None:
        return
    if row["termination"] == Termination.INFEASIBLE:
        yield f"claims that there is no answer, but {best.solver} has one of {best.power_w:.6g} W"
    if row["lower_bound_w"] > best.power_w * (1 + _TOLERANCE):
        yield f"claims the bound {row['lower_bound_w']:.6g} W, but {best.solver} has an answer of {best.power_w:.6g} W"
    optimal = row["termination"] == Termination.OPTIMAL
    if optimal and row["power_w"] > best.power_w / (1 - row["gap_tolerance"]) * (1 + _TOLERANCE):
        yield f"claims that {row['power_w']:.6g} W is optimal, but {best.solver} has {best.power_w:.6g} W"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(k): v for k, v in row.items()} for row in plain.to_dict("records")]
