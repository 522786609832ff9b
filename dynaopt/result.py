"""What a solver says: an answer or none, and what it proved. Frozen, and unable to claim what was not proved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dynaopt.allocation import Allocation
from dynaopt.errors import NoSolutionError


class Termination(StrEnum):
    """Why a solver stopped; the words of OR-Tools MathOpt."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    NO_SOLUTION_FOUND = "no_solution_found"
    INFEASIBLE = "infeasible"

    @property
    def has_solution(self) -> bool:
        """Whether there is an answer."""
        return self in (Termination.OPTIMAL, Termination.FEASIBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of solving one problem.

    Parameters
    ----------
    solver
        Who answered. `exact` puts here the program that it took the answer from, if it did.
    termination
        OPTIMAL only when the gap was proved to be at most `gap_tolerance`.
    allocation
        The answer, or None.
    lower_bound_w
        Objective that no answer can go below, in watts: a power, unless GPUs in use have a price
        (`Allocation.objective_w`). 0 when nothing better is known.
    gap_tolerance
        The relative gap at which the solver was allowed to stop.
    runtime_s
        Wall-clock seconds.
    reason
        In words: why there is no answer, or which limit stopped the solver.

    Raises
    ------
    ValueError
        If the parts contradict each other.
    """

    solver: str
    termination: Termination
    allocation: Allocation | None = None
    lower_bound_w: float = 0.0
    gap_tolerance: float = 0.0
    runtime_s: float = 0.0
    reason: str = ""

    def __post_init__(self) -> None:
        if self.termination.has_solution != (self.allocation is not None):
            raise ValueError(f"{self.termination} and allocation={self.allocation} disagree.")
        if self.allocation is None:
            return
        if self.lower_bound_w > self.allocation.objective_w * (1 + 1e-6) + 1e-6:
            raise ValueError(f"The bound {self.lower_bound_w} W lies above the answer {self.allocation.objective_w} W.")
        if self.termination is Termination.OPTIMAL and self.gap > self.gap_tolerance + 1e-6:
            raise ValueError(f"A gap of {self.gap:.2g} is no proof at a tolerance of {self.gap_tolerance:.2g}.")

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
    def objective_w(self) -> float:
        """What was minimised, in watts: the power, and the price of the GPUs in use where they have one.

        Raises
        ------
        NoSolutionError
            If there is no answer.
        """
        return self._answer().objective_w

    def _answer(self) -> Allocation:
        if self.allocation is None:
            raise NoSolutionError(f"{self.solver} found no allocation ({self.termination}): {self.reason}")
        return self.allocation

    @property
    def gap(self) -> float:
        """Share by which the answer may exceed the optimum: (objective - lower bound) / objective, at least 0."""
        objective_w = self.objective_w
        return max(0.0, (objective_w - self.lower_bound_w) / objective_w) if objective_w > 0 else 0.0

    def __repr__(self) -> str:
        if self.allocation is None:
            return f"Result({self.solver}: {self.termination}, {self.reason})"
        return (
            f"Result({self.solver}: {self.termination}, {self.power_w:.1f} W, gap {self.gap:.2%}, "
            f"{self.allocation.num_instances} instances on {self.allocation.num_gpus} GPUs)"
        )
