"""Some windows of a coupled plan in one process: made ready, searched at prices pass after pass, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dynaopt.answers import Answers, answers_of
from dynaopt.coupled_windows import CoupledWindow, ready_window
from dynaopt.coupling import IntArray
from dynaopt.price_search import Workspace
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.result import Result, Termination
from dynaopt.window_mixes import InstanceMix
from dynaopt.window_task import Task

COUPLED = "coupled"
"""What stands for the solver of windows that were planned together."""
ROUNDING = 1e-9
_DROPPED = (
    "no schedule was found that serves this window with the starts, up-times and GPUs that are allowed; "
    "by itself it can be served"
)
Found = tuple[InstanceMix | None, float]
"""The cheapest mix of a model at some prices, and what none goes below, in watts."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WindowFacts:
    """What the coupled problem needs to know of a window that can be served.

    Parameters
    ----------
    mixes
        A mix of each model, which together keep the limits of the window.
    num_gpus
        GPUs that models with a fixed mix leave.
    idle_w
        What an instance of each kind draws that serves nothing, in watts, shape (K,).
    lower_w
        What serving takes at least, price of GPUs included, in watts.
    base_w, base_lower_w
        What is drawn beside the mixes, and what that is at least, in watts.
    most_w
        What mixes draw at most, in watts.
    """

    mixes: tuple[InstanceMix, ...]
    num_gpus: int
    idle_w: FloatArray
    lower_w: float
    base_w: float
    base_lower_w: float
    most_w: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chosen:
    """What a window of a coupled schedule runs.

    Parameters
    ----------
    mixes
        The mix of each model; None where no schedule was found that serves the window.
    idle
        Instances of each degree of each model that serve nothing.
    runtime_s
        The window's share of the time that all took, in seconds.
    """

    mixes: Sequence[InstanceMix] | None
    idle: Sequence[IntArray]
    runtime_s: float


@dataclass(slots=True, eq=False)
class Shard:
    """Some windows.

    Parameters
    ----------
    task
        What all windows have in common.
    degrees
        Tensor-parallel degrees of each model without a fixed mix.
    """

    task: Task
    degrees: tuple[IntArray, ...]
    _windows: dict[int, CoupledWindow] = field(default_factory=dict)
    _room: Workspace = field(default_factory=Workspace)

    def ready(self, windows: Sequence[tuple[int, WindowDemand]]) -> list[WindowFacts | Result]:
        """Make windows ready, by number and demand; one that cannot be served is solved by itself, for the reason."""
        return [self._ready(number, demand) for number, demand in windows]

    def search(self, asked: Sequence[tuple[int, Sequence[FloatArray]]]) -> list[list[Found]]:
        """Find the cheapest mixes of windows, given by number and the price of an instance of each model's degrees."""
        gap = self.task.gap_tolerance / 2
        return [self._windows[number].cheapest(prices_w, self._room, gap) for number, prices_w in asked]

    def answers(self, chosen: Sequence[tuple[int, Chosen]]) -> Answers:
        """Write down what windows run, given by number and choice."""
        return answers_of((number, self._result(number, own)) for number, own in chosen)

    def __contains__(self, number: int) -> bool:
        """Tell whether a window was made ready here."""
        return number in self._windows

    def _ready(self, number: int, demand: WindowDemand) -> WindowFacts | Result:
        problem = self.task.problem(demand)
        price_w = problem.gpu_price_w
        unpriced = problem.replace(gpu_price_w=0.0) if price_w > 0 else problem
        window = ready_window(unpriced, price_w, self.degrees, self._room, self.task.gap_tolerance)
        if window is None:
            return self.task.solve(demand)
        self._windows[number] = window
        return WindowFacts(
            mixes=window.mixes,
            num_gpus=window.num_gpus,
            idle_w=np.concatenate([*(model.idle_w() for model in window.models), np.empty(0)]),
            lower_w=window.lower_w,
            base_w=window.base_w,
            base_lower_w=window.base_lower_w,
            most_w=window.most_w,
        )

    def _result(self, number: int, chosen: Chosen) -> Result:
        window = self._windows[number]
        if chosen.mixes is None:
            none = Termination.NO_SOLUTION_FOUND
            return Result(solver=COUPLED, termination=none, runtime_s=chosen.runtime_s, reason=_DROPPED)
        gpu_price_w = self.task.gpu_price_w.get(window.problem.demand.start, 0.0)
        allocation = window.allocation(chosen.mixes, chosen.idle, gpu_price_w)
        objective_w, tolerance = allocation.objective_w, self.task.gap_tolerance
        lower_w = min(max(window.lower_w * (1 - ROUNDING), 0.0), objective_w)
        proved = objective_w - lower_w <= tolerance * objective_w
        return Result(
            solver=COUPLED,
            termination=Termination.OPTIMAL if proved else Termination.FEASIBLE,
            allocation=allocation,
            lower_bound_w=lower_w,
            gap_tolerance=tolerance,
            runtime_s=chosen.runtime_s,
            reason="" if proved else "serving takes more than it must by itself, to save starts",
        )
