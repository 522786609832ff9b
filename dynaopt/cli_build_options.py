"""Options of the commands that simulate curves and write a profile, and what they must keep to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dynaopt.cli_files import check_out_folder
from dynaopt.cli_options import whole_number
from dynaopt.errors import InvalidInputError
from dynaopt.profile_io import METADATA_FILE

Seed = Annotated[int, typer.Option("--seed", parser=whole_number, metavar="N", help="Seed of every draw.")]
BuildWorkers = Annotated[
    int | None,
    typer.Option("--workers", parser=whole_number, metavar="N", help="Processes; as many as cores by default."),
]
OverwriteProfile = Annotated[
    bool, typer.Option("--overwrite", help="Replace a profile in the folder.", show_default=False)
]


def checked_workers(folder: Path, *, seed: int, workers: int | None, overwrite: bool) -> int:
    """Check the options before the work begins.

    Parameters
    ----------
    folder
        Where the profile is to be written.
    seed, workers, overwrite
        As typed.

    Returns
    -------
    int
        Processes to use.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the folder cannot be written to or holds a profile that is to stay.
    """
    if workers is not None and workers < 1:
        raise InvalidInputError("option --workers", expected="at least 1", found=str(workers))
    if seed < 0:
        raise InvalidInputError("option --seed", expected="at least 0", found=str(seed))
    check_out_folder("--out", folder)
    if (folder / METADATA_FILE).exists() and not overwrite:
        expected, hint = "a folder without a profile", "--overwrite replaces it"
        raise InvalidInputError("option --out", expected=expected, found=f"one in {folder}", hint=hint)
    return workers or len(os.sched_getaffinity(0))
