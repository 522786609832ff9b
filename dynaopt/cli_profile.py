"""``dynaopt profile``: which profiles there are, what is in them, how they are built, how good they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.cli_build_options import BuildWorkers, OverwriteProfile, Seed, checked_workers
from dynaopt.cli_options import DEFAULT_PROFILE, Json, SloFile, SloScale, make_slo
from dynaopt.cli_profile_import import import_command
from dynaopt.cli_profile_mixes import mixes_command
from dynaopt.cli_validate import validate_command
from dynaopt.console import StepProgress, make_table, render, table_of_frame
from dynaopt.errors import InvalidInputError
from dynaopt.modelled_build import modelled_build
from dynaopt.phase_model import PhaseModel
from dynaopt.profile import Profile, slo_rates_rps
from dynaopt.profile_build import BuildSpec, build_profile, read_build_spec
from dynaopt.profile_io import list_profiles, read_profile
from dynaopt.slo import Slo

app = typer.Typer(help="List, show, build, extend, import and validate profiles.")
app.command("import")(import_command)

Name = Annotated[str, typer.Argument(metavar="NAME|DIR", help="A shipped profile by name, or a folder.")]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the profiles that come with the package."""
    profiles = [read_profile(name) for name in list_profiles()]
    if as_json:
        print(json.dumps({"format_version": 1, "profiles": [_describe(p) for p in profiles]}, indent=2))
        return
    rows = [[p.name, p.model, p.metadata.gpu, p.metadata.engine, _words(p.tps), len(p.curves)] for p in profiles]
    print(render(make_table(["name", "model", "GPU", "engine", "TP", "curves"], rows)))


@app.command("show")
def show_command(
    name: Name = DEFAULT_PROFILE, slo: SloFile = None, slo_scale: SloScale = 1.0, as_json: Json = False
) -> None:
    """Show what a profile holds: powers, the load that each configuration bears, and where its numbers come from."""
    profile = read_profile(name)
    loads = _loads(profile, make_slo(slo, slo_scale))
    objectives = ("Table IV's objectives" if slo is None else str(slo)) + (
        f" x {slo_scale:g}" if slo_scale != 1 else ""
    )
    if as_json:
        content = _describe(profile) | {"format_version": 1, "slo_loads": json.loads(loads.to_json(orient="records"))}
        print(json.dumps(content, indent=2))
        return
    metadata = profile.metadata
    cuts = metadata.classes
    sources = [[p.quantity, p.basis, p.source, p.licence] for p in metadata.provenance]
    print(
        render(
            f"{profile.name} {metadata.version}: {profile.model} on {metadata.gpu}, {metadata.engine}",
            f"S and M end at {_words(cuts.input_tokens)} tokens of input and {_words(cuts.output_tokens)} of output",
            f"A GPU draws {metadata.power.gpu_on_w:g} W without a model, {metadata.power.start_up_gpu_w:g} W starting; "
            f"a start takes {metadata.start_up.cold_s:g} s, a re-sharding {metadata.start_up.reshard_s:g} s",
            _of_phase_model(profile),
            table_of_frame(loads, title=f"Load at which an instance just keeps {objectives}, requests/s"),
            make_table(["quantity", "basis", "source", "licence"], sources, title="Provenance", text_columns=4),
        )
    )


@app.command("build")
def build_command(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE", help=f"What to build: a shipped name or a .toml file; {DEFAULT_PROFILE} by default."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Hugging Face config.json of a model to build for instead."),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="NAME", help="With --config: kind of GPU, such as H100-SXM-80GB.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", metavar="bf16|fp8", help="With --config: as the file says by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="With --config: what the profile is called.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the profile; its name, here, by default.")
    ] = None,
    seed: Seed = 0,
    workers: BuildWorkers = None,
    overwrite: OverwriteProfile = False,
) -> None:
    """Build a profile from a phase model by simulating an instance of each configuration under each load.

    The phase model is a fitted one that the package ships or, with --config and --gpu, one scaled from a fitted one by
    the sizes of any dense model or mixture of experts.
    """
    build_spec, model = _what_to_build(spec, config, gpu, dtype, name)
    folder = Path(build_spec.name) if out is None else out
    processes = checked_workers(folder, seed=seed, workers=workers, overwrite=overwrite)
    with StepProgress(f"profile {build_spec.name}") as progress:
        profile = build_profile(build_spec, folder, model=model, seed=seed, workers=processes, progress=progress)
    typer.echo(f"{folder}: {profile}")


app.command("mixes")(mixes_command)
app.command("validate")(validate_command)


def _what_to_build(
    spec: str | None, config: Path | None, gpu: str | None, dtype: str | None, name: str | None
) -> tuple[BuildSpec, PhaseModel | None]:
    """Return the specification, and the phase model where it does not name a shipped one."""
    if config is None:
        given = [f"--{key}" for key, value in (("gpu", gpu), ("dtype", dtype), ("name", name)) if value is not None]
        if given:
            raise InvalidInputError(f"option {given[0]}", expected="--config beside it", found="none")
        return read_build_spec(spec or DEFAULT_PROFILE), None
    if spec is not None:
        raise InvalidInputError("option --config", expected="no name or file of a specification", found=f"'{spec}'")
    if gpu is None:
        raise InvalidInputError("option --gpu", expected="a kind of GPU, such as H100-SXM-80GB", found="none")
    return modelled_build(config, gpu, dtype=dtype, name=name)


def _describe(profile: Profile) -> dict[str, object]:
    return {
        **profile.metadata.model_dump(mode="json"),
        "sha256": profile.sha256,
        "tps": list(profile.tps),
        "frequencies_mhz": list(profile.frequencies_mhz),
        "num_curves": len(profile.curves),
        "phase_model": profile.phase_model.model_dump(mode="json") if profile.phase_model is not None else None,
    }


def _of_phase_model(profile: Profile) -> str:
    model = profile.phase_model
    if model is None:
        return "It has no phase model, so that requests cannot be replayed on it"
    reach = f"{model.min_frequency_mhz:g} to {model.max_frequency_mhz:g} MHz"
    return f"Its phase model covers TP {_words(model.tps)} at {reach}"


def _loads(profile: Profile, slo: Slo) -> pd.DataFrame:
    """Return the load within the objectives, a row for each class or mix and clock, a column for each degree."""
    rates = slo_rates_rps(profile, slo)
    rows = [{"class": c, "MHz": mhz, "TP": f"TP{tp}", "load": rates.get((tp, mhz, c))} for tp, mhz, c in profile.curves]
    table = pd.DataFrame(rows).pivot_table(index=["class", "MHz"], columns="TP", values="load", sort=False)
    return table.reset_index().rename_axis(columns=None)


def _words(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
