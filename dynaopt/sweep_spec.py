"""What a sweep is of: one TOML file with lists, of which every combination is planned."""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dynaopt.demand import Demand
from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.objective import Quantity
from dynaopt.problem import Cluster
from dynaopt.solvers.base import DEFAULT_GAP

_DEFAULT = Cluster()
CLUSTER_AXES = tuple(Cluster.model_fields)
"""Options of the cluster, each of which may be a list in a sweep."""


def _listed(value: object) -> object:
    """Take a single value as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    texts = [json.dumps(value, sort_keys=True) for value in values]
    for number, text in enumerate(texts):
        if text in texts[:number]:
            raise ValueError(f"each value once, not {text} twice")
    return values


def _grouped(value: object) -> object:
    """Take each item of a list of profiles as a list: the profiles of the models that share a cluster."""
    return tuple(_listed(item) for item in value) if isinstance(value, list | tuple) else ((value,),)


def _none_named(value: object) -> object:
    """Let a list say ``"none"``, for which TOML has no value."""
    items = _listed(value)
    return tuple(None if item == "none" else item for item in items)  # type: ignore[attr-defined]


UNTIMED_SOLVER = "greedy"
"""Who solves windows unless another is named. A clock would stop `exact` at windows that it cannot prove, and a sweep
would come out differently on another machine; it also has many clusters that are too small, which take longest."""
_Many = (Field(min_length=1), BeforeValidator(_listed), AfterValidator(_each_once))
_Maybe = (Field(min_length=1), BeforeValidator(_none_named), AfterValidator(_each_once))
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Texts = Annotated[tuple[str, ...], *_Many]
Factors = Annotated[tuple[_Positive, ...], *_Many]
Numbers = Annotated[tuple[float, ...], *_Many]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _utc(value: object) -> object:
    """Read a moment: a date or time of TOML, or its text; without a zone it is UTC."""
    if not isinstance(value, str | datetime.date):
        raise ValueError(f"a time such as 2024-05-12T18:05, not {value!r}")
    time = pd.to_datetime(str(value), utc=True, errors="coerce", format="ISO8601")
    if not isinstance(time, pd.Timestamp):
        raise ValueError(f"a time such as 2024-05-12T18:05, not '{value}'")
    return time.to_pydatetime()


_Moment = Annotated[datetime.datetime, BeforeValidator(_utc)]


class WindowSelection(_Section):
    """Which windows of every demand are planned.

    Parameters
    ----------
    start
        Only those that start from this moment on (``from`` in TOML); from the first by default.
    until
        Only those that start before it; to the last by default.
    every
        Only one in so many: a sample, between whose windows starts of instances are not told. 1 by default.
    """

    start: _Moment | None = Field(default=None, alias="from")
    until: _Moment | None = None
    every: Annotated[int, Field(ge=1)] = 1

    def of(self, demand: Demand) -> Demand:
        """Return the selected windows of a demand.

        Parameters
        ----------
        demand
            The whole.

        Raises
        ------
        InvalidInputError
            If none of its windows is selected.
        """
        starts = demand.starts
        inside = pd.Series(True, index=starts)
        if self.start is not None:
            inside &= starts >= pd.Timestamp(self.start)
        if self.until is not None:
            inside &= starts < pd.Timestamp(self.until)
        chosen = starts[inside.to_numpy()][:: self.every]
        if chosen.empty:
            expected = f"windows of '{demand.name}', {starts[0]:%Y-%m-%dT%H:%M} to {starts[-1]:%Y-%m-%dT%H:%M}"
            raise InvalidInputError("windows", expected=expected, found=f"none from {self.start} to {self.until}")
        table = demand.table[demand.table["window_start"].isin(chosen)].reset_index(drop=True)
        return Demand(demand.name, demand.window_s, table, demand.sha256, chosen, demand.models)


def _day(value: object) -> object:
    """Let a date stand for its day."""
    if isinstance(value, Mapping | WindowSelection):
        return value
    start = _utc(value)
    assert isinstance(start, datetime.datetime)
    if start.time() != datetime.time():
        raise ValueError(f"a day such as 2024-05-14, or a table with from and until, not {value}")
    return {"from": str(start), "until": str(start + datetime.timedelta(days=1))}


class ObjectiveSpec(_Section):
    """What to minimise and what it costs; the fields are those of `Objective`, series as names of files."""

    minimise: str | dict[Quantity, float] = "energy"
    price_per_kwh: float | str | None = None
    price_per_gpu_hour: float = 0.0
    carbon_g_per_kwh: float | str | None = None
    carbon_g_per_gpu_hour: float = 0.0
    pue: float = 1.0


class SweepSpec(_Section):
    """What a sweep is of. Where a field is a tuple, TOML may have a list or a single value.

    Parameters
    ----------
    services
        Demands: shipped weeks by name, or demand tables.
    profiles
        Profiles by name or folder; an item that is a list holds the profiles of the models of one cluster.
    rate_scales
        Factors on every arrival rate.
    slo
        A table of latency objectives; Table IV of the DynamoLLM paper by default.
    slo_scales
        Factors on every objective.
    num_gpus, headroom, reserve, power_cap_w, unused_gpus, fixed_mix, host_w, max_mix_distance
        As in `Cluster`; ``"none"`` for no cap and for the power of hosts that the profile has.
    windows
        Which windows; all by default. A date stands for its day.
    solver
        As `plan` takes it; `UNTIMED_SOLVER` by default.
    time_limit_s, gap_tolerance
        As `plan` takes them.
    objective
        What to minimise; energy by default.
    schedules
        Whether to write the schedule of every point; not by default.
    """

    services: Texts
    profiles: Annotated[
        tuple[tuple[str, ...], ...], Field(min_length=1), BeforeValidator(_grouped), AfterValidator(_each_once)
    ] = (("llama2-70b-h100",),)
    rate_scales: Factors = (1.0,)
    slo: str | None = None
    slo_scales: Factors = (1.0,)
    num_gpus: Annotated[tuple[int, ...], *_Many] = (_DEFAULT.num_gpus,)
    headroom: Numbers = (_DEFAULT.headroom,)
    reserve: Annotated[tuple[float | Literal["n+1"], ...], *_Many] = (_DEFAULT.reserve,)
    power_cap_w: Annotated[tuple[float | None, ...], *_Maybe] = (_DEFAULT.power_cap_w,)
    unused_gpus: Texts = (_DEFAULT.unused_gpus,)
    fixed_mix: Annotated[tuple[dict[str, dict[int, int]], ...], *_Many] = ({},)
    host_w: Annotated[tuple[float | None, ...], *_Maybe] = (_DEFAULT.host_w,)
    max_mix_distance: Numbers = (_DEFAULT.max_mix_distance,)
    windows: Annotated[WindowSelection, BeforeValidator(_day)] = WindowSelection()
    solver: str = UNTIMED_SOLVER
    time_limit_s: float | None = None
    gap_tolerance: float = DEFAULT_GAP
    objective: ObjectiveSpec | None = None
    schedules: bool = False


def read_sweep_spec(path: str | Path) -> SweepSpec:
    """Read what a sweep is of.

    Parameters
    ----------
    path
        A TOML file (format: ``docs/sweep.md``).

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it is not TOML, or a key is missing, unknown or out of range; with file and key.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(str(path), expected="a TOML file that says what to sweep", found="nothing there")
    try:
        spec = SweepSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), expected="a TOML file", found=str(error)) from None
    except ValidationError as error:
        raise _fault(path, error) from None
    _check_cluster(path, spec)
    if spec.schedules and spec.windows.every > 1:
        found = f"one window in {spec.windows.every}"
        raise InvalidInputError(f"{path}, key 'schedules'", expected="false for a sample of windows", found=found)
    return spec


def _fault(path: Path, error: ValidationError) -> InvalidInputError:
    """Say what is wrong with the first key that is, in the words of `errors`."""
    first = error.errors()[0]
    where = f"{path}, key '{'.'.join(map(str, first['loc']))}'"
    if first["type"] == "extra_forbidden":
        return InvalidInputError(where, expected=f"one of {', '.join(SweepSpec.model_fields)}", found="another key")
    if first["type"] == "missing":
        return InvalidInputError(where, expected="it to be there", found="none")
    expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return InvalidInputError(where, expected=expected, found=repr(first["input"]))


def _check_cluster(path: Path, spec: SweepSpec) -> None:
    """Refuse what no cluster can have, value by value, so that the key is known."""
    for name in CLUSTER_AXES:
        for value in getattr(spec, name):
            try:
                Cluster.of(**{name: value})
            except InvalidInputError as error:
                raise InvalidInputError(
                    f"{path}, key '{name}'", expected=error.expected, found=error.found, hint=error.hint
                ) from None
