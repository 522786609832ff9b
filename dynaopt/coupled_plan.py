"""From the windows of a task to the answers of a coupled plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynaopt.answers import Answers, answers_of, window_numbers
from dynaopt.coupled import CoupledAnswer, Progress, passes_kept, solve_coupled
from dynaopt.coupled_shard import ROUNDING, Chosen, WindowFacts
from dynaopt.coupled_shards import Shards
from dynaopt.coupling import Coupling, IntArray, Links, initial_counts
from dynaopt.objective import JOULES_PER_KWH, WindowPrices
from dynaopt.problem import WindowDemand
from dynaopt.profile import FloatArray
from dynaopt.result import Result
from dynaopt.stores import NOWHERE, PlanStore, Store
from dynaopt.whole_numbers import BoolArray
from dynaopt.window_task import Task

LEAST_WEIGHT = 1e-6
"""Where energy is free, watts count for this share of what they do where they are dearest: prices are per watt."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CoupledAnswers:
    """Answers of all windows, in parts, and what the objective of any schedule of them cannot go below.

    The bound is in joules when the objective is energy, else in its unit; None where not all are served that can be.
    """

    parts: Sequence[Answers]
    lower_bound: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom a coupled plan tells of what.

    Parameters
    ----------
    stage
        Called with what it is at, in words, and whether that should be told at all costs.
    settled
        Called as windows are settled: how many, and what they draw, in watts, added up.
    """

    stage: Callable[[str, bool], None] = lambda *_: None
    settled: Callable[[int, float], None] = lambda *_: None


def solve_horizon(
    task: Task,
    windows: Sequence[tuple[int, WindowDemand]],
    coupling: Coupling,
    *,
    prices: WindowPrices | None,
    workers: int | None = None,
    store: PlanStore = NOWHERE,
    told: Told = Told(),
) -> CoupledAnswers:
    """Solve the windows of a task together.

    Parameters
    ----------
    task
        What they have in common.
    windows
        Their numbers from 0 on and demands, in order.
    coupling
        What ties them together beside what starts take.
    prices
        What an objective charges in each window; None for energy.
    workers
        Processes, as `plan` takes them. The answers do not depend on it.
    store
        Where what is found is kept as it comes; what it has already is not found again.
    told
        Whom to tell.

    Raises
    ------
    InvalidInputError
        If the initial instances are of no profile.
    """
    began_s = time.perf_counter()
    free = [model for model in windows[0][1].rate_rps if model not in task.cluster.fixed_mix]
    degrees = [np.array(task.profiles[model].tps, dtype=np.int64) for model in free]
    parts = list(store.read())
    alone = {number for part in parts for number in window_numbers(part)}
    told.settled(len(alone), 0.0)
    if passes := passes_kept(store):
        told.stage(f"going on after pass {passes} over the windows", True)
    with Shards(task, degrees, workers) as shards:
        facts = dict[int, WindowFacts]()
        for number, known in shards.ready([own for own in windows if own[0] not in alone]):
            if isinstance(known, Result):
                parts.append(answers_of([(number, known)]))
                store.write(parts[-1])
            else:
                facts[number] = known
            told.stage(f"{len(facts) + len(parts):,} of {len(windows):,} windows by themselves", False)
        if not facts:
            return CoupledAnswers(parts=parts, lower_bound=None)
        problem = _Coupled(task, coupling, free, dict(sorted(facts.items())), windows, prices)
        answer = problem.solve(shards, store, told)
        runtime_s = (time.perf_counter() - began_s) / len(facts)
        parts += shards.answers(problem.chosen(answer, runtime_s))
    return CoupledAnswers(parts=parts, lower_bound=problem.whole_bound(answer))


class _Coupled:
    """The coupled problem of the windows that can be served.

    Parameters
    ----------
    task, coupling
        As for `solve_horizon`.
    free
        Models without a fixed mix.
    facts
        Those windows by number, in order.
    windows, prices
        As for `solve_horizon`.
    """

    def __init__(
        self,
        task: Task,
        coupling: Coupling,
        free: Sequence[str],
        facts: Mapping[int, WindowFacts],
        windows: Sequence[tuple[int, WindowDemand]],
        prices: WindowPrices | None,
    ) -> None:
        self._task, self._facts, self._numbers = task, facts, list(facts)
        self._num_alone = len(windows) - len(facts)
        each_j = np.ones(len(windows)) if prices is None else prices.factor_per_kwh / JOULES_PER_KWH
        # Counted in the dearest joule, so that a plan does not depend on the unit of the objective.
        self._unit = float(each_j[self._numbers].max()) or 1.0
        self._weight = each_j[self._numbers] / self._unit
        gpu_price_w = np.zeros(len(windows)) if prices is None else prices.gpu_price_w
        self._links = _links(
            task,
            coupling,
            free,
            list(facts.values()),
            number=np.array(self._numbers, dtype=np.int64),
            window_s=windows[0][1].window_s,
            weight=np.maximum(self._weight, LEAST_WEIGHT),
            gpu_price_w=gpu_price_w[self._numbers],
        )

    def solve(self, shards: Shards, store: Store, told: Told) -> CoupledAnswer:
        """Solve it."""
        base_w = np.array([own.base_w for own in self._facts.values()])

        def passed(number: int, bound: float, value: float) -> None:
            gap = 1 - bound / value if value > 0 else 0.0
            told.stage(f"pass {number} over the windows, prices {gap:.3%} from the bound", False)

        def settled(windows: BoolArray, power_w: float) -> None:
            told.stage("whole numbers", False)
            told.settled(self._num_alone + int(windows.sum()), float(base_w @ windows) + power_w)

        return solve_coupled(
            [own.mixes for own in self._facts.values()],
            self._links,
            lambda prices: shards.search(self._numbers, prices),
            gap=self._task.gap_tolerance,
            store=store,
            progress=Progress(passed=passed, settled=settled),
        )

    def chosen(self, answer: CoupledAnswer, runtime_s: float) -> list[tuple[int, Chosen]]:
        """Return what each window runs, by number."""
        kinds = [self._links.of_model(m) for m in range(len(self._links.models))]
        return [
            (number, Chosen(mixes=mixes, idle=[idle[k] for k in kinds], runtime_s=runtime_s))
            for number, mixes, idle in zip(self._numbers, answer.chosen, answer.idle, strict=True)
        ]

    def whole_bound(self, answer: CoupledAnswer) -> float | None:
        """Return what the objective of no schedule goes below, all that is drawn included; None if none was found."""
        if any(mixes is None for mixes in answer.chosen):
            return None
        links, facts = self._links, list(self._facts.values())
        besides_w = np.array([own.base_lower_w for own in facts])
        besides_w += links.gpu_price_w * (self._task.cluster.num_gpus - links.num_gpus)
        total = answer.lower_bound + float(self._weight @ besides_w) * links.window_s
        # What free energy was charged for all the same is no part of the objective.
        most_j = np.array([own.most_w * links.window_s + links.num_gpus * links.cold_j.max(initial=0) for own in facts])
        total -= float((links.weight - self._weight) @ most_j)
        return max(total * (1 - ROUNDING), 0.0) * self._unit


def _links(
    task: Task,
    coupling: Coupling,
    free: Sequence[str],
    facts: Sequence[WindowFacts],
    *,
    number: IntArray,
    window_s: float,
    weight: FloatArray,
    gpu_price_w: FloatArray,
) -> Links:
    profiles = [task.profiles[model] for model in free]
    kinds = [(model, tp) for model, profile in zip(free, profiles, strict=True) for tp in profile.tps]
    cap_w = task.cluster.power_cap_w or np.inf
    degrees = {name: p.tps for name, p in task.profiles.items()}
    initial = None if coupling.initial is None else initial_counts(coupling, degrees, kinds)
    return Links.between(
        profiles,
        number=number,
        idle_w=facts[0].idle_w,
        num_gpus=facts[0].num_gpus,
        # A cap binds what the mixes draw; the rest is the same in all schedules of a window.
        power_cap_w=cap_w - max(own.base_w for own in facts),
        window_s=window_s,
        weight=weight,
        gpu_price_w=gpu_price_w,
        min_up_windows=coupling.min_up_windows(window_s),
        max_starts=coupling.max_starts,
        initial=initial,
    )
