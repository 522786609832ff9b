"""The rows that tie windows together, over the instances that run and those that start and stop.

With T windows, M models and K kinds of instances (pairs of model and degree), n[t,k] instances run, s[t,k] start at the
start of window t and q[t,k] stop, and on r[t,m] GPUs instances of model m start that it gives up in the same step:

    change[t,k]    n[t,k] - n[t-1,k] = s[t,k] - q[t,k]             n[-1] the initial state; none at t = 0 without one
    taken[t,m]     r[t,m] <= sum_k tp[k] s[t,k]
    given_up[t,m]  r[t,m] <= sum_k tp[k] q[t,k]
    gpus[t]        sum_k tp[k] n[t,k] + sum_u,m (sum_k tp[k] s[u,k] - r[u,m]) <= num_gpus
                                                                   u within start_up[m] windows after t
    max_starts[t]  sum_k s[t,k] <= max_starts
    min_up[t,k]    sum s[u,k] <= n[t,k]                            u from t - min_up + 1 to t

A start then takes cold[m] sum_k tp[k] s[t,k] - (cold[m] - reshard[m]) r[t,m]. It never pays to start and stop more than
the change of n, so this is the rule of `transitions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dynaopt.coupling import IntArray, Links
from dynaopt.profile import FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LinkRows:
    """Rows ``running @ n + moves @ (s, q, r)``, equal to or at most `right`.

    Parameters
    ----------
    running
        Coefficients of n, shape (rows, T K), windows first.
    moves
        Coefficients of s, q and r, shape (rows, 2 T K + T M).
    right
        Right sides, shape (rows,).
    equal
        Which rows are equations, shape (rows,).
    most
        Most of each s, q and r, shape (2 T K + T M,).
    cost
        Energy of each s, q and r, in joules, times the weight of its window, shape (2 T K + T M,).
    """

    running: sparse.csr_array
    moves: sparse.csr_array
    right: FloatArray
    equal: npt.NDArray[np.bool_]
    most: FloatArray
    cost: FloatArray


def link_rows(links: Links) -> LinkRows:
    """Write the rows of some links."""
    blocks = [_change(links), *_resharding(links), _gpus(links), *_max_starts(links), *_min_up(links)]
    sizes = [block.right.size for block in blocks]
    return LinkRows(
        running=sparse.csr_array(sparse.vstack([block.running for block in blocks])),
        moves=sparse.csr_array(sparse.vstack([block.moves for block in blocks])),
        right=np.concatenate([block.right for block in blocks]),
        equal=np.arange(sum(sizes)) < sizes[0],
        most=_most(links),
        cost=_cost(links),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    running: sparse.sparray
    moves: sparse.sparray
    right: FloatArray


def _block(
    links: Links,
    right: FloatArray,
    *,
    running: sparse.sparray | None = None,
    starts: sparse.sparray | None = None,
    stops: sparse.sparray | None = None,
    resharded: sparse.sparray | None = None,
) -> _Block:
    """Put coefficients of n, s, q and r side by side; what is not given is zero."""
    instances, models = links.num_windows * links.num_kinds, links.num_windows * len(links.models)
    parts = [(running, instances), (starts, instances), (stops, instances), (resharded, models)]
    filled = [sparse.coo_array((right.size, width)) if part is None else part for part, width in parts]
    return _Block(filled[0], sparse.hstack(filled[1:]), right)


def _change(links: Links) -> _Block:
    t, k = links.num_windows, links.num_kinds
    identity = sparse.eye_array(t * k, format="csr")
    before = _shifted(t, [-1]) if t > 1 else sparse.coo_array((t, t))
    change = sparse.csr_array(identity - sparse.kron(before, sparse.eye_array(k)))
    right = np.zeros(t * k)
    right[:k] = 0 if links.initial is None else links.initial
    rows = slice(k if links.initial is None else 0, None)
    return _block(links, right[rows], running=change[rows], starts=-identity[rows], stops=identity[rows])


def _shifted(t: int, offsets: list[int]) -> sparse.sparray:
    """Return which window (row) looks at which other (column), those at some distances."""
    inside = [u for u in offsets if abs(u) < t]
    if not inside:
        return sparse.coo_array((t, t))
    return sparse.diags_array([np.ones(t - abs(u)) for u in inside], offsets=inside, shape=(t, t))


def _holding(number: IntArray, start_up_windows: int) -> sparse.sparray:
    """Return in which windows (row) the GPUs of what starts in which others (column) are held already."""
    rows, columns = [], []
    for ahead in range(1, start_up_windows + 1):
        at = np.searchsorted(number, number + ahead)
        is_there = (at < number.size) & (number[np.minimum(at, number.size - 1)] == number + ahead)
        rows.append(np.flatnonzero(is_there))
        columns.append(at[is_there])
    ones = np.ones(sum(part.size for part in rows))
    places = (np.concatenate([*rows, np.empty(0, int)]), np.concatenate([*columns, np.empty(0, int)]))
    return sparse.coo_array((ones, places), shape=(number.size, number.size))


def _own_gpus(links: Links) -> FloatArray:
    """Return the GPUs of an instance of each kind, in the row of its model, shape (M, K)."""
    return np.where(links.model_of == np.arange(len(links.models))[:, None], links.tp, 0).astype(float)


def _resharding(links: Links) -> list[_Block]:
    t, m = links.num_windows, len(links.models)
    gpus, resharded = sparse.kron(sparse.eye_array(t), _own_gpus(links)), sparse.eye_array(t * m)
    right = np.zeros(t * m)
    return [
        _block(links, right, starts=-gpus, resharded=resharded),
        _block(links, right, stops=-gpus, resharded=resharded),
    ]


def _gpus(links: Links) -> _Block:
    t, m, own = links.num_windows, len(links.models), _own_gpus(links)
    starts, resharded = sparse.coo_array((t, t * links.num_kinds)), sparse.coo_array((t, t * m))
    for at in range(m):
        holding = _holding(links.number, int(links.start_up_windows[at]))
        starts = starts + sparse.kron(holding, own[at : at + 1])
        resharded = resharded - sparse.kron(holding, np.eye(m)[at : at + 1])
    running = sparse.kron(sparse.eye_array(t), own.sum(axis=0, keepdims=True))
    return _block(links, np.full(t, float(links.num_gpus)), running=running, starts=starts, resharded=resharded)


def _max_starts(links: Links) -> list[_Block]:
    if links.max_starts is None:
        return []
    t = links.num_windows
    each = sparse.kron(sparse.eye_array(t), np.ones((1, links.num_kinds)))
    return [_block(links, np.full(t, float(links.max_starts)), starts=each)]


def _min_up(links: Links) -> list[_Block]:
    if links.min_up_windows == 1:
        return []
    t, k = links.num_windows, links.num_kinds
    recent = _shifted(t, [-u for u in range(links.min_up_windows)])
    starts = sparse.kron(recent, sparse.eye_array(k))
    return [_block(links, np.zeros(t * k), running=-sparse.eye_array(t * k), starts=starts)]


def _most(links: Links) -> FloatArray:
    """No more starts or stops than fit on the GPUs; none at the first window without an initial state."""
    t, m = links.num_windows, len(links.models)
    moved, resharded = np.tile(links.num_gpus // links.tp, (t, 1)), np.full((t, m), links.num_gpus)
    if links.initial is None:
        moved[0], resharded[0] = 0, 0
    return np.concatenate([moved.ravel(), moved.ravel(), resharded.ravel()]).astype(float)


def _cost(links: Links) -> FloatArray:
    cold = links.weight[:, None] * links.cold_j[links.model_of] * links.tp
    saved = links.weight[:, None] * (links.cold_j - links.reshard_j)
    return np.concatenate([cold.ravel(), np.zeros(cold.size), -saved.ravel()])
