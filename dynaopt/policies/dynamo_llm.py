"""DynamoLLM (HPCA 2025), section IV: the paper's three-level heuristic, in windows.

Every half hour the cluster manager gives servers to pools (`node_epochs`). In every window each pool's manager splits
its GPUs into the mix of degrees that takes the least power at the highest clock (equation 1), and changes what runs
only where the saving of the window exceeds what the change takes. Then each instance gets the cheapest clock that keeps
its SLO. `docs/policies.md` says where windows are coarser than the paper's controllers, and in whose favour.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from dynaopt.policies.assembling import assemble
from dynaopt.policies.base import Case, Variant
from dynaopt.policies.degree_mixes import Degrees, degrees_of
from dynaopt.policies.node_epochs import PoolNodes, Rounding, assign_nodes
from dynaopt.policies.sharded_pools import Rows, rows_frame
from dynaopt.policies.sharing import IntArray
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule

Parts = list[tuple[int, int, float]]


class DynamoLlm(Variant):
    """The paper's controllers.

    Parameters
    ----------
    best
        Whether pools may also round their servers up, where that takes less energy over the horizon; the paper rounds
        down. To which longer pool the rest goes is the better choice in any case.
    """

    name, title = "dynamollm", "DynamoLLM"

    def plan(self, case: Case) -> Schedule:
        """Run the controllers through all windows; see `Policy.plan`."""
        began_s = time.perf_counter()
        roundings: tuple[Rounding, ...] = ("longer-output", "longer-input")
        if self._best:
            roundings += ("up",)
        schedules = [self._run(case, rounding) for rounding in roundings]
        best = min(schedules, key=lambda schedule: schedule.energy_j)
        windows = best.windows.assign(runtime_s=(time.perf_counter() - began_s) / best.num_windows)
        return Schedule(
            metadata=best.metadata,
            demand=best.demand,
            allocations=best.allocations,
            routes=best.routes,
            transitions=best.transitions,
            windows=windows,
        ).with_totals()

    def _run(self, case: Case, rounding: Rounding) -> Schedule:
        groups: list[pd.DataFrame] = []
        routes: list[pd.DataFrame] = []
        for part in case.models():
            for nodes in assign_nodes(case, part, rounding):
                manager = _PoolManager(case, part.profile, nodes)
                groups.append(rows_frame(nodes.pool, manager.run()))
                routes.append(nodes.pool.routes())
        return assemble(case, self.name, groups, routes)


class _PoolManager:
    """Runs one pool through the windows, remembering what is running."""

    def __init__(self, case: Case, profile: Profile, nodes: PoolNodes) -> None:
        self._window_s, self._nodes = case.demand.window_s, nodes
        self._power, self._start_up = profile.metadata.power, profile.metadata.start_up
        self._degrees: Degrees = degrees_of(nodes.pool, case.cluster)
        self._running: IntArray = np.zeros(self._degrees.tp.size, dtype=np.int64)

    def run(self) -> Rows:
        """Return the instances of all windows."""
        load, stretch = self._nodes.pool.load_rps, self._nodes.pool.stretch
        rows: Rows = []
        for window in range(len(load)):
            parts = self._step(float(load[window]), float(stretch[window]), int(self._nodes.num_gpus[window]))
            rows += [(window, k, n, rate) for k, n, rate in parts]
        return rows

    def _step(self, load_rps: float, stretch: float, num_gpus: int) -> Parts:
        if load_rps <= 0:
            self._running = np.zeros_like(self._running)
            return []
        wanted = self._degrees.cheapest(load_rps, stretch, num_gpus, exact=False)
        assert wanted is not None, "TP8 servers alone carry what the cluster manager gives a pool"
        power_w, parts = self._degrees.settle(wanted, load_rps, stretch, lower_clocks=True)
        if self._may_stay(load_rps, stretch, num_gpus):
            kept_w, kept = self._degrees.settle(self._running, load_rps, stretch, lower_clocks=True)
            if (kept_w - power_w) * self._window_s <= self._overhead_j(wanted):
                return kept
        self._running = wanted
        return parts

    def _may_stay(self, load_rps: float, stretch: float, num_gpus: int) -> bool:
        fits = int(self._running @ self._degrees.tp) <= num_gpus
        return fits and self._degrees.can_serve(self._running, load_rps, stretch)

    def _overhead_j(self, wanted: IntArray) -> float:
        """Return what it takes to start what is wanted and not running: re-sharding, and cold starts beyond that."""
        grown = int((np.maximum(wanted - self._running, 0) * self._degrees.tp).sum())
        given_up = int((np.maximum(self._running - wanted, 0) * self._degrees.tp).sum())
        resharded = min(grown, given_up)
        busy_s = resharded * self._start_up.reshard_s + (grown - resharded) * self._start_up.cold_s
        return self._power.start_up_gpu_w * busy_s
