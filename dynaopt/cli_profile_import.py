"""``dynaopt profile import``: a profile out of what benchmark tools measured."""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from typing import Annotated

import typer

from dynaopt.cli_files import check_out_folder
from dynaopt.cli_options import finite_number, parse_cut_points, whole_number
from dynaopt.cli_phase_import import import_phases
from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import find_gpu
from dynaopt.phase_table import is_phase_table
from dynaopt.power_log import PowerLog, read_power_log
from dynaopt.profile import FloatArray, Metadata, Profile, StartUp
from dynaopt.profile_import import (
    Levels,
    PowerSource,
    add_curves,
    import_curves,
    new_metadata,
    read_levels,
    unserved_classes,
)
from dynaopt.profile_io import METADATA_FILE, read_profile, write_profile
from dynaopt.request_class import REQUEST_CLASSES, CutPoints

# DynamoLLM (HPCA 2025), Tables V and VI, as the shipped profiles have them.
_COLD_START_S = 423.0
_RESHARD_S = 2.2


def import_command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="JSON of 'vllm bench serve' or GuideLLM, a load table or a phase table."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the profile.")],
    tp: Annotated[
        int | None, typer.Option("--tp", parser=whole_number, metavar="N", help="GPUs of the instance.")
    ] = None,
    frequency_mhz: Annotated[
        int | None,
        typer.Option("--frequency-mhz", parser=whole_number, metavar="N", help="Clock that the GPUs were locked to."),
    ] = None,
    request_class: Annotated[
        str | None, typer.Option("--request-class", metavar="CLASS", help="Class of the requests, SS to LL.")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="NAME", help="Kind of GPU, for example H100-SXM-80GB.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Name of the model; the files' by default.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", metavar="TEXT", help="Engine and version.")] = "not told",
    power: Annotated[
        Path | None, typer.Option("--power", metavar="FILE", help="Log of power over the time of the runs.")
    ] = None,
    idle_power: Annotated[
        str | None,
        typer.Option("--idle-power", metavar="W|FILE", help="Power of the loaded instance without requests."),
    ] = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="NAME", help="Zone of times that have none, such as Europe/Berlin.")
    ] = "UTC",
    gpu_on_power: Annotated[
        float | None,
        typer.Option("--gpu-on-power", parser=finite_number, metavar="W", help="Power of a GPU without a model."),
    ] = None,
    cold_start: Annotated[
        float, typer.Option("--cold-start", parser=finite_number, metavar="S", help="Seconds to start an instance.")
    ] = _COLD_START_S,
    reshard: Annotated[
        float, typer.Option("--reshard", parser=finite_number, metavar="S", help="Seconds to change an instance's TP.")
    ] = _RESHARD_S,
    cut_points: Annotated[
        str, typer.Option("--cut-points", metavar="WHERE", help="Where classes are cut: 'table-iv' or numbers.")
    ] = "table-iv",
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="With a phase table: Hugging Face config.json of the model."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", parser=whole_number, metavar="N", help="With a phase table: processes."),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add to the profile in the folder.", show_default=False)] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace curves, or without --add the profile.", show_default=False)
    ] = False,
) -> None:
    """Make a profile of measured levels of load, one run each, or add their curves to one.

    Nothing is extrapolated: a curve needs requests that come alone, two loads above, and the power of each. From a
    phase table (durations and powers of iterations) a phase model is fitted, and curves are simulated with it.
    """
    _check(request_class, time_zone)
    check_out_folder("--out", out)
    there = (out / METADATA_FILE).exists()
    if there != add and not (there and overwrite):
        expected = "a folder without a profile" if there else "a folder with a profile, for --add"
        hint = "--add extends it, --overwrite replaces it" if there else None
        found = f"one in {out}" if there else f"none in {out}"
        raise InvalidInputError("option --out", expected=expected, found=found, hint=hint)
    if any(is_phase_table(file) for file in files):
        _tell_fit(*import_phases(files, config, gpu, out, model=model, workers=workers, add=add))
        return
    defaults = {"tp": tp, "frequency_mhz": frequency_mhz, "request_class": request_class}
    levels = read_levels(files, defaults, time_zone=time_zone)
    if add:
        profile = _checked(read_profile(out), out, model, gpu)
    else:
        start_up = StartUp(cold_s=cold_start, reshard_s=reshard)
        told = _model(model, levels)
        metadata = _metadata(out.name, told, gpu, engine, start_up, gpu_on_power, _cuts(cut_points))
        profile = Profile(metadata=metadata, curves={})
    source = PowerSource(
        log=None if power is None else read_power_log(power, time_zone=time_zone),
        idle=_idle(idle_power, time_zone),
    )
    curves = import_curves(levels, source, profile.cut_points)
    profile = add_curves(profile, curves, levels, replace_curves=overwrite)
    write_profile(profile, out)
    _tell(out, profile, levels)


def _check(request_class: str | None, time_zone: str) -> None:
    if request_class is not None and request_class not in REQUEST_CLASSES:
        expected = f"one of {', '.join(REQUEST_CLASSES)}"
        raise InvalidInputError("option --request-class", expected=expected, found=f"'{request_class}'")
    try:
        zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        expected = "a zone such as UTC or Europe/Berlin"
        raise InvalidInputError("option --time-zone", expected=expected, found=f"'{time_zone}'") from None


def _cuts(text: str) -> CutPoints:
    cut_points = parse_cut_points(text)
    if not isinstance(cut_points, CutPoints):
        raise InvalidInputError("option --cut-points", expected="table-iv or four numbers", found=f"'{text}'")
    return cut_points


def _model(model: str | None, levels: Levels) -> str:
    """Return the model's name: as typed, or the one in the files; empty where neither tells."""
    told = sorted({level.model for own in levels.values() for level in own if level.model})
    if model is not None or not told:
        return model or ""
    if len(told) > 1:
        raise InvalidInputError("files", expected="runs of one model", found=" and ".join(told))
    return told[0]


def _metadata(
    name: str,
    model: str,
    gpu: str | None,
    engine: str,
    start_up: StartUp,
    gpu_on_w: float | None,
    cut_points: CutPoints,
) -> Metadata:
    if not model:
        raise InvalidInputError("option --model", expected="a name, since no file tells", found="none")
    if gpu is None:
        raise InvalidInputError("option --gpu", expected="a kind of GPU, such as H100-SXM-80GB", found="none")
    return new_metadata(
        name=name,
        model=model,
        gpu=find_gpu(gpu, "option --gpu"),
        engine=engine,
        start_up=start_up,
        gpu_on_w=gpu_on_w,
        cut_points=cut_points,
    )


def _checked(profile: Profile, folder: Path, model: str | None, gpu: str | None) -> Profile:
    """Refuse to add measurements of one thing to a profile of another."""
    for what, found, there in (("model", model, profile.model), ("gpu", gpu, profile.metadata.gpu)):
        if found and found != there:
            raise InvalidInputError(
                f"{folder}", expected=f"{what} '{there}', as the profile has it", found=f"'{found}'"
            )
    return profile


def _idle(text: str | None, time_zone: str) -> float | PowerLog | None:
    """Read a power: a number of watts, or a log."""
    if text is None:
        return None
    try:
        return finite_number(text)
    except typer.BadParameter:
        return read_power_log(text, time_zone=time_zone)


def _tell_fit(profile: Profile, durations: FloatArray, powers: FloatArray) -> None:
    for what, errors in (("durations", durations), ("powers", powers)):
        typer.echo(f"{what}: mean error {abs(errors).mean():.1%}, at most {abs(errors).max():.1%}", err=True)
    typer.echo(f"{profile}")


def _tell(out: Path, profile: Profile, levels: Levels) -> None:
    for caveat in dict.fromkeys(c for own in levels.values() for level in own for c in level.caveats):
        typer.echo(f"note: {caveat}", err=True)
    unserved = unserved_classes(profile)
    if unserved:
        typer.echo(
            f"note: no pool can serve {', '.join(unserved)} yet; --add curves of these or longer classes", err=True
        )
    typer.echo(f"{out}: {profile}")
