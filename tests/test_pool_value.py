"""Tests the least cost of a pool against its load."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_builders import NEAR, Curve, value_table

from dynaopt.pool_value import (
    MAX_ITEMS,
    count_up_to,
    count_vertices,
    decode,
    decode_parts,
    value,
    value_floor,
    vertex_floor,
)

BIG: Curve = ([0.0, 1.0, 4.0], [100.0, 200.0, 320.0])
SMALL: Curve = ([0.0, 1.0], [50.0, 100.0])


def by_hand(curves: list[Curve], load: float, most_instances: int) -> float:
    """Return the least cost over all multisets of instances and a fine grid of splits."""
    best, grid = np.inf, np.linspace(0, 1, 41)
    for size in range(1, most_instances + 1):
        for chosen in combinations_with_replacement(curves, size):
            capacity = [rates[-1] for rates, _ in chosen]
            if sum(capacity) < load - 1e-12:
                continue
            if size == 1:
                best = min(best, np.interp(load, *chosen[0]))
                continue
            for shares in np.array(np.meshgrid(*[grid] * (size - 1))).reshape(size - 1, -1).T:
                loads = [s * c for s, c in zip(shares, capacity, strict=False)]
                last = load - sum(loads)
                if -1e-12 <= last <= capacity[-1] + 1e-12:
                    cost = sum(np.interp(x, *c) for x, c in zip([*loads, last], chosen, strict=True))
                    best = min(best, cost)
    return float(best)


def test_the_floor_is_the_value_as_far_as_vertices_go() -> None:
    """Tests 2 requests/s, 200 W on two small ones, and beyond the vertices 80 W a request, the least there is."""
    t = value_table([BIG, SMALL], opening=7.0)
    assert value_floor(t, 2.0) == value(t, 2.0)[0] == pytest.approx(207.0)
    t["limit_rps"] = 1.0
    assert value_floor(t, 2.0) == pytest.approx(2 * 80 + 7)
    assert value(t, 2.0)[0] >= value_floor(t, 2.0)


def test_items_of_two_concave_curves() -> None:
    """Tests that only ends are items: 4 requests/s at 320 W (80 W each) first, then 1 at 100 W.

    The envelope follows the small instance up to its capacity of 1 and there jumps from 100 to 200 W.
    """
    t = value_table([BIG, SMALL])
    assert t["num_items"] == 2
    assert t["item_rps"][:2].tolist() == [4.0, 1.0]
    assert t["item_cost"][:2].tolist() == [320.0, 100.0]


def test_vertices_are_the_undominated_sums() -> None:
    """Tests the sums up to 6 requests/s: 1, 2, 3 small ones; 4 (320 W against 400 W for four small ones); 5, 6."""
    t = value_table([BIG, SMALL], wanted=5.5)
    n = t["num_vertices"]
    assert t["vertex_rps"][:n].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert t["vertex_cost"][:n].tolist() == [0.0, 100.0, 200.0, 300.0, 320.0, 420.0, 520.0]


@pytest.mark.parametrize(
    ("load", "cost"),
    [
        (0.0, 0.0),
        (0.5, 75.0),  # half of a small one: 50 + 25
        (2.5, 260.0),  # one big one: 200 + 60; three small ones at 100 + 100 + 75 would cost 275
        (4.0, 320.0),  # a full big one
        (4.5, 395.0),  # a full big one and half of a small one: 320 + 75
        (8.0, 640.0),  # two full big ones
    ],
)
def test_value_by_hand(load: float, cost: float) -> None:
    """Tests loads worked out by hand."""
    assert value(value_table([BIG, SMALL]), load)[0] == pytest.approx(cost)


def test_opening_costs_at_every_load_but_none() -> None:
    """Tests that 30 W of opening are added where there is load."""
    t = value_table([SMALL], opening=30.0)
    assert value(t, 0.0)[0] == 0.0
    assert value(t, 0.5)[0] == pytest.approx(105.0)


def test_a_pool_without_options_serves_nothing() -> None:
    """Tests that no load costs nothing and any load is impossible."""
    t = value_table([])
    assert value(t, 0.0)[0] == 0.0
    assert value(t, 1.0)[0] == np.inf


def test_beyond_the_limit_the_first_item_repeats() -> None:
    """Tests 42 requests/s on a table up to 5: ten full big ones, and what serves 2 at least cost, 200 W."""
    t = value_table([BIG, SMALL], wanted=5.0)
    cost, repeats, _, _ = value(t, 42.0)
    assert repeats > 0
    assert cost == pytest.approx(10 * 320 + 200)


def test_convex_turns_are_items() -> None:
    """Tests 10 + x up to 2 and then ten times as steep: at 4 requests/s two at the turn beat one at its end."""
    t = value_table([([0.0, 2.0, 4.0], [10.0, 12.0, 32.0])])
    assert t["item_rps"][: t["num_items"]].tolist() == [2.0, 4.0]
    assert value(t, 4.0)[0] == pytest.approx(24.0)


def test_count_up_to() -> None:
    """Tests below, between, at and above sorted values, beyond which nothing is looked at."""
    values = np.array([1.0, 2.0, 2.0, 5.0, 0.0])
    assert [count_up_to(values, 4, x) for x in (0.5, 1.0, 2.0, 4.9, 9.0)] == [0, 1, 3, 3, 4]


@pytest.mark.parametrize("load", [0.3, 1.0, 2.5, 3.999, 4.0, 7.7, 11.0, 19.5, 33.0])
def test_instances_cost_what_the_value_says(load: float) -> None:
    """Tests that the instances decoded carry the load and cost V, also beyond the table."""
    curves = [BIG, SMALL, ([0.0, 2.0], [90.0, 160.0])]
    t = value_table(curves, wanted=20.0)
    counts = np.zeros(MAX_ITEMS, dtype=np.int64)
    piece, rest = decode(t, load, counts)
    cost = float(counts[: t["num_items"]] @ t["item_cost"][: t["num_items"]])
    carried = float(counts[: t["num_items"]] @ t["item_rps"][: t["num_items"]])
    assert carried + rest == pytest.approx(load)
    if piece >= 0:
        cost += np.interp(rest, *curves[int(t["single"]["option"][piece])])
    else:
        assert rest == pytest.approx(0.0, abs=1e-9)
    assert cost == pytest.approx(value(t, load)[0])


@st.composite
def rising_curves(draw: st.DrawFn) -> Curve:
    """Draw a curve of up to three straight parts that does not fall."""
    size = draw(st.integers(1, 3))
    steps = draw(st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=size, max_size=size))
    rises = draw(st.lists(st.floats(0.0, 100.0), min_size=size, max_size=size))
    return np.cumsum([0.0, *steps]).tolist(), np.cumsum([draw(st.floats(10.0, 80.0)), *rises]).tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawn=st.lists(rising_curves(), min_size=1, max_size=2), load=st.sampled_from([0.2, 0.5, 0.75, 1.0, 1.3]))
def test_no_split_is_cheaper(drawn: list[Curve], load: float) -> None:
    """Tests V against every multiset of up to three instances on a grid of splits, and that it is attained."""
    t = value_table(drawn, wanted=2.0)
    assert value(t, load)[0] <= by_hand(drawn, load, 3) + 1e-6
    counts = np.zeros(MAX_ITEMS, dtype=np.int64)
    piece, rest = decode(t, load, counts)
    cost = float(counts[: t["num_items"]] @ t["item_cost"][: t["num_items"]])
    cost += 0.0 if piece < 0 else np.interp(rest, *drawn[int(t["single"]["option"][piece])])
    assert cost == pytest.approx(value(t, load)[0], rel=1e-9)


GRID_RPS = 0.01


def by_grid(curves: list[Curve], most_rps: float) -> np.ndarray:
    """Return V at every hundredth of a request/s, by dynamic programming; ends of curves lie on the grid."""
    ends = [(round(rates[-1] / GRID_RPS), costs[-1]) for rates, costs in curves]
    full = np.full(round(most_rps / GRID_RPS) + 1, np.inf)
    full[0] = 0.0
    for at in range(1, full.size):
        full[at] = min((full[at - step] + cost for step, cost in ends if step <= at), default=np.inf)
    best = full.copy()
    for rates, costs in curves:
        for step in range(1, round(rates[-1] / GRID_RPS) + 1):
            best[step:] = np.minimum(best[step:], full[:-step] + np.interp(step * GRID_RPS, rates, costs))
    return best


@pytest.mark.parametrize("curves", [NEAR, NEAR[:2], [*NEAR[:1], ([0.0, 1.31], [35.0, 157.2])]])
def test_beyond_a_full_table_the_value_is_bounded_from_both_sides(curves: list[Curve]) -> None:
    """Tests loads up to 300 requests/s, of which a table of three near sizes holds a tenth, by dynamic programming."""
    t, true = value_table(curves, wanted=300.0), by_grid(curves, 300.0)
    for at in range(1, true.size, 37):
        load = at * GRID_RPS
        cost, floor = value(t, load)[0], value_floor(t, load)
        assert floor <= true[at] * (1 + 1e-9)
        assert true[at] <= cost * (1 + 1e-9)
        assert cost - floor <= 2e-4 * cost


def test_a_full_table_ends_at_a_vertex_that_the_value_goes_through() -> None:
    """Tests that it ends early, at its last vertex, and that what repeats is what lies within the first item of it."""
    t = value_table(NEAR, wanted=300.0)
    n, first = int(t["num_vertices"]), int(t["first_repeated"])
    end = float(t["limit_rps"])
    assert 10.0 < end < 300.0
    assert end == t["vertex_rps"][n - 1]
    assert value(t, end)[0] == pytest.approx(t["vertex_cost"][n - 1])
    assert t["vertex_rps"][first - 1] <= end - t["item_rps"][0] < t["vertex_rps"][first]
    assert 0 < t["surplus"] < np.inf


def test_a_table_that_goes_as_far_as_wanted_claims_nothing_beyond() -> None:
    """Tests that the two sizes of the other tests leave nothing to repeat."""
    t = value_table([BIG, SMALL], wanted=20.0)
    assert (t["first_repeated"], t["surplus"], t["limit_rps"]) == (-1, 0.0, 20.0)


def test_the_surplus_is_what_other_items_cost_beyond_the_first() -> None:
    """Tests 100 against 100.103 W for each request/s, on all that the table goes up to but one instance."""
    t = value_table(NEAR[:2], wanted=4000.0)
    assert t["surplus"] == pytest.approx((97.1 / 0.97 - 100.0) * (t["limit_rps"] - 1.0))


def test_vertices_are_counted_on() -> None:
    """Tests that vertices ascend across the end and two periods, each of them counted where it is."""
    t = value_table(NEAR, wanted=300.0)
    n = int(t["num_vertices"])
    period = n - int(t["first_repeated"])
    loads = [vertex_floor(t, j)[0] for j in range(n - 5, n + 2 * period)]
    assert (np.diff(loads) > 0).all()
    assert [count_vertices(t, load) for load in loads] == list(range(n - 4, n + 2 * period + 1))
    assert loads[period + 4] - loads[4] == pytest.approx(t["item_rps"][0])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(load=st.floats(0.01, 290.0))
def test_parts_carry_the_load_at_the_cost_of_the_value(load: float) -> None:
    """Tests the instances of loads inside and beyond the table."""
    t = value_table(NEAR, wanted=300.0)
    counts = np.zeros(MAX_ITEMS, dtype=np.int64)
    options, numbers, rates = (np.zeros(MAX_ITEMS + 1, kind) for kind in (np.int64, np.int64, float))
    size = decode_parts(t, load, counts, options, numbers, rates)
    assert float(numbers[:size] @ rates[:size]) == pytest.approx(load)
    costs = [np.interp(rates[i], *NEAR[options[i]]) for i in range(size)]
    assert float(numbers[:size] @ costs) == pytest.approx(value(t, load)[0])


def test_a_rounding_error_goes_to_one_of_the_last_instances() -> None:
    """Tests 3 requests/s and a trace less on SMALL: two full ones, and one that lacks the trace."""
    t = value_table([SMALL])
    counts = np.zeros(MAX_ITEMS, dtype=np.int64)
    options, numbers, rates = (np.zeros(MAX_ITEMS + 1, kind) for kind in (np.int64, np.int64, float))
    size = decode_parts(t, 3.0 - 1e-12, counts, options, numbers, rates)
    assert (size, numbers[:2].tolist(), rates[0]) == (2, [2, 1], 1.0)
    assert float(numbers[:2] @ rates[:2]) == 3.0 - 1e-12
