"""A planner for controllers: it remembers what runs, and answers again and again, each time before a deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.allocation import Allocation
from dynaopt.arrivals import DemandLike, as_window
from dynaopt.errors import InvalidInputError
from dynaopt.objective import Objective
from dynaopt.price_search import Workspace
from dynaopt.problem import Cluster, Problem
from dynaopt.profile import Profile
from dynaopt.refill import Refilled, refill
from dynaopt.replan import Replan
from dynaopt.replan_search import Found, Pace, answer_j, search_answer
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.result import Termination
from dynaopt.slo import Slo
from dynaopt.solvers import solve
from dynaopt.solvers.base import DEFAULT_GAP
from dynaopt.start_charges import StartCharges
from dynaopt.transitions import pool_names

RESCUE_S = 2.0
"""What a solver gets where the search found nothing and proved nothing: an answer matters more than the deadline."""
LEAST_TIME_S = 1e-3


class Planner:
    """Plans one cluster, window after window.

    Everything that does not depend on the demand is computed once: compiled code is loaded by the constructor, curves,
    tables and room to work in are kept. Not to be shared between threads.

    Parameters
    ----------
    profiles
        A profile for each model.
    slo
        Latency objectives; Table IV of the DynamoLLM paper by default.
    window_s
        Seconds that an answer is for, where the demand does not say.
    payback_s
        Seconds in which starting an instance has to pay; by default those of the window. Longer where demand is known
        to last.
    objective
        What to minimise; energy by default.
    gap_tolerance
        Relative gap at which an answer counts as optimal.
    least_saving
        Share by which a new answer must beat keeping the last one; less is not worth a change.
    **cluster
        Fields of `Cluster`, for example ``num_gpus=320``.

    Raises
    ------
    InvalidInputError
        If an option is out of range, or profiles do not go together.
    """

    def __init__(
        self,
        profiles: Profile | Sequence[Profile],
        *,
        slo: Slo | None = None,
        window_s: float = 300.0,
        payback_s: float | None = None,
        objective: Objective | None = None,
        gap_tolerance: float = DEFAULT_GAP,
        least_saving: float = 2 * DEFAULT_GAP,
        **cluster: Any,
    ) -> None:
        listed = [profiles] if isinstance(profiles, Profile) else list(profiles)
        if not listed:
            raise InvalidInputError("profiles", expected="at least one", found="none")
        for name, value in (("window_s", window_s), ("payback_s", window_s if payback_s is None else payback_s)):
            if not 0 < value < np.inf:
                raise InvalidInputError(f"option {name}", expected="a number above 0", found=str(value))
        for name, value in (("gap_tolerance", gap_tolerance), ("least_saving", least_saving)):
            if not 0 <= value < np.inf:
                raise InvalidInputError(f"option {name}", expected="a number of at least 0", found=str(value))
        self._profiles = {profile.model: profile for profile in listed}
        self._slo = slo or Slo.table_iv()
        self._window_s, self._payback_s = window_s, payback_s
        self._objective = objective
        self._gap, self._least_saving = gap_tolerance, least_saving
        self._cluster = Cluster.of(**cluster)
        self._room, self._pace = Workspace(), Pace()
        self._before: Allocation | None = None
        self._last: Replan | None = None
        self._warm_up()

    @property
    def last(self) -> Replan | None:
        """The last answer; windows without one leave it as it was."""
        return self._last

    @property
    def running(self) -> Allocation | None:
        """What the next answer is reached from: the last answer, or what `adopt` was told."""
        return self._before

    def adopt(self, running: Allocation | None) -> None:
        """Take note of what really runs: after a restart of the controller, or where a start failed.

        Parameters
        ----------
        running
            The instances, and where classes go; None for "nothing is known", from which starts are free.

        Raises
        ------
        InvalidInputError
            If the profiles do not have such a model, pool or degree.
        """
        for group in () if running is None else running.groups:
            profile = self._profiles.get(group.model)
            if profile is None or group.tp not in profile.tps or group.pool not in pool_names(profile):
                expected = f"a pool and a degree of {', '.join(self._profiles)}"
                found = f"TP{group.tp} in pool {group.pool} of {group.model}"
                raise InvalidInputError("running instances", expected=expected, found=found)
        self._before = running

    def replan(
        self,
        demand: DemandLike,
        *,
        deadline_s: float = 0.010,
        peak_factor: float | Mapping[str, float] = 1.0,
        start: pd.Timestamp | None = None,
    ) -> Replan:
        """Answer for a demand.

        Parameters
        ----------
        demand
            What arrives, in a form that `arrivals.as_window` takes: a `WindowDemand`, or requests per second by class,
            or by model and class.
        deadline_s
            Seconds to answer in. It is exceeded only where there would be no answer otherwise.
        peak_factor
            How far the busiest minute stands above the mean, of all models or of each.
        start
            When the window starts, UTC; now by default.

        Returns
        -------
        Replan
            The answer. It never takes more (`Replan.objective_j`) than keeping the last one would.

        Raises
        ------
        InputError
            If the demand or the deadline is not what it may be. The last answer stays.
        """
        started = time.perf_counter()
        if not deadline_s > 0:
            raise InvalidInputError("option deadline_s", expected="a number above 0", found=str(deadline_s))
        window = as_window(demand, list(self._profiles), peak_factor=peak_factor, start=start, window_s=self._window_s)
        answer = self._answer(self._pose(window), self._before, started, deadline_s)
        if answer.allocation is not None:
            self._before, self._last = answer.allocation, answer
        return answer

    def _pose(self, window: Any) -> Problem:
        price_w = 0.0
        if self._objective is not None:
            prices = self._objective.over(pd.DatetimeIndex([window.start]), window.window_s)
            price_w = float(prices.gpu_price_w[0])
        return Problem(
            demand=window, profiles=self._profiles, slo=self._slo, cluster=self._cluster, gpu_price_w=price_w
        )

    def _answer(self, problem: Problem, before: Allocation | None, started: float, deadline_s: float) -> Replan:
        payback_s = self._payback_s or problem.demand.window_s
        charges = StartCharges.beyond(before, self._profiles)
        kept = Refilled(reason="nothing ran before") if before is None else refill(problem, before)
        kept_j = np.inf if kept.allocation is None else answer_j(kept.allocation, charges, payback_s)
        found = search_answer(
            problem,
            charges,
            self._room,
            self._pace,
            payback_s=payback_s,
            gap=self._gap,
            deadline_s=started + deadline_s,
            known_j=kept_j,
        )
        if found.num_searches == 0:
            self._pace.fade()
        allocation, by, reason = self._choose(kept, kept_j, found)
        bound_j, bound_w, termination = found.lower_bound_j, found.lower_bound_w, None
        if allocation is None:
            left_s = started + deadline_s - time.perf_counter()
            allowed_s = max(left_s, LEAST_TIME_S if np.isinf(bound_j) else RESCUE_S)
            rescued = solve(problem, solver="exact", time_limit_s=allowed_s, gap_tolerance=self._gap)
            allocation, by, reason = rescued.allocation, rescued.solver, rescued.reason
            bound_w, termination = rescued.lower_bound_w, rescued.termination
            bound_j = max(bound_j if np.isfinite(bound_j) else 0.0, bound_w * payback_s)
        spent_j = 0.0 if allocation is None else charges.of(allocation)
        if allocation is not None:
            objective_j = allocation.objective_w * payback_s + spent_j
            bound_j = min(bound_j, objective_j)
            proved = objective_j - bound_j <= (self._gap + 1e-9) * objective_j
            termination = Termination.OPTIMAL if proved else Termination.FEASIBLE
        return Replan(
            problem=problem,
            termination=termination or Termination.NO_SOLUTION_FOUND,
            allocation=allocation,
            answered_by="" if allocation is None else by,
            before=before,
            payback_s=payback_s,
            transition_energy_j=spent_j,
            lower_bound_j=bound_j,
            lower_bound_w=bound_w if np.isfinite(bound_w) else 0.0,
            deadline_s=deadline_s,
            runtime_s=time.perf_counter() - started,
            reason=reason,
        )

    def _choose(self, kept: Refilled, kept_j: float, found: Found) -> tuple[Allocation | None, str, str]:
        """Return the better of what was kept and what was found, who answered, and what is to be said of it."""
        if kept.allocation is not None and kept_j <= found.objective_j * (1 + self._least_saving):
            is_settled = found.num_searches > 0 or kept_j - found.lower_bound_j <= self._gap * kept_j
            return kept.allocation, "kept", "" if is_settled else "the deadline left no time for a search"
        return found.allocation, "search", ""

    def _warm_up(self) -> None:
        """Load compiled code and fill caches with a demand of all classes, and again with what that left running."""
        rates = {model: np.full(len(REQUEST_CLASSES), 1e-3) for model in self._profiles}
        window = as_window(rates, list(self._profiles), start=pd.Timestamp.now("UTC"), window_s=self._window_s)
        problem = Problem(demand=window, profiles=self._profiles, slo=self._slo, cluster=self._cluster)
        free = problem.replace(power_cap_w=None)
        before = None
        for _ in range(3):
            answer = self._answer_quietly(free, before)
            before = answer
        self._pace = Pace()

    def _answer_quietly(self, problem: Problem, before: Allocation | None) -> Allocation | None:
        charges = StartCharges.beyond(before, self._profiles)
        found = search_answer(
            problem,
            charges,
            self._room,
            self._pace,
            payback_s=self._window_s,
            gap=self._gap,
            deadline_s=time.perf_counter(),
        )
        if before is not None:
            refill(problem, before)
        return found.allocation
