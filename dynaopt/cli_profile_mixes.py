"""``dynaopt profile mixes``: curves of the mixes of a trace of one's own, beside those that a profile has."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dynaopt.cli_build_options import BuildWorkers, OverwriteProfile, Seed, checked_workers
from dynaopt.console import StepProgress
from dynaopt.lengths import Lengths
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile, write_profile
from dynaopt.profile_mixes import add_mixes, classes_told
from dynaopt.request_class import CutPoints, is_promotable
from dynaopt.trace_lengths import trace_lengths
from dynaopt.trace_source import find_trace


def mixes_command(
    profile: Annotated[str, typer.Argument(metavar="NAME|DIR", help="The profile to add to; it stays as it is.")],
    trace: Annotated[
        Path, typer.Option("--trace", metavar="FILE", help="Requests in the Azure schema: CSV, gzip or Parquet.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the new profile.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the mix; that of the file by default.")
    ] = None,
    classes: Annotated[
        bool, typer.Option("--classes", help="Take the curves of the nine classes anew, too, with the trace's lengths.")
    ] = False,
    requests: Annotated[
        int | None,
        typer.Option("--requests", metavar="N", min=100, help="In the simulation of a load; the profile's by default."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Under which the trace may be used.")
    ] = "as the trace's",
    seed: Seed = 0,
    workers: BuildWorkers = None,
    overwrite: OverwriteProfile = False,
) -> None:
    """Write a profile with curves of a trace's whole mix, and of its S, M and L inputs, on every configuration.

    Pools of mixes need them: static pools, one mixed pool, pools by input length. The curves are simulated as those of
    the profile were, with lengths drawn from the trace, so that it must carry its phase model.
    """
    processes = checked_workers(out, seed=seed, workers=workers, overwrite=overwrite)
    old = read_profile(profile)
    mix = find_trace(trace).name if name is None else name
    told = trace_lengths(trace, old.cut_points)
    with StepProgress(f"mixes of {mix}") as progress:
        new = add_mixes(
            old,
            told.lengths,
            mix,
            source=f"{told.file_name} (SHA-256 {told.sha256}), {told}",
            licence=licence,
            classes=classes,
            requests_per_level=requests,
            seed=seed,
            workers=processes,
            progress=progress,
        )
    write_profile(new, out)
    _tell(out, old, new)
    if classes:
        _tell_promotions(told.lengths, old.cut_points)


def _tell(out: Path, old: Profile, new: Profile) -> None:
    known = {mix.name for mix in old.metadata.mixes}
    for mix in (mix for mix in new.metadata.mixes if mix.name not in known):
        without = sorted(set(new.tps) - {curve.tp for curve in new.of_class(mix.name)})
        if without:
            degrees = ", ".join(f"TP{tp}" for tp in without)
            typer.echo(f"note: {mix.name} has no curve on {degrees}: a request exceeds its KV cache", err=True)
        typer.echo(f"{mix.name}: " + ", ".join(f"{c} {share:.2%}" for c, share in mix.shares.items()))
    typer.echo(f"{out}: {new}")


def _tell_promotions(lengths: Lengths, cut_points: CutPoints) -> None:
    """Tell where a request that is promoted would be longer than those whose curve it is then served by."""
    own = classes_told(lengths, cut_points)
    inputs = {c: float(np.average(part.input_tokens, weights=part.weight)) for c, part in own.items()}
    pairs = [(c, p) for c, p in product(inputs, inputs) if is_promotable(c, p) and inputs[p] < inputs[c]]
    for c, p in pairs:
        typer.echo(
            f"warning: inputs of {p} have {inputs[p]:,.0f} tokens on average, those of {c} {inputs[c]:,.0f}: "
            f"a plan that promotes {c} to {p} may break its objectives; replay it",
            err=True,
        )
