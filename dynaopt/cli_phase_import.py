"""``dynaopt profile import`` of a phase table: a phase model is fitted, and the curves are simulated with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dynaopt.console import StepProgress
from dynaopt.errors import InvalidInputError
from dynaopt.modelled_build import modelled_build
from dynaopt.phase_table import fit_phase_table, spec_within
from dynaopt.profile import FloatArray, Profile
from dynaopt.profile_build import build_profile


def import_phases(
    files: Sequence[Path],
    config: Path | None,
    gpu: str | None,
    out: Path,
    *,
    model: str | None,
    workers: int | None,
    add: bool,
) -> tuple[Profile, FloatArray, FloatArray]:
    """Make a profile out of one phase table.

    Parameters
    ----------
    files
        The table alone.
    config, gpu
        Sizes of the language model, and the kind of GPU, for what the table does not tell.
    out
        Folder of the profile.
    model
        Name of the language model; that of its config's folder by default.
    workers
        Processes; as many as cores by default.
    add
        Whether the curves were to join a profile, which curves of another phase model cannot.

    Returns
    -------
    profile, duration_errors, power_errors
        The profile, and the relative errors of the fit.
    """
    if len(files) != 1:
        raise InvalidInputError("files", expected="a phase table alone", found=f"{len(files)} files")
    if add:
        raise InvalidInputError("option --add", expected="curves of measured loads", found="a phase table")
    for option, value in (("--config", config), ("--gpu", gpu)):
        if value is None:
            raise InvalidInputError(f"option {option}", expected="one, for a phase table", found="none")
    spec, scaled = modelled_build(Path(str(config)), str(gpu), name=out.name)
    scaled = scaled if model is None else scaled.model_copy(update={"model": model})
    fit = fit_phase_table(files[0], scaled)
    with StepProgress(f"profile {spec.name}") as progress:
        profile = build_profile(
            spec_within(spec, files[0]),
            out,
            model=fit.model,
            workers=workers or len(os.sched_getaffinity(0)),
            progress=progress,
        )
    return profile, fit.duration_errors, fit.power_errors
