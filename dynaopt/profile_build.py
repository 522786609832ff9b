"""Build a profile: choose each configuration's token budget, simulate every curve, and say where it all comes from."""

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
from dynaopt.lengths import service_lengths
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.profile import ClassCuts, EngineOptions, LoadCurve, Metadata, Mix, Power, Profile, Provenance, StartUp
from dynaopt.profile_io import write_profile
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo
from dynaopt.workload import Workload, make_workload

Progress = Callable[[int, int, str], None]
Positive = Annotated[int, Field(gt=0)]

# How many requests tell one token budget from another.
_BUDGET_REQUESTS = 6000


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
        Requests in the simulation of one load; a mix takes twice as many.
    mixes
        Services whose whole mix gets curves.
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
    def workloads(self) -> tuple[str, ...]:
        """Names of all workloads: the nine classes, then the mixes."""
        return (*REQUEST_CLASSES, *(MIX_PREFIX + service for service in self.mixes))


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
    model = read_phase_model(spec.phase_model)
    configurations = [(tp, f) for tp in model.tps for f in spec.frequencies_mhz]
    total = len(configurations) * (1 + len(spec.workloads))
    report = _Report(progress, total)
    budgets = {}
    for chosen in _parallel(workers, _choose_budget, [(spec, model, tp, f, seed) for tp, f in configurations]):
        budgets[chosen.tp, chosen.frequency_mhz] = chosen
        report(f"token budget of TP{chosen.tp} at {chosen.frequency_mhz} MHz")
    curves = {}
    tasks = [(spec, model, options, name, seed) for options in budgets.values() for name in spec.workloads]
    for (_, _, options, name, _), curve in zip(tasks, _parallel(workers, _simulate_curve, tasks), strict=True):
        report(f"{name} on TP{options.tp} at {options.frequency_mhz} MHz")
        if curve is not None:
            curves[options.tp, options.frequency_mhz, name] = curve
    profile = Profile(metadata=_metadata(spec, model, tuple(budgets.values())), curves=curves)
    if folder is not None:
        write_profile(profile, folder)
    return profile


class _Report:
    """Counts what is done, for `Progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress = progress
        self.total = total
        self.done = 0

    def __call__(self, what: str) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, what)


def _parallel(workers: int, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> Iterator[Any]:
    if workers == 1:
        return (function(*task) for task in tasks)
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    return iter(parallel(joblib.delayed(function)(*task) for task in tasks))


def _choose_budget(spec: BuildSpec, model: PhaseModel, tp: int, frequency_mhz: int, seed: int) -> EngineOptions:
    """Choose the budget whose loads within the SLO are highest, each class as a share of the best that it can have."""
    slo = Slo.table_iv()
    workloads = [_workload(name, spec.cut_points, _BUDGET_REQUESTS, seed) for name in REQUEST_CLASSES]
    fitting = [w for w in workloads if w.longest_tokens <= model.kv_capacity_tokens(tp)]
    loads = []
    for budget in spec.token_budgets:
        engine = engine_of(model, tp, frequency_mhz, budget, spec.max_num_seqs)
        loads.append([slo_load_rps(engine, workload, slo) for workload in fitting])
    best = [max(column) for column in zip(*loads, strict=True)]
    scores = [sum(load / most for load, most in zip(row, best, strict=True) if most) for row in loads]
    at = max(range(len(scores)), key=lambda i: (scores[i], spec.token_budgets[i]))
    return EngineOptions(
        tp=tp,
        frequency_mhz=frequency_mhz,
        token_budget=spec.token_budgets[at],
        max_num_seqs=min(spec.max_num_seqs, spec.token_budgets[at]),
        kv_capacity_tokens=model.kv_capacity_tokens(tp),
    )


def _simulate_curve(
    spec: BuildSpec, model: PhaseModel, options: EngineOptions, name: str, seed: int
) -> LoadCurve | None:
    """Simulate one curve; None when a request of the workload never fits into the KV cache."""
    tp, frequency_mhz = options.tp, options.frequency_mhz
    size = spec.requests_per_level * (2 if name.startswith(MIX_PREFIX) else 1)
    workload = _workload(name, spec.cut_points, size, seed)
    if workload.longest_tokens > options.kv_capacity_tokens:
        return None
    engine = engine_of(model, tp, frequency_mhz, options.token_budget, options.max_num_seqs)
    return build_curve(engine, workload, Slo.table_iv(), tp=tp, frequency_mhz=frequency_mhz)


@lru_cache(maxsize=32)
def _workload(name: str, cut_points: CutPoints, size: int, seed: int) -> Workload:
    return make_workload(name, cut_points, Slo.table_iv(), size=size, seed=seed)


def _metadata(spec: BuildSpec, model: PhaseModel, options: tuple[EngineOptions, ...]) -> Metadata:
    mixes = []
    for service in spec.mixes:
        shares = service_lengths(service).shares(spec.cut_points)
        mixes.append(Mix(name=MIX_PREFIX + service, shares=shares))
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
