"""What ties the windows of a horizon together: starts take time and energy, and an operator may limit them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray, Profile
from dynaopt.request_class import REQUEST_CLASSES

IntArray = npt.NDArray[np.int64]


class Running(BaseModel):
    """Instances of one model and degree that run before the first window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    tp: Annotated[int, Field(gt=0)]
    num_instances: Annotated[int, Field(ge=0)]


class Coupling(BaseModel):
    """What an operator asks of the changes between windows.

    Parameters
    ----------
    min_up_s
        How long an instance serves at least once it has started, in seconds, rounded up to whole windows.
    max_starts
        Most instances that start at one window, of all models together; None for no limit.
    initial
        What runs before the first window. None, the default, for what runs in it: then nothing starts there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_up_s: Annotated[float, Field(ge=0)] = 0.0
    max_starts: Annotated[int, Field(ge=0)] | None = None
    initial: tuple[Running, ...] | None = None

    @classmethod
    def of(cls, *, initial: pd.DataFrame | None = None, **options: Any) -> Coupling:
        """Make one, telling of a bad option in the words of `errors`.

        Parameters
        ----------
        initial
            A frame with the columns ``model``, ``tp`` and ``num_instances``, for example the rows of one window of
            `Schedule.allocations`; rows of the same model and degree add up.
        **options
            The other fields.

        Raises
        ------
        InvalidInputError
            If an option is unknown or out of range, or the frame lacks a column.
        """
        try:
            return cls(**options, initial=None if initial is None else _running(initial))
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInputError(
                f"option {'.'.join(map(str, first['loc']))}",
                expected=first["msg"].removeprefix("Input should be "),
                found=str(first["input"]),
            ) from None

    def min_up_windows(self, window_s: float) -> int:
        """Return for how many windows an instance serves at least; 1 without `min_up_s`."""
        return max(1, math.ceil(self.min_up_s / window_s * (1 - 1e-9)))


def coupling_of(
    asked: bool | Coupling | None, *, solver: str | None = None, time_limit_s: float | None = None
) -> Coupling | None:
    """Decide how windows are planned together; None for each by itself.

    Parameters
    ----------
    asked
        Whether they are to be coupled, and how. None leaves it open: coupled, unless a solver or a time limit was
        given, which are of windows by themselves.
    solver, time_limit_s
        What was given; None for nothing.

    Raises
    ------
    InvalidInputError
        If they are to be coupled, and a solver or a time limit was given.
    """
    alone = {"solver": solver, "time_limit_s": time_limit_s}
    given = [f"{name} = {value}" for name, value in alone.items() if value is not None]
    if asked is False or (asked is None and given):
        return None
    if given:
        raise InvalidInputError(
            "option coupled",
            expected="no solver and no time limit beside it, which are of windows by themselves",
            found=", ".join(given),
            hint="the coupled problem has a method of its own; leave one of the two out",
        )
    return asked if isinstance(asked, Coupling) else Coupling()


def _running(frame: pd.DataFrame) -> tuple[Running, ...]:
    for column in ("model", "tp", "num_instances"):
        if column not in frame.columns:
            found = ", ".join(map(str, frame.columns))
            raise InvalidInputError("initial instances", expected=f"a column '{column}'", found=found)
    sums = frame.groupby(["model", "tp"], sort=True, as_index=False)["num_instances"].sum()
    rows = zip(sums["model"], sums["tp"], sums["num_instances"], strict=True)
    return tuple(Running(model=str(model), tp=int(tp), num_instances=int(n)) for model, tp, n in rows)


def initial_frame(coupling: Coupling) -> pd.DataFrame | None:
    """Return what runs before the first window as `transitions.find_transitions` takes it; None where nothing is said.

    Parameters
    ----------
    coupling
        Which pool instances were in does not matter, for giving one to another pool is free; the first stands for all.
    """
    if coupling.initial is None:
        return None
    rows = [(row.model, REQUEST_CLASSES[0], row.tp, row.num_instances) for row in coupling.initial]
    return pd.DataFrame(rows, columns=["model", "pool", "tp", "num_instances"])


def start_up_windows(profile: Profile, window_s: float) -> int:
    """Return during how many windows before its first an instance that starts cold already holds its GPUs.

    Parameters
    ----------
    profile
        Whose `start_up.cold_s` it takes.
    window_s
        Length of a window, in seconds.
    """
    return math.ceil(profile.metadata.start_up.cold_s / window_s * (1 - 1e-9))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Links:
    """The coupling of T windows as arrays; K *kinds* are the pairs of a model and a tensor-parallel degree.

    Parameters
    ----------
    number
        Number of each window in the horizon, ascending, shape (T,); those that cannot be served are not among them.
    models
        Names of the M models.
    model_of, tp
        Model and degree of each kind, shape (K,).
    idle_w
        What an instance of each kind draws that serves nothing, beyond its GPUs when unused, in watts, shape (K,);
        infinite where there is no such instance.
    cold_j, reshard_j
        Energy of a start on each GPU that is cold, or that the model gives up in the same step, in joules, shape (M,).
    start_up_windows
        Windows before its first during which a cold GPU of each model is taken, shape (M,).
    num_gpus
        GPUs that the models share.
    power_cap_w
        Most that all of it draws beyond unused GPUs, in watts; infinite for no cap.
    window_s
        Length of a window, in seconds.
    weight
        What the objective charges for a joule in each window, shape (T,); 1 when it is energy.
    gpu_price_w
        What it charges for a GPU in use beside, in watts, shape (T,).
    min_up_windows, max_starts
        As in `Coupling`.
    initial
        Instances of each kind before the first window, shape (K,); None for those of the first window.
    """

    number: IntArray
    models: tuple[str, ...]
    model_of: IntArray
    tp: IntArray
    idle_w: FloatArray
    cold_j: FloatArray
    reshard_j: FloatArray
    start_up_windows: IntArray
    num_gpus: int
    power_cap_w: float
    window_s: float
    weight: FloatArray
    gpu_price_w: FloatArray
    min_up_windows: int
    max_starts: int | None
    initial: IntArray | None

    @classmethod
    def between(cls, profiles: Sequence[Profile], *, window_s: float, **others: Any) -> Links:
        """Return links with what profiles say of kinds and starts.

        Parameters
        ----------
        profiles
            One for each model.
        window_s
            Length of a window, in seconds.
        **others
            The fields that no profile tells.
        """
        kinds = [(m, tp) for m, profile in enumerate(profiles) for tp in profile.tps]
        powers_w = [p.metadata.power.start_up_gpu_w for p in profiles]
        return cls(
            models=tuple(p.model for p in profiles),
            model_of=np.array([m for m, _ in kinds], dtype=np.int64),
            tp=np.array([tp for _, tp in kinds], dtype=np.int64),
            cold_j=np.array([w * p.metadata.start_up.cold_s for w, p in zip(powers_w, profiles, strict=True)]),
            reshard_j=np.array([w * p.metadata.start_up.reshard_s for w, p in zip(powers_w, profiles, strict=True)]),
            start_up_windows=np.array([start_up_windows(p, window_s) for p in profiles], dtype=np.int64),
            window_s=window_s,
            **others,
        )

    @property
    def num_windows(self) -> int:
        """T."""
        return len(self.weight)

    @property
    def num_kinds(self) -> int:
        """K."""
        return len(self.tp)

    def of_model(self, m: int) -> IntArray:
        """Return the kinds of a model."""
        return np.flatnonzero(self.model_of == m)

    def start_energy_j(self, before: IntArray, after: IntArray) -> float:
        """Return what it takes to go from some instances to others, shape (K,) each, in joules.

        The rule is that of `transitions`, for which only numbers by kind matter.
        """
        gpus = (after - before) * self.tp
        total = 0.0
        for m in range(len(self.models)):
            own = gpus[self.of_model(m)]
            taken, given_up = float(own[own > 0].sum()), float(-own[own < 0].sum())
            resharded = min(taken, given_up)
            total += self.reshard_j[m] * resharded + self.cold_j[m] * (taken - resharded)
        return total


def initial_counts(coupling: Coupling, models: Mapping[str, tuple[int, ...]], kinds: list[tuple[str, int]]) -> IntArray:
    """Return how many instances of each kind run before the first window, shape (K,).

    Parameters
    ----------
    coupling
        Whose `initial` is not None.
    models
        Degrees of each model's profile.
    kinds
        The pairs of model and degree that are planned.

    Raises
    ------
    InvalidInputError
        If a model or a degree is none of the profiles'.
    """
    counts = np.zeros(len(kinds), dtype=np.int64)
    for row in coupling.initial or ():
        if row.model not in models or row.tp not in models[row.model]:
            known = "; ".join(f"{name}: TP {', '.join(map(str, tps))}" for name, tps in models.items())
            raise InvalidInputError("initial instances", expected=f"of {known}", found=f"{row.model}, TP {row.tp}")
        if (row.model, row.tp) in kinds:
            counts[kinds.index((row.model, row.tp))] += row.num_instances
    return counts
