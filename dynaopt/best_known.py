"""The best answer and the best bound known of each case, as a file that only better, checked answers change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import pandas as pd

from dynaopt.tables import Column, read_table, write_table

# In a wheel the file lies inside the package, in a checkout beside it.
_ROOTS = (Path(__file__).parent / "benchmarks", Path(__file__).parents[1] / "benchmarks")
FILE = "best_known.csv"
_TOLERANCE = 1e-6


class Status(StrEnum):
    """What is known of a case."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


_COLUMNS = (
    Column("case", "text"),
    Column("problem_sha256", "text"),
    Column("status", "text", choices=tuple(Status)),
    Column("power_w", minimum=0, nullable=True),
    Column("lower_bound_w", minimum=0),
    Column("solver", "text", nullable=True),
    Column("version", "text", nullable=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestKnown:
    """What is known of one case.

    Parameters
    ----------
    case
        Its name.
    problem_sha256
        Digest of the problem; what is known of another problem by the same name is worth nothing.
    status
        FEASIBLE when there is a checked answer, INFEASIBLE when an exact solver proved that there is none.
    power_w
        Power of the best checked answer, in watts; None without one.
    lower_bound_w
        The best bound that an exact solver proved, in watts; 0 without one.
    solver, version
        Who gave the answer or the proof, and with which version of dynaopt.
    """

    case: str
    problem_sha256: str
    status: Status = Status.UNKNOWN
    power_w: float | None = None
    lower_bound_w: float = 0.0
    solver: str = ""
    version: str = ""

    def with_answer(self, power_w: float, solver: str, version: str) -> BestKnown:
        """Take an answer in, which must have been checked, if there was none or a worse one.

        A proof that there is no answer falls with it.
        """
        if self.power_w is not None and power_w >= self.power_w * (1 - 1e-9):
            return self
        # A bound above a checked answer was none.
        bound_w = self.lower_bound_w if self.lower_bound_w <= power_w * (1 + _TOLERANCE) else 0.0
        kept = replace(self, lower_bound_w=min(bound_w, power_w))
        return replace(kept, status=Status.FEASIBLE, power_w=power_w, solver=solver, version=version)

    def with_bound(self, lower_bound_w: float) -> BestKnown:
        """Take a proved bound in if it is better, and not above a checked answer."""
        if self.power_w is not None and lower_bound_w > self.power_w * (1 + _TOLERANCE):
            return self
        most_w = lower_bound_w if self.power_w is None else min(lower_bound_w, self.power_w)
        return replace(self, lower_bound_w=max(self.lower_bound_w, most_w))

    def with_proof_of_none(self, solver: str, version: str) -> BestKnown:
        """Take in a proof that there is no answer; a known answer disproves it."""
        if self.status is not Status.UNKNOWN:
            return self
        return replace(self, status=Status.INFEASIBLE, solver=solver, version=version)


def find_best_known() -> Path:
    """Return where the file that comes with the package lies, or would lie."""
    return next((root / FILE for root in _ROOTS if (root / FILE).is_file()), _ROOTS[1] / FILE)


def read_best_known(path: Path) -> dict[str, BestKnown]:
    """Read what is known, by case.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    MissingFileError, InvalidInputError
        If it is not there or breaks the format.
    """
    frame = read_table(path, _COLUMNS, key=["case"], may_be_empty=True)
    frame = frame.assign(solver=frame["solver"].fillna(""), version=frame["version"].fillna(""))
    known = {}
    for row in frame.to_dict("records"):
        known[str(row["case"])] = BestKnown(
            case=row["case"],
            problem_sha256=row["problem_sha256"],
            status=Status(row["status"]),
            power_w=None if pd.isna(row["power_w"]) else float(row["power_w"]),
            lower_bound_w=float(row["lower_bound_w"]),
            solver=row["solver"],
            version=row["version"],
        )
    return known


def write_best_known(known: Mapping[str, BestKnown], path: Path) -> None:
    """Write what is known, cases in the order of their names; the folder must exist."""
    rows = [asdict(known[name]) for name in sorted(known)]
    write_table(pd.DataFrame(rows, columns=[c.name for c in _COLUMNS]), path)
