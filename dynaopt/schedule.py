"""The answers over a horizon: what runs in every window, what that takes, and what it was planned for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from dynaopt.coupling import Coupling
from dynaopt.demand import Demand
from dynaopt.problem import Cluster
from dynaopt.profile import Profile
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES
from dynaopt.result import Termination
from dynaopt.slo import Slo
from dynaopt.tables import Column

FORMAT_VERSIONS = (1, 2, 3)
"""Version 2 is version 1 with an objective: a key and a total in ``schedule.json``, and the table `accounts`. Version 3
is either, coupled: the key `coupling`."""

_WINDOW = Column("window_start", "timestamp")
_MODEL = Column("model", "text")
_POOL = Column("pool", "text", choices=REQUEST_CLASSES, prefix=MIX_PREFIX)
_TP = Column("tp", "integer", minimum=1)

ALLOCATION_COLUMNS = (
    _WINDOW,
    _MODEL,
    _POOL,
    _TP,
    Column("frequency_mhz", "integer", minimum=1),
    Column("num_instances", "integer", minimum=1),
    Column("rate_per_instance_rps", minimum=0),
    Column("power_per_instance_w", minimum=0),
)
ROUTE_COLUMNS = (
    _WINDOW,
    _MODEL,
    Column("request_class", "text", choices=REQUEST_CLASSES),
    _POOL,
    Column("rate_rps", positive=True),
)
TRANSITION_COLUMNS = (
    _WINDOW,
    _MODEL,
    _POOL,
    _TP,
    Column("num_started", "integer", minimum=0),
    Column("num_stopped", "integer", minimum=0),
    Column("energy_j", minimum=0),
)
WINDOW_COLUMNS = (
    _WINDOW,
    Column("window_s", positive=True),
    Column("termination", "text", choices=tuple(Termination)),
    Column("solver", "text"),
    Column("power_w", minimum=0, nullable=True),
    Column("serving_energy_j", minimum=0, nullable=True),
    Column("transition_energy_j", minimum=0, nullable=True),
    Column("energy_j", minimum=0, nullable=True),
    Column("lower_bound_j", minimum=0, nullable=True),
    Column("gap", minimum=0, nullable=True),
    Column("num_gpus", "integer", minimum=0, nullable=True),
    Column("runtime_s", minimum=0),
    Column("reason", "text", nullable=True),
)
ANSWER_COLUMNS = tuple(c.name for c in WINDOW_COLUMNS if c.nullable and c.kind != "text")
"""Columns of `windows` that are empty exactly where a window has no answer."""
ACCOUNT_COLUMNS = (
    _WINDOW,
    Column("price_per_kwh", minimum=0, nullable=True),
    Column("carbon_g_per_kwh", minimum=0, nullable=True),
    Column("cost", minimum=0, nullable=True),
    Column("carbon_g", minimum=0, nullable=True),
    Column("serving_objective", minimum=0, nullable=True),
    Column("objective", minimum=0, nullable=True),
    Column("objective_bound", minimum=0, nullable=True),
)

ANALYSES: dict[str, Callable[..., pd.DataFrame]] = {}
"""What a schedule answers by solving again, by the name of its method. The modules that do it lie above this one and
enter themselves here; importing the package imports them all."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Section):
    """What went into a schedule: its name, the path that was given for it if any, and its SHA-256.

    `sha256` is that of the file or files it was read from (empty if it was made in memory), `content_sha256` that of
    the numbers in it, which does not depend on how they were stored.
    """

    name: str
    path: str | None = None
    sha256: str
    content_sha256: str


class ObjectiveRecord(_Section):
    """What a schedule minimises, as ``schedule.json`` has it; the fields are those of `dynaopt.Objective`.

    `minimise` are its weights. For a series, `price_per_kwh` and `carbon_g_per_kwh` say where it came from; its means
    over the windows stand in the table `accounts`, and their SHA-256 is its `content_sha256`.
    """

    kind: Literal["energy", "cost", "carbon", "weighted"]
    unit: str
    minimise: dict[Literal["energy", "cost", "carbon"], Annotated[float, Field(gt=0)]]
    price_per_kwh: Annotated[float, Field(ge=0)] | Source | None = None
    price_per_gpu_hour: Annotated[float, Field(ge=0)] = 0.0
    carbon_g_per_kwh: Annotated[float, Field(ge=0)] | Source | None = None
    carbon_g_per_gpu_hour: Annotated[float, Field(ge=0)] = 0.0
    pue: Annotated[float, Field(ge=1)] = 1.0

    @property
    def charges_for_gpus(self) -> bool:
        """Whether GPUs in use have a price, so that the least objective is not that of the least energy."""
        rates = {"cost": self.price_per_gpu_hour, "carbon": self.carbon_g_per_gpu_hour}
        return any(rates.get(name, 0.0) > 0 for name in self.minimise)


class CouplingRecord(_Section):
    """How the windows of a schedule were coupled, as ``schedule.json`` has it.

    `asked` is what the operator asked for. `lower_bound` is what the objective of no schedule of the answered windows
    goes below, starts included, in joules when it is energy; None where that was not proved.
    """

    asked: Coupling
    lower_bound: Annotated[float, Field(ge=0)] | None = None


class ObjectiveTotals(_Section):
    """Sums of the table `accounts` over the answered windows; None where nothing was asked of it."""

    cost: Annotated[float, Field(ge=0)] | None
    carbon_g: Annotated[float, Field(ge=0)] | None
    serving_objective: Annotated[float, Field(ge=0)]
    objective: Annotated[float, Field(ge=0)]
    objective_bound: Annotated[float, Field(ge=0)]


class Totals(_Section):
    """Sums over the windows that have an answer, in joules, seconds and requests.

    `lower_bound_j` is about `serving_energy_j`, and None where an objective with a price of GPUs proves nothing of it.
    `gap` is that of the objective, serving alone. `runtime_s` adds up what the solvers took for each window, on however
    many processes.
    """

    num_windows: Annotated[int, Field(ge=0)]
    num_unsolved: Annotated[int, Field(ge=0)]
    num_requests: Annotated[float, Field(ge=0)]
    energy_j: Annotated[float, Field(ge=0)]
    serving_energy_j: Annotated[float, Field(ge=0)]
    transition_energy_j: Annotated[float, Field(ge=0)]
    lower_bound_j: Annotated[float, Field(ge=0)] | None
    gap: Annotated[float, Field(ge=0)] | None
    runtime_s: Annotated[float, Field(ge=0)]
    objective: ObjectiveTotals | None = None


class ScheduleMetadata(_Section):
    """The content of ``schedule.json``.

    Parameters
    ----------
    format_version
        Version of the folder's format.
    dynaopt_version
        Version of the package that planned.
    digest
        SHA-256 of everything that decides the answers: inputs, options and `dynaopt_version`.
    demand, profiles
        What it was planned for and with.
    slo, cluster, solver, time_limit_s, gap_tolerance
        Options, as `plan` takes them.
    window_s
        Length of a window, in seconds.
    totals
        Sums over the windows.
    objective
        What was minimised; None for energy alone.
    coupling
        How windows were planned together; None where each was planned by itself.
    """

    format_version: Literal[1, 2, 3] = 1
    dynaopt_version: str
    digest: str
    demand: Source
    profiles: tuple[Source, ...]
    slo: Slo
    cluster: Cluster
    solver: str
    time_limit_s: Annotated[float, Field(gt=0)] | None
    gap_tolerance: Annotated[float, Field(ge=0)]
    window_s: Annotated[float, Field(gt=0)]
    totals: Totals
    objective: ObjectiveRecord | None = None
    coupling: CouplingRecord | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Schedule:
    """A plan for every window of a demand.

    Parameters
    ----------
    metadata
        What it was planned from and how; the content of ``schedule.json``.
    demand
        The table that it was planned for.
    allocations
        Groups of identical instances, `ALLOCATION_COLUMNS`.
    routes
        Which pool serves how much of each class, `ROUTE_COLUMNS`.
    transitions
        Instances started and stopped at the start of a window, `TRANSITION_COLUMNS`.
    windows
        A row for each window, `WINDOW_COLUMNS`.
    accounts
        Prices, money, carbon and objective of each window, `ACCOUNT_COLUMNS`, where an objective was given; else None.
    profiles
        What it was planned with, where they are at hand; not part of what is written.
    """

    metadata: ScheduleMetadata
    demand: Demand
    allocations: pd.DataFrame
    routes: pd.DataFrame
    transitions: pd.DataFrame
    windows: pd.DataFrame
    accounts: pd.DataFrame | None = None
    profiles: tuple[Profile, ...] = ()

    @property
    def energy_j(self) -> float:
        """Serving and transition energy of all windows that have an answer, in joules."""
        return float(self.windows["energy_j"].sum())

    @property
    def serving_energy_j(self) -> float:
        """Energy of running the instances, their hosts and the unused GPUs, in joules."""
        return float(self.windows["serving_energy_j"].sum())

    @property
    def transition_energy_j(self) -> float:
        """Energy of starting instances, in joules."""
        return float(self.windows["transition_energy_j"].sum())

    @property
    def lower_bound_j(self) -> float | None:
        """Serving energy that no plan of the answered windows can go below, in joules; None where none was proved."""
        objective = self.metadata.objective
        proved = objective is None or not objective.charges_for_gpus
        return float(self.windows["lower_bound_j"].sum()) if proved else None

    @property
    def gap(self) -> float | None:
        """Share by which the objective of serving may exceed the least possible; None without any answer."""
        if self.num_unsolved == self.num_windows:
            return None
        sums = self.objective_totals()
        value = self.serving_energy_j if sums is None else sums.serving_objective
        bound = self.lower_bound_j if sums is None else sums.objective_bound
        return max(0.0, (value - (bound or 0.0)) / value) if value > 0 else 0.0

    @property
    def coupled_gap(self) -> float | None:
        """Share by which the objective, starts included, may exceed the least possible; None where none was proved."""
        coupling, sums = self.metadata.coupling, self.objective_totals()
        if coupling is None or coupling.lower_bound is None:
            return None
        value = self.energy_j if sums is None else sums.objective
        return max(0.0, (value - coupling.lower_bound) / value) if value > 0 else 0.0

    @property
    def num_windows(self) -> int:
        """Windows, with an answer or without."""
        return len(self.windows)

    @property
    def num_unsolved(self) -> int:
        """Windows without an answer."""
        return int(self.windows["power_w"].isna().sum())

    @property
    def num_requests(self) -> float:
        """Requests that the answered windows serve."""
        return float(self.routes["rate_rps"].sum() * self.metadata.window_s)

    def objective_totals(self) -> ObjectiveTotals | None:
        """Return money, carbon and objective over the answered windows; None without an objective."""
        if self.metadata.objective is None or self.accounts is None:
            return None
        sums = self.accounts.drop(columns="window_start").astype(float).sum(min_count=1)
        priced = {name: None if pd.isna(sums[name]) else float(sums[name]) for name in ("cost", "carbon_g")}
        value = {n: float(np.nan_to_num(sums[n])) for n in ("serving_objective", "objective", "objective_bound")}
        return ObjectiveTotals(
            cost=priced["cost"],
            carbon_g=priced["carbon_g"],
            serving_objective=value["serving_objective"],
            objective=value["objective"],
            objective_bound=value["objective_bound"],
        )

    def summary(self) -> dict[str, float | None]:
        """Return what a person asks first, each quantity under a name that carries its unit.

        Returns
        -------
        dict
            What has no value because no window has an answer is None. With an objective, ``cost``, ``carbon_g``,
            ``serving_objective``, ``objective``, ``objective_bound`` and ``facility_energy_j`` (PUE times `energy_j`)
            are there too; in a coupled plan ``coupled_bound`` (of the objective, starts included) and ``coupled_gap``.
        """
        sums = self.objective_totals()
        extra: dict[str, float | None] = {} if sums is None else sums.model_dump()
        if self.metadata.coupling is not None:
            extra |= {"coupled_bound": self.metadata.coupling.lower_bound, "coupled_gap": self.coupled_gap}
        if self.metadata.objective is not None:
            extra["facility_energy_j"] = self.metadata.objective.pue * self.energy_j
        used = self.windows["num_gpus"].dropna()
        answered = len(used)
        requests = self.num_requests
        return {
            "num_windows": self.num_windows,
            "num_unsolved": self.num_unsolved,
            "num_requests": requests,
            "energy_j": self.energy_j,
            "serving_energy_j": self.serving_energy_j,
            "transition_energy_j": self.transition_energy_j,
            "mean_power_w": self.energy_j / (answered * self.metadata.window_s) if answered else None,
            "gpus_min": int(used.min()) if answered else None,
            "gpus_mean": float(used.mean()) if answered else None,
            "gpus_max": int(used.max()) if answered else None,
            "wh_per_1000_requests": self.energy_j / 3600 / (requests / 1000) if requests else None,
            "lower_bound_j": self.lower_bound_j,
            "gap": self.gap,
            "runtime_s": float(self.windows["runtime_s"].sum()),
            **extra,
        }

    def totals(self) -> Totals:
        """Return the sums over the windows, as ``schedule.json`` has them."""
        return Totals(
            num_windows=self.num_windows,
            num_unsolved=self.num_unsolved,
            num_requests=self.num_requests,
            energy_j=self.energy_j,
            serving_energy_j=self.serving_energy_j,
            transition_energy_j=self.transition_energy_j,
            lower_bound_j=self.lower_bound_j,
            gap=self.gap,
            runtime_s=float(self.windows["runtime_s"].sum()),
            objective=self.objective_totals(),
        )

    def prices(self, **options: Any) -> pd.DataFrame:
        """Return what things are worth in its windows: a request per second, a GPU, 10 ms, a watt of power cap.

        Parameters
        ----------
        **options
            As for `dynaopt.prices`.
        """
        return ANALYSES["prices"](self, **options)

    def relaxations(self, **options: Any) -> pd.DataFrame:
        """Return, for windows that have no answer, the smallest single change of each kind that gives them one.

        Parameters
        ----------
        **options
            As for `dynaopt.relaxation_table`.
        """
        return ANALYSES["relaxations"](self, **options)

    def with_totals(self) -> Schedule:
        """Return the same schedule with the totals in its metadata recomputed from its windows."""
        return replace(self, metadata=self.metadata.model_copy(update={"totals": self.totals()}))

    def __repr__(self) -> str:
        head = f"Schedule({self.metadata.demand.name}, {self.num_windows} windows of {self.metadata.window_s:g} s"
        unsolved = f", {self.num_unsolved} without an answer" if self.num_unsolved else ""
        gap = "" if self.gap is None else f", gap {self.gap:.2%}"
        return f"{head}{unsolved}: {self.energy_j / 3.6e6:.1f} kWh{gap}, by {self.metadata.solver})"
