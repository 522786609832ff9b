"""Runs of a benchmark as files, so that one that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.tables import Column, read_table, write_table

_TEXTS = ("case", "family", "level", "problem_sha256", "solver", "answered_by", "termination", "version")
_MAYBE_TEXTS = ("violation", "reason")
_COUNTS = ("num_violations", "num_repeats")
_MAYBE_NUMBERS = ("power_w", "num_gpus")


def read_runs(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Read stored runs.

    Parameters
    ----------
    path
        A file that `write_runs` made.
    names
        Its columns.

    Raises
    ------
    MissingFileError, InvalidInputError
        If it is not there or breaks the format.
    """
    frame = read_table(path, [_column(name) for name in names], key=["case", "solver"], may_be_empty=True)
    frame = frame.assign(**{name: frame[name].fillna("") for name in _MAYBE_TEXTS})
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows]


def write_runs(runs: Sequence[Mapping[str, Any]], path: Path, names: Sequence[str]) -> None:
    """Write runs, whole or not at all; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pd.DataFrame(runs, columns=list(names)), path)


def _column(name: str) -> Column:
    if name in _TEXTS:
        return Column(name, "text")
    if name in _MAYBE_TEXTS:
        return Column(name, "text", nullable=True)
    if name in _COUNTS:
        return Column(name, "integer", minimum=0)
    return Column(name, nullable=name in _MAYBE_NUMBERS)
