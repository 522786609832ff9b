"""Solving windows without and with small changes, on worker processes where that is worth it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from dynaopt.answers import Answers, join_answers
from dynaopt.errors import InvalidInputError
from dynaopt.pool import PoolOption
from dynaopt.price_changes import Change
from dynaopt.price_difference import Difference, Proved, difference
from dynaopt.problem import Problem, WindowDemand, unused_gpu_power_w
from dynaopt.result import Result
from dynaopt.window_task import Task
from dynaopt.window_worker import solve_windows

_ROUNDING = 1e-9
_SETTLED_W = 1e-3  # less than this the proofs of two solves leave open by rounding


@dataclass(frozen=True, slots=True)
class Asked:
    """A window, and a change of its problem or none."""

    window: WindowDemand
    change: Change | None


@dataclass(frozen=True, slots=True, eq=False)
class PriceTask:
    """Solves windows of a task, and what they become by a change."""

    base: Task

    def problem(self, asked: Asked) -> Problem:
        """Pose the problem of a window, changed as is asked."""
        problem = self.base.problem(asked.window)
        if asked.change is None:
            return problem
        return problem.replace(**asked.change.replacements(asked.window, self.base.slo, self.base.cluster))

    def solve(self, asked: Asked, /) -> Result:
        """Solve it, first with no more GPUs than its instances can be made of: that is easier to prove."""
        problem = self.problem(asked)
        usable = usable_gpus(problem)
        if 0 < usable < problem.num_gpus and problem.unused_gpu_power_w == 0:
            result = self.base.solve_problem(problem.replace(num_gpus=usable))
            if result.allocation is not None:
                return result
        return self.base.solve_problem(problem)


def usable_gpus(problem: Problem) -> int:
    """Return how many of its GPUs a problem's instances can take at most: a multiple of what all degrees share.

    Parameters
    ----------
    problem
        For example one whose SLO only TP4 and TP8 keep, on 110 GPUs: 108.
    """
    shared = gcd(*(option.tp for pool in problem.pools for option in pool.options))
    return problem.num_gpus if shared == 0 else problem.num_gpus // shared * shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What one solve said; `proved` is None without an answer."""

    proved: Proved | None
    num_gpus: int
    termination: str | None
    reason: str


def solve_all(task: PriceTask, asked: Sequence[Asked], workers: int | None) -> list[Solved]:
    """Solve; a change that cannot be made leaves no termination, and says why.

    Parameters
    ----------
    task
        What all have in common.
    asked
        What is solved.
    workers
        Processes, as `solve_windows` takes them.

    Returns
    -------
    list of Solved
        One for each, in their order.
    """
    refused = dict(_refusals(task, asked))
    parts: list[Answers] = []
    posed = [(number, each) for number, each in enumerate(asked) if number not in refused]
    if posed:
        solve_windows(task, posed, workers=workers, keep=parts.append)
    frame = join_answers(parts)["windows"].set_index("window")
    answers: dict[Any, dict[str, Any]] = frame.to_dict(orient="index")  # type: ignore[assignment]
    nothing = {"termination": None, "power_w": None}
    return [
        _solved(task, each, answers.get(number) or {**nothing, "reason": refused[number]})
        for number, each in enumerate(asked)
    ]


def _refusals(task: PriceTask, asked: Sequence[Asked]) -> Iterator[tuple[int, str]]:
    """Give the changes that cannot be made, for example because fewer requests arrive than would be taken away."""
    for number, each in enumerate(asked):
        try:
            if each.change is not None:
                each.change.replacements(each.window, task.base.slo, task.base.cluster)
        except InvalidInputError as error:
            yield number, str(error)


def _solved(task: PriceTask, asked: Asked, row: Mapping[str, Any]) -> Solved:
    power_w, told = row["power_w"], {"termination": row["termination"], "reason": row["reason"]}
    if power_w is None or np.isnan(power_w):
        return Solved(proved=None, num_gpus=0, **told)
    num_gpus = int(row["num_gpus"])
    objective_w = power_w + task.base.gpu_price_w.get(asked.window.start, 0.0) * num_gpus
    proved = Proved(power_w=power_w, objective_w=objective_w, bound_w=row["lower_bound_w"])
    return Solved(proved=proved, num_gpus=num_gpus, **told)


def difference_of(task: PriceTask, window: WindowDemand, change: Change, before: Solved, after: Solved) -> Difference:
    """Subtract what is known of a window from what is known of it with a change.

    Parameters
    ----------
    task
        What all have in common.
    window, change
        The window, and the change of its problem.
    before, after
        What solves said without and with it; both with an answer.

    Raises
    ------
    ValueError
        If one has no answer.
    """
    if before.proved is None or after.proved is None:
        raise ValueError("There is no difference of answers that there are not.")
    cluster, widens, shift_w = task.base.cluster, change.widens, 0.0
    wide = after if widens > 0 else before
    serves_both = False
    if change.kind == "gpu":
        shift_w = abs(change.step) * unused_gpu_power_w(next(iter(task.base.profiles.values())), cluster)
        serves_both = wide.num_gpus <= cluster.num_gpus + min(change.step, 0.0)
        if shift_w > 0 and cluster.power_cap_w is not None:
            return difference(before.proved, after.proved)  # a GPU that stays on draws power under the same cap
    if change.kind == "power_cap" and wide.proved is not None:
        limit_w = (cluster.power_cap_w or 0.0) + min(change.step, 0.0)
        serves_both = wide.proved.power_w <= limit_w * (1 + _ROUNDING)
    found = difference(before.proved, after.proved, widens=widens, serves_both=serves_both, shift_w=shift_w)
    is_open = found.upper_w - found.lower_w > _SETTLED_W and change.kind in ("gpu", "ttft", "tbt")
    if is_open and is_same(task.problem(Asked(window, None)), task.problem(Asked(window, change))):
        price_w = widens * shift_w
        return Difference(power_w=price_w, objective_w=price_w, lower_w=price_w, upper_w=price_w)
    return found


def is_same(one: Problem, other: Problem) -> bool:
    """Tell whether two problems of a window allow the same instances, so that they have the same optimum.

    Parameters
    ----------
    one, other
        Alike but for their SLO or their GPUs, of which no more may be usable, or no curve reach further.
    """
    if usable_gpus(one) != usable_gpus(other) or len(one.pools) != len(other.pools):
        return False
    return all(
        (a.request_class, a.members) == (b.request_class, b.members)
        and len(a.options) == len(b.options)
        and all(map(_is_same_option, a.options, b.options))
        for a, b in zip(one.pools, other.pools, strict=True)
    )


def _is_same_option(one: PoolOption, other: PoolOption) -> bool:
    return (
        (one.tp, one.frequency_mhz) == (other.tp, other.frequency_mhz)
        and np.array_equal(one.rate_rps, other.rate_rps)
        and np.array_equal(one.power_w, other.power_w)
    )
