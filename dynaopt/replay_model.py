"""The replay of one model: its instances and its requests, window after window."""

from __future__ import annotations

import numpy as np

from dynaopt.instance_state import BUSY_J, IDLE_J, ITERATION, NOW_S, SEQUENCES, WAITING
from dynaopt.profile import Profile, slo_rates_rps
from dynaopt.replay_engine import DONE, NEEDS_SLOTS, run_window
from dynaopt.replay_engines import EngineTable
from dynaopt.replay_fleet import Running, hand_over, start_up_energy_j
from dynaopt.replay_options import ReplayOptions
from dynaopt.replay_state import (
    ARRIVED,
    NUM_CLASSES,
    Arrivals,
    IntArray,
    Pools,
    Rules,
    Tally,
    make_world,
    with_longer_outputs,
    with_longer_queues,
    with_more_instances,
    with_more_slots,
)
from dynaopt.replay_windows import Group, WindowPlan, by_nearness, energy_slope_j
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.request_stream import RequestPart
from dynaopt.slo import Slo

# An instance that is planned to get nothing counts as one that gets this share of what it could carry.
_LEAST_SHARE = 0.01


class ModelReplay:
    """One model's instances and requests; `run` takes one window after the other, `finish` comes last.

    Parameters
    ----------
    profile
        The model's.
    slo
        Bounds by which requests are ordered and judged.
    plans
        What runs in each window.
    window_s
        Length of a window, in seconds.
    options
        What the router may do.
    seed
        Seed of the order of instances between which energy does not tell.

    Attributes
    ----------
    busy_j, idle_j, start_up_j, planned_j
        By window: energy of instances with something to do, without, of starts, and what was planned for instances.
    pool_j, planned_pool_j
        By pool, over all windows: energy of its instances, and what was planned.
    num_arrived
        Requests by window and class.
    num_gpus
        By window, GPUs in use at its start, those of instances that still finish what they had among them.
    """

    def __init__(
        self,
        profile: Profile,
        slo: Slo,
        plans: list[WindowPlan],
        window_s: float,
        options: ReplayOptions,
        seed: int,
    ) -> None:
        self.profile, self.slo, self.plans, self.options = profile, slo, plans, options
        self.window_s = window_s
        self._rng = np.random.default_rng(seed)
        self._engines = EngineTable(profile, plans)
        self._limits_rps = slo_rates_rps(profile, slo)
        rules = Rules(
            window_s,
            options.burst_requests,
            options.checks_deadline,
            options.clocks_up,
            options.resteers,
            options.squashes,
            options.margin,
            options.late_bound_factor,
            np.array(slo.ttft_s),
        )
        n = len(plans)
        self._world = make_world(
            self._engines.engines, np.array(slo.tbt_s), self._pools(WindowPlan((), ()), []), rules, n
        )
        self._groups: dict[int, Group] = {}
        self._plan: WindowPlan | None = None
        self._by_pool: list[list[int]] = []
        self._pending = _no_arrivals()
        self._draining: list[tuple[float, int]] = []
        self.busy_j, self.idle_j, self.start_up_j, self.planned_j = (np.zeros(n) for _ in range(4))
        self.pool_j: dict[str, float] = {}
        self.planned_pool_j: dict[str, float] = {}
        self.num_arrived = np.zeros((n, NUM_CLASSES), np.int64)
        self.num_gpus = np.zeros(n, np.int64)

    @property
    def tally(self) -> Tally:
        """What was counted of requests that have finished."""
        return self._world.tally

    @property
    def token_gaps(self) -> IntArray:
        """Gaps between tokens by bin and class."""
        return self._world.record.gaps

    @property
    def num_iterations(self) -> int:
        """Iterations of the instances that run now."""
        return int(self._world.fleet.counts[:, ITERATION].sum())

    @property
    def num_lost(self) -> IntArray:
        """Requests, by class, that no instance could take so far."""
        return np.bincount(self._pending.request_class, minlength=NUM_CLASSES)

    def run(self, window: int, part: RequestPart | None, offset_s: float) -> None:
        """Replay a window.

        Parameters
        ----------
        window
            Its number.
        part
            Its requests; None if there are none.
        offset_s
            What to add to their arrivals to get seconds since the start of the first window.
        """
        begin_s = window * self.window_s
        plan = self.plans[window]
        if plan is not self._plan:
            self._reconfigure(plan, window, begin_s)
        self._world = self._world._replace(pools=self._pools(plan, self._by_pool))
        arrivals = self._arrivals(part, offset_s, window)
        self._serve(arrivals, begin_s, begin_s + self.window_s)
        self.planned_j[window] += sum(g.num_instances * g.power_w for g in plan.groups) * self.window_s
        for g in plan.groups:
            planned_j = g.num_instances * g.power_w * self.window_s
            self.planned_pool_j[g.pool] = self.planned_pool_j.get(g.pool, 0.0) + planned_j
        gpus = sum(g.tp for g in self._groups.values())
        self._draining = [(end_s, tp) for end_s, tp in self._draining if end_s > begin_s]
        self.num_gpus[window] = gpus + sum(tp for _, tp in self._draining)
        self._take_energy(window)

    def finish(self) -> None:
        """Let every instance finish what it has; that energy counts for the last window.

        Raises
        ------
        RuntimeError
            If a request is neither finished nor lost, which would be a fault of the replay.
        """
        self._let_finish(list(self._groups))
        self._take_energy(len(self.plans) - 1)
        arrived, finished = self.num_arrived.sum(axis=0), self.tally.kept[:, :, ARRIVED].sum(axis=0)
        if not np.array_equal(arrived, finished + self.num_lost):
            raise RuntimeError(f"Of {arrived} requests {finished} finished and {self.num_lost} were lost.")

    def _serve(self, arrivals: Arrivals, begin_s: float, end_s: float) -> None:
        stranded = np.zeros(len(arrivals.arrival_s), np.int64)
        left: list[IntArray] = []
        first, reason = 0, -1
        while reason != DONE:
            reason, first, num_stranded = run_window(
                self._world, arrivals, first, begin_s, end_s, self._world.pools.members, stranded
            )
            left.append(stranded[:num_stranded].copy())
            if reason != DONE:
                self._world = with_more_slots(self._world) if reason == NEEDS_SLOTS else with_longer_queues(self._world)
        again = np.concatenate(left)
        self._pending = Arrivals._make(array[again] for array in arrivals)

    def _arrivals(self, part: RequestPart | None, offset_s: float, window: int) -> Arrivals:
        if part is None:
            return self._pending
        arrival_s = part.arrival_s + offset_s
        request_class = part.request_class.astype(np.int64)
        new = Arrivals(
            arrival_s,
            arrival_s + np.array(self.slo.ttft_s)[request_class],
            part.input_tokens.astype(np.int64),
            part.output_tokens.astype(np.int64),
            request_class,
        )
        self.num_arrived[window] += np.bincount(request_class, minlength=NUM_CLASSES)
        self._world = with_longer_outputs(self._world, int(new.output_tokens.max(initial=1)))
        return Arrivals._make(np.concatenate(pair) for pair in zip(self._pending, new, strict=True))

    def _reconfigure(self, plan: WindowPlan, window: int, begin_s: float) -> None:
        """Hand the instances over to the groups of a window, start new ones, let others finish and stop."""
        counts = self._world.fleet.counts
        running = [
            Running(i, g.pool, g.tp, g.frequency_mhz, int(counts[i, SEQUENCES] + counts[i, WAITING]))
            for i, g in self._groups.items()
        ]
        handover = hand_over(running, plan.groups)
        stopped = [self._groups[i].tp for i in handover.stopped]
        for i in handover.stopped:
            self._stop(i)
        started: list[int] = []
        for group, kept in zip(plan.groups, handover.kept, strict=True):
            for i in kept:
                self._become(i, group, begin_s)
            for _ in range(group.num_instances - len(kept)):
                started.append(group.tp)
                self._start(group, begin_s)
        if self._plan is not None:
            self.start_up_j[window] = start_up_energy_j(started, stopped, self.profile)
        self._plan = plan
        self._by_pool = [self._members(pool) for pool in plan.pools]

    def _start(self, group: Group, begin_s: float) -> None:
        taken = self._groups
        i = next(n for n in range(len(taken) + 1) if n not in taken)
        while i >= len(self._world.fleet.counts):
            self._world = with_more_instances(self._world)
        world = self._world
        for array in (world.fleet.counts, world.fleet.batch, world.fleet.slow):
            array[i] = 0
        world.fleet.meters[i] = 0.0
        world.fleet.meters[i, NOW_S] = begin_s
        world.instances.is_clocked_up[i] = False
        world.instances.relieved_s[i] = -np.inf
        world.instances.due_s[i] = begin_s
        self._set(i, group)

    def _stop(self, i: int) -> None:
        self._let_finish([i])
        group = self._groups.pop(i)
        self._draining.append((float(self._world.fleet.meters[i, NOW_S]), group.tp))
        meters = self._world.fleet.meters[i]
        self._stopped_busy_j += float(meters[BUSY_J])
        self._stopped_idle_j += float(meters[IDLE_J])
        self.pool_j[group.pool] = self.pool_j.get(group.pool, 0.0) + float(meters[BUSY_J] + meters[IDLE_J])
        meters[BUSY_J:] = 0.0

    _stopped_busy_j = 0.0
    _stopped_idle_j = 0.0

    def _let_finish(self, numbers: list[int]) -> None:
        none, members = np.zeros(0, np.int64), np.array(numbers, np.int64)
        run_window(self._world, _no_arrivals(), 0, 0.0, np.inf, members, none)

    def _become(self, i: int, group: Group, begin_s: float) -> None:
        """Give an instance that goes on its new group; a change of its clock makes it pause."""
        was_rps = self._world.instances.planned_rps[i]
        if group.frequency_mhz != self._groups[i].frequency_mhz:
            world, pause_s = self._world, self.options.clock_change_s
            world.fleet.meters[i, NOW_S] += pause_s
            idle_power_w = self._engines.engines.idle_power_w[world.instances.engine[i]]
            world.fleet.meters[i, IDLE_J] += pause_s * idle_power_w
        self._set(i, group)
        # It stays as many requests ahead of its turn, which at another rate takes another time: an instance that was to
        # idle and helped out would otherwise be passed over for as long as its few requests would have taken then.
        instances = self._world.instances
        instances.due_s[i] = begin_s + (instances.due_s[i] - begin_s) * was_rps / instances.planned_rps[i]

    def _set(self, i: int, group: Group) -> None:
        instances = self._world.instances
        instances.engine[i], instances.top_engine[i] = self._engines.rows(group)
        limit_rps = self._limits_rps.get((group.tp, group.frequency_mhz, group.pool), group.rate_rps)
        instances.limit_rps[i] = limit_rps
        instances.planned_rps[i] = max(group.rate_rps, _LEAST_SHARE * limit_rps)
        self._groups[i] = group

    def _members(self, pool: str) -> list[int]:
        """Return the instances of a pool, the one whose energy grows least first; chance settles what is equal."""
        own = [i for i, g in self._groups.items() if g.pool == pool]
        order = self._rng.permutation(len(own))
        limits = self._world.instances.limit_rps
        slopes = {g: energy_slope_j(self.profile, g) for g in {self._groups[i] for i in own}}
        key = {
            i: (slopes[self._groups[i]], -self._groups[i].rate_rps / limits[i], int(order[n]))
            for n, i in enumerate(own)
        }
        return sorted(own, key=lambda i: key[i])

    def _pools(self, plan: WindowPlan, by_pool: list[list[int]]) -> Pools:
        names = list(plan.pools)
        flows = [[f for f in plan.flows if f.request_class == c] for c in REQUEST_CLASSES]
        near = [by_nearness(self.profile, names, c) for c in REQUEST_CLASSES]
        return Pools(
            first_member=np.cumsum([0, *(len(m) for m in by_pool)]),
            members=np.array([i for m in by_pool for i in m], np.int64),
            first_route=np.cumsum([0, *(len(f) for f in flows)]),
            route_pool=np.array([names.index(f.pool) for own in flows for f in own], np.int64),
            route_rps=np.array([f.rate_rps for own in flows for f in own], float),
            route_served=np.zeros(len(plan.flows), np.int64),
            others=np.array([[names.index(p) for p in able + rest] for able, rest in near], np.int64).reshape(
                NUM_CLASSES, len(names)
            ),
            num_larger=np.array([len(able) for able, _ in near], np.int64),
        )

    def _take_energy(self, window: int) -> None:
        """Move what the instances' meters show to a window."""
        meters = self._world.fleet.meters
        self.busy_j[window] += float(meters[:, BUSY_J].sum()) + self._stopped_busy_j
        self.idle_j[window] += float(meters[:, IDLE_J].sum()) + self._stopped_idle_j
        self._stopped_busy_j = self._stopped_idle_j = 0.0
        for i, group in self._groups.items():
            own_j = float(meters[i, BUSY_J] + meters[i, IDLE_J])
            self.pool_j[group.pool] = self.pool_j.get(group.pool, 0.0) + own_j
        meters[:, BUSY_J:] = 0.0


def _no_arrivals() -> Arrivals:
    f, n = np.zeros(0), np.zeros(0, np.int64)
    return Arrivals(f, f, n, n, n)
