"""The single things of a problem that may give way, each in small steps from where it is to the end of its range."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from dynaopt.pool import Pool
from dynaopt.price_changes import ALL_CLASSES_ITEM, CLUSTER_ITEM, with_class_rate
from dynaopt.problem import Problem, WindowDemand

RelaxationKind = Literal[
    "gpu",
    "ttft",
    "tbt",
    "ttft_and_tbt",
    "headroom",
    "peak_factor",
    "reserve",
    "spare_instances",
    "power_cap",
    "fixed_mix",
    "arrivals",
    "request_class",
]
SHARE_STEP = 0.001
RATE_STEP_RPS = 0.01
LARGEST_SCALE = 20.0
MOST_GPUS_FACTOR = 64
MOST_POWER_FACTOR = 1024


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lever:
    """One thing that may give way by 1, 2, …, `most` steps; the further, the easier the problem.

    Parameters
    ----------
    kind, model, item, unit
        As in `Relaxation`.
    from_value
        Where it stands.
    most
        Steps to the end of its range.
    value
        Where it stands after so many steps.
    apply
        The problem in which it has a value.
    """

    kind: RelaxationKind
    model: str = ""
    item: str = CLUSTER_ITEM
    unit: str
    from_value: float
    most: int
    value: Callable[[int], float]
    apply: Callable[[float], Problem]

    def at(self, steps: int) -> Problem:
        """Return the problem after so many steps."""
        return self.apply(self.value(steps))


def levers(problem: Problem) -> Iterator[Lever]:
    """Give every thing of a problem that may give way.

    Parameters
    ----------
    problem
        One that has no answer.
    """
    yield _gpus(problem)
    yield from _objectives(problem)
    yield from _margins(problem)
    yield from _limits(problem)
    yield from _arrivals(problem)


def _gpus(problem: Problem) -> Lever:
    own = problem.num_gpus
    return Lever(
        kind="gpu",
        unit="GPUs",
        from_value=own,
        most=own * (MOST_GPUS_FACTOR - 1),
        value=lambda n: float(own + n),
        apply=lambda v: problem.replace(num_gpus=int(v)),
    )


def _objectives(problem: Problem) -> Iterator[Lever]:
    """Give the bounds on TTFT, on TBT and on both, all classes times one factor."""
    scales: dict[RelaxationKind, Callable[[float], tuple[float, float]]] = {
        "ttft": lambda v: (v, 1.0),
        "tbt": lambda v: (1.0, v),
        "ttft_and_tbt": lambda v: (v, v),
    }
    for kind, factors in scales.items():

        def apply(value: float, factors: Callable[[float], tuple[float, float]] = factors) -> Problem:
            """Scale the objectives."""
            ttft, tbt = factors(value)
            return problem.replace(slo=problem.slo.scaled(ttft, tbt_factor=tbt))

        yield Lever(
            kind=kind,
            item=ALL_CLASSES_ITEM,
            unit="times the objective",
            from_value=1.0,
            most=round((LARGEST_SCALE - 1) / SHARE_STEP),
            value=lambda n: _tidy(1 + n * SHARE_STEP),
            apply=apply,
        )


def _margins(problem: Problem) -> Iterator[Lever]:
    """Give what is kept for busier moments and for failures."""
    cluster, demand = problem.cluster, problem.demand
    peak = max(demand.peak_factor.values())
    if cluster.headroom > 0:
        yield _down("headroom", cluster.headroom, 0.0, lambda v: problem.replace(headroom=v))
    if peak > 1:
        yield _down("peak_factor", peak, 1.0, lambda v: problem.replace(demand=_capped_peak(demand, v)))
    if cluster.reserve_share > 0:
        yield _down("reserve", cluster.reserve_share, 0.0, lambda v: problem.replace(reserve=v))
    if cluster.spare_instances:
        yield Lever(
            kind="spare_instances",
            unit="instances of each pool",
            from_value=1.0,
            most=1,
            value=lambda n: float(1 - n),
            apply=lambda v: problem.replace(reserve=0.0 if v == 0 else "n+1"),
        )


def _limits(problem: Problem) -> Iterator[Lever]:
    """Give the power cap, and the fixed mix of each model."""
    cap_w, mixes = problem.cluster.power_cap_w, problem.cluster.fixed_mix
    if cap_w is not None:
        first = math.floor(cap_w)
        yield Lever(
            kind="power_cap",
            unit="W",
            from_value=cap_w,
            most=max(first, 1) * (MOST_POWER_FACTOR - 1),
            value=lambda n: float(first + n),
            apply=lambda v: problem.replace(power_cap_w=v),
        )
    for model in mixes:
        yield _mix_of(problem, model)


def _mix_of(problem: Problem, model: str) -> Lever:
    """Return the lever that frees the mix of a model."""
    mixes = problem.cluster.fixed_mix
    num_fixed = float(sum(mixes[model].values()))
    rest = {name: kept for name, kept in mixes.items() if name != model}
    return Lever(
        kind="fixed_mix",
        model=model,
        item="mix",
        unit="instances that are fixed",
        from_value=num_fixed,
        most=1,
        value=lambda n: num_fixed * (1 - n),
        apply=lambda v: problem.replace(fixed_mix=mixes if v > 0 else rest),
    )


def _arrivals(problem: Problem) -> Iterator[Lever]:
    """Give the share of all arrivals that is served, and the arrivals of each class."""
    demand = problem.demand
    yield _down("arrivals", 1.0, 0.0, lambda v: problem.replace(demand=_thinned(demand, v)), unit="of all arrivals")
    yield from (_class_of(problem, own) for own in problem.classes if own.rate_rps > 0)


def _class_of(problem: Problem, own: Pool) -> Lever:
    """Return the lever that serves less of a class."""
    rate_rps, model, name = own.rate_rps, own.model, own.request_class
    return Lever(
        kind="request_class",
        model=model,
        item=name,
        unit="requests/s",
        from_value=rate_rps,
        most=math.ceil(rate_rps / RATE_STEP_RPS - 1e-9),
        value=lambda n: max(_tidy(rate_rps - n * RATE_STEP_RPS), 0.0),
        apply=lambda v: problem.replace(demand=with_class_rate(problem.demand, model, name, v)),
    )


def _down(
    kind: RelaxationKind, start: float, end: float, apply: Callable[[float], Problem], *, unit: str = "1"
) -> Lever:
    """Return a lever that goes down in steps of `SHARE_STEP`."""
    return Lever(
        kind=kind,
        item=ALL_CLASSES_ITEM,
        unit=unit,
        from_value=start,
        most=math.ceil((start - end) / SHARE_STEP - 1e-9),
        value=lambda n: max(_tidy(start - n * SHARE_STEP), end),
        apply=apply,
    )


def _tidy(value: float) -> float:
    return round(value, 9)


def _capped_peak(demand: WindowDemand, most: float) -> WindowDemand:
    return replace(demand, peak_factor={model: min(peak, most) for model, peak in demand.peak_factor.items()})


def _thinned(demand: WindowDemand, share: float) -> WindowDemand:
    return replace(demand, rate_rps={model: rates * share for model, rates in demand.rate_rps.items()})
