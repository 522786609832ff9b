"""The points of a sweep: every combination of its lists, checked and ready to be planned."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dynaopt.demand import Demand, demand_names, read_demand
from dynaopt.errors import InputError, InvalidInputError
from dynaopt.horizon import Horizon, prepare
from dynaopt.objective import Objective
from dynaopt.policy_outcome import scaled
from dynaopt.price_series import PriceSeries, read_series
from dynaopt.profile import Profile
from dynaopt.profile_io import list_profiles, read_profile
from dynaopt.slo import Slo, read_slo
from dynaopt.sweep_spec import CLUSTER_AXES, SweepSpec

AXES = {
    "service": "services",
    "profiles": "profiles",
    "rate_scale": "rate_scales",
    "slo_scale": "slo_scales",
    **{name: name for name in CLUSTER_AXES},
}
"""What tells points apart, in the order in which they vary, the last fastest; and the list in the spec."""
_SHORT = {"rate_scale": "rate", "slo_scale": "slo", "num_gpus": "gpus"}


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One combination of a sweep's lists.

    Parameters
    ----------
    name
        Names it among the others, and the folder of its schedule.
    inputs
        The value of each of `AXES`, as the table of a sweep has it.
    horizon
        What is to be planned.
    """

    name: str
    inputs: Mapping[str, Any]
    horizon: Horizon

    @property
    def digest(self) -> str:
        """Names all that decides the answers."""
        return self.horizon.metadata.digest


def make_points(spec: SweepSpec, folder: str | Path = ".") -> list[Point]:
    """Make the points of a sweep.

    Parameters
    ----------
    spec
        What it is of.
    folder
        Where the names of files in it start; the current folder by default.

    Raises
    ------
    InputError
        If an input cannot be read, or the inputs and options of a point do not fit one another; with the point.
    """
    inputs = _Inputs(spec, Path(folder))
    lists = [getattr(spec, key) for key in AXES.values()]
    points = [_make_point(spec, inputs, dict(zip(AXES, chosen, strict=True))) for chosen in itertools.product(*lists)]
    names = [point.name for point in points]
    for number, name in enumerate(names):
        if name in names[:number]:
            expected = "files and folders of different names, by which the points are told apart"
            raise InvalidInputError("services and profiles", expected=expected, found=f"'{name}' twice")
    return points


class _Inputs:
    """What points are made of, each file read once."""

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._profiles: dict[str, Profile] = {}
        self._demands: dict[tuple[str, float], Demand] = {}

    def profile(self, name: str) -> Profile:
        """Return a profile by name, or from a folder."""
        if name not in self._profiles:
            self._profiles[name] = read_profile(name if name in list_profiles() else self._path(name))
        return self._profiles[name]

    def demand(self, name: str, rate_scale: float) -> Demand:
        """Return the selected windows of a demand, scaled."""
        if (name, rate_scale) not in self._demands:
            whole = read_demand(name if name in demand_names() else self._path(name))
            self._demands[name, rate_scale] = scaled(self._spec.windows.of(whole), rate_scale)
        return self._demands[name, rate_scale]

    @cached_property
    def slo(self) -> Slo:
        """The objectives before they are scaled."""
        return Slo.table_iv() if self._spec.slo is None else read_slo(self._path(self._spec.slo))

    @cached_property
    def objective(self) -> Objective | None:
        """What is minimised; None for energy alone."""
        spec = self._spec.objective
        if spec is None:
            return None
        fields = spec.model_dump()
        return Objective(**fields | {name: self._rate(name, fields[name]) for name in _SERIES})

    def paths(self, names: tuple[str, ...], demand: Demand, service: str) -> dict[str, str]:
        """Return where the inputs that are files lie, by their names."""
        paths = {} if service in demand_names() else {demand.name: str(self._path(service).resolve())}
        own = {self.profile(n).name: str(self._path(n).resolve()) for n in names if n not in list_profiles()}
        return paths | own

    def _rate(self, column: str, value: float | str | None) -> float | PriceSeries | None:
        return read_series(self._path(value), column) if isinstance(value, str) else value

    def _path(self, name: str) -> Path:
        return self._folder / name


_SERIES = ("price_per_kwh", "carbon_g_per_kwh")


def _make_point(spec: SweepSpec, inputs: _Inputs, chosen: Mapping[str, Any]) -> Point:
    demand = inputs.demand(chosen["service"], chosen["rate_scale"])
    profiles = [inputs.profile(name) for name in chosen["profiles"]]
    name = "_".join(_name_parts(spec, chosen))
    try:
        horizon = prepare(
            demand,
            profiles,
            slo=inputs.slo.scaled(chosen["slo_scale"]),
            solver=spec.solver,
            time_limit_s=spec.time_limit_s,
            gap_tolerance=spec.gap_tolerance,
            objective=inputs.objective,
            paths=inputs.paths(chosen["profiles"], demand, chosen["service"]),
            **{axis: chosen[axis] for axis in CLUSTER_AXES},
        )
    except InputError as error:
        # The reader may have typed a dozen lists, and it is one of their combinations that does not fit.
        where = f"point {name}, {error.where}"
        raise type(error)(where, expected=error.expected, found=error.found, hint=error.hint) from None
    return Point(name, {axis: _cell(axis, value) for axis, value in chosen.items()}, horizon)


def _name_parts(spec: SweepSpec, chosen: Mapping[str, Any]) -> Iterator[str]:
    """Name the service and the profiles, and of the rest what tells points apart."""
    yield _stem(chosen["service"])
    yield _cell("profiles", chosen["profiles"])
    for axis, key in AXES.items():
        values = getattr(spec, key)
        if axis in ("service", "profiles") or len(values) == 1:
            continue
        value = chosen[axis]
        text = str(1 + values.index(value)) if axis == "fixed_mix" else str(_cell(axis, value) or "none")
        yield f"{_SHORT.get(axis, axis)}{text.removesuffix('.0')}"


def _cell(axis: str, value: Any) -> Any:
    """Return a value as the table has it, where a column holds one kind of thing."""
    if axis == "service":
        return _stem(value)
    if axis == "profiles":
        return "+".join(Path(name).name for name in value)
    if axis == "fixed_mix":
        return json.dumps(value, sort_keys=True) if value else ""
    if axis == "reserve":
        return value if isinstance(value, str) else f"{value:g}"
    return value


def _stem(service: str) -> str:
    return service if service in demand_names() else Path(service).stem
