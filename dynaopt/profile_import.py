"""Profiles of what was measured: levels of load become curves, curves become or join a profile.

Nothing is made up: a curve needs a level without load, at least two with load, and the power of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import Gpu
from dynaopt.guidellm_results import guidellm_levels, is_guidellm_result
from dynaopt.json_fields import read_documents
from dynaopt.measured_level import MeasuredLevel, check_lengths
from dynaopt.measured_table import CONFIGURATION, Configuration, read_load_table
from dynaopt.power_log import PowerLog
from dynaopt.profile import ClassCuts, FloatArray, LoadCurve, Metadata, Power, Profile, StartUp
from dynaopt.provenance import Provenance
from dynaopt.request_class import REQUEST_CLASSES, CutPoints, is_promotable
from dynaopt.vllm_results import is_vllm_result, vllm_level

FEWEST_LOADS = 2
"""Power bends too much between an idle and a loaded instance for one line over all loads."""
Levels = Mapping[Configuration, Sequence[MeasuredLevel]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSource:
    """Where the power of levels comes from that have none themselves.

    Parameters
    ----------
    log
        Samples over the time of the runs; None when there are none.
    idle
        Power of the loaded instance without requests, in watts, or samples of it; None when it was not measured.
    """

    log: PowerLog | None = None
    idle: float | PowerLog | None = None


def read_levels(
    paths: Sequence[str | Path], defaults: Mapping[str, int | str | None], *, time_zone: str = "UTC"
) -> dict[Configuration, tuple[MeasuredLevel, ...]]:
    """Read the levels in result files of benchmark tools and in tables.

    Parameters
    ----------
    paths
        JSON of ``vllm bench serve`` or of GuideLLM, or load tables (CSV or Parquet).
    defaults
        `tp`, `frequency_mhz` and `request_class` of what does not tell them itself; None where not given.
    time_zone
        IANA name of the zone of times that have none.

    Raises
    ------
    MissingFileError, InvalidInputError
        If a file is not there or of another kind, or as the readers of the kinds say.
    """
    levels: dict[Configuration, tuple[MeasuredLevel, ...]] = {}
    for path in paths:
        if Path(path).suffix == ".json":
            found = {_configuration(path, defaults): _read_json(path, time_zone)}
        else:
            found = read_load_table(path, defaults)
        for key, more in found.items():
            levels[key] = (*levels.get(key, ()), *more)
    return levels


def import_curves(levels: Levels, power: PowerSource, cut_points: CutPoints) -> dict[Configuration, LoadCurve]:
    """Make a curve of the levels of each configuration.

    Parameters
    ----------
    levels
        By (`tp`, `frequency_mhz`, `request_class`).
    power
        Where power comes from that the levels do not have.
    cut_points
        Where classes are cut.

    Raises
    ------
    InvalidInputError
        If lengths are of another class, a level without load or a second one with load is missing, a load is there
        twice, models differ, or the power of a level is not known.
    """
    return {key: _curve(key, own, power, cut_points) for key, own in levels.items()}


def new_metadata(
    *, name: str, model: str, gpu: Gpu, engine: str, start_up: StartUp, gpu_on_w: float | None, cut_points: CutPoints
) -> Metadata:
    """Make the metadata of a profile without curves.

    Parameters
    ----------
    name, model, engine
        What it is called, and of what.
    gpu
        Its powers without load hold, unless `gpu_on_w` is given.
    start_up
        How long a start takes.
    gpu_on_w
        Measured power of a GPU without a model, in watts.
    cut_points
        Where classes are cut.
    """
    published = {"basis": gpu.idle_basis, "source": gpu.idle_source, "licence": "published figures"}
    gpu_on = published if gpu_on_w is None else {"basis": "measured", "source": "--gpu-on-power"}
    return Metadata(
        format_version=1,
        name=name,
        version="1",
        model=model,
        gpu=gpu.name,
        engine=engine,
        gpus_per_server=gpu.gpus_per_server,
        power=Power(gpu_on_w=gpu.no_model_w if gpu_on_w is None else gpu_on_w, start_up_gpu_w=gpu.idle_w),
        start_up=start_up,
        classes=ClassCuts(input_tokens=cut_points.input_tokens, output_tokens=cut_points.output_tokens),
        provenance=(
            _provenance("power.gpu_on_w", **gpu_on),
            _provenance("power.start_up_gpu_w", basis="assumed", source="the power of a loaded idle GPU of this kind"),
            _provenance("start_up", basis="assumed", source="what was given when the profile was made"),
        ),
    )


def add_curves(
    profile: Profile, curves: Mapping[Configuration, LoadCurve], levels: Levels, *, replace_curves: bool = False
) -> Profile:
    """Return a profile with measured curves added, and with a line of provenance for each.

    Parameters
    ----------
    profile
        What to add to; its files stay as they are.
    curves, levels
        From `import_curves`, and what they were made of.
    replace_curves
        Whether a curve that is there already gives way.

    Raises
    ------
    InvalidInputError
        If a curve is there already.
    """
    known = [key for key in curves if key in profile.curves]
    if known and not replace_curves:
        found = f"one of {_described(known[0])}"
        expected = "curves that it does not have"
        raise InvalidInputError(f"profile {profile.name}", expected=expected, found=found, hint="--overwrite replaces")
    lines = {f"load.csv: {_described(key)}": key for key in curves}
    kept = [p for p in profile.metadata.provenance if p.quantity not in lines]
    added = [_provenance(quantity, **_sources(levels[key])) for quantity, key in lines.items()]
    metadata = profile.metadata.model_copy(update={"provenance": (*kept, *added)})
    return replace(profile, metadata=metadata, curves={**profile.curves, **curves}, sha256="")


def unserved_classes(profile: Profile) -> tuple[str, ...]:
    """Return the classes that no pool of a profile can serve, not even by promotion."""
    pools = {name for _, _, name in profile.curves if name in REQUEST_CLASSES}
    return tuple(c for c in REQUEST_CLASSES if not any(is_promotable(c, pool) for pool in pools))


def _read_json(path: str | Path, time_zone: str) -> tuple[MeasuredLevel, ...]:
    levels: list[MeasuredLevel] = []
    for document in read_documents(path):
        if is_vllm_result(document):
            levels.append(vllm_level(document, time_zone=time_zone))
        elif is_guidellm_result(document):
            levels += guidellm_levels(document)
        else:
            keys = ", ".join(list(document.content)[:5]) or "no keys"
            expected = "a result of 'vllm bench serve --save-result' or a report of GuideLLM"
            raise InvalidInputError(str(path), expected=expected, found=f"an object with {keys}")
    return tuple(levels)


def _configuration(path: str | Path, defaults: Mapping[str, int | str | None]) -> Configuration:
    missing = [name for name in CONFIGURATION if defaults.get(name) is None]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise InvalidInputError(f"{path}", expected=f"{options}, since the file does not tell", found="none")
    tp, frequency_mhz, request_class = (defaults[name] for name in CONFIGURATION)
    return int(tp or 0), int(frequency_mhz or 0), str(request_class)


def _curve(key: Configuration, levels: Sequence[MeasuredLevel], power: PowerSource, cut_points: CutPoints) -> LoadCurve:
    tp, frequency_mhz, request_class = key
    check_lengths(levels, request_class, cut_points)
    ordered = sorted(levels, key=lambda level: level.rate_rps)
    _check_levels(_described(key), ordered)

    def values(name: str) -> FloatArray:
        return np.array([getattr(level, name) for level in ordered])

    return LoadCurve(
        tp=tp,
        frequency_mhz=frequency_mhz,
        request_class=request_class,
        rate_rps=values("rate_rps"),
        power_w=np.array([_power_w(level, power, tp) for level in ordered]),
        ttft_p50_s=values("ttft_p50_s"),
        ttft_p99_s=values("ttft_p99_s"),
        tbt_p50_s=values("tbt_p50_s"),
        tbt_p99_s=values("tbt_p99_s"),
    )


def _check_levels(what: str, ordered: Sequence[MeasuredLevel]) -> None:
    for before, after in pairwise(ordered):
        if before.rate_rps == after.rate_rps:
            expected = f"each load of {what} once"
            raise InvalidInputError(
                after.where, expected=expected, found=f"a second run at {after.rate_rps:g} requests/s"
            )
    models = sorted({level.model for level in ordered if level.model})
    if len(models) > 1:
        raise InvalidInputError(what, expected="runs of one model", found=f"{models[0]} and {models[1]}")
    if ordered[0].rate_rps > 0:
        raise InvalidInputError(
            what,
            expected="a level of requests that come alone, where the curve begins",
            found=f"none below {ordered[0].rate_rps:g} requests/s",
            hint="run with --max-concurrency 1 (GuideLLM: --rate-type synchronous), or a row with rate_rps 0",
        )
    loads = len(ordered) - 1
    if loads < FEWEST_LOADS:
        raise InvalidInputError(what, expected=f"at least {FEWEST_LOADS} levels above 0 requests/s", found=str(loads))


def _power_w(level: MeasuredLevel, power: PowerSource, tp: int) -> float:
    if level.power_w is not None:
        return level.power_w
    if level.rate_rps == 0:
        if power.idle is None:
            raise InvalidInputError(
                level.where,
                expected="the power of the loaded instance without requests, which no run tells",
                found="none",
                hint="give it as --idle-power, watts or a log",
            )
        return power.idle if isinstance(power.idle, float) else _of_instance(power.idle, tp).mean_w()
    return _logged_w(level, power.log, tp)


def _logged_w(level: MeasuredLevel, log: PowerLog | None, tp: int) -> float:
    if log is None or level.start is None or level.end is None:
        expected = "a power: no benchmark tool records it" if log is None else "a start_time and an end_time"
        hint = "give a log as --power, or a column power_w" if log is None else "to find its power in the log"
        raise InvalidInputError(level.where, expected=expected, found="none", hint=hint)
    return _of_instance(log, tp).during(level.start, level.end).mean_w()


def _of_instance(log: PowerLog, tp: int) -> PowerLog:
    """Refuse a log of other GPUs than those of one instance."""
    if len(log.gpus) != tp:
        raise InvalidInputError(
            log.where,
            expected=f"samples of the {tp} GPUs of the instance",
            found=f"of {len(log.gpus)}: {', '.join(log.gpus)}",
            hint="nvidia-smi -i 0,1,… logs only those",
        )
    return log


def _described(key: Configuration) -> str:
    return f"{key[2]} on TP{key[0]} at {key[1]} MHz"


def _provenance(quantity: str, *, basis: str, source: str, licence: str = "your own", note: str = "") -> Provenance:
    content = {"quantity": quantity, "basis": basis, "source": source, "licence": licence, "note": note}
    return Provenance.model_validate(content)


def _sources(levels: Sequence[MeasuredLevel]) -> dict[str, str]:
    files = dict.fromkeys(Path(level.where.split(", ")[0]).name for level in levels)
    notes = dict.fromkeys(caveat for level in levels for caveat in level.caveats)
    return {"basis": "measured", "source": ", ".join(files), "note": "; ".join(notes)}
