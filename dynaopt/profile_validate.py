"""A profile against every reference there is: what it rests on, and published results that it does not rest on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.paper_table import compare_table, read_paper_table
from dynaopt.phase_errors import Comparison, compare_all
from dynaopt.phase_model import read_phase_model
from dynaopt.phase_reference import SHIPPED_POINTS, read_points
from dynaopt.profile_io import read_profile
from dynaopt.slo import Slo


def validate(profile: str | Path = "llama2-70b-h100", data_dir: str | Path | None = None) -> pd.DataFrame:
    """Compare a profile, and the phase model it was built from, with measurements and with published results.

    Parameters
    ----------
    profile
        Name of a shipped profile, or the folder of one; its phase model is the one of the profile's name.
    data_dir
        Folder of reference points, with one folder for each phase model; by default those that the package ships.

    Returns
    -------
    pandas.DataFrame
        One row for each quantity: `quantity`, `reference`, `measure` (``relative`` error, ``difference``, or share in
        ``disagreement``), `points`, `mean_error`, `max_error`, `held_out_mean_error`, `held_out_max_error` (of fits
        without the point and all others of its batch or prompt size; NaN where nothing was fitted), `target`
        (mean error asked for; NaN where none is). Errors are absolute values, as fractions.

    Raises
    ------
    UnknownNameError
        If there is no such profile, or no phase model of its name.
    MissingFileError, InvalidInputError
        If reference points are not there or do not fit their format.
    """
    loaded = read_profile(profile)
    model = read_phase_model(loaded.name)
    folder = Path(data_dir or SHIPPED_POINTS) / loaded.name
    table = read_paper_table(folder)
    comparisons = compare_all(model, read_points(folder))
    return summarise((*comparisons, *compare_table(loaded, table, Slo.table_iv())))


def summarise(comparisons: tuple[Comparison, ...]) -> pd.DataFrame:
    """Put comparisons into one frame, as `validate` returns it."""
    return pd.DataFrame([_row(c) for c in comparisons])


def _row(comparison: Comparison) -> dict[str, object]:
    return {
        "quantity": comparison.quantity,
        "reference": comparison.reference,
        "measure": comparison.measure,
        "points": len(comparison.errors),
        "mean_error": _mean(comparison.errors),
        "max_error": _max(comparison.errors),
        "held_out_mean_error": _mean(comparison.held_out),
        "held_out_max_error": _max(comparison.held_out),
        "target": np.nan if comparison.target is None else comparison.target,
    }


def _mean(errors: np.ndarray) -> float:
    return float(np.abs(errors).mean()) if errors.size else np.nan


def _max(errors: np.ndarray) -> float:
    return float(np.abs(errors).max()) if errors.size else np.nan
