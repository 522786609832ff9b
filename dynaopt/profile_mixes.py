"""Curves for the lengths of a trace of one's own: they join a profile with its phase model, taken as its own were."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from dynaopt.errors import InvalidInputError
from dynaopt.lengths import Lengths, whole_and_parts
from dynaopt.phase_model import PhaseModel
from dynaopt.profile import Profile, Simulation
from dynaopt.profile_build import Progress, mixes_of, simulate_curves
from dynaopt.provenance import Provenance
from dynaopt.request_class import LENGTHS, MIX_PREFIX, REQUEST_CLASSES, CutPoints, is_part, part_name

_LEAST_WITH_GAPS = 0.01
FEWEST_OF_CLASS = 100
"""With fewer requests of a class its lengths say little, and its curves stay as they are."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def add_mixes(
    profile: Profile,
    lengths: Lengths,
    name: str,
    *,
    source: str,
    licence: str,
    classes: bool = False,
    requests_per_level: int | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Profile:
    """Return a profile with the curves of a mix, and of its parts by input length, on each of its configurations.

    Parameters
    ----------
    profile
        What to add to, with its phase model; it stays as it is.
    lengths
        Of the requests of the mix, for example `trace_lengths`.
    name
        Of the mix: the curves go by ``ALL-`` and the name, those of its parts by ``-S``, ``-M`` and ``-L`` behind it.
        A part without requests has none.
    source, licence
        Where the lengths come from, for the provenance, and under which licence.
    classes
        Whether the curves of the nine classes are taken anew, too, with the lengths of these requests; those of which
        there are fewer than `FEWEST_OF_CLASS` stay as they are. Without it mixes and classes may have other lengths.
    requests_per_level
        Requests in the simulation of one load; as many as for the profile's own curves by default. Fewer are quicker,
        and rougher.
    seed
        Seed of every draw.
    workers
        Worker processes; the curves do not depend on it.
    progress
        Called with how many curves are done, how many there are, and which was done last.

    Raises
    ------
    InvalidInputError
        If the profile does not tell how to simulate curves, the name is no name or there already, the longest request
        fits into the KV cache of no configuration, or hardly a request has a second token.
    """
    model, simulation = _means(profile)
    if requests_per_level is not None:
        simulation = simulation.model_copy(update={"requests_per_level": requests_per_level})
    cut_points = profile.cut_points
    mixes = whole_and_parts(_new_name(profile, name), lengths, cut_points)
    own = {**(classes_told(lengths, cut_points) if classes else {}), **mixes}
    _check_longest(profile, model, lengths)
    _check_gaps(own)
    curves, engines = simulate_curves(
        simulation,
        model,
        sorted({(tp, frequency_mhz) for tp, frequency_mhz, _ in profile.curves}),
        own,
        cut_points,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    metadata = profile.metadata
    kept = {key: curve for key, curve in profile.curves.items() if key[2] not in own}
    update = {
        "mixes": (*metadata.mixes, *mixes_of(own, cut_points)),
        "engine_options": (*(e for e in metadata.engine_options if e.request_class not in own), *engines),
        "provenance": (*metadata.provenance, *_provenance(own, simulation, source, licence)),
    }
    return replace(profile, metadata=metadata.model_copy(update=update), curves={**kept, **curves}, sha256="")


def classes_told(lengths: Lengths, cut_points: CutPoints) -> dict[str, Lengths]:
    """Return the lengths of each class of which there are enough requests, at least `FEWEST_OF_CLASS`.

    Parameters
    ----------
    lengths
        Of requests of all classes, weighted by their number.
    cut_points
        Where classes are cut.
    """
    own = {name: lengths.of_class(name, cut_points) for name in REQUEST_CLASSES}
    return {name: part for name, part in own.items() if part.weight.sum() >= FEWEST_OF_CLASS}


def _means(profile: Profile) -> tuple[PhaseModel, Simulation]:
    """Return what the curves of a profile were simulated with."""
    model, simulation = profile.phase_model, profile.metadata.simulation
    if model is None or simulation is None:
        lacking = "phase.toml" if model is None else "section 'simulation' in profile.toml"
        raise InvalidInputError(
            f"profile {profile.name}",
            expected="one that tells how its curves were simulated",
            found=f"one without {lacking}",
            hint="'dynaopt profile build' makes one",
        )
    return model, simulation


def _new_name(profile: Profile, name: str) -> str:
    """Return what the whole mix is to be called; refuse a name that says something else, or that is taken."""
    if not _NAME.fullmatch(name) or name.startswith(MIX_PREFIX) or is_part(name):
        expected = f"letters, digits, '.', '_' and '-', without {MIX_PREFIX} before or -S, -M or -L behind"
        raise InvalidInputError("name of a mix", expected=expected, found=f"'{name}'")
    whole = MIX_PREFIX + name
    new = {whole, *(part_name(whole, letter) for letter in LENGTHS)}
    taken = [mix.name for mix in profile.metadata.mixes if mix.name in new]
    if taken:
        expected = f"one that profile {profile.name} does not have"
        raise InvalidInputError("name of a mix", expected=expected, found=f"'{name}', of which it has {taken[0]}")
    return whole


def _check_longest(profile: Profile, model: PhaseModel, lengths: Lengths) -> None:
    most = max(model.kv_capacity_tokens(tp) for tp in profile.tps)
    if lengths.longest_tokens > most:
        raise InvalidInputError(
            "lengths of a mix",
            expected=f"requests of at most {most:,} tokens, input and output together, the largest KV cache that "
            f"profile {profile.name} has",
            found=f"one of {lengths.longest_tokens:,}",
        )


def _check_gaps(own: Mapping[str, Lengths]) -> None:
    for name, lengths in own.items():
        share = float(lengths.weight[lengths.output_tokens > 1].sum() / lengths.weight.sum())
        if share < _LEAST_WITH_GAPS:
            raise InvalidInputError(
                f"lengths of {name}",
                expected=f"a second token in at least {_LEAST_WITH_GAPS:.0%} of the requests, so that there is a time "
                "between tokens",
                found=f"one in {share:.2%}",
            )


def _provenance(
    own: Mapping[str, Lengths], simulation: Simulation, source: str, licence: str
) -> tuple[Provenance, Provenance]:
    names, mixes = ", ".join(own), ", ".join(name for name in own if name.startswith(MIX_PREFIX))
    return (
        Provenance(
            quantity=f"load.csv, mix.csv: power and latencies of {names}",
            basis="modelled",
            source=f"dynaopt's instance simulator on the profile's phase model, Poisson arrivals, lengths of {source}",
            licence=f"Apache-2.0; lengths: {licence}",
            note=f"{simulation.requests_per_level:,} requests a level, twice as many for the whole mix.",
        ),
        Provenance(quantity=f"mixes: shares of {mixes}", basis="measured", source=source, licence=licence),
    )
