"""The package's own planners as policies, so that they stand beside the others on the same terms."""

from __future__ import annotations

from dynaopt.coupled_shard import COUPLED
from dynaopt.horizon import ProgressCallback, plan
from dynaopt.policies.base import Case
from dynaopt.problem import Cluster
from dynaopt.schedule import Schedule
from dynaopt.solvers import get_solver
from dynaopt.solvers.base import DEFAULT_SOLVER


class Planned:
    """Pools by class with promotion and mixed pools, every window solved for itself.

    Parameters
    ----------
    solver
        One of `dynaopt.solver_names`.
    time_limit_s
        Wall-clock seconds for each window; None for no limit.
    by_class
        Whether to do without mixed pools, to tell what they are worth.
    workers
        Processes, as `dynaopt.plan` takes them.
    progress
        Called as windows finish, as by `dynaopt.plan`.
    """

    def __init__(
        self,
        solver: str = DEFAULT_SOLVER,
        *,
        by_class: bool = False,
        time_limit_s: float | None = None,
        workers: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        get_solver(solver)
        self.name = "plan-by-class" if by_class else f"plan-{solver}"
        self.title = f"plan by class ({solver})" if by_class else f"plan ({solver})"
        self.solver, self._by_class = solver, by_class
        self._time_limit_s, self._workers, self._progress = time_limit_s, workers, progress

    def cluster(self, case: Case) -> Cluster:
        """Return the case's options, without mixed pools if there are to be none."""
        return case.cluster.model_copy(update={"max_mix_distance": 0.0}) if self._by_class else case.cluster

    def plan(self, case: Case) -> Schedule:
        """Plan the demand; see `Policy.plan`. Windows without an answer are in the schedule."""
        return plan(
            case.demand,
            case.profiles,
            slo=case.slo,
            solver=self.solver,
            time_limit_s=self._time_limit_s,
            workers=self._workers,
            progress=self._progress,
            paths=case.paths,
            **self.cluster(case).model_dump(),
        )


class PlannedTogether:
    """The same with all windows as one problem, serving and starts, as `dynaopt.plan` does by default.

    Parameters
    ----------
    workers
        Processes, as `dynaopt.plan` takes them.
    """

    name = f"plan-{COUPLED}"
    title = f"plan ({COUPLED})"
    solver = COUPLED

    def __init__(self, *, workers: int | None = None) -> None:
        self._workers = workers

    def cluster(self, case: Case) -> Cluster:
        """Return the case's options."""
        return case.cluster

    def plan(self, case: Case) -> Schedule:
        """Plan the demand; see `Policy.plan`. Windows without an answer are in the schedule."""
        return plan(
            case.demand,
            case.profiles,
            slo=case.slo,
            coupled=True,
            workers=self._workers,
            paths=case.paths,
            **case.cluster.model_dump(),
        )
