"""The package's own planner as a policy, so that it stands beside the others on the same terms."""

from __future__ import annotations

from dynaopt.horizon import ProgressCallback, plan
from dynaopt.policies.base import Case
from dynaopt.schedule import Schedule
from dynaopt.solvers import get_solver


class Planned:
    """Pools by class with promotion, every window solved for itself.

    Parameters
    ----------
    solver
        One of `dynaopt.solver_names`.
    time_limit_s
        Wall-clock seconds for each window; None for no limit.
    workers
        Processes, as `dynaopt.plan` takes them.
    progress
        Called as windows finish, as by `dynaopt.plan`.
    """

    def __init__(
        self,
        solver: str = "greedy",
        *,
        time_limit_s: float | None = None,
        workers: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        get_solver(solver)
        self.name = f"plan-{solver}"
        self.title = f"plan ({solver})"
        self._solver, self._time_limit_s, self._workers, self._progress = solver, time_limit_s, workers, progress

    def plan(self, case: Case) -> Schedule:
        """Plan the demand; see `Policy.plan`. Windows without an answer are in the schedule."""
        return plan(
            case.demand,
            case.profiles,
            slo=case.slo,
            solver=self._solver,
            time_limit_s=self._time_limit_s,
            workers=self._workers,
            progress=self._progress,
            paths=case.paths,
            **case.cluster.model_dump(),
        )
