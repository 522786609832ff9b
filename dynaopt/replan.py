"""The answer of a planner that is asked again and again."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynaopt.allocation import Allocation
from dynaopt.errors import NoSolutionError
from dynaopt.explanation import Explanation, explain
from dynaopt.problem import Problem
from dynaopt.refill import refill
from dynaopt.result import Termination


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Replan:
    """What to run now.

    Parameters
    ----------
    problem
        What was asked.
    termination
        OPTIMAL only when the gap was proved to be at most the planner's tolerance.
    allocation
        The answer, or None.
    answered_by
        ``"kept"`` where the instances that ran go on, ``"search"`` for a new answer in time, the name of a solver where
        only that found one; empty where there is none.
    before
        What ran when it was asked; None for the first answer.
    payback_s
        Seconds in which starting an instance has to pay.
    transition_energy_j
        Energy of starting what did not run before, in joules.
    lower_bound_j
        What no answer's `objective_j` can go below, in joules; 0 when nothing better is known.
    lower_bound_w
        What no answer's objective can go below even if starts were free, in watts.
    deadline_s, runtime_s
        Seconds that it had, and took.
    reason
        In words: why there is no answer, why it is late, or what the deadline left no time for.
    """

    problem: Problem = field(repr=False)
    termination: Termination
    allocation: Allocation | None = None
    answered_by: str = ""
    before: Allocation | None = field(default=None, repr=False)
    payback_s: float
    transition_energy_j: float = 0.0
    lower_bound_j: float = 0.0
    lower_bound_w: float = 0.0
    deadline_s: float
    runtime_s: float
    reason: str = ""

    def __post_init__(self) -> None:
        if self.termination.has_solution != (self.allocation is not None):
            raise ValueError(f"{self.termination} and allocation={self.allocation} disagree.")

    @property
    def is_late(self) -> bool:
        """Whether it took longer than it had."""
        return self.runtime_s > self.deadline_s

    @property
    def power_w(self) -> float:
        """Mean power of the answer, in watts.

        Raises
        ------
        NoSolutionError
            If there is no answer.
        """
        return self._answer().power_w

    @property
    def objective_j(self) -> float:
        """What was minimised, in joules: power and price of GPUs over `payback_s`, and the energy of starts.

        Raises
        ------
        NoSolutionError
            If there is no answer.
        """
        return self._answer().objective_w * self.payback_s + self.transition_energy_j

    @property
    def gap(self) -> float:
        """Share by which the answer may exceed the optimum: (objective - lower bound) / objective, at least 0."""
        objective_j = self.objective_j
        return max(0.0, (objective_j - self.lower_bound_j) / objective_j) if objective_j > 0 else 0.0

    def explain(self, previous: Replan | Allocation | None = None) -> Explanation:
        """Tell what changes and why it pays.

        Parameters
        ----------
        previous
            What to compare with: an earlier answer; by default what ran when this one was asked for.

        Raises
        ------
        NoSolutionError
            If either has no answer.
        """
        allocation = self._answer()
        before = previous._answer() if isinstance(previous, Replan) else (previous or self.before)
        if before is None:
            raise NoSolutionError("nothing ran before the first answer: there is nothing to compare with")
        return explain(self.problem, before, allocation, refill(self.problem, before))

    def _answer(self) -> Allocation:
        if self.allocation is None:
            raise NoSolutionError(f"the planner found no allocation ({self.termination}): {self.reason}")
        return self.allocation

    def __repr__(self) -> str:
        if self.allocation is None:
            return f"Replan({self.termination}, {self.runtime_s * 1e3:.1f} ms: {self.reason})"
        late = f" of {self.deadline_s * 1e3:g}" if self.is_late else ""
        return (
            f"Replan({self.answered_by}: {self.termination}, {self.power_w:.1f} W, starts"
            f" {self.transition_energy_j / 3600:.1f} Wh, gap {self.gap:.2%},"
            f" {self.allocation.num_instances} instances on {self.allocation.num_gpus} GPUs,"
            f" {self.runtime_s * 1e3:.1f}{late} ms)"
        )
