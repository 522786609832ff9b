"""From the windows of a task to the answers of a coupled plan."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dynaopt.answers import Answers, answers_of
from dynaopt.coupled import CoupledAnswer, solve_coupled
from dynaopt.coupled_windows import CoupledWindow, ready_window
from dynaopt.coupling import Coupling, IntArray, Links, initial_counts, start_up_windows
from dynaopt.objective import JOULES_PER_KWH, WindowPrices
from dynaopt.price_search import Workspace
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.result import Result, Termination
from dynaopt.solvers import solve
from dynaopt.window_task import Task

SOLVER = "coupled"
ROUNDING = 1e-9
_DROPPED = (
    "no schedule was found that serves this window with the starts, up-times and GPUs that are allowed; "
    "by itself it can be served"
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CoupledAnswers:
    """Answers of all windows, and what the objective of any schedule of them cannot go below.

    The bound is in joules when the objective is energy, else in its unit; None where not all are served that can be.
    """

    answers: Answers
    lower_bound: float | None


def solve_horizon(
    task: Task,
    windows: Sequence[tuple[int, WindowDemand]],
    coupling: Coupling,
    *,
    prices: WindowPrices | None,
    ready: Callable[[int, float], None] = lambda *_: None,
) -> CoupledAnswers:
    """Solve the windows of a task together.

    Parameters
    ----------
    task
        What they have in common.
    windows
        Their numbers and demands, in order.
    coupling
        What ties them together beside what starts take.
    prices
        What an objective charges in each window; None for energy.
    ready
        Called after each window of the first pass: how many are done, and their least serving power in watts.

    Raises
    ------
    InvalidInputError
        If the initial instances are of no profile.
    """
    began_s = time.perf_counter()
    free = [model for model in windows[0][1].rate_rps if model not in task.cluster.fixed_mix]
    kinds = [(model, tp) for model in free for tp in task.profiles[model].tps]
    results: dict[int, Result] = {}
    kept: dict[int, CoupledWindow] = {}
    room, power_w = Workspace(), 0.0
    degrees = [np.array(task.profiles[model].tps, dtype=np.int64) for model in free]
    gpu_price_w = np.zeros(len(windows)) if prices is None else prices.gpu_price_w
    for at, (number, demand) in enumerate(windows):
        problem = task.problem(demand).replace(gpu_price_w=0.0)
        window = ready_window(problem, float(gpu_price_w[at]), degrees, room, task.gap_tolerance)
        if window is None:
            results[number] = solve(task.problem(demand), solver=task.solver, time_limit_s=task.time_limit_s)
        else:
            kept[at] = window
            power_w += window.lower_w
        ready(at + 1, power_w)
    if not kept:
        return CoupledAnswers(answers=answers_of(sorted(results.items())), lower_bound=None)
    numbers = np.array(list(kept), dtype=np.int64)
    weight = np.ones(len(windows)) if prices is None else prices.factor_per_kwh / JOULES_PER_KWH
    links = _links(task, coupling, kinds, list(kept.values()), weight[numbers], gpu_price_w[numbers])
    answer = solve_coupled(list(kept.values()), links, gap=task.gap_tolerance, progress=_tell)
    runtime_s = (time.perf_counter() - began_s) / len(kept)
    for t, (n, window) in enumerate(kept.items()):
        results[windows[n][0]] = _result(window, answer, t, links, task.gap_tolerance, runtime_s)
    return CoupledAnswers(
        answers=answers_of(sorted(results.items())), lower_bound=_whole_bound(list(kept.values()), answer, links)
    )


def _tell(number: int, bound: float, value: float) -> None:
    gap = 100 * (1 - bound / value)
    _LOG.info("Pass %d over the windows: at least %.6g, relaxed %.6g, gap %.4f %%.", number, bound, value, gap)


def _links(
    task: Task,
    coupling: Coupling,
    kinds: list[tuple[str, int]],
    windows: Sequence[CoupledWindow],
    weight: FloatArray,
    gpu_price_w: FloatArray,
) -> Links:
    models = tuple(dict.fromkeys(model for model, _ in kinds))
    profiles = [task.profiles[model] for model in models]
    window_s = windows[0].problem.demand.window_s
    cap_w = task.cluster.power_cap_w or np.inf
    idle_w = [windows[0].models[m].idle_w() for m in range(len(models))]
    starts_w = [p.metadata.power.start_up_gpu_w for p in profiles]
    degrees = {name: p.tps for name, p in task.profiles.items()}
    initial = None if coupling.initial is None else initial_counts(coupling, degrees, kinds)
    return Links(
        models=models,
        model_of=np.array([models.index(model) for model, _ in kinds], dtype=np.int64),
        tp=np.array([tp for _, tp in kinds], dtype=np.int64),
        idle_w=np.concatenate([*idle_w, np.empty(0)]),
        cold_j=np.array([w * p.metadata.start_up.cold_s for w, p in zip(starts_w, profiles, strict=True)]),
        reshard_j=np.array([w * p.metadata.start_up.reshard_s for w, p in zip(starts_w, profiles, strict=True)]),
        start_up_windows=np.array([start_up_windows(p, window_s) for p in profiles], dtype=np.int64),
        num_gpus=windows[0].num_gpus,
        # A cap binds what the mixes draw; the rest is the same in all schedules of a window.
        power_cap_w=cap_w - max(w.base_w for w in windows),
        window_s=window_s,
        weight=weight,
        gpu_price_w=gpu_price_w,
        min_up_windows=coupling.min_up_windows(window_s),
        max_starts=coupling.max_starts,
        initial=initial,
    )


def _result(
    window: CoupledWindow, answer: CoupledAnswer, t: int, links: Links, gap_tolerance: float, runtime_s: float
) -> Result:
    mixes = answer.chosen[t]
    if mixes is None:
        return Result(solver=SOLVER, termination=Termination.NO_SOLUTION_FOUND, runtime_s=runtime_s, reason=_DROPPED)
    idle: IntArray = answer.idle[t]
    allocation = window.allocation(mixes, idle, links, float(links.gpu_price_w[t]))
    objective_w = allocation.objective_w
    lower_w = min(max(window.lower_w * (1 - ROUNDING), 0.0), objective_w)
    proved = objective_w - lower_w <= gap_tolerance * objective_w
    return Result(
        solver=SOLVER,
        termination=Termination.OPTIMAL if proved else Termination.FEASIBLE,
        allocation=allocation,
        lower_bound_w=lower_w,
        gap_tolerance=gap_tolerance,
        runtime_s=runtime_s,
        reason="" if proved else "serving takes more than it must by itself, to save starts",
    )


def _whole_bound(windows: Sequence[CoupledWindow], answer: CoupledAnswer, links: Links) -> float | None:
    if any(mixes is None for mixes in answer.chosen):
        return None
    watt = links.weight * links.window_s
    besides_w = np.array([w.base_w for w in windows])
    besides_w += links.gpu_price_w * np.array([w.problem.num_gpus - links.num_gpus for w in windows])
    total = answer.lower_bound + float(watt @ besides_w)
    return max(total * (1 - ROUNDING), 0.0)
