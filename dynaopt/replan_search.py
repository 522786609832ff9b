"""Searches for the instances that serve a demand and are reached from those that run at least cost, by a deadline.

Minimised is (power + price of GPUs) * payback time + energy of starts. Charges for starts become prices on what is used
(`start_charges`): at each choice of prices the tree search of `greedy` gives an answer and a bound. Prices that are too
low let too much start, so each is found by bisection. Compiled code cannot look at the clock, so a search starts with
few nodes of its tree and is repeated with more as long as the one before tells that there is time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dynaopt.allocation import Allocation
from dynaopt.envelope import FloatArray
from dynaopt.flat_problem import Group, groups_of
from dynaopt.hull import MAX_NODES
from dynaopt.least_power import least_power_w
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem
from dynaopt.solvers.greedy import search_groups
from dynaopt.start_charges import StartCharges

FIRST_NODES, MORE_NODES = 60, 2.5
MAX_PRICES = 12
ROUNDING = 1e-9
FADING = 0.9
MARGIN = 1.2
"""Time that must be left for a search, over what one took of late, on average."""


class Pace:
    """How long a search took of late; `search_s` is 0 before the first."""

    def __init__(self) -> None:
        self.search_s = 0.0

    def fits(self, left_s: float, times: float = 1.0) -> bool:
        """Tell whether a search that takes so many times as long would end in the time that is left."""
        return times * self.search_s <= left_s

    def note(self, seconds: float) -> None:
        """Take in how long a search took. One slow moment of the machine must not slow down all that follow."""
        self.search_s = seconds if self.search_s == 0 else 0.5 * (self.search_s + min(seconds, 4 * self.search_s))

    def fade(self) -> None:
        """Forget some of what was measured: where no search was tried, the next one is more likely."""
        self.search_s *= FADING


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The outcome of a search.

    Parameters
    ----------
    allocation
        The best within all limits; None where none was found.
    objective_j
        What it takes, in joules; infinite where there is none.
    lower_bound_j
        What no answer goes below; infinite where it is proved that there is none.
    lower_bound_w
        What no answer's objective goes below if starts are free, in watts.
    num_searches
        How many trees were searched; without any, the bounds are those of `least_power`.
    """

    allocation: Allocation | None = None
    objective_j: float = np.inf
    lower_bound_j: float = 0.0
    lower_bound_w: float = 0.0
    num_searches: int = 0


def search_answer(
    problem: Problem,
    charges: StartCharges,
    room: Workspace,
    pace: Pace,
    *,
    payback_s: float,
    gap: float,
    deadline_s: float,
    known_j: float = np.inf,
) -> Found:
    """Find the answer that takes least.

    Parameters
    ----------
    problem
        What to serve.
    charges
        What starting instances takes.
    room
        To work in.
    pace
        What earlier searches took; this one's are noted.
    payback_s
        Seconds over which power counts.
    gap
        Relative gap at which to stop.
    deadline_s
        When to stop, on `time.perf_counter`, once there is an answer.
    known_j
        What an answer takes that is known already. With one, no search is begun for which there is no time.
    """
    groups = groups_of(problem)
    prices = _Prices(charges.price_j / payback_s)
    nodes, best, used = FIRST_NODES, _at_a_glance(groups, payback_s), 0
    while used < MAX_PRICES:
        least_j = min(best.objective_j, known_j)
        if least_j - best.lower_bound_j <= gap * least_j < np.inf:
            break
        started = time.perf_counter()
        if least_j < np.inf and not pace.fits(deadline_s - started, MARGIN):
            break
        own = [_priced(problem, group, charges, prices.now_w) for group in groups]
        tree_gap = gap / 2
        allocation, bound_w = search_groups(problem, own, room, nodes, tree_gap, deadline_s)
        pace.note(time.perf_counter() - started)
        best = _better(problem, best, allocation, bound_w, charges, prices.now_w, payback_s)
        if np.isinf(best.lower_bound_j):
            break
        if _is_loose(allocation, bound_w, charges, prices.now_w, tree_gap) and nodes < MAX_NODES:
            left_s = deadline_s - time.perf_counter()
            if min(best.objective_j, known_j) == np.inf or pace.fits(left_s, MARGIN * MORE_NODES):
                nodes = min(int(MORE_NODES * nodes), MAX_NODES)
                continue
        used += 1
        if allocation is None or not prices.move(charges.excess(allocation)):
            break
    return best


def _at_a_glance(groups: Sequence[Group], payback_s: float) -> Found:
    """Return the bound that takes no search. That there is no answer at all is for a search to prove."""
    bound_w = least_power_w(groups)
    bound_w = max(bound_w * (1 - ROUNDING), 0.0) if np.isfinite(bound_w) else 0.0
    return Found(lower_bound_j=bound_w * payback_s, lower_bound_w=bound_w)


class _Prices:
    """A price for each charge, bisected by whether what is charged exceeds what runs."""

    def __init__(self, most_w: FloatArray) -> None:
        self.now_w = np.zeros(most_w.size)
        self._most_w = most_w
        self._low_w = np.zeros(most_w.size)
        self._high_w = most_w.copy()
        self._is_untried = most_w > 0

    def move(self, excess: FloatArray) -> bool:
        """Raise the prices of what exceeds, lower those of what falls short; tell whether any moved."""
        before = self.now_w
        rises, falls = excess > 0, (excess < 0) & (self.now_w > 0)
        self._low_w = np.where(rises, self.now_w, self._low_w)
        self._high_w = np.where(falls, self.now_w, self._high_w)
        middle = 0.5 * (self._low_w + self._high_w)
        # The first step is to the most that a price may be: often that is the answer.
        after = np.where(rises, np.where(self._is_untried, self._most_w, middle), np.where(falls, middle, before))
        self._is_untried = self._is_untried & ~rises
        settled = self._high_w - self._low_w <= 1e-3 * self._most_w
        self.now_w = np.where(settled & ~(after == self._most_w), before, after)
        return bool((self.now_w != before).any())


def _priced(problem: Problem, group: Group, charges: StartCharges, prices_w: FloatArray) -> Group:
    """Charge instances of a group for what they use; those of a fixed mix run in any answer, so that nothing is."""
    if not prices_w.any() or not group.options:
        return group
    per_slot = dict(zip(charges.slots, (prices_w @ charges.usage).tolist(), strict=True))
    ends = np.diff(group.first_option).tolist()
    models = [problem.pools[p].model for p, n in zip(group.pools, ends, strict=True) for _ in range(n)]
    fixed = problem.cluster.fixed_mix
    extra_w = [0.0 if model in fixed else per_slot[model, k.tp] for model, k in zip(models, group.options, strict=True)]
    return replace(group, cost_w=group.cost_w + np.repeat(extra_w, np.diff(group.first_point)))


def _is_loose(
    allocation: Allocation | None, bound_w: float, charges: StartCharges, prices_w: FloatArray, gap: float
) -> bool:
    """Tell whether the tree left a gap at the prices, which more nodes may close."""
    if allocation is None:
        return True
    cost_w = allocation.objective_w + float(prices_w @ charges.excess(allocation)) + charges.worth_w(prices_w)
    return cost_w - bound_w > (gap + ROUNDING) * cost_w


def _better(
    problem: Problem,
    best: Found,
    allocation: Allocation | None,
    bound_w: float,
    charges: StartCharges,
    prices_w: FloatArray,
    payback_s: float,
) -> Found:
    """Take in what was found at prices, and the bound that they prove."""
    cap_w = problem.cluster.power_cap_w or np.inf
    free_w = best.lower_bound_w if prices_w.any() else max(best.lower_bound_w, bound_w * (1 - ROUNDING))
    charged = np.array([model not in problem.cluster.fixed_mix for model, _ in charges.slots])
    worth_w = float(prices_w @ (charges.usage @ np.where(charged, charges.running, 0.0)))
    bound_j = payback_s * (bound_w * (1 - ROUNDING) - worth_w)
    if free_w > cap_w * (1 + 2 * ROUNDING) and problem.gpu_price_w == 0:
        bound_j = np.inf
    best = replace(
        best,
        lower_bound_j=max(best.lower_bound_j, bound_j),
        lower_bound_w=free_w,
        num_searches=best.num_searches + 1,
    )
    if allocation is None or allocation.power_w > cap_w * (1 + ROUNDING):
        return best
    objective_j = answer_j(allocation, charges, payback_s)
    if objective_j >= best.objective_j:
        return best
    return replace(best, allocation=allocation, objective_j=objective_j)


def answer_j(allocation: Allocation, charges: StartCharges, payback_s: float) -> float:
    """Return what an answer takes: its objective over the payback time, and its starts, in joules."""
    return allocation.objective_w * payback_s + charges.of(allocation)
