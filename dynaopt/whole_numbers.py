"""The horizon in whole numbers: a stretch of windows after the other, in two halves at once.

Starts matter for a few hours at most, so that a stretch, solved with the hours after it, loses next to nothing against
all windows at once, and takes a second. For the same reason the second half of a long horizon need not wait for the
first: it begins some hours early, without regard to what came before; when it stands, the last stretch of the first
half is solved between the two. HiGHS works outside of Python's lock, so that the halves take two threads.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from dynaopt.coupling import IntArray
from dynaopt.errors import SolverError
from dynaopt.profile import FloatArray
from dynaopt.stores import Store

BoolArray = npt.NDArray[np.bool_]

STRETCH, OVERLAP = 192, 48
"""Windows that are settled at a time, and those beyond them that are looked at: 16 and 4 hours."""
LEAST_HALVED = 3
"""Stretches from which on a horizon is halved."""
MAX_NODES = 5_000
"""Nodes of branch and bound for each stretch; most take one."""
_INFEASIBLE = 2  # status of SciPy's milp
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WholeProgram:
    """A program whose columns belong to windows: ``rows @ x <= right``, or equal, with 0 <= x <= most.

    Parameters
    ----------
    cost, most, is_integer
        Of each column.
    window
        Window of each column, from 0 on.
    is_move
        Which columns say what changes at the start of their window.
    is_drop
        Which columns leave their window out.
    rows, right, equal
        The rows.
    """

    cost: FloatArray
    most: FloatArray
    is_integer: BoolArray
    window: IntArray
    is_move: BoolArray
    is_drop: BoolArray
    rows: sparse.csr_array
    right: FloatArray
    equal: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Columns that are solved for, at values of others that are fixed; the rest does not matter yet."""

    first: int
    active: BoolArray
    fixed: BoolArray


def settle(
    program: WholeProgram, *, gap: float, store: Store, settled: Callable[[BoolArray, FloatArray], None]
) -> FloatArray:
    """Find values of all columns.

    Parameters
    ----------
    program
        The program.
    gap
        Relative gap at which to stop with a stretch.
    store
        Where stretches are kept, and those found there are not solved again.
    settled
        Called after each stretch: which windows are settled, and values of the columns.

    Raises
    ------
    SolverError
        If HiGHS finds none.
    """
    number = int(program.window.max()) + 1
    halves = _halves(number)
    values, done = np.zeros(program.cost.size), np.zeros(number, dtype=np.bool_)
    for first, found in _at_once([_chain(program, half, gap, store) for half in halves]):
        windows = slice(first, first + STRETCH)
        own = (program.window >= first) & (program.window < first + STRETCH)
        values[own], done[windows] = found[own], True
        settled(done, values)
    if done.all():
        return values
    left = int(np.flatnonzero(~done)[0])
    between = _between(program, left, values, gap, store)
    if between is not None:
        settled(np.ones(number, dtype=np.bool_), between)
        return between
    _LOG.debug("The halves do not fit together; the second is solved after the first.")
    for first, found in _chain(program, range(left, number, STRETCH), gap, store, values):
        values[program.window >= first] = found[program.window >= first]
        done[:] = np.arange(number) < first + STRETCH
        settled(done, values)
    return values


def _halves(number: int) -> list[range]:
    """Return the first windows of the stretches of each half; the last of the first half is left for the end."""
    if number < LEAST_HALVED * STRETCH:
        return [range(0, number, STRETCH)]
    middle = max(round(number / 2 / STRETCH), 1) * STRETCH
    return [range(0, middle - STRETCH, STRETCH), range(middle, number, STRETCH)]


def _chain(
    program: WholeProgram, firsts: range, gap: float, store: Store, past: FloatArray | None = None
) -> Iterator[tuple[int, FloatArray]]:
    """Solve stretches one after the other; yields their first windows and values of the columns so far.

    Without values of the past, the first of them begins some windows early, with nothing before it.
    """
    values = np.zeros(program.cost.size) if past is None else past.copy()
    begin = 0 if past is not None else max(min(firsts, default=0) - OVERLAP, 0)
    start = begin
    for first in firsts:
        start = first if past is not None or first > firsts[0] else begin
        active = (program.window >= start) & (program.window < first + STRETCH + OVERLAP)
        fixed = (program.window >= begin) & (program.window < start)
        values[active] = _kept(program, values, _Stretch(first, active, fixed), gap, store)
        yield first, values.copy()


def _between(program: WholeProgram, first: int, values: FloatArray, gap: float, store: Store) -> FloatArray | None:
    """Solve the stretch that is left between two halves; None where they do not fit together."""
    after = first + STRETCH
    active = (program.window >= first) & (program.window < after) | (program.window == after) & program.is_move
    stretch = _Stretch(first, active, ~active)
    try:
        found = _kept(program, values, stretch, gap, store)
    except SolverError:
        return None
    joined = values.copy()
    joined[active] = found
    # Leaving a window out is what the halves cost, where they would not have had to.
    return None if (joined[active & program.is_drop] > 0.5).any() else joined


def _at_once(chains: Sequence[Iterator[tuple[int, FloatArray]]]) -> Iterator[tuple[int, FloatArray]]:
    """Run chains on threads; yields what comes of them as it comes, and raises what is raised in them."""
    if len(chains) == 1:
        yield from chains[0]
        return
    came: queue.SimpleQueue[tuple[int, FloatArray] | BaseException | None] = queue.SimpleQueue()
    is_over = threading.Event()

    def run(chain: Iterator[tuple[int, FloatArray]]) -> None:
        try:
            for item in chain:
                came.put(item)
                if is_over.is_set():
                    return
            came.put(None)
        except Exception as error:
            came.put(error)

    with ThreadPoolExecutor(len(chains)) as pool:
        try:
            for chain in chains:
                pool.submit(run, chain)
            running = len(chains)
            while running:
                item = came.get()
                if isinstance(item, BaseException):
                    raise item
                running -= item is None
                if item is not None:
                    yield item
        finally:
            is_over.set()


def _kept(program: WholeProgram, values: FloatArray, stretch: _Stretch, gap: float, store: Store) -> FloatArray:
    """Return values of the active columns as a store has them, if it has them of this very stretch."""
    told = (program.cost, program.rows.data, stretch.active, stretch.fixed, values[stretch.fixed])
    of = hashlib.sha256(b"".join(part.tobytes() for part in told)).hexdigest()
    name = f"stretch-{stretch.first:06d}"
    kept = store.get(name)
    if kept is not None and kept["of"] == of:
        return np.array(kept["values"])
    found = _solve(program, values, stretch, gap)
    store.put(name, {"of": of, "values": found.tolist()})
    return found


def _solve(program: WholeProgram, values: FloatArray, stretch: _Stretch, gap: float) -> FloatArray:
    """Return values of the active columns."""
    active, fixed = stretch.active, stretch.fixed
    unknown = ~(active | fixed)
    kept = _touched(program, active) & ~(_touched(program, unknown) & program.equal)
    right = program.right[kept] - program.rows[kept][:, fixed] @ values[fixed]
    rows = LinearConstraint(program.rows[kept][:, active], np.where(program.equal[kept], right, -np.inf), right)
    # A limit in nodes and not in seconds, so that the answer does not depend on how busy the machine is. One without
    # any answer goes on for as long as it takes.
    for nodes in (MAX_NODES, np.iinfo(np.int32).max):
        answer = milp(
            program.cost[active],
            integrality=program.is_integer[active].astype(int),
            bounds=Bounds(np.zeros(int(active.sum())), program.most[active]),
            constraints=rows,
            options={"mip_rel_gap": gap, "node_limit": int(nodes)},
        )
        if answer.x is not None or answer.status == _INFEASIBLE:
            break
    if answer.x is None:
        raise SolverError(f"HiGHS found no schedule of the horizon: {answer.message}")
    _LOG.debug("%d columns in whole numbers: %d nodes.", active.sum(), answer.mip_node_count)
    found: FloatArray = np.where(program.is_integer[active], answer.x.round(), answer.x)
    return found


def _touched(program: WholeProgram, columns: BoolArray) -> BoolArray:
    """Return the rows in which any of some columns stands."""
    found: BoolArray = np.asarray(abs(program.rows[:, columns]).sum(axis=1)) > 0
    return found
