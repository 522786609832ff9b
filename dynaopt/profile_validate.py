"""A profile against every reference there is: what it rests on, and published results that it does not rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.level_errors import level_errors
from dynaopt.paper_table import class_ranks, read_paper_table, table_agreement, table_energies
from dynaopt.phase_errors import Comparison, compare_all
from dynaopt.phase_model import PhaseModel
from dynaopt.phase_reference import SHIPPED_POINTS, read_points
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.slo import Slo

PAPER_TABLE = "table1.csv"
# What a file of reference points is a measurement of, in the user's words.
_MEASURED = {
    "prefill": "prefill time",
    "token": "decode time of an older engine",
    "serving": "time and power of full servers",
    "halved": "decode on one GPU and on two",
    "power": "power against tokens in parallel",
    "clock": "time and power against the clock",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Validation:
    """A profile beside its references.

    Parameters
    ----------
    profile
        Name of the profile.
    errors
        One row for each quantity of the phase model: `quantity`, `reference`, `measure` (``relative`` error or
        ``difference``), `points`, `mean_error`, `max_error`, `held_out_by` (what the points of a group that is left out
        have in common), `held_out_mean_error`, `held_out_max_error` (of fits without the point and all others of its
        group; NaN where nothing was fitted), `target` (mean error asked for; NaN where none is). Errors are absolute
        values, as fractions. No rows where there is nothing to compare with.
    agreement
        With DynamoLLM's table I, as `table_agreement` gives it; no rows where the table is of other models.
    classes
        The same by class, as `class_ranks` gives it, for input and output tokens.
    missing
        What there is no reference for, a sentence each.
    levels
        How well lines between the levels of its curves meet a level left out, as `level_errors` gives it.
    """

    profile: str
    errors: pd.DataFrame
    agreement: pd.DataFrame
    classes: pd.DataFrame
    missing: tuple[str, ...]
    levels: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def num_missed(self) -> int:
        """Quantities whose mean error exceeds their target."""
        return 0 if self.errors.empty else int((self.errors["mean_error"] > self.errors["target"]).sum())


def validate(profile: str | Path = "llama2-70b-h100", data_dir: str | Path | None = None) -> Validation:
    """Compare a profile, and the phase model it was built from, with measurements and with published results.

    Parameters
    ----------
    profile
        Name of a shipped profile, or the folder of one.
    data_dir
        Folder of reference points, with one folder for each profile; by default those that the package ships.

    Raises
    ------
    UnknownNameError
        If there is no such profile.
    MissingFileError
        If `data_dir` is given and has no folder of the profile's name.
    InvalidInputError
        If reference points do not fit their format.
    """
    loaded = read_profile(profile)
    folder = Path(data_dir or SHIPPED_POINTS) / loaded.name
    levels = level_errors(loaded)
    if not folder.is_dir() and data_dir is None:
        nothing = pd.DataFrame()
        text = f"No measurement of {loaded.name} comes with the package: its numbers cannot be judged here."
        return Validation(
            profile=loaded.name, errors=nothing, agreement=nothing, classes=nothing, missing=(text,), levels=levels
        )
    comparisons, missing = _compare_phase_model(loaded.phase_model, folder)
    agreement, classes, no_table = _compare_paper(loaded, folder / PAPER_TABLE)
    return Validation(
        profile=loaded.name,
        errors=summarise(comparisons),
        agreement=agreement,
        classes=classes,
        missing=(*missing, *no_table),
        levels=levels,
    )


def summarise(comparisons: tuple[Comparison, ...]) -> pd.DataFrame:
    """Put comparisons into one frame, as `Validation.errors` has them."""
    return pd.DataFrame([_row(c) for c in comparisons])


def _compare_phase_model(model: PhaseModel | None, folder: Path) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    points = read_points(folder, partial=True)
    if model is None:
        return (), ("The profile has no phase model (phase.toml): nothing is said of how it was fitted.",)
    empty = [text for name, text in _MEASURED.items() if getattr(points, name).empty]
    missing = (f"Not measured, or not public: {', '.join(empty)}.",) if empty else ()
    return compare_all(model, points), missing


def _compare_paper(profile: Profile, path: Path) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    if not path.is_file():
        return pd.DataFrame(), pd.DataFrame(), ("DynamoLLM's table I is of Llama2-70B on H100 alone.",)
    table, slo = read_paper_table(path.parent), Slo.table_iv()
    return table_agreement(profile, table, slo), class_ranks(table_energies(profile, table, slo)), ()


def _row(comparison: Comparison) -> dict[str, object]:
    return {
        "quantity": comparison.quantity,
        "reference": comparison.reference,
        "measure": comparison.measure,
        "points": len(comparison.errors),
        "mean_error": _mean(comparison.errors),
        "max_error": _max(comparison.errors),
        "held_out_by": comparison.held_out_by,
        "held_out_mean_error": _mean(comparison.held_out),
        "held_out_max_error": _max(comparison.held_out),
        "target": np.nan if comparison.target is None else comparison.target,
    }


def _mean(errors: np.ndarray) -> float:
    return float(np.abs(errors).mean()) if errors.size else np.nan


def _max(errors: np.ndarray) -> float:
    return float(np.abs(errors).max()) if errors.size else np.nan
