"""A planner that solves the windows it has forecasts for as one coupled problem, and takes its first decisions.

Receding horizon: what running on takes is weighed against starting again over all windows that are foretold, with the
column generation of `coupled`; the next window is planned anew. It stands behind the seam of `provisioning`.
"""

from __future__ import annotations

import numpy as np

from dynaopt.coupled import solve_coupled
from dynaopt.coupled_windows import CoupledWindow, ready_window
from dynaopt.coupling import Links
from dynaopt.errors import InvalidInputError
from dynaopt.fleet import Fleet, IntArray
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem, WindowDemand
from dynaopt.provisioning import Outlook
from dynaopt.solvers.quiet import silenced_stdout

GAP = 1e-3
"""Relative gap at which a look ahead stops: far below the errors of any forecast."""
LOOK_AHEAD = 12
"""Windows that are looked ahead to unless said otherwise: an hour of five minutes."""


class LookAhead:
    """Solves the windows that are foretold together, from what runs.

    GPUs on their way count as running, for they are paid. What lies beyond the last window is not known, so that a
    start must pay within the windows there are.

    Parameters
    ----------
    fleet
        Of which model, and in which cluster.
    look_ahead
        How many windows to solve together, at least; `rolling` foretells no fewer than a start takes.

    Raises
    ------
    InvalidInputError
        If that is less than 1.
    """

    def __init__(self, fleet: Fleet, look_ahead: int = LOOK_AHEAD) -> None:
        if look_ahead < 1:
            raise InvalidInputError("option look_ahead", expected="at least 1", found=str(look_ahead))
        self._fleet, self.look_ahead = fleet, look_ahead
        self._room = Workspace()

    def plan(self, outlook: Outlook) -> IntArray:
        """Solve them; see `Planner.plan`. A window for which there are too few GPUs gets all there are."""
        fleet, available = self._fleet, outlook.available_gpus
        # Nothing that is ordered now arrives before the last of these windows.
        most = [*available[:-1].tolist(), *[fleet.cluster.num_gpus] * (len(outlook.windows) - available.size + 1)]
        ready = [self._ready(window, gpus) for window, gpus in zip(outlook.windows, most, strict=True)]
        planned = iter(self._solve({k: w for k, w in enumerate(ready) if w is not None}, outlook))
        rows = []
        for window, own, gpus in list(zip(outlook.windows, ready, most, strict=True))[: available.size]:
            if own is None:
                rows.append(fleet.filled(fleet.needed(window), gpus))
                continue
            serving, idle = next(planned)
            left = gpus - fleet.num_gpus(serving)
            rows.append(serving + fleet.filled(idle, min(left, fleet.num_gpus(idle))))
        return np.array(rows, dtype=np.int64)

    def _solve(self, ready: dict[int, CoupledWindow], outlook: Outlook) -> list[tuple[IntArray, IntArray]]:
        """Return the instances of each degree in each window that serve, and those that only wait."""
        if not ready:
            return []
        windows = list(ready.values())
        paid = self._fleet.filled(outlook.running, int(outlook.available_gpus[-1]))
        with silenced_stdout():
            answer = solve_coupled(
                [window.mixes for window in windows],
                self._links(ready, paid),
                lambda prices: [w.cheapest(own, self._room, GAP / 2) for w, own in zip(windows, prices, strict=True)],
                gap=GAP,
            )
        # Where starts are not limited no window is without a mix.
        return [(mixes[0].counts, idle) for mixes, idle in zip(answer.chosen, answer.idle, strict=True) if mixes]

    def _ready(self, window: WindowDemand, num_gpus: int) -> CoupledWindow | None:
        fleet = self._fleet
        cluster = fleet.cluster.model_copy(update={"num_gpus": num_gpus})
        problem = Problem(demand=window, profiles={fleet.profile.model: fleet.profile}, slo=fleet.slo, cluster=cluster)
        return ready_window(problem, 0.0, [fleet.tps], self._room, GAP)

    def _links(self, ready: dict[int, CoupledWindow], running: IntArray) -> Links:
        first = next(iter(ready.values()))
        return Links.between(
            [self._fleet.profile],
            number=np.array(list(ready), dtype=np.int64),
            idle_w=first.models[0].idle_w(),
            num_gpus=self._fleet.cluster.num_gpus,
            power_cap_w=np.inf,
            window_s=first.problem.demand.window_s,
            weight=np.ones(len(ready)),
            gpu_price_w=np.zeros(len(ready)),
            min_up_windows=1,
            max_starts=None,
            initial=running,
        )
