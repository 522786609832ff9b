"""Tests the prices of load and capacity, and the sums that they leave."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dynaopt.spare_sums import dual_prices, undominated_sums

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
quick = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def points(draw: st.DrawFn) -> Columns:
    """Draw load, capacity and cost of idle and full instances of two to four sizes."""
    rows = []
    for _ in range(draw(st.integers(2, 4))):
        capacity, idle = draw(st.floats(0.5, 3.0)), draw(st.floats(20, 80))
        rows += [(0.0, capacity, idle), (capacity, capacity, idle + draw(st.floats(1, 200)))]
    load, capacities, cost = (np.array(column) for column in zip(*rows, strict=True))
    return load, capacities, cost


@quick
@given(columns=points(), load=st.floats(0.01, 20), spare=st.floats(0, 5), number=st.integers(0, 2))
def test_prices_are_those_of_the_linear_program(columns: Columns, load: float, spare: float, number: int) -> None:
    """Tests that no point earns more than it costs, and that the bound is that of the covering program."""
    s, c, w = columns
    prices = dual_prices(s, c, w, load, load + spare, float(number))
    assert min(prices) >= 0
    assert (w - prices[0] * s - prices[1] * c - prices[2] >= -1e-9 * w.max()).all()
    rows = -np.array([s, c, np.ones(s.size)])
    least = linprog(w, A_ub=rows, b_ub=-np.array([load, load + spare, number]), method="highs").fun
    bound = prices[0] * load + prices[1] * (load + spare) + prices[2] * number
    assert bound == pytest.approx(least, rel=1e-4)
    assert bound <= least * (1 + 1e-9)


@quick
@given(columns=points(), budget=st.floats(0, 60))
def test_every_sum_within_the_budget_is_matched(columns: Columns, budget: float) -> None:
    """Tests all sums of up to four points: those within the budget are found, or one that is as good in all."""
    s, c, w = columns
    load, capacity = 2.0, 3.0
    prices = dual_prices(s, c, w, load, capacity, 1.0)
    found = undominated_sums(s, c, w, prices, (load, capacity, 1), budget, 20_000)
    assert found[0].size > 0
    for number in range(1, 5):
        for chosen in combinations_with_replacement(range(s.size), number):
            at = list(chosen)
            own, spare, cost = min(s[at].sum(), load), min(c[at].sum(), capacity), w[at].sum()
            reduced = cost - prices[0] * own - prices[1] * spare - prices[2]
            if reduced <= budget - 1e-9:
                as_good = (found[0] >= own - 1e-9) & (found[1] >= spare - 1e-9) & (found[2] <= cost + 1e-9)
                assert as_good.any(), chosen


@quick
@given(columns=points())
def test_nodes_tell_what_a_sum_is_made_of(columns: Columns) -> None:
    """Tests that the points on the way back to the start add up to the sum, cut where more is worth nothing."""
    s, c, w = columns
    prices = dual_prices(s, c, w, 2.0, 3.0, 1.0)
    load, spare, cost, node, before, added = undominated_sums(s, c, w, prices, (2.0, 3.0, 1), 30.0, 20_000)
    for j in range(load.size):
        at, made = int(node[j]), []
        while before[at] >= 0:
            made.append(int(added[at]))
            at = int(before[at])
        assert cost[j] == pytest.approx(w[made].sum())
        assert load[j] == pytest.approx(min(s[made].sum(), 2.0))
        assert spare[j] == pytest.approx(min(c[made].sum(), 3.0))


def test_no_sums_where_there_is_no_room() -> None:
    """Tests that nothing, and not a part, is returned where the room is too small."""
    s, c, w = np.array([0.1, 0.13]), np.array([0.1, 0.13]), np.array([10.0, 13.1])
    prices = dual_prices(s, c, w, 5.0, 5.0, 1.0)
    assert undominated_sums(s, c, w, prices, (5.0, 5.0, 1), 5.0, 10)[0].size == 0
    assert undominated_sums(s, c, w, prices, (5.0, 5.0, 1), 5.0, 5000)[0].size > 10
