"""What changes between two allocations, what it costs and why it pays, in words and as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.allocation import Allocation, InstanceGroup
from dynaopt.problem import Problem, host_power_w
from dynaopt.profile import Profile
from dynaopt.refill import Refilled
from dynaopt.transitions import RUNNING_COLUMNS, find_transitions, pool_names

COLUMNS = (
    "change", "model", "pool", "tp", "frequency_mhz", "num_instances", "from_pool", "from_frequency_mhz", "energy_j",
    "power_w",
)  # fmt: skip
_VERBS = {"start": "start", "stop": "stop", "move": "move", "clock": "set", "load": "the others, at other loads"}
Place = tuple[str, str, int]
Clocks = dict[int, int]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Explanation:
    """The difference between two allocations; as text it is a list of what to do.

    Parameters
    ----------
    changes
        A row for each change: `change` (``start``, ``stop``, ``move`` to another pool, ``clock``, or ``load`` for all
        that goes on as it was), `model`, `pool`, `tp`, `frequency_mhz`, `num_instances`, where it came from
        (`from_pool`, `from_frequency_mhz`), `energy_j` of starting, and `power_w`, which it adds. The column `power_w`
        adds up to the difference of both powers.
    power_before_w
        Power of the earlier allocation at the demand of the later, where it serves that; else at its own, in watts.
    power_after_w
        Power of the later one, in watts.
    transition_energy_j
        Energy of the starts, in joules.
    reason
        Why the earlier one does not serve the later demand; empty where it does.
    """

    changes: pd.DataFrame = field(repr=False)
    power_before_w: float
    power_after_w: float
    transition_energy_j: float
    reason: str = ""

    @property
    def payback_s(self) -> float | None:
        """Seconds until less power has made up for the starts; None where the power does not fall, or had to change."""
        saved_w = self.power_before_w - self.power_after_w
        return None if self.reason or saved_w <= 0 else self.transition_energy_j / saved_w

    def __str__(self) -> str:
        lines = [_line(row) for row in self.changes.to_dict("records")]
        return "\n".join([*(lines or ["nothing changes"]), self._sum()])

    def _sum(self) -> str:
        powers = f"{_watts(self.power_before_w)} to {_watts(self.power_after_w)}"
        starts = f"starts take {_energy(self.transition_energy_j)}"
        if self.reason:
            return f"the earlier answer does not serve this demand: {self.reason}; power goes from {powers}, {starts}"
        saved_w = self.power_before_w - self.power_after_w
        if abs(saved_w) < 0.5:
            return f"power stays at {_watts(self.power_after_w)}, {starts}"
        if saved_w < 0:
            return f"power goes from {powers}, {starts}"
        paid = f", paid back in {_duration(self.payback_s or 0.0)}" if self.transition_energy_j > 0 else ""
        return f"in all it saves {_watts(saved_w)} ({powers}), {starts}{paid}"


def explain(problem: Problem, before: Allocation, after: Allocation, kept: Refilled) -> Explanation:
    """Compare two allocations.

    Parameters
    ----------
    problem
        What the later one serves.
    before, after
        The allocations.
    kept
        What `refill` makes of the earlier one.
    """
    base = before if kept.allocation is None else kept.allocation
    rows = [
        row for model, profile in problem.profiles.items() for row in _of_model(problem, model, profile, base, after)
    ]
    known_w = sum(row["power_w"] for row in rows)
    rest_w = after.power_w - base.power_w - known_w
    if abs(rest_w) > 1e-6 * max(after.power_w, base.power_w):
        rows.append({"change": "load", "num_instances": 0, "energy_j": 0.0, "power_w": rest_w})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"tp": "Int64", "frequency_mhz": "Int64", "from_frequency_mhz": "Int64", "energy_j": float, "power_w": float}
    )
    return Explanation(
        changes=table,
        power_before_w=base.power_w,
        power_after_w=after.power_w,
        transition_energy_j=float(table["energy_j"].sum()),
        reason=kept.reason if kept.allocation is None else "",
    )


def _of_model(
    problem: Problem, model: str, profile: Profile, before: Allocation, after: Allocation
) -> Iterator[dict[str, Any]]:
    """Give the changes of a model."""
    old, new = _clocks(before, model), _clocks(after, model)
    drew = _Drawn(before, problem, profile), _Drawn(after, problem, profile)
    starts = _transitions(problem, profile, before, after)
    for tp in profile.tps:
        leaving: dict[str, Clocks] = {}
        coming: dict[str, Clocks] = {}
        for pool in pool_names(profile):
            gone, come = _differ(old.get((pool, tp), {}), new.get((pool, tp), {}))
            stay = min(sum(gone.values()), sum(come.values()))
            for from_mhz, to_mhz, n in _pairs(gone, come, stay):
                yield _row(
                    "clock", model, pool, tp, to_mhz, n, pool, from_mhz, drew[1].at(pool, tp, to_mhz),
                    drew[0].at(pool, tp, from_mhz),
                )  # fmt: skip
            leaving[pool], coming[pool] = gone, come
        for pool in pool_names(profile):
            num_started, num_stopped, energy_j = starts.get((pool, tp), (0, 0, 0.0))
            for mhz, n in _take(coming[pool], num_started):
                share_j = energy_j * n / num_started
                yield _row("start", model, pool, tp, mhz, n, None, None, drew[1].at(pool, tp, mhz), 0.0, share_j)
            for mhz, n in _take(leaving[pool], num_stopped):
                yield _row("stop", model, pool, tp, mhz, n, None, None, 0.0, drew[0].at(pool, tp, mhz))
        yield from _moves(model, tp, leaving, coming, drew)


def _moves(
    model: str, tp: int, leaving: Mapping[str, Clocks], coming: Mapping[str, Clocks], drew: tuple[_Drawn, _Drawn]
) -> Iterator[dict[str, Any]]:
    """Pair what is left: instances that leave a pool for another."""
    sources = [(pool, mhz, n) for pool, own in leaving.items() for mhz, n in own.items() if n > 0]
    for pool, own in coming.items():
        for mhz, wanted in own.items():
            while wanted > 0 and sources:
                from_pool, from_mhz, there = sources.pop(0)
                n = min(wanted, there)
                yield _row(
                    "move", model, pool, tp, mhz, n, from_pool, from_mhz, drew[1].at(pool, tp, mhz),
                    drew[0].at(from_pool, tp, from_mhz),
                )  # fmt: skip
                wanted -= n
                if there > n:
                    sources.insert(0, (from_pool, from_mhz, there - n))


class _Drawn:
    """Mean power of a model's instances by configuration: with the host, less what their GPUs would draw unused."""

    def __init__(self, allocation: Allocation, problem: Problem, profile: Profile) -> None:
        self._per_gpu_w = host_power_w(profile, problem.cluster) - problem.unused_gpu_power_w
        self._power_w: dict[tuple[str, int, int], float] = defaultdict(float)
        self._count: dict[tuple[str, int, int], int] = defaultdict(int)
        for group in (g for g in allocation.groups if g.model == profile.model):
            key = group.pool, group.tp, group.frequency_mhz
            self._power_w[key] += group.num_instances * group.power_per_instance_w
            self._count[key] += group.num_instances

    def at(self, pool: str, tp: int, mhz: int) -> float:
        """Return it for one configuration that runs."""
        key = pool, tp, mhz
        return self._power_w[key] / self._count[key] + tp * self._per_gpu_w


def _row(
    change: str,
    model: str,
    pool: str,
    tp: int,
    mhz: int,
    n: int,
    from_pool: str | None,
    from_mhz: int | None,
    after_w: float,
    before_w: float,
    energy_j: float = 0.0,
) -> dict[str, Any]:
    values = (change, model, pool, tp, mhz, n, from_pool, from_mhz, energy_j, n * (after_w - before_w))
    return dict(zip(COLUMNS, values, strict=True))


def _clocks(allocation: Allocation, model: str) -> dict[tuple[str, int], Clocks]:
    """Return how many instances of each pool and degree run at each clock."""
    found: dict[tuple[str, int], Clocks] = defaultdict(lambda: defaultdict(int))
    for group in allocation.groups:
        if group.model == model:
            found[group.pool, group.tp][group.frequency_mhz] += group.num_instances
    return found


def _differ(old: Clocks, new: Clocks) -> tuple[Clocks, Clocks]:
    """Return what is there only before, and what only after."""
    clocks = sorted({*old, *new})
    gone = {mhz: max(old.get(mhz, 0) - new.get(mhz, 0), 0) for mhz in clocks}
    come = {mhz: max(new.get(mhz, 0) - old.get(mhz, 0), 0) for mhz in clocks}
    return gone, come


def _pairs(gone: Clocks, come: Clocks, number: int) -> Iterator[tuple[int, int, int]]:
    """Take so many from both, in order of their clocks, and pair them."""
    while number > 0:
        from_mhz = next(mhz for mhz, n in gone.items() if n > 0)
        to_mhz = next(mhz for mhz, n in come.items() if n > 0)
        n = min(number, gone[from_mhz], come[to_mhz])
        gone[from_mhz] -= n
        come[to_mhz] -= n
        number -= n
        yield from_mhz, to_mhz, n


def _take(own: Clocks, number: int) -> Iterator[tuple[int, int]]:
    """Take so many away, in order of their clocks."""
    for mhz in own:
        n = min(number, own[mhz])
        if n > 0:
            own[mhz] -= n
            number -= n
            yield mhz, n


def _transitions(
    problem: Problem, profile: Profile, before: Allocation, after: Allocation
) -> dict[tuple[str, int], tuple[int, int, float]]:
    """Return, by pool and degree, how many start and stop, and the energy of the starts; the rules of `transitions`."""
    start = pd.DatetimeIndex([problem.demand.start])
    found = find_transitions(
        _frame(after.groups).assign(window_start=start[0]), start, {profile.model: profile}, _frame(before.groups)
    )
    columns = ("pool", "tp", "num_started", "num_stopped", "energy_j")
    rows = zip(*(found[name].tolist() for name in columns), strict=True)
    return {(pool, tp): (started, stopped, energy_j) for pool, tp, started, stopped, energy_j in rows}


def _frame(groups: tuple[InstanceGroup, ...]) -> pd.DataFrame:
    rows = [[getattr(group, name) for name in RUNNING_COLUMNS] for group in groups]
    return pd.DataFrame(rows, columns=list(RUNNING_COLUMNS)).astype({"tp": np.int64, "num_instances": np.int64})


def _line(row: Mapping[Hashable, Any]) -> str:
    change, power_w = row["change"], row["power_w"]
    effect = f"{'draws' if change == 'start' else 'adds' if power_w > 0 else 'saves'} {_watts(abs(power_w))}"
    if change == "load":
        return f"{_VERBS[change]}: {effect}"
    what = f"{_VERBS[change]} {row['num_instances']} × TP{row['tp']} of {row['model']}"
    if change == "start":
        energy = _energy(row["energy_j"])
        return f"{what} at {row['frequency_mhz']} MHz in {row['pool']}: {effect}, starting takes {energy}"
    if change == "stop":
        return f"{what} at {row['frequency_mhz']} MHz in {row['pool']}: {effect}"
    if change == "clock":
        clocks = f"from {row['from_frequency_mhz']} to {row['frequency_mhz']} MHz"
        return f"{what} in {row['pool']} {clocks}: {effect}"
    return f"{what} from {row['from_pool']} to {row['pool']} at {row['frequency_mhz']} MHz: {effect}"


def _watts(power_w: float) -> str:
    return f"{power_w / 1000:.2f} kW" if abs(power_w) >= 1000 else f"{power_w:.0f} W"


def _energy(energy_j: float) -> str:
    return f"{energy_j / 3600:.1f} Wh"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
