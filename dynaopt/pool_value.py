"""The least cost of a pool as a function of its load, V(L), and which instances attain it.

An instance that serves load x in configuration k costs f_k(x); f_k is piecewise linear up to the instance's capacity.
Let g = min_k f_k be the cheapest single instance. If two instances of a pool both sit where g is locally concave, load
can be shifted between them at no cost until one reaches a point where g jumps up or turns convex, or 0. So in some
optimal pool all instances but one sit at such points, here called *items* (r, w). The undominated sums of items, the
*vertices* (S, W), are few, and

    V(L) = min over vertices with S <= L of  W + g(L - S),     g(0) = 0.

Between two vertices V is concave, so on any interval its convex hull is that of the vertices inside and of the ends.
Curves that fall with load are first lowered until they do not; this keeps every bound valid.

The tables are kept for all pools at once, a row each, in plain arrays that Numba can use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynaopt.jit import compiled

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_PIECES = 512
MAX_ITEMS = 128
MAX_VERTICES = 2048
ABSENT = 1e300
TINY = 1e-12


class Curves(NamedTuple):
    """All power curves of a problem, end to end.

    Parameters
    ----------
    first_option
        Where each pool's options start, shape (pools + 1,).
    first_point
        Where each option's breakpoints start, shape (options + 1,).
    rate_rps
        The breakpoints, in requests per second.
    cost
        What an instance costs at each of them, in watts plus the prices of what it takes up; non-decreasing.
    """

    first_option: IntArray
    first_point: IntArray
    rate_rps: FloatArray
    cost: FloatArray


class PoolTables(NamedTuple):
    """What is known of V, a row for each pool.

    Parameters
    ----------
    num_pieces, break_rps, left, right, piece_option
        g: piece i holds on (break_i, break_{i+1}] and runs from `left` to `right`; the option that attains it.
    num_items, item_rps, item_cost, item_option
        The items, the one that costs least per request first.
    num_vertices, vertex_rps, vertex_cost
        The vertices by load; cost increases too. The first is (0, 0).
    limit_rps
        Load up to which the vertices are complete. Beyond it V is only bounded from below, by its least cost per
        request, and from above, by repeating the first item.
    """

    num_pieces: IntArray
    break_rps: FloatArray
    left: FloatArray
    right: FloatArray
    piece_option: IntArray
    num_items: IntArray
    item_rps: FloatArray
    item_cost: FloatArray
    item_option: IntArray
    num_vertices: IntArray
    vertex_rps: FloatArray
    vertex_cost: FloatArray
    limit_rps: FloatArray


def empty_tables(num_pools: int) -> PoolTables:
    """Make room for the tables of so many pools."""

    def floats(width: int) -> FloatArray:
        return np.empty((num_pools, width))

    def integers(width: int) -> IntArray:
        return np.empty((num_pools, width), dtype=np.int64)

    def counts() -> IntArray:
        return np.zeros(num_pools, dtype=np.int64)

    return PoolTables(
        counts(),
        floats(MAX_PIECES + 1),
        floats(MAX_PIECES),
        floats(MAX_PIECES),
        integers(MAX_PIECES),
        counts(),
        floats(MAX_ITEMS),
        floats(MAX_ITEMS),
        integers(MAX_ITEMS),
        counts(),
        floats(MAX_VERTICES),
        floats(MAX_VERTICES),
        np.zeros(num_pools),
    )


@compiled
def fill_tables(curves: Curves, wanted_rps: FloatArray, t: PoolTables) -> None:
    """Compute the tables of all pools.

    Parameters
    ----------
    curves
        What instances cost.
    wanted_rps
        Load up to which each pool's vertices are wanted, shape (pools,).
    t
        Where to write.
    """
    scratch_break = np.empty((2, MAX_PIECES + 1))
    scratch_left = np.empty((2, MAX_PIECES))
    scratch_right = np.empty((2, MAX_PIECES))
    scratch_option = np.empty((2, MAX_PIECES), dtype=np.int64)
    scratch_rps = np.empty((2, MAX_VERTICES))
    scratch_cost = np.empty((2, MAX_VERTICES))
    for p in range(wanted_rps.size):
        _envelope(p, curves, scratch_break, scratch_left, scratch_right, scratch_option, t)
        _items(p, t)
        _vertices(p, wanted_rps[p], scratch_rps, scratch_cost, t)


@compiled
def _envelope(
    p: int, curves: Curves, breaks: FloatArray, left: FloatArray, right: FloatArray, option: IntArray, t: PoolTables
) -> None:
    """Write g, the lower envelope of a pool's curves, merging them in one by one."""
    now, n = 0, 0
    for k in range(curves.first_option[p], curves.first_option[p + 1]):
        a, b = curves.first_point[k], curves.first_point[k + 1]
        new = 1 - now
        n = _merge(
            n, breaks[now], left[now], right[now], option[now], curves.rate_rps[a:b], curves.cost[a:b], k,
            breaks[new], left[new], right[new], option[new],
        )  # fmt: skip
        now = new
    t.num_pieces[p] = n
    t.break_rps[p, : n + 1] = breaks[now, : n + 1]
    t.left[p, :n] = left[now, :n]
    t.right[p, :n] = right[now, :n]
    t.piece_option[p, :n] = option[now, :n]


@compiled
def _merge(
    n: int, x: FloatArray, left: FloatArray, right: FloatArray, option: IntArray, rates: FloatArray, costs: FloatArray,
    k: int, new_x: FloatArray, new_left: FloatArray, new_right: FloatArray, new_option: IntArray,
) -> int:  # fmt: skip
    """Write the lower envelope of an envelope of `n` pieces and one more curve; return its number of pieces."""
    a, b, m, at, new_n = 0, 1, rates.size, 0.0, 0
    out = (new_x, new_left, new_right, new_option)
    while a < n or b < m:
        end_a = x[a + 1] if a < n else ABSENT
        end_b = rates[b] if b < m else ABSENT
        end = min(end_a, end_b)
        if a < n:
            old0, old1 = _on_line(x[a], left[a], x[a + 1], right[a], at, end)
        else:
            old0, old1 = ABSENT, ABSENT
        if b < m:
            own0, own1 = _on_line(rates[b - 1], costs[b - 1], rates[b], costs[b], at, end)
        else:
            own0, own1 = ABSENT, ABSENT
        d0, d1 = old0 - own0, old1 - own1
        if b >= m or (d0 <= 0 and d1 <= 0):
            new_n = _emit(out, new_n, at, end, old0, old1, option[a])
        elif a >= n or (d0 >= 0 and d1 >= 0):
            new_n = _emit(out, new_n, at, end, own0, own1, k)
        else:
            cross = at + (end - at) * d0 / (d0 - d1)
            value = own0 + (own1 - own0) * (cross - at) / (end - at)
            first, second = (option[a], k) if d0 < 0 else (k, option[a])
            new_n = _emit(out, new_n, at, cross, min(old0, own0), value, first)
            new_n = _emit(out, new_n, cross, end, value, min(old1, own1), second)
        at = end
        a += end_a <= end
        b += end_b <= end
    return new_n


@compiled
def _on_line(x0: float, y0: float, x1: float, y1: float, start: float, end: float) -> tuple[float, float]:
    slope = (y1 - y0) / (x1 - x0)
    return y0 + slope * (start - x0), y0 + slope * (end - x0)


@compiled
def _emit(
    out: tuple[FloatArray, FloatArray, FloatArray, IntArray],
    n: int,
    start: float,
    end: float,
    at_start: float,
    at_end: float,
    k: int,
) -> int:
    """Append a piece to an envelope, joined to the last one where the two are one line."""
    x, left, right, option = out
    if end - start <= TINY * end:
        return n
    if n > 0 and option[n - 1] == k and abs(right[n - 1] - at_start) <= 1e-10 * (1 + abs(at_start)):
        before = (right[n - 1] - left[n - 1]) / (x[n] - x[n - 1])
        after = (at_end - at_start) / (end - start)
        if abs(before - after) <= 1e-9 * (1 + abs(after)):
            x[n], right[n - 1] = end, at_end
            return n
    if n == left.size:  # out of room: one coarser piece that stays below both
        right[n - 1] = min(right[n - 1], at_end)
        x[n] = end
        return n
    x[n], x[n + 1] = start, end
    left[n], right[n], option[n] = at_start, at_end, k
    return n + 1


@compiled
def _items(p: int, t: PoolTables) -> None:
    """Write the points where g jumps up or turns convex, sorted by cost per request."""
    n, count = t.num_pieces[p], 0
    for i in range(n):
        r, w = t.break_rps[p, i + 1], t.right[p, i]
        if i + 1 < n:
            slope = (w - t.left[p, i]) / (r - t.break_rps[p, i])
            after = (t.right[p, i + 1] - t.left[p, i + 1]) / (t.break_rps[p, i + 2] - r)
            jumps = t.left[p, i + 1] > w + 1e-9 * (1 + abs(w))
            if not (jumps or after > slope + 1e-7 * (1 + abs(slope))):
                continue
        if count == MAX_ITEMS:
            break
        at = count
        while at > 0 and t.item_cost[p, at - 1] * r > w * t.item_rps[p, at - 1]:
            t.item_rps[p, at] = t.item_rps[p, at - 1]
            t.item_cost[p, at] = t.item_cost[p, at - 1]
            t.item_option[p, at] = t.item_option[p, at - 1]
            at -= 1
        t.item_rps[p, at], t.item_cost[p, at], t.item_option[p, at] = r, w, t.piece_option[p, i]
        count += 1
    t.num_items[p] = count


@compiled
def _vertices(p: int, wanted_rps: float, rps: FloatArray, cost: FloatArray, t: PoolTables) -> None:
    """Write the undominated sums of items, merging the items in one by one."""
    now, n, limit = 0, 1, wanted_rps
    rps[0, 0] = cost[0, 0] = 0.0
    for i in range(t.num_items[p]):
        new = 1 - now
        n, limit = _add_item(n, rps[now], cost[now], t.item_rps[p, i], t.item_cost[p, i], limit, rps[new], cost[new])
        now = new
    t.num_vertices[p] = n
    t.limit_rps[p] = limit
    t.vertex_rps[p, :n] = rps[now, :n]
    t.vertex_cost[p, :n] = cost[now, :n]


@compiled
def _add_item(
    n: int, rps: FloatArray, cost: FloatArray, r: float, w: float, limit: float, new_rps: FloatArray, new_cost: FloatArray
) -> tuple[int, float]:  # fmt: skip
    """Write the undominated points among old ones and any number of an item added to them, ending beyond the limit."""
    a, b, m = 1, 0, 1
    new_rps[0] = new_cost[0] = 0.0
    while new_rps[m - 1] <= limit:
        own_rps, own_cost = new_rps[b] + r, new_cost[b] + w
        if a < n and (cost[a] < own_cost or (cost[a] == own_cost and rps[a] >= own_rps)):
            own_rps, own_cost = rps[a], cost[a]
            a += 1
        else:
            b += 1
        if own_rps <= new_rps[m - 1] * (1 + TINY):
            continue
        if m == new_rps.size:
            return m, new_rps[m - 1]
        new_rps[m], new_cost[m] = own_rps, own_cost
        m += 1
    return m, limit


@compiled
def value(p: int, load: float, t: PoolTables) -> tuple[float, int, int, int]:
    """Evaluate V.

    Returns
    -------
    tuple
        The cost; how many of the first item come on top of the vertex; the vertex; the piece of g that the last
        instance is on, or -1 when there is none. Infinite when the pool has no options.
    """
    if load <= 0:
        return 0.0, 0, 0, -1
    if t.num_items[p] == 0:
        return np.inf, 0, 0, -1
    repeats = 0
    if load > t.limit_rps[p]:
        repeats = int(np.ceil((load - t.limit_rps[p]) / t.item_rps[p, 0]))
        load = max(load - repeats * t.item_rps[p, 0], 0.0)
    j = np.searchsorted(t.vertex_rps[p, : t.num_vertices[p]], load * (1 + TINY), side="right") - 1
    best, best_j, best_piece, piece = np.inf, j, -1, 0
    if load - t.vertex_rps[p, j] <= TINY * load:
        best = t.vertex_cost[p, j]
        j -= 1
    last = t.break_rps[p, t.num_pieces[p]] * (1 + TINY)
    while j >= 0:
        x = load - t.vertex_rps[p, j]
        if x > last:
            break
        while piece < t.num_pieces[p] - 1 and t.break_rps[p, piece + 1] * (1 + TINY) < x:
            piece += 1
        start, end = t.break_rps[p, piece], t.break_rps[p, piece + 1]
        cost = (
            t.vertex_cost[p, j]
            + t.left[p, piece]
            + (t.right[p, piece] - t.left[p, piece]) * (x - start) / (end - start)
        )
        if cost < best:
            best, best_j, best_piece = cost, j, piece
        j -= 1
    return best + repeats * t.item_cost[p, 0], repeats, best_j, best_piece


@compiled
def decode(p: int, load: float, t: PoolTables, counts: IntArray) -> tuple[int, float]:
    """Find the instances that attain V.

    Parameters
    ----------
    p
        The pool.
    load
        Its load, in requests per second; the pool has options unless it is 0.
    t
        The tables.
    counts
        Receives how many instances sit at each item, shape (MAX_ITEMS,).

    Returns
    -------
    tuple
        The piece of g that one more instance is on, or -1 when there is none, and the load left for it.
    """
    counts[:] = 0
    _, repeats, j, piece = value(p, load, t)
    counts[0] = repeats
    rest = load - repeats * t.item_rps[p, 0] if repeats > 0 else load
    while j > 0:
        rps, cost = t.vertex_rps[p, j], t.vertex_cost[p, j]
        found, least = -1, np.inf
        for i in range(t.num_items[p]):
            left, spent = rps - t.item_rps[p, i], cost - t.item_cost[p, i]
            if left < -1e-9 * rps:
                continue
            k = np.searchsorted(t.vertex_rps[p, :j], left - 1e-9 * rps)
            if k < j and t.vertex_cost[p, k] - spent < least:
                least, found, next_j = t.vertex_cost[p, k] - spent, i, k
        j = next_j
        counts[found] += 1
        rest -= t.item_rps[p, found]
    return piece, rest
