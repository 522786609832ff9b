"""The least cost of a pool as a function of its load, V(L), and which instances attain it.

An instance that serves load x in configuration k costs f_k(x); f_k is piecewise linear up to the instance's capacity.
Let g = min_k f_k be the cheapest single instance. If two instances of a pool both sit where g is locally concave, load
can be shifted between them at no cost until one reaches a point where g jumps up or turns convex, or 0. So in some
optimal pool all instances but one sit at such points, here called *items* (r, w). The undominated sums of items, the
*vertices* (S, W), are few, and

    V(L) = min over vertices with S <= L of  W + g(L - S),     g(0) = 0.

Between two vertices V is concave, so on any interval its convex hull is that of the vertices inside and of the ends.
Curves must not fall with load. A cost of opening the pool may be added to V at every load but 0.

A table of vertices ends where it has served its purpose or its room is full, at a load T. Beyond T, V repeats: let item
1, of r requests/s and cost w, be the one that costs least per request, s1 = w / r. Either cheapest instances have so
many of it that the others carry at most T: they cost V'(L) = m w + V(L - m r) with the fewest such m. Or the others
carry more than T, one of them, of at most c requests/s, perhaps part-filled; with s2 the next least cost per request
all cost at least s1 L + (s2 - s1) (T - c). So V lies between the smaller of the two and V', and is V' where that is the
smaller (Gilmore and Gomory, Operations Research 14, 1966, prove this of whole-numbered knapsacks).
`docs/scaling.md` has the proof.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynaopt.envelope import ENVELOPE, TINY, FloatArray, copy_envelope, merge
from dynaopt.jit import compiled
from dynaopt.value_table import TABLE, table_value

IntArray = npt.NDArray[np.int64]

MAX_ITEMS = 128
MAX_VERTICES = 1024

POOL = np.dtype(
    [
        ("single", ENVELOPE),
        ("num_items", np.int64),
        ("item_rps", np.float64, (MAX_ITEMS,)),
        ("item_cost", np.float64, (MAX_ITEMS,)),
        ("item_option", np.int64, (MAX_ITEMS,)),
        ("num_vertices", np.int64),
        ("vertex_rps", np.float64, (MAX_VERTICES,)),
        ("vertex_cost", np.float64, (MAX_VERTICES,)),
        ("limit_rps", np.float64),
        ("opening", np.float64),
        ("first_repeated", np.int64),
        ("surplus", np.float64),
        ("table", TABLE),
    ]
)
"""What is known of V: g (`single`); the items, the one that costs least per request first; the vertices by load, the
first of which is (0, 0); and the load T up to which they are complete, `limit_rps`. Where that is less than was wanted,
T is a vertex, the vertices from `first_repeated` on are those within one first item of T, and `surplus` is what a pool
costs at least beyond its least cost per request when its first items leave more than T to the others. Else
`first_repeated` is -1, `surplus` 0, and beyond T nothing but the least cost per request is claimed. Where there is a
`table`, V is that instead, and its marks stand for the vertices."""


@compiled
def fill_pools(
    first_option: IntArray,
    first_point: IntArray,
    rates: FloatArray,
    costs: FloatArray,
    wanted_rps: FloatArray,
    scratch: npt.NDArray[np.void],
    pools: npt.NDArray[np.void],
) -> None:
    """Compute V of all pools.

    Parameters
    ----------
    first_option
        Where each pool's options start, shape (pools + 1,).
    first_point
        Where each option's breakpoints start, shape (options + 1,).
    rates, costs
        All options' breakpoints, in requests per second, and what an instance costs there.
    wanted_rps
        Load up to which each pool's vertices are wanted, shape (pools,).
    scratch
        Two records of `POOL` to work in.
    pools
        Records of `POOL` to write to; their `opening` is left alone.
    """
    for p in range(wanted_rps.size):
        now = 0
        scratch[0].single.num_pieces = 0
        for k in range(first_option[p], first_option[p + 1]):
            a, b = first_point[k], first_point[k + 1]
            merge(scratch[now].single, rates[a:b], costs[a:b], k, scratch[1 - now].single)
            now = 1 - now
        copy_envelope(scratch[now].single, pools[p].single)
        _find_items(pools[p])
        find_vertices(pools[p], wanted_rps[p], scratch)


@compiled
def _find_items(t: Any) -> None:
    """Write the points where g jumps up or turns convex, sorted by cost per request."""
    g, count = t.single, 0
    for i in range(g.num_pieces):
        r, w = g.break_rps[i + 1], g.right[i]
        if i + 1 < g.num_pieces:
            slope = (w - g.left[i]) / (r - g.break_rps[i])
            after = (g.right[i + 1] - g.left[i + 1]) / (g.break_rps[i + 2] - r)
            jumps = g.left[i + 1] > w + 1e-9 * (1 + abs(w))
            if not (jumps or after > slope + 1e-7 * (1 + abs(slope))):
                continue
        if count == MAX_ITEMS:
            break
        at = count
        while at > 0 and t.item_cost[at - 1] * r > w * t.item_rps[at - 1]:
            t.item_rps[at], t.item_cost[at] = t.item_rps[at - 1], t.item_cost[at - 1]
            t.item_option[at] = t.item_option[at - 1]
            at -= 1
        t.item_rps[at], t.item_cost[at], t.item_option[at] = r, w, g.option[i]
        count += 1
    t.num_items = count


@compiled
def find_vertices(t: Any, wanted_rps: float, scratch: npt.NDArray[np.void]) -> None:
    """Write the undominated sums of items, merging the items in one by one."""
    now = 0
    t.limit_rps = wanted_rps
    scratch[0].num_vertices = 1
    scratch[0].vertex_rps[0] = scratch[0].vertex_cost[0] = 0.0
    for i in range(t.num_items):
        old, r, w = scratch[now], t.item_rps[i], t.item_cost[i]
        instead = count_up_to(old.vertex_rps, old.num_vertices, r * (1 - TINY))
        if instead < old.num_vertices and old.vertex_cost[instead] <= w:
            continue  # cheaper items carry as much: no undominated sum has this one
        t.limit_rps = _add_item(old, r, w, t.limit_rps, scratch[1 - now])
        now = 1 - now
    n = scratch[now].num_vertices
    t.num_vertices = n
    for j in range(n):
        t.vertex_rps[j], t.vertex_cost[j] = scratch[now].vertex_rps[j], scratch[now].vertex_cost[j]
    t.first_repeated, t.surplus = -1, 0.0
    if t.limit_rps < wanted_rps and t.single.num_pieces > 0:
        _end_at_vertex(t)


@compiled
def _end_at_vertex(t: Any) -> None:
    """Let a table end at the last vertex that V goes through, and mark what repeats beyond it."""
    j = count_up_to(t.vertex_rps, t.num_vertices, t.limit_rps) - 1
    while j > 0 and value(t, t.vertex_rps[j])[0] < (t.vertex_cost[j] + t.opening) * (1 - TINY):
        j -= 1
    if j == 0:
        return
    t.num_vertices, t.limit_rps = j + 1, t.vertex_rps[j]
    t.first_repeated = count_up_to(t.vertex_rps, t.num_vertices, t.limit_rps - t.item_rps[0])
    carried = t.limit_rps - t.single.break_rps[t.single.num_pieces]
    if carried > 0:
        next_least = t.item_cost[1] / t.item_rps[1] if t.num_items > 1 else np.inf
        t.surplus = (next_least - t.item_cost[0] / t.item_rps[0]) * carried


@compiled
def _add_item(old: Any, r: float, w: float, limit: float, new: Any) -> float:
    """Write the undominated points among the old and any number of an item on top of them, ending beyond a limit.

    Returns the limit, or, where there was no room, the load up to which they are complete.
    """
    a, b, m = 1, 0, 1
    new.vertex_rps[0] = new.vertex_cost[0] = 0.0
    while new.vertex_rps[m - 1] <= limit:
        rps, cost = new.vertex_rps[b] + r, new.vertex_cost[b] + w
        from_old = a < old.num_vertices and (
            old.vertex_cost[a] < cost or (old.vertex_cost[a] == cost and old.vertex_rps[a] >= rps)
        )
        if from_old:
            rps, cost = old.vertex_rps[a], old.vertex_cost[a]
            a += 1
        else:
            b += 1
        if rps > new.vertex_rps[m - 1] * (1 + TINY):
            if m == MAX_VERTICES:
                limit = new.vertex_rps[m - 1]
                break
            new.vertex_rps[m], new.vertex_cost[m] = rps, cost
            m += 1
    new.num_vertices = m
    return limit


@compiled
def count_up_to(values: FloatArray, n: int, x: float) -> int:
    """Return how many of the first `n` sorted values are at most `x`."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if values[middle] <= x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def value(t: Any, load: float) -> tuple[float, int, int, int]:
    """Evaluate V.

    Parameters
    ----------
    t
        A record of `POOL`.
    load
        Requests per second.

    Returns
    -------
    tuple
        The cost; how many of the first item come on top of the vertex; the vertex; the piece of g that the last
        instance is on, or -1 when there is none. The cost is infinite when the pool has no options.
    """
    if load <= 0:
        return 0.0, 0, 0, -1
    if t.num_items == 0:
        return np.inf, 0, 0, -1
    if t.table.num_pieces > 0:
        cost, known = table_value(t.table, load)
        return cost if known else np.inf, 0, 0, -1
    repeats = 0
    if load > t.limit_rps:
        repeats = repeats_beyond(t, load)
        load = max(load - repeats * t.item_rps[0], 0.0)
    j = count_up_to(t.vertex_rps, t.num_vertices, load * (1 + TINY)) - 1
    g = t.single
    best, best_j, best_piece, piece = np.inf, j, -1, 0
    if load - t.vertex_rps[j] <= TINY * load:
        best = t.vertex_cost[j]
        j -= 1
    last = g.break_rps[g.num_pieces] * (1 + TINY)
    while j >= 0:
        x = load - t.vertex_rps[j]
        if x > last:
            break
        while piece < g.num_pieces - 1 and g.break_rps[piece + 1] * (1 + TINY) < x:
            piece += 1
        share = (x - g.break_rps[piece]) / (g.break_rps[piece + 1] - g.break_rps[piece])
        cost = t.vertex_cost[j] + g.left[piece] + (g.right[piece] - g.left[piece]) * share
        if cost < best:
            best, best_j, best_piece = cost, j, piece
        j -= 1
    return best + t.opening + repeats * t.item_cost[0], repeats, best_j, best_piece


@compiled
def repeats_beyond(t: Any, load: float) -> int:
    """Return the fewest first items that leave no more of a load than the table goes up to."""
    return max(0, int(np.ceil((load * (1 - TINY) - t.limit_rps) / t.item_rps[0])))


@compiled
def value_floor(t: Any, load: float) -> float:
    """Return what V does not go below at a load."""
    return floor_below(t, load, value(t, load)[0])


@compiled
def floor_below(t: Any, load: float, cost: float) -> float:
    """Return what V does not go below where repeated first items and the table come to a cost: V itself inside it."""
    if t.table.num_pieces > 0:
        return table_value(t.table, load)[0] if load > 0 else 0.0
    if load <= t.limit_rps or t.num_items == 0:
        return cost
    return min(cost, float(t.item_cost[0] / t.item_rps[0] * load + t.opening + t.surplus))


@compiled
def count_vertices(t: Any, load: float) -> int:
    """Return how many vertices are at most a load, those that repeat beyond the table counted on."""
    if t.table.num_pieces > 0:
        return count_up_to(t.table.mark_rps, t.table.num_marks, load)
    n = int(t.num_vertices)
    if t.first_repeated < 0 or load <= t.limit_rps:
        return count_up_to(t.vertex_rps, n, load)
    repeats = repeats_beyond(t, load)
    if repeats == 0:
        return n
    inside = count_up_to(t.vertex_rps, n, load - repeats * t.item_rps[0] + TINY * load)
    return n + (repeats - 1) * (n - int(t.first_repeated)) + max(inside - int(t.first_repeated), 0)


@compiled
def vertex_floor(t: Any, j: int) -> tuple[float, float]:
    """Return the load of a vertex, those that repeat counted on, and what V does not go below there."""
    if t.table.num_pieces > 0:
        return t.table.mark_rps[j], t.table.mark_cost[j]
    n = t.num_vertices
    if j < n - 1 or t.first_repeated < 0:
        return t.vertex_rps[j], t.vertex_cost[j] + t.opening
    repeats, i = 0, j
    if j >= n:
        period = n - t.first_repeated
        repeats, i = (j - n) // period + 1, t.first_repeated + (j - n) % period
    load = t.vertex_rps[i] + repeats * t.item_rps[0]
    least = t.item_cost[0] / t.item_rps[0] * load + t.surplus
    return load, min(t.vertex_cost[i] + repeats * t.item_cost[0], least) + t.opening


@compiled
def decode(t: Any, load: float, counts: IntArray) -> tuple[int, float]:
    """Find the instances that attain V.

    Parameters
    ----------
    t
        A record of `POOL`, with options.
    load
        Requests per second.
    counts
        Receives how many instances sit at each item, shape (MAX_ITEMS,).

    Returns
    -------
    tuple
        The piece of g that one more instance is on, or -1 when there is none, and the load left for it.
    """
    _, repeats, j, piece = value(t, load)
    counts[:] = 0
    counts[0] = repeats
    count_items(t, j, counts)
    rest = load
    for i in range(t.num_items):
        rest -= counts[i] * t.item_rps[i]
    return piece, rest


@compiled
def decode_parts(t: Any, load: float, counts: IntArray, options: IntArray, numbers: IntArray, rates: FloatArray) -> int:
    """Write the instances that attain V as parts: an option, how many of it, and the load on each.

    Parameters
    ----------
    t, load, counts
        As for `decode`.
    options, numbers, rates
        Receive the parts, shape (MAX_ITEMS + 1,) each.

    Returns
    -------
    int
        How many parts there are.
    """
    piece, rest = decode(t, load, counts)
    size = 0
    for i in range(t.num_items):
        if counts[i] > 0:
            options[size], numbers[size], rates[size] = t.item_option[i], counts[i], t.item_rps[i]
            size += 1
    if piece >= 0:
        options[size], numbers[size], rates[size] = t.single.option[piece], 1, rest
        size += 1
    elif rest != 0 and size > 0:  # a rounding error: one of the last instances takes it
        at = size - 1
        if numbers[at] > 1:
            numbers[at] -= 1
            options[size] = options[at]
            rates[size] = rates[at]
            at, size = size, size + 1
        numbers[at] = 1
        rates[at] += rest
    return size


@compiled
def count_items(t: Any, j: int, counts: IntArray) -> None:
    """Add to `counts` how often each item is in vertex `j`."""
    while j > 0:
        found, next_j, least = -1, 0, np.inf
        for i in range(t.num_items):
            left = t.vertex_rps[j] - t.item_rps[i] - 1e-9 * t.vertex_rps[j]
            if left < -2e-9 * t.vertex_rps[j]:
                continue
            k = count_up_to(t.vertex_rps, j, left)
            worse = t.vertex_cost[k] + t.item_cost[i] - t.vertex_cost[j]
            if k < j and worse < least:
                found, next_j, least = i, k, worse
        counts[found] += 1
        j = next_j
