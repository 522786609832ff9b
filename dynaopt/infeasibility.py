"""Why a problem has no answer, and the smallest changes that give it one, in the user's words.

Whether the arrivals can be carried at all is a matter of capacities only: of each tensor-parallel degree in a pool the
option that carries most. A small integer program over these finds the GPUs needed, or the share of the arrivals that
a fixed mix carries. Every change that is offered was tried, and fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.optimize import Bounds, LinearConstraint, milp

from dynaopt.formulation import formulate
from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.problem import Problem

FACTORS = (1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
SHARES = (0.9, 0.75, 0.5, 0.25, 0.0)
GPU_SECONDS = 0.5
POWER_SECONDS = 1.0
FIT_SECONDS = 0.2


def explain(problem: Problem) -> str:
    """Say in the user's words why nothing is feasible, and what the smallest changes are with which something is.

    Parameters
    ----------
    problem
        One that has no answer.

    Returns
    -------
    str
        For example ``class LL in window 2024-05-14 18:05 needs 344 GPUs of 320; it fits at a TTFT of 2.4 s instead of
        2 s``. Takes a second or two.
    """
    for cause in (_without_configuration, _fixed_mix, _gpus):
        found = cause(problem)
        if found:
            return _with_changes(found, _changes(problem))
    found = _power_cap(problem)
    return found or f"{_window(problem)} has no allocation that keeps every limit"


def _window(problem: Problem) -> str:
    return f"window {problem.demand.start:%Y-%m-%d %H:%M}"


def _class_name(problem: Problem, c: int) -> str:
    pool = problem.pools[c]
    several = len(problem.demand.rate_rps) > 1
    return f"class {pool.request_class} of {pool.model}" if several else f"class {pool.request_class}"


def _with_changes(cause: str, changes: Sequence[str]) -> str:
    return f"{cause}; it fits {', or '.join(changes)}" if changes else cause


def _without_configuration(problem: Problem) -> str | None:
    """Find a class that no pool can serve: not even an unloaded instance keeps its SLO."""
    served = {c for c, p in problem.promotions if problem.pools[p].options}
    for c, pool in enumerate(problem.pools):
        if pool.rate_rps > 0 and c not in served:
            ttft_s, tbt_s = problem.slo.of(pool.request_class)
            kept = f"keeps its SLO (TTFT {ttft_s:.3g} s, TBT {tbt_s:.3g} s) on no configuration"
            return f"{_class_name(problem, c)} in {_window(problem)} {kept}{_best_latency(problem, c)}"
    return None


def _best_latency(problem: Problem, c: int) -> str:
    """Say how near the nearest curve comes."""
    pool = problem.pools[c]
    ttft_s, tbt_s = problem.slo.of(pool.request_class)
    curves = list(problem.profiles[pool.model].of_class(pool.request_class))
    if not curves:
        return ", for the profile has no curve of it"
    nearest = min(curves, key=lambda k: max(k.ttft_p99_s[0] / ttft_s, k.tbt_p99_s[0] / tbt_s))
    return (
        f": unloaded, TP{nearest.tp} at {nearest.frequency_mhz} MHz comes nearest with a TTFT of"
        f" {nearest.ttft_p99_s[0]:.3g} s and a TBT of {nearest.tbt_p99_s[0]:.3g} s"
    )


def _fixed_mix(problem: Problem) -> str | None:
    if not problem.cluster.fixed_mix:
        return None
    taken = sum(tp * count for mix in problem.cluster.fixed_mix.values() for tp, count in mix.items())
    if taken > problem.num_gpus:
        return f"the fixed mix takes {taken} GPUs of {problem.num_gpus}"
    for model, mix in problem.cluster.fixed_mix.items():
        runs = {k.tp for pool in problem.pools if pool.model == model for k in pool.options}
        missing = [tp for tp, count in mix.items() if count > 0 and tp not in runs]
        if missing:
            return f"the fixed mix wants TP{missing[0]} of {model}, which keeps the SLO of no class"
    carried = _solve(_capacities(problem, wanted="share"), GPU_SECONDS)
    if carried is None or -carried.bound >= 1 - 1e-7:
        return None
    share = math.floor(-carried.bound * 1000) / 10
    return f"the fixed mix carries at most {share:g} % of what arrives in {_window(problem)}{_spare_text(problem)}"


def _gpus(problem: Problem) -> str | None:
    needed = _solve(_capacities(problem, wanted="gpus"), GPU_SECONDS)
    if needed is None or needed.bound <= problem.num_gpus + 1e-6:
        return None
    exact = needed.value - needed.bound < 1 - 1e-6
    least = round(needed.value) if exact else math.ceil(needed.bound - 1e-6)
    asked = [c for c, pool in enumerate(problem.pools) if pool.rate_rps > 0]
    largest = max(asked, key=lambda c: _gpus_alone(problem, c))
    needs = f"needs {'' if exact else 'at least '}{least} GPUs of {problem.num_gpus}{_spare_text(problem)}"
    if len(asked) == 1:
        return f"{_class_name(problem, largest)} in {_window(problem)} {needs}"
    most = math.ceil(_gpus_alone(problem, largest))
    return f"{_window(problem)} {needs}, about {most} of them for {_class_name(problem, largest)}"


def _gpus_alone(problem: Problem, c: int) -> float:
    """GPUs that a class would keep busy in its best pool."""
    per_gpu = [k.capacity_rps / k.tp for frm, p in problem.promotions if frm == c for k in problem.pools[p].options]
    return problem.pools[c].rate_rps / max(per_gpu) if per_gpu else math.inf


def _spare_text(problem: Problem) -> str:
    reserve = problem.cluster.reserve
    if reserve == 0:
        return ""
    return " with n+1" if reserve == "n+1" else f" with a reserve of {reserve:g}"


def _power_cap(problem: Problem) -> str | None:
    cap_w = problem.cluster.power_cap_w
    if cap_w is None:
        return None
    least = _solve(formulate(problem.replace(power_cap_w=None)).model, POWER_SECONDS, gap=1e-4)
    if least is None:
        return None
    known = "needs" if math.isfinite(least.value) else "needs at least"
    power_w = math.ceil(least.value if math.isfinite(least.value) else least.bound)
    return f"{_window(problem)} {known} {power_w} W of a power cap of {cap_w:g} W; it fits with a cap of {power_w} W"


def _changes(problem: Problem) -> list[str]:
    """Find changes of one thing each with which the problem has an answer, its power cap aside."""
    cluster = problem.cluster
    found = [change for change in (_slo_change(problem), _headroom_change(problem)) if change]
    if cluster.reserve == "n+1":
        if _fits(problem.replace(reserve=0.0)):
            found.append("without n+1")
    elif cluster.reserve > 0:
        share = _first(SHARES, lambda s: _fits(problem.replace(reserve=float(cluster.reserve) * s)))
        if share is not None:
            found.append(f"with a reserve of {float(cluster.reserve) * share:.3g} instead of {cluster.reserve:g}")
    if cluster.fixed_mix and _fits(problem.replace(fixed_mix={})):
        found.append("without the fixed mix")
    more = _solve(_capacities(problem, wanted="gpus"), GPU_SECONDS)
    if more is not None and math.isfinite(more.value) and more.value > problem.num_gpus:
        found.append(f"with {round(more.value)} GPUs")
    return found


def _slo_change(problem: Problem) -> str | None:
    """Find the least factor on the TTFT, on the TBT, or on both, with which the problem fits."""
    slo, best = problem.slo, None
    for looser in (("ttft_s",), ("tbt_s",), ("ttft_s", "tbt_s")):
        allowed = FACTORS if best is None else FACTORS[: FACTORS.index(best[0])]
        factor = _first(allowed, _fits_when_looser(problem, looser))
        if factor is not None:
            best = factor, looser
    if best is None:
        return None
    factor, looser = best
    asked = [c for c, pool in enumerate(problem.pools) if pool.rate_rps > 0]
    c = max(asked, key=lambda c: _gpus_alone(problem, c))
    of_class = problem.pools[c].request_class
    parts = [
        f"a {name} of {new:.3g} s instead of {old:.3g} s"
        for name, field, new, old in zip(
            ("TTFT", "TBT"),
            ("ttft_s", "tbt_s"),
            _looser(problem, looser, factor).slo.of(of_class),
            slo.of(of_class),
            strict=True,
        )
        if field in looser
    ]
    scale = (
        "" if len(asked) == 1 else f" for {_class_name(problem, c)}, and {factor:g} times the objective for all others"
    )
    return f"at {' and '.join(parts)}{scale}"


def _fits_when_looser(problem: Problem, fields: tuple[str, ...]) -> Callable[[float], bool]:
    return lambda factor: _fits(_looser(problem, fields, factor))


def _looser(problem: Problem, fields: tuple[str, ...], factor: float) -> Problem:
    changed = {name: tuple(t * factor for t in getattr(problem.slo, name)) for name in fields}
    return problem.replace(slo=replace(problem.slo, **changed))


def _headroom_change(problem: Problem) -> str | None:
    headroom = problem.cluster.headroom
    if headroom == 0:
        return None
    share = _first(SHARES, lambda s: _fits(problem.replace(headroom=headroom * s)))
    return None if share is None else f"with a headroom of {headroom * share:.3g} instead of {headroom:g}"


def _first(values: Sequence[float], fits: Callable[[float], bool]) -> float | None:
    """Return the first value that fits, where all that follow one that fits do so too."""
    if not values or not fits(values[-1]):
        return None
    low, high = -1, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(values[middle]) else (middle, high)
    return values[high]


def _fits(problem: Problem) -> bool:
    """Tell whether capacities carry the arrivals; False when that is not found in time."""
    found = _solve(_capacities(problem, wanted="fit"), FIT_SECONDS)
    return found is not None and math.isfinite(found.value)


def _capacities(problem: Problem, *, wanted: str) -> LinearModel | None:
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
    for c, pool in enumerate(problem.pools):
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
        kept = 1.0 if reserve == "n+1" else 1 - float(reserve)
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
class _Least:
    """Least value found and least value possible; the former infinite when nothing was found."""

    value: float
    bound: float


def _solve(model: LinearModel | None, seconds: float, gap: float = 0.0) -> _Least | None:
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
    return _Least(value, bound)
