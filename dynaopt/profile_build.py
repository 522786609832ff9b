"""Build a profile: choose each curve's token budget, simulate it, and say where it all comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import joblib
from pydantic import Field, ValidationError

from dynaopt.curve_build import build_curve, slo_load_rps
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.instance_simulator import engine_of
from dynaopt.lengths import Lengths, workload_lengths
from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.profile import ClassCuts, EngineOptions, LoadCurve, Metadata, Mix, Power, Profile, Simulation, StartUp
from dynaopt.profile_io import write_profile
from dynaopt.provenance import Provenance
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, CutPoints, is_part
from dynaopt.workload import Workload, make_workload

Progress = Callable[[int, int, str], None]
Positive = Annotated[int, Field(gt=0)]

# How many requests tell one token budget from another: a share of those of a level, more in a mix, of which each class
# must have some; and the objectives that they are held to in turn.
_BUDGET_SHARE = 0.2
_BUDGET_SHARE_IN_MIX = 0.6
_FEWEST_FOR_BUDGET = 1000
_SLO_SCALES = (1.0, 2.0, 4.0)


class BuildSpec(Simulation):
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
    token_budgets, max_num_seqs, requests_per_level, tbt_margin, slo_scale
        As in `Simulation`.
    mixes
        Mixes that get curves: services (``conversation``) and their parts of one input length (``conversation-S``).
    power, start_up, classes, provenance
        As in `Metadata`; the provenance of the phase model is added.
    """

    name: str
    version: str
    phase_model: str
    gpus_per_server: Positive
    frequencies_mhz: tuple[Positive, ...]
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
    def simulation(self) -> Simulation:
        """What a profile keeps of it, so that more curves can be taken in the same way."""
        return Simulation.model_validate(self.model_dump(include=set(Simulation.model_fields)))

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
    lengths = {name: workload_lengths(name, spec.cut_points) for name in spec.workloads}
    curves, engines = simulate_curves(
        spec.simulation,
        model,
        [(tp, frequency_mhz) for tp in model.tps for frequency_mhz in spec.frequencies_mhz],
        lengths,
        spec.cut_points,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    profile = Profile(metadata=_metadata(spec, model, lengths, engines), curves=curves, phase_model=model)
    if folder is not None:
        write_profile(profile, folder)
    return profile


def simulate_curves(
    simulation: Simulation,
    model: PhaseModel,
    configurations: Collection[tuple[int, int]],
    lengths: Mapping[str, Lengths],
    cut_points: CutPoints,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[dict[tuple[int, int, str], LoadCurve], tuple[EngineOptions, ...]]:
    """Simulate the curves of some classes and mixes on some configurations, each with its best token budget.

    Parameters
    ----------
    simulation
        Budgets to choose from, requests, objectives.
    model
        The phase model.
    configurations
        (`tp`, `frequency_mhz`) of each.
    lengths
        Lengths of the requests of each class or mix (``ALL-…``).
    cut_points
        Where classes are cut.
    seed, workers, progress
        As for `build_profile`.

    Returns
    -------
    curves : dict
        By (`tp`, `frequency_mhz`, name). One whose requests do not all fit into the KV cache is left out.
    engine_options : tuple
        How the engine of each curve was set, in the order of the curves.
    """
    tasks = [
        (simulation, model, tp, frequency_mhz, name, own, cut_points, seed)
        for tp, frequency_mhz in configurations
        for name, own in lengths.items()
    ]
    curves, engines = {}, []
    results = _parallel(workers, _build_one, tasks)
    for done, ((_, _, tp, frequency_mhz, name, *_), built) in enumerate(zip(tasks, results, strict=True), start=1):
        if built is not None:
            engine, curves[tp, frequency_mhz, name] = built
            engines.append(engine)
        if progress is not None:
            progress(done, len(tasks), f"{name} on TP{tp} at {frequency_mhz} MHz")
    return curves, tuple(engines)


def _parallel(workers: int, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> Iterator[Any]:
    if workers == 1:
        return (function(*task) for task in tasks)
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    return iter(parallel(joblib.delayed(function)(*task) for task in tasks))


def _build_one(
    simulation: Simulation,
    model: PhaseModel,
    tp: int,
    frequency_mhz: int,
    name: str,
    lengths: Lengths,
    cut_points: CutPoints,
    seed: int,
) -> tuple[EngineOptions, LoadCurve] | None:
    """Simulate one curve with its best token budget; None when a request never fits into the KV cache."""

    def draw(size: int) -> Workload:
        return make_workload(name, lengths, cut_points, simulation.slo, size=size, seed=seed)

    is_whole_mix = name.startswith(MIX_PREFIX) and not is_part(name)
    workload = draw(simulation.requests_per_level * (2 if is_whole_mix else 1))
    if lengths.longest_tokens > model.kv_capacity_tokens(tp):
        return None
    share = _BUDGET_SHARE_IN_MIX if name.startswith(MIX_PREFIX) else _BUDGET_SHARE
    few = max(_FEWEST_FOR_BUDGET, round(share * simulation.requests_per_level))
    budget = _choose_budget(simulation, model, tp, frequency_mhz, draw(few))
    options = EngineOptions(
        tp=tp,
        frequency_mhz=frequency_mhz,
        request_class=name,
        token_budget=budget,
        max_num_seqs=min(simulation.max_num_seqs, budget),
        kv_capacity_tokens=model.kv_capacity_tokens(tp),
    )
    engine = engine_of(model, tp, frequency_mhz, budget, simulation.max_num_seqs)
    return options, build_curve(engine, workload, simulation.slo, tp=tp, frequency_mhz=frequency_mhz)


def _choose_budget(spec: Simulation, model: PhaseModel, tp: int, frequency_mhz: int, workload: Workload) -> int:
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


def mixes_of(lengths: Mapping[str, Lengths], cut_points: CutPoints) -> tuple[Mix, ...]:
    """Return the mixes (``ALL-…``) among workloads, with the share of requests of each class.

    Parameters
    ----------
    lengths
        Lengths of the requests of each class or mix.
    cut_points
        Where classes are cut.
    """
    names = (name for name in lengths if name.startswith(MIX_PREFIX))
    return tuple(Mix(name=name, shares=lengths[name].shares(cut_points)) for name in names)


def _metadata(
    spec: BuildSpec, model: PhaseModel, lengths: Mapping[str, Lengths], options: tuple[EngineOptions, ...]
) -> Metadata:
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
        simulation=spec.simulation,
        mixes=mixes_of(lengths, spec.cut_points),
        engine_options=options,
        provenance=(*spec.provenance, *phase),
    )
