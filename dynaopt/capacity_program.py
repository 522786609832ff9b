"""Whether arrivals can be carried at all: a small integer program over the capacities of instances, power aside."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import Bounds, LinearConstraint, milp

from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.problem import Problem


def capacities(problem: Problem, *, wanted: str) -> LinearModel | None:
    """Write the program over capacities; None when a class has no pool.

    Parameters
    ----------
    problem
        Whose power does not matter here.
    wanted
        ``"gpus"``: as few as possible, however many there are; ``"fit"``: anything within the GPUs; ``"share"``: as
        much of the arrivals as possible within them.
    """
    builder = ModelBuilder()
    share = builder.variable("share", lower=0.0 if wanted == "share" else 1.0, upper=1, cost=-float(wanted == "share"))
    flows = {
        (c, p): builder.variable(f"z[{c},{p}]", upper=1)
        for c, p in problem.promotions
        if problem.pools[c].rate_rps > 0 and problem.pools[p].options
    }
    for p, pool in enumerate(problem.pools):
        if pool.members:
            served = _whole_share(builder, p, share)
            flows.update({(c, p): served for c in pool.members})
    for c, pool in enumerate(problem.classes):
        terms = [(column, 1.0) for (frm, _), column in flows.items() if frm == c]
        if pool.rate_rps > 0 and not terms:
            return None
        if terms:
            builder.row(f"coverage[{c}]", [*terms, (share, -1.0)], lower=0, upper=0)
    counts = _counts(builder, problem, flows, gpu_cost=float(wanted == "gpus"))
    if wanted != "gpus":
        builder.row("gpus", [(n, float(tp)) for (_, tp), n in counts.items()], upper=problem.num_gpus)
    for model, mix in problem.cluster.fixed_mix.items():
        for tp in problem.profiles[model].tps:
            terms = [(n, 1.0) for (p, k), n in counts.items() if k == tp and problem.pools[p].model == model]
            builder.row(f"fixed_mix[{model},{tp}]", terms, lower=mix.get(tp, 0), upper=mix.get(tp, 0))
    return builder.build()


def _whole_share(builder: ModelBuilder, p: int, share: int) -> int:
    """Return the column of what a mixed pool serves of each of its classes: all that is served of them, or nothing."""
    opened = builder.variable(f"o[{p}]", upper=1, integer=True)
    served = builder.variable(f"z[{p}]", upper=1)
    builder.row(f"open[{p}]", [(served, 1.0), (opened, -1.0)], upper=0)
    builder.row(f"whole[{p}]", [(share, 1.0), (served, -1.0), (opened, 1.0)], upper=1)
    return served


def _counts(
    builder: ModelBuilder, problem: Problem, flows: dict[tuple[int, int], int], *, gpu_cost: float
) -> dict[tuple[int, int], int]:
    """Add the instances of each degree in each pool, and what they carry; return their columns."""
    counts, reserve = {}, problem.cluster.reserve
    for p, pool in enumerate(problem.pools):
        capacity = {tp: max(k.capacity_rps for k in pool.options if k.tp == tp) for tp in {k.tp for k in pool.options}}
        load = [(z, problem.pools[c].rate_rps) for (c, to), z in flows.items() if to == p]
        own = {tp: builder.variable(f"n[{p},{tp}]", integer=True, cost=tp * gpu_cost) for tp in sorted(capacity)}
        most = max(capacity.values(), default=1.0)
        kept = 1 - problem.cluster.reserve_share
        carried = [(n, kept * capacity[tp] / most) for tp, n in own.items()]
        needed = [(z, -rate / most) for z, rate in load]
        if load and reserve != "n+1":
            builder.row(f"capacity[{p}]", carried + needed, lower=0)
        for tp, n in own.items() if load and reserve == "n+1" else ():
            # The bound on the count need not be small: more instances than this of one degree carry everything twice.
            limit = sum(rate for _, rate in load) / capacity[tp] + 2
            used = builder.variable(f"u[{p},{tp}]", upper=1, integer=True)
            builder.row(f"uses[{p},{tp}]", [(n, 1.0), (used, -math.ceil(limit))], upper=0)
            builder.row(f"n_plus_one[{p},{tp}]", [*carried, (used, -capacity[tp] / most), *needed], lower=0)
        counts.update({(p, tp): n for tp, n in own.items()})
    return counts


@dataclass(frozen=True, slots=True)
class Least:
    """Least value found and least value possible; the former infinite when nothing was found."""

    value: float
    bound: float


def solve_program(model: LinearModel | None, seconds: float, gap: float = 0.0) -> Least | None:
    """Minimise a program; None when it is infeasible."""
    if model is None:
        return None
    answer = milp(
        model.objective,
        integrality=model.is_integer.astype(int),
        bounds=Bounds(model.lower, model.upper),
        constraints=LinearConstraint(model.rows, model.row_lower, model.row_upper),
        options={"time_limit": seconds, "mip_rel_gap": gap},
    )
    if answer.status == 2:
        return None
    value = math.inf if answer.x is None else float(answer.fun) + model.offset
    bound = -math.inf if answer.mip_dual_bound is None else float(answer.mip_dual_bound) + model.offset
    return Least(value, bound)
