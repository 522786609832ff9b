"""Why a problem has no answer, and the smallest changes that give it one, in the user's words.

Whether the arrivals can be carried at all is a matter of capacities only: of each tensor-parallel degree in a pool the
option that carries most. A small integer program over these finds the GPUs needed, or the share of the arrivals that
a fixed mix carries. Every change that is offered was tried, and fits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dynaopt.capacity_program import Least, capacities, solve_program
from dynaopt.formulation import formulate
from dynaopt.linear_model import LinearModel
from dynaopt.problem import Problem

FACTORS = (1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
SHARES = (0.9, 0.75, 0.5, 0.25, 0.0)
GPU_SECONDS = 0.5
POWER_SECONDS = 1.0
FIT_SECONDS = 0.2


class _OutOfTimeError(Exception):
    """The deadline has passed."""


@dataclass(frozen=True)
class _Clock:
    """Solves programs about a problem until a deadline on the clock of `time.perf_counter`."""

    problem: Problem
    deadline_s: float

    @cached_property
    def least_gpus(self) -> Least | None:
        """How many GPUs the problem needs, its power aside; None where no number suffices."""
        return self.solve(capacities(self.problem, wanted="gpus"), GPU_SECONDS)

    def solve(self, model: LinearModel | None, seconds: float, gap: float = 0.0) -> Least | None:
        """Minimise a program in at most so many seconds and until the deadline, which raises once it has passed."""
        left_s = self.deadline_s - time.perf_counter()
        if left_s <= 0:
            raise _OutOfTimeError
        return solve_program(model, min(seconds, left_s), gap)

    def fits(self, problem: Problem) -> bool:
        """Tell whether capacities carry the arrivals; False when that is not found in time."""
        found = self.solve(capacities(problem, wanted="fit"), FIT_SECONDS)
        return found is not None and math.isfinite(found.value)


def explain(problem: Problem, *, deadline_s: float = math.inf) -> str:
    """Say in the user's words why nothing is feasible, and what the smallest changes are with which something is.

    Parameters
    ----------
    problem
        One that has no answer.
    deadline_s
        When to stop looking, on the clock of `time.perf_counter`. What was found until then is told, and that there was
        no time for more. Without it, this takes between 0.05 and 2 s.

    Returns
    -------
    str
        For example ``class LL in window 2024-05-14 18:05 needs 344 GPUs of 320; it fits at a TTFT of 2.4 s instead of
        2 s``.
    """
    clock = _Clock(problem, deadline_s)
    cause, changes = "", list[str]()
    try:
        cause = _without_configuration(problem) or _fixed_mix(problem, clock) or _gpus(problem, clock) or ""
        if cause:
            changes.extend(_changes(problem, clock))
        else:
            cause = _power_cap(problem, clock) or f"{_window(problem)} has no allocation that keeps every limit"
    except _OutOfTimeError:
        cause = cause or f"{_window(problem)} has no allocation that keeps every limit"
        return f"{_with_changes(cause, changes)} (the time limit left no time to look further)"
    return _with_changes(cause, changes)


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
    served = {c for c, p in problem.ways if problem.pools[p].options}
    for c, pool in enumerate(problem.classes):
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


def _fixed_mix(problem: Problem, clock: _Clock) -> str | None:
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
    carried = clock.solve(capacities(problem, wanted="share"), GPU_SECONDS)
    if carried is None or -carried.bound >= 1 - 1e-7:
        return None
    share = math.floor(-carried.bound * 1000) / 10
    return f"the fixed mix carries at most {share:g} % of what arrives in {_window(problem)}{_spare_text(problem)}"


def _gpus(problem: Problem, clock: _Clock) -> str | None:
    needed = clock.least_gpus
    if needed is None or needed.bound <= problem.num_gpus + 1e-6:
        return None
    exact = needed.value - needed.bound < 1 - 1e-6
    least = round(needed.value) if exact else math.ceil(needed.bound - 1e-6)
    asked = [c for c, pool in enumerate(problem.classes) if pool.rate_rps > 0]
    largest = max(asked, key=lambda c: _gpus_alone(problem, c))
    needs = f"needs {'' if exact else 'at least '}{least} GPUs of {problem.num_gpus}{_spare_text(problem)}"
    if len(asked) == 1:
        return f"{_class_name(problem, largest)} in {_window(problem)} {needs}"
    most = math.ceil(_gpus_alone(problem, largest))
    return f"{_window(problem)} {needs}, about {most} of them for {_class_name(problem, largest)}"


def _gpus_alone(problem: Problem, c: int) -> float:
    """GPUs that a class would keep busy in its best pool."""
    per_gpu = [k.capacity_rps / k.tp for frm, p in problem.ways if frm == c for k in problem.pools[p].options]
    return problem.pools[c].rate_rps / max(per_gpu) if per_gpu else math.inf


def _spare_text(problem: Problem) -> str:
    reserve = problem.cluster.reserve
    if reserve == 0:
        return ""
    return " with n+1" if reserve == "n+1" else f" with a reserve of {reserve:g}"


def _power_cap(problem: Problem, clock: _Clock) -> str | None:
    cap_w = problem.cluster.power_cap_w
    if cap_w is None:
        return None
    least = clock.solve(formulate(problem.replace(power_cap_w=None, gpu_price_w=0.0)).model, POWER_SECONDS, gap=1e-4)
    if least is None or not math.isfinite(least.bound):
        return None
    known = "needs" if math.isfinite(least.value) else "needs at least"
    power_w = math.ceil(least.value if math.isfinite(least.value) else least.bound)
    return f"{_window(problem)} {known} {power_w} W of a power cap of {cap_w:g} W; it fits with a cap of {power_w} W"


def _changes(problem: Problem, clock: _Clock) -> Iterator[str]:
    """Find changes of one thing each with which the problem has an answer, its power cap aside."""
    cluster = problem.cluster
    for found in (_slo_change, _headroom_change):
        change = found(problem, clock)
        if change:
            yield change
    if cluster.reserve == "n+1":
        if clock.fits(problem.replace(reserve=0.0)):
            yield "without n+1"
    elif cluster.reserve > 0:
        share = _first(SHARES, lambda s: clock.fits(problem.replace(reserve=float(cluster.reserve) * s)))
        if share is not None:
            yield f"with a reserve of {float(cluster.reserve) * share:.3g} instead of {cluster.reserve:g}"
    if cluster.fixed_mix and clock.fits(problem.replace(fixed_mix={})):
        yield "without the fixed mix"
    more = clock.least_gpus
    if more is not None and math.isfinite(more.value) and more.value > problem.num_gpus:
        yield f"with {round(more.value)} GPUs"


def _slo_change(problem: Problem, clock: _Clock) -> str | None:
    """Find the least factor on the TTFT, on the TBT, or on both, with which the problem fits."""
    slo, best = problem.slo, None
    for looser in (("ttft_s",), ("tbt_s",), ("ttft_s", "tbt_s")):
        allowed = FACTORS if best is None else FACTORS[: FACTORS.index(best[0])]
        factor = _first(allowed, _fits_when_looser(problem, clock, looser))
        if factor is not None:
            best = factor, looser
    if best is None:
        return None
    factor, looser = best
    asked = [c for c, pool in enumerate(problem.classes) if pool.rate_rps > 0]
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


def _fits_when_looser(problem: Problem, clock: _Clock, fields: tuple[str, ...]) -> Callable[[float], bool]:
    return lambda factor: clock.fits(_looser(problem, fields, factor))


def _looser(problem: Problem, fields: tuple[str, ...], factor: float) -> Problem:
    changed = {name: tuple(t * factor for t in getattr(problem.slo, name)) for name in fields}
    return problem.replace(slo=replace(problem.slo, **changed))


def _headroom_change(problem: Problem, clock: _Clock) -> str | None:
    headroom = problem.cluster.headroom
    if headroom == 0:
        return None
    share = _first(SHARES, lambda s: clock.fits(problem.replace(headroom=headroom * s)))
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
