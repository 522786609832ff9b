"""Tests finding the price at which a limit just holds."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.limit_price import MAX_RAISES, MAX_TANGENTS, Bracket, Tried, close_in, find_bracket

Choice = tuple[float, float]
"""What it costs, in watts, and how much of the limit it takes."""
CHOICES: list[Choice] = [(1000.0, 100.0), (1100.0, 90.0), (1300.0, 80.0), (2000.0, 60.0)]


def tries(choices: Sequence[Choice], limit: float, loss: float = 0.0) -> tuple[Callable[[float], Tried], list[float]]:
    """Return what tries a price, and the list in which it notes the prices; bounds lie below by a share."""
    prices: list[float] = []

    def at(price_w: float) -> Tried:
        prices.append(price_w)
        cost_w, taken = min(choices, key=lambda choice: choice[0] + price_w * choice[1])
        dual_w = cost_w + price_w * (taken - limit)
        return Tried(np.array([price_w]), np.zeros(9), [], np.array([taken - limit]), dual_w, dual_w * (1 - loss))

    return at, prices


def best_dual_w(choices: Sequence[Choice], limit: float) -> float:
    """Return the height of the dual's peak: it lies where two choices tie."""
    at, _ = tries(choices, limit)
    slopes = [(c - d) / (v - u) for c, u in choices for d, v in choices if u < v and c > d]
    return max(at(price).dual_w for price in [0.0, *slopes])


def bracketed(choices: Sequence[Choice], limit: float) -> Bracket:
    """Return the first bracket."""
    at, _ = tries(choices, limit)
    found = find_bracket(at(0.0), 1.0, at)
    assert isinstance(found, Bracket)
    return found


def test_tangents_meet_at_the_peak() -> None:
    """Tests 1,100 W for 90 and 1,300 W for 80 of a limit of 85: at 20 W each they tie, at 1,200 W."""
    at, _ = tries(CHOICES, 85.0)
    assert Bracket(at(15.0), at(25.0)).peak == (pytest.approx(20.0), pytest.approx(1200.0))


def test_the_balance_is_where_a_line_through_both_excesses_is_zero() -> None:
    """Tests 15 too much at no price and 5 too little at 40 W: 30 W."""
    at, _ = tries(CHOICES, 85.0)
    assert Bracket(at(0.0), at(34.0)).balance_w == pytest.approx(34.0 * 15 / 20)


def test_a_price_is_raised_until_the_limit_holds() -> None:
    """Tests that one end of the bracket exceeds the limit and the other does not."""
    found = bracketed(CHOICES, 85.0)
    assert found.low.excess[0] > 0 >= found.high.excess[0]


def test_a_limit_that_never_holds() -> None:
    """Tests that the highest price that was tried comes back, after so many tries."""
    at, prices = tries(CHOICES, 50.0)
    found = find_bracket(at(0.0), 1.0, at)
    assert isinstance(found, Tried)
    assert found.prices[0] == max(prices)
    assert len(prices) == MAX_RAISES + 1


def test_the_peak_is_reached() -> None:
    """Tests that the best bound is that of the peak, in fewer tries than halving takes."""
    at, prices = tries(CHOICES, 85.0)
    closed = close_in(bracketed(CHOICES, 85.0), at, tolerance=1e-6, is_over=lambda: False)
    assert max(closed.low.dual_w, closed.high.dual_w) == pytest.approx(1200.0)
    assert len(prices) <= 8


def test_nothing_is_tried_when_time_is_up() -> None:
    """Tests that the bracket comes back as it is."""
    at, prices = tries(CHOICES, 85.0)
    bracket = bracketed(CHOICES, 85.0)
    assert close_in(bracket, at, tolerance=1e-6, is_over=lambda: True) is bracket
    assert prices == []


def test_a_search_without_a_proof_is_not_the_last() -> None:
    """Tests that a price whose search proved little is not taken for the best, though its cost is the peak's.

    The choice of 60 keeps a limit of 60 exactly, so that the tangent there is level; but the bound of that search is
    10 % below. Others are tried, at which it proves all.
    """
    at, prices = tries(CHOICES, 60.0)

    def poor(price_w: float) -> Tried:
        found = at(price_w)
        bound_w = found.dual_w * (0.9 if price_w > 100 else 1.0)
        return Tried(found.prices, found.loads_rps, found.chosen, found.excess, found.dual_w, bound_w)

    bracket = Bracket(poor(30.0), poor(400.0))
    assert max(bracket.low.bound_w, bracket.high.bound_w) == 1900
    before = len(prices)
    closed = close_in(bracket, poor, tolerance=1e-6, is_over=lambda: False)
    assert max(closed.low.bound_w, closed.high.bound_w) == pytest.approx(2000.0)
    assert 0 < len(prices) - before <= MAX_TANGENTS


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.tuples(st.floats(1.0, 500.0), st.integers(1, 40)), min_size=2, max_size=12),
    share=st.floats(0.05, 0.95),
)
def test_no_price_has_a_better_bound(steps: list[tuple[float, int]], share: float) -> None:
    """Tests random choices, each dearer and sparer than the last, against the peak among all ties."""
    costs, taken = np.cumsum([c for c, _ in steps]), 500.0 - np.cumsum([u for _, u in steps])
    choices = list(zip(costs.tolist(), taken.tolist(), strict=True))
    limit = float(taken[-1] + share * (taken[0] - taken[-1]))
    at, _ = tries(choices, limit)
    found = find_bracket(at(0.0), float(costs[0] / 100), at)
    if isinstance(found, Bracket):
        closed = close_in(found, at, tolerance=1e-9, is_over=lambda: False)
        best_w = best_dual_w(choices, limit)
        reached_w = max(closed.low.dual_w, closed.high.dual_w)
        assert reached_w <= best_w * (1 + 1e-9)
        assert reached_w >= best_w * (1 - 1e-3)
        assert closed.peak[1] >= best_w * (1 - 1e-9)
