"""Build a profile: choose each curve's token budget, simulate it, and say where it all comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import joblib
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynaopt.curve_build import build_curve, slo_load_rps
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.instance_simulator import engine_of
from dynaopt.lengths import SERVICE_REQUESTS, mix_lengths
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.profile import ClassCuts, EngineOptions, LoadCurve, Metadata, Mix, Power, Profile, StartUp
from dynaopt.profile_io import write_profile
from dynaopt.provenance import Provenance
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo
from dynaopt.workload import Workload, make_workload

Progress = Callable[[int, int, str], None]
Positive = Annotated[int, Field(gt=0)]

# How many requests tell one token budget from another (in a mix each class must have some), and the objectives that
# they are held to in turn.
_BUDGET_REQUESTS = 4000
_BUDGET_REQUESTS_IN_MIX = 12_000
_SLO_SCALES = (1.0, 2.0, 4.0)


class BuildSpec(BaseModel):
    """What a profile is built from, beside the phase model and the histograms of lengths.

    Parameters
    ----------
    name, version
        What the profile is called.
    phase_model
        Name of the phase model.
    gpus_per_server
        GPUs of a server.
    frequencies_mhz
        GPU clocks, in MHz; the tensor-parallel degrees are those of the phase model.
    token_budgets
        Token budgets to choose from.
    max_num_seqs
        Most requests that an instance serves at once.
    requests_per_level
        Requests in the simulation of one load; a service's whole mix takes twice as many.
    tbt_margin
        What a token budget must leave of the TBT bound, as a share. A full iteration takes as long at every load, so
        that at its bound all are late when something takes a little longer than modelled.
    slo_scale
        Multiplies the objectives of Table IV, around which curves are taken and for which token budgets are chosen: 1
        by default, more on hardware on which the language model cannot keep them.
    mixes
        Mixes that get curves: services (``conversation``) and their parts of one input length (``conversation-S``).
    power, start_up, classes, provenance
        As in `Metadata`; the provenance of the phase model is added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    phase_model: str
    gpus_per_server: Positive
    frequencies_mhz: tuple[Positive, ...]
    token_budgets: tuple[Positive, ...]
    max_num_seqs: Positive
    requests_per_level: Annotated[int, Field(ge=100)]
    tbt_margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    slo_scale: Annotated[float, Field(gt=0)] = 1.0
    mixes: tuple[str, ...]
    power: Power
    start_up: StartUp
    classes: ClassCuts
    provenance: tuple[Provenance, ...]

    @property
    def cut_points(self) -> CutPoints:
        """Where classes are cut."""
        return CutPoints(self.classes.input_tokens, self.classes.output_tokens)

    @property
    def slo(self) -> Slo:
        """Objectives around which curves are taken."""
        return Slo.table_iv().scaled(self.slo_scale)

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of all workloads: the nine classes, then the mixes."""
        return (*REQUEST_CLASSES, *(MIX_PREFIX + mix for mix in self.mixes))


def read_build_spec(name_or_path: str | Path) -> BuildSpec:
    """Read what a profile is built from.

    Parameters
    ----------
    name_or_path
        Name of one that the package ships, for example ``llama2-70b-h100``, or a TOML file.

    Raises
    ------
    UnknownNameError, MissingFileError, InvalidInputError
        If there is no such thing, or a key is missing, unknown or out of range.
    """
    path = Path(name_or_path)
    where = str(path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise MissingFileError(where, expected="a file", found="nothing there")
        text = path.read_text(encoding="utf-8")
    else:
        folder = resources.files("dynaopt") / "data" / "spec"
        known = sorted(file.name.removesuffix(".toml") for file in folder.iterdir())
        if name_or_path not in known:
            raise UnknownNameError(
                "profile to build", expected=f"a .toml file, or one of: {', '.join(known)}", found=f"'{name_or_path}'"
            )
        text = (folder / f"{name_or_path}.toml").read_text(encoding="utf-8")
    try:
        return BuildSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(where, expected="a TOML file", found=str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        expected = first["msg"].removeprefix("Input should be ")
        raise InvalidInputError(f"{where}, key '{key}'", expected=expected, found=repr(first["input"])) from None


def build_profile(
    spec: BuildSpec | str | Path = "llama2-70b-h100",
    folder: str | Path | None = None,
    *,
    model: PhaseModel | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Profile:
    """Build a profile; the same seed gives the same files, whatever the number of workers.

    Parameters
    ----------
    spec
        What to build, or its name or file.
    folder
        Where to write the profile; nowhere by default.
    model
        The phase model; the shipped one that `spec` names by default.
    seed
        Seed of every draw.
    workers
        Worker processes.
    progress
        Called with how many steps are done, how many there are, and what was done last.

    Returns
    -------
    Profile
        The profile, as it was written.
    """
    if not isinstance(spec, BuildSpec):
        spec = read_build_spec(spec)
    model = read_phase_model(spec.phase_model) if model is None else model
    tasks = [
        (spec, model, tp, frequency_mhz, name, seed)
        for tp in model.tps
        for frequency_mhz in spec.frequencies_mhz
        for name in spec.workloads
    ]
    curves, engines = {}, []
    results = _parallel(workers, _build_one, tasks)
    for done, ((_, _, tp, frequency_mhz, name, _), built) in enumerate(zip(tasks, results, strict=True), start=1):
        if built is not None:
            engine, curves[tp, frequency_mhz, name] = built
            engines.append(engine)
        if progress is not None:
            progress(done, len(tasks), f"{name} on TP{tp} at {frequency_mhz} MHz")
    profile = Profile(metadata=_metadata(spec, model, tuple(engines)), curves=curves, phase_model=model)
    if folder is not None:
        write_profile(profile, folder)
    return profile


def _parallel(workers: int, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> Iterator[Any]:
    if workers == 1:
        return (function(*task) for task in tasks)
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    return iter(parallel(joblib.delayed(function)(*task) for task in tasks))


def _build_one(
    spec: BuildSpec, model: PhaseModel, tp: int, frequency_mhz: int, name: str, seed: int
) -> tuple[EngineOptions, LoadCurve] | None:
    """Simulate one curve with its best token budget; None when a request never fits into the KV cache."""
    is_whole = name.removeprefix(MIX_PREFIX) in SERVICE_REQUESTS
    size = spec.requests_per_level * (2 if is_whole else 1)
    workload = _workload(name, spec, size, seed)
    if workload.longest_tokens > model.kv_capacity_tokens(tp):
        return None
    few = _BUDGET_REQUESTS_IN_MIX if name.startswith(MIX_PREFIX) else _BUDGET_REQUESTS
    budget = _choose_budget(spec, model, tp, frequency_mhz, _workload(name, spec, few, seed))
    options = EngineOptions(
        tp=tp,
        frequency_mhz=frequency_mhz,
        request_class=name,
        token_budget=budget,
        max_num_seqs=min(spec.max_num_seqs, budget),
        kv_capacity_tokens=model.kv_capacity_tokens(tp),
    )
    engine = engine_of(model, tp, frequency_mhz, budget, spec.max_num_seqs)
    return options, build_curve(engine, workload, spec.slo, tp=tp, frequency_mhz=frequency_mhz)


def _choose_budget(spec: BuildSpec, model: PhaseModel, tp: int, frequency_mhz: int, workload: Workload) -> int:
    """Choose the token budget that allows the highest load within the SLO, the larger one of equals.

    Where none keeps the SLO even without load, the one that does best at the least looser SLO that some budget keeps.
    """
    for scale in _SLO_SCALES:
        slo = spec.slo.scaled(scale, tbt_factor=scale * (1 - spec.tbt_margin))
        loads: list[float] = []
        for budget in spec.token_budgets:
            engine = engine_of(model, tp, frequency_mhz, budget, spec.max_num_seqs)
            # The load of the budget before is a good guess.
            loads.append(slo_load_rps(engine, workload, slo, guess=max(loads[-1:], default=0.0) or 1.0))
        if max(loads) > 0:
            return max(zip(loads, spec.token_budgets, strict=True))[1]
    return max(spec.token_budgets)


@lru_cache(maxsize=32)
def _drawn(name: str, cut_points: CutPoints, slo: Slo, size: int, seed: int) -> Workload:
    return make_workload(name, cut_points, slo, size=size, seed=seed)


def _workload(name: str, spec: BuildSpec, size: int, seed: int) -> Workload:
    return _drawn(name, spec.cut_points, spec.slo, size, seed)


def _metadata(spec: BuildSpec, model: PhaseModel, options: tuple[EngineOptions, ...]) -> Metadata:
    cuts = spec.cut_points
    mixes = [Mix(name=MIX_PREFIX + mix, shares=mix_lengths(mix, cuts).shares(cuts)) for mix in spec.mixes]
    phase = [p.model_copy(update={"quantity": f"phase model: {p.quantity}"}) for p in model.provenance]
    return Metadata(
        format_version=1,
        name=spec.name,
        version=spec.version,
        model=model.model,
        gpu=model.gpu,
        engine=model.engine,
        gpus_per_server=spec.gpus_per_server,
        power=spec.power,
        start_up=spec.start_up,
        classes=spec.classes,
        mixes=tuple(mixes),
        engine_options=options,
        provenance=(*spec.provenance, *phase),
    )
