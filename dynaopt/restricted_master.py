"""The horizon as a linear program over mixes already found: its prices and, in whole numbers, its best schedule.

Mix i of model m in window t has power[t,i] and counts[i,k] instances of each kind k; W[t] is what the objective charges
for a watt in window t, and price[t] how many watts a GPU in use counts for:

minimise    sum W[t] ((power[t,i] + price[t] gpus[t,i]) v[t,i] + (idle[k] + price[t] tp[k]) e[t,k])
            + what starts take + sum penalty d[t]
subject to  one[t,m]       sum_i v[t,i] + d[t] = 1
            power_cap[t]   sum_i power[t,i] v[t,i] + sum_k idle[k] e[t,k] <= power_cap
            and the rows of `link_rows` for n[t,k] = sum_i counts[i,k] v[t,i] + e[t,k]

e are instances that serve nothing; d drops a window, at a penalty that no schedule of all windows comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from dynaopt.coupling import IntArray, Links
from dynaopt.errors import SolverError
from dynaopt.link_rows import LinkRows, link_rows
from dynaopt.profile import FloatArray
from dynaopt.stores import NOWHERE, Store
from dynaopt.whole_numbers import BoolArray, WholeProgram, settle
from dynaopt.window_mixes import InstanceMix

PENALTY = 100.0
"""What dropping a window costs, in dearest windows."""

Mixes = Sequence[Sequence[Sequence[InstanceMix]]]
"""The mixes of each model in each window."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Duals:
    """What the relaxed program says, in units of the objective (joules when it is energy).

    Parameters
    ----------
    value
        Its least value.
    one
        What a mix of each model in each window may cost at the prices before it is of no use, shape (T, M).
    instance
        Price of an instance of each kind in each window, shape (T, K).
    power
        Charge for each watt in each window, shape (T,).
    rest
        What the dual function is without the mixes: with the least cost of a mix of each model and window at the prices
        added, it is a lower bound on all schedules.
    """

    value: float
    one: FloatArray
    instance: FloatArray
    power: FloatArray
    rest: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Choice:
    """A schedule.

    Parameters
    ----------
    mixes
        Index of the mix of each model in each window, shape (T, M); -1 where the window is dropped.
    idle
        Instances of each kind that serve nothing, shape (T, K).
    """

    mixes: IntArray
    idle: IntArray


class RestrictedMaster:
    """The program; the rows of its links are made once, its mixes given with each call."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._linked = link_rows(links)

    def relax(self, mixes: Mixes) -> Duals:
        """Solve the linear program over some mixes.

        Raises
        ------
        SolverError
            If HiGHS fails.
        """
        program = _Program(self._links, self._linked, mixes)
        answer = linprog(  # type: ignore[call-overload] # whose stubs know no sparse rows
            program.cost,
            A_ub=program.rows[~program.equal],
            b_ub=program.right[~program.equal],
            A_eq=program.rows[program.equal],
            b_eq=program.right[program.equal],
            bounds=np.column_stack([np.zeros(program.cost.size), program.most]),
            method="highs",
        )
        if answer.status != 0:
            raise SolverError(f"HiGHS did not solve the horizon's linear program: {answer.message}")
        dual = np.empty(program.equal.size)
        dual[program.equal], dual[~program.equal] = answer.eqlin.marginals, np.minimum(answer.ineqlin.marginals, 0.0)
        return program.duals(float(answer.fun), dual)

    def choose(
        self,
        mixes: Mixes,
        *,
        gap: float,
        store: Store = NOWHERE,
        settled: Callable[[BoolArray, float], None] = lambda *_: None,
    ) -> Choice:
        """Find a schedule made of some mixes, in whole numbers.

        Parameters
        ----------
        mixes
            The mixes.
        gap
            Relative gap at which to stop with a stretch.
        store
            Where stretches are kept, and those found there are not solved again.
        settled
            Called after each stretch: which windows are settled, and what their instances draw, in watts.

        Raises
        ------
        SolverError
            If HiGHS finds no schedule.
        """
        program = _Program(self._links, self._linked, mixes)

        def tell(windows: BoolArray, values: FloatArray) -> None:
            """Tell what the windows draw."""
            settled(windows, program.drawn_w(values, windows))

        return program.choice(settle(program.whole(), gap=gap, store=store, settled=tell))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The mixes as columns: window and model, power, and instances of every kind of the horizon, shape (T K, mixes)."""

    window: IntArray
    model: IntArray
    number: IntArray
    power_w: FloatArray
    counts: sparse.csr_array


def _columns(links: Links, mixes: Mixes) -> _Columns:
    flat = [
        (t, m, i, mix)
        for t, own in enumerate(mixes)
        for m, of_model in enumerate(own)
        for i, mix in enumerate(of_model)
    ]
    kinds = [links.of_model(m) for m in range(len(links.models))]
    rows = np.concatenate([t * links.num_kinds + kinds[m] for t, m, _, _ in flat])
    at = np.repeat(np.arange(len(flat)), [kinds[m].size for _, m, _, _ in flat])
    counts = np.concatenate([mix.counts for *_, mix in flat]).astype(float)
    shape = (links.num_windows * links.num_kinds, len(flat))
    window, model, number = (np.array(numbers, dtype=np.int64) for numbers in zip(*(f[:3] for f in flat), strict=True))
    power_w = np.array([mix.power_w for *_, mix in flat])
    return _Columns(window, model, number, power_w, sparse.csr_array((counts, (rows, at)), shape=shape))


class _Program:
    """The program over some mixes; its columns are v, d, e and the moves, its rows `one`, `power_cap` and the links."""

    def __init__(self, links: Links, linked: LinkRows, mixes: Mixes) -> None:
        t, k, m = links.num_windows, links.num_kinds, len(links.models)
        self._links, self._linked, self._columns = links, linked, _columns(links, mixes)
        columns = self._columns
        self.watt = links.weight * links.window_s
        self._idle_w = np.where(np.isfinite(links.idle_w), links.idle_w, 0.0)
        gpu_charge = np.repeat(self.watt * links.gpu_price_w, k) * np.tile(links.tp, t)
        dearest = self.watt[columns.window] * columns.power_w + gpu_charge @ columns.counts
        self.scale = max(float(dearest.max()), 1.0)
        idle = np.repeat(self.watt, k) * np.tile(self._idle_w, t) + gpu_charge
        cost = [dearest, np.full(t, PENALTY * m * self.scale), idle, linked.cost]
        most = [np.ones(columns.window.size + t), np.tile(_most_idle(links), t), linked.most]
        self.cost, self.most = np.concatenate(cost) / self.scale, np.concatenate(most)
        self.column_window = np.concatenate(
            [columns.window, np.arange(t), *[np.repeat(np.arange(t), k)] * 3, np.repeat(np.arange(t), m)]
        )
        one = sparse.csr_array(
            (np.ones(columns.window.size), (columns.window * m + columns.model, np.arange(columns.window.size))),
            shape=(t * m, columns.window.size),
        )
        dropped = sparse.kron(sparse.eye_array(t), np.ones((m, 1)))
        blocks: list[list[sparse.sparray | None]] = [
            [one, dropped, None, None],
            [linked.running @ columns.counts, sparse.coo_array((linked.right.size, t)), linked.running, linked.moves],
        ]
        right, equal = [np.ones(t * m), linked.right], [np.ones(t * m, dtype=bool), linked.equal]
        if np.isfinite(links.power_cap_w):
            drawn = sparse.csr_array(
                (columns.power_w, (columns.window, np.arange(columns.window.size))), (t, one.shape[1])
            )
            blocks.append([drawn, None, sparse.kron(sparse.eye_array(t), self._idle_w.reshape(1, -1)), None])
            right.append(np.full(t, links.power_cap_w))
            equal.append(np.zeros(t, dtype=bool))
        self.rows = sparse.csr_array(sparse.block_array(blocks))
        self.right, self.equal = np.concatenate(right), np.concatenate(equal)

    def duals(self, value: float, dual: FloatArray) -> Duals:
        """Read prices from the dual values of the rows."""
        links, linked, dual = self._links, self._linked, dual * self.scale
        t, k, m = links.num_windows, links.num_kinds, len(links.models)
        one, rest = dual[: t * m], dual[t * m :]
        link, cap = rest[: linked.right.size], rest[linked.right.size :]
        cap = cap if cap.size else np.zeros(t)
        gpu_charge = (self.watt * links.gpu_price_w)[:, None] * links.tp
        instance = gpu_charge - (linked.running.T @ link).reshape(t, k)
        power = self.watt - cap
        reduced = np.concatenate(
            [(power[:, None] * self._idle_w + instance).ravel(), linked.cost - linked.moves.T @ link]
        )
        most = np.concatenate([np.tile(_most_idle(links), t), linked.most])
        bound = float(linked.right @ link) + float(np.minimum(reduced, 0.0) @ most)
        bound += links.power_cap_w * float(cap.sum()) if np.isfinite(links.power_cap_w) else 0.0
        return Duals(value=value * self.scale, one=one.reshape(t, m), instance=instance, power=power, rest=bound)

    def whole(self) -> WholeProgram:
        """Return it as it is solved in whole numbers."""
        at, size, t = np.arange(self.cost.size), self._columns.window.size, self._links.num_windows
        return WholeProgram(
            cost=self.cost,
            most=self.most,
            is_integer=at < self.cost.size - t * len(self._links.models),
            window=self.column_window,
            is_move=at >= size + t + t * self._links.num_kinds,
            is_drop=(at >= size) & (at < size + t),
            rows=self.rows,
            right=self.right,
            equal=self.equal,
        )

    def drawn_w(self, values: FloatArray, windows: BoolArray) -> float:
        """Return what mixes and idle instances of some windows draw, added up, in watts."""
        links, columns = self._links, self._columns
        own = values[: columns.window.size] @ (windows[columns.window] * columns.power_w)
        first = columns.window.size + links.num_windows
        idle = values[first : first + links.num_windows * links.num_kinds].reshape(links.num_windows, -1)
        return float(own + windows @ (idle @ self._idle_w))

    def choice(self, values: FloatArray) -> Choice:
        """Read a schedule from the values of the columns."""
        links, columns = self._links, self._columns
        t, k = links.num_windows, links.num_kinds
        size = columns.window.size
        mixes = np.full((t, len(links.models)), -1, dtype=np.int64)
        taken = np.flatnonzero(values[:size] > 0.5)
        mixes[columns.window[taken], columns.model[taken]] = columns.number[taken]
        idle = values[size + t : size + t + t * k].round().astype(np.int64).reshape(t, k)
        return Choice(mixes=mixes, idle=idle)


def _most_idle(links: Links) -> FloatArray:
    return np.where(np.isfinite(links.idle_w), links.num_gpus // links.tp, 0).astype(float)
