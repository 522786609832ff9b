"""Windows made ready for the coupled problem: their models apart, a first mix of each, and what serving takes at least.

A model with a fixed mix runs the same instances in all windows and takes no part in the coupling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynaopt.allocation import Allocation, Load, make_allocation
from dynaopt.coupling import IntArray
from dynaopt.flat_problem import Group, groups_of, model_group
from dynaopt.group_answer import Flow, fillers_of, loads_and_flows, pools_of
from dynaopt.group_search import GroupAnswer, solve_group
from dynaopt.hull import MAX_NODES
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.profile import FloatArray
from dynaopt.solvers.greedy import FEW_NODES
from dynaopt.window_mixes import InstanceMix, ModelWindow

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CoupledWindow:
    """A window that can be served.

    Parameters
    ----------
    problem
        Its problem, GPUs without a price.
    models
        Each model without a fixed mix.
    mixes
        A mix of each, which together keep the limits of the window.
    fixed
        Groups of models with a fixed mix, and their answers.
    num_gpus
        GPUs that these leave to the others.
    lower_w
        What serving takes at least, power and price of GPUs, in watts; in all, unused GPUs included.
    """

    problem: Problem
    models: tuple[ModelWindow, ...]
    mixes: tuple[InstanceMix, ...]
    fixed: tuple[tuple[Group, GroupAnswer], ...]
    num_gpus: int
    lower_w: float

    @property
    def base_w(self) -> float:
        """What is drawn beside the mixes, in watts: GPUs as if unused, and the models with a fixed mix."""
        fixed_w = sum(group.base_w + answer.cost_w for group, answer in self.fixed)
        return self.num_gpus * self.problem.unused_gpu_power_w + fixed_w

    @property
    def base_lower_w(self) -> float:
        """What that is at least, in watts."""
        fixed_w = sum(group.base_w + answer.lower_w for group, answer in self.fixed)
        return self.num_gpus * self.problem.unused_gpu_power_w + fixed_w

    @property
    def most_w(self) -> float:
        """What the mixes of any schedule draw at most, in watts."""
        per_gpu_w = [np.repeat([1 / k.tp for k in m.group.options], np.diff(m.group.first_point)) for m in self.models]
        own_w = [m.group.cost_w * share for m, share in zip(self.models, per_gpu_w, strict=True)]
        return self.num_gpus * max((float(cost_w.max(initial=0.0)) for cost_w in own_w), default=0.0)

    def cheapest(
        self, prices_w: Sequence[FloatArray], room: Workspace, gap: float
    ) -> list[tuple[InstanceMix | None, float]]:
        """Find the cheapest mix of each model at prices, and what none goes below, in watts.

        Parameters
        ----------
        prices_w
            The price of an instance of each degree of each model, in watts.
        room
            Where to compute.
        gap
            Relative gap at which a search stops.
        """
        return [
            model.cheapest(own_w, room, max_nodes=FEW_NODES, gap=gap)
            for model, own_w in zip(self.models, prices_w, strict=True)
        ]

    def allocation(self, mixes: Sequence[InstanceMix], idle: Sequence[IntArray], gpu_price_w: float) -> Allocation:
        """Return what runs.

        Parameters
        ----------
        mixes
            The mix of each model.
        idle
            Instances of each degree of each model that serve nothing.
        gpu_price_w
            What the objective charges for a GPU in use, in watts.
        """
        loads: list[Load] = []
        flows: list[Flow] = []
        parts = [(own.group, own.answer(mix)) for own, mix in zip(self.models, mixes, strict=True)]
        for group, answer in [*parts, *self.fixed]:
            own_loads, own_flows = loads_and_flows(self.problem, group, answer)
            loads += own_loads
            flows += own_flows
        for group, answer in self.fixed:
            loads += fillers_of(group, answer)
        for own, counts in zip(self.models, idle, strict=True):
            loads += own.idle_loads(counts)
        return replace(make_allocation(self.problem, loads, flows), gpu_price_w=gpu_price_w)


def ready_window(
    problem: Problem, gpu_price_w: float, degrees: Sequence[IntArray], room: Workspace, gap: float
) -> CoupledWindow | None:
    """Make a window ready; None where no answer to it is found.

    Parameters
    ----------
    problem
        Its problem, GPUs without a price.
    gpu_price_w
        What the objective charges for a GPU in use, in watts.
    degrees
        Tensor-parallel degrees of each model without a fixed mix.
    room
        Where to compute.
    gap
        Relative gap at which a search stops.
    """
    cluster = problem.cluster
    joint, *rest = groups_of(problem)
    fixed = [
        (group, solve_group(pools_of(group, room, cluster.reserve, np.inf), FEW_NODES, gap, np.inf)) for group in rest
    ]
    if joint.limits[0] < 0 or any(answer.chosen is None for _, answer in fixed):
        return None
    num_gpus = int(joint.limits[0])
    free = [m for m, model in enumerate(problem.demand.rate_rps) if model not in cluster.fixed_mix]
    # A model that is alone shares with none: its group is there already.
    groups = [joint] if len(free) == 1 else [model_group(problem, m, num_gpus) for m in free]
    models = tuple(
        ModelWindow(group, own, problem.unused_gpu_power_w, cluster.reserve)
        for group, own in zip(groups, degrees, strict=True)
    )
    found = [
        model.cheapest(gpu_price_w * model.degrees.astype(np.float64), room, max_nodes=FEW_NODES, gap=gap)
        for model in models
    ]
    mixes = [mix for mix, _ in found if mix is not None]
    window = CoupledWindow(
        problem=problem,
        models=models,
        mixes=tuple(mixes),
        fixed=tuple(fixed),
        num_gpus=num_gpus,
        lower_w=0.0,
    )
    lower_w = window.base_lower_w + sum(lower for _, lower in found)
    if len(mixes) == len(models) and _keeps_limits(window, mixes):
        return replace(window, lower_w=lower_w)
    together = _together(window, joint, gpu_price_w, room)
    return together and replace(together, lower_w=lower_w)


def _keeps_limits(window: CoupledWindow, mixes: Sequence[InstanceMix]) -> bool:
    gpus = sum(int(mix.counts @ own.degrees) for own, mix in zip(window.models, mixes, strict=True))
    cap_w = window.problem.cluster.power_cap_w or np.inf
    power_w = window.base_w + sum(mix.power_w for mix in mixes)
    return gpus <= window.num_gpus and power_w <= cap_w * (1 + ROUNDING)


def _together(window: CoupledWindow, joint: Group, gpu_price_w: float, room: Workspace) -> CoupledWindow | None:
    """Solve the models together, first at the objective and, if that exceeds a power cap, for the least power."""
    for price_w, nodes, gap in ((gpu_price_w, FEW_NODES, 1e-4), (0.0, MAX_NODES, 0.0)):
        tp = np.array([float(k.tp) for k in joint.options])
        cost_w = joint.cost_w + np.repeat(price_w * tp, np.diff(joint.first_point))
        pools = pools_of(replace(joint, cost_w=cost_w), room, window.problem.cluster.reserve, np.inf)
        answer = solve_group(pools, nodes, gap, np.inf)
        if answer.chosen is None:
            return None
        mixes = [model.part_of(joint, answer) for model in window.models]
        if _keeps_limits(window, mixes):
            return replace(window, mixes=tuple(mixes))
    return None
