"""Tests of `dynaopt.fleet_search`."""

import numpy as np
import pytest
from builders import make_problem
from forecast_builders import two_degrees
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt import solve
from dynaopt.flat_problem import Group, groups_of
from dynaopt.fleet_search import FleetAnswer, solve_within
from dynaopt.group_search import usage_of
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Relaxed, Workspace
from dynaopt.problem import Problem


class _Counted(PlainPools):
    """Counts its searches."""

    num_searches = 0

    def search(self, max_nodes: int, gap: float) -> Relaxed:
        """Search, and count."""
        self.num_searches += 1
        return super().search(max_nodes, gap)


def _problem(rates: dict[str, float], small: int, large: int) -> Problem:
    """Pose a window on so many TP2 (200 W idle, 10 requests/s) and TP8 (700 W idle, 50 requests/s)."""
    return make_problem(two_degrees(), rates, fixed_mix={"tiny-model": {2: small, 8: large}})


def _group(problem: Problem) -> Group:
    return groups_of(problem)[1]


def _search(group: Group, prices: list[float] | None = None) -> tuple[FleetAnswer, int]:
    pools = _Counted(group, Workspace())
    start = np.zeros(group.limits.size) if prices is None else np.array(prices)
    answer = solve_within(pools, start, max_nodes=600, gap_w=1e-6)
    return answer, pools.num_searches


def test_limits_that_do_not_bind() -> None:
    """Tests 15 requests/s on four TP2 and one TP8, which all run anyhow: one search, no prices, no gap.

    The TP8 takes 10 J less a request: 4 · 200 + 700 + 15 · 30 = 1,950 W.
    """
    group = _group(_problem({"SS": 15.0}, 4, 1))
    answer, num_searches = _search(group)
    assert group.base_w + answer.cost_w == pytest.approx(1950.0)
    assert num_searches == 1
    assert answer.prices.tolist() == [0.0] * answer.prices.size
    assert answer.cost_w == pytest.approx(answer.lower_w)


def test_power_by_hand() -> None:
    """Tests 55 requests/s on one TP2 and one TP8: both serve. 200 + 700 W idle; a TP2 takes 40 J a request, a TP8 30 J.

    The TP8 is filled to 50: 900 + 50 · 30 + 5 · 40 = 2,600 W.
    """
    group = _group(_problem({"SS": 55.0}, 1, 1))
    answer, _ = _search(group)
    assert group.base_w + answer.cost_w == pytest.approx(2600.0)


def test_a_limit_that_binds_has_a_price() -> None:
    """Tests 20 requests/s of SS and 40 of LL on three TP2 and one TP8: two TP8 would take least, so one has a price.

    The TP8 is full, 10 J less for each of 50 requests; the other ten are on TP2: 3 · 200 + 700 + 50 · 30 + 10 · 40.
    """
    group = _group(_problem({"SS": 20.0, "LL": 40.0}, 3, 1))
    answer, _ = _search(group)
    assert answer.prices.max() > 0
    assert group.base_w + answer.cost_w == pytest.approx(3200.0)
    assert answer.chosen is not None
    assert (usage_of(answer.chosen, group.limits) <= group.limits).all()


def test_what_does_not_fit_has_no_answer() -> None:
    """Tests 61 requests/s where 60 fit: nothing is chosen, and the cost is infinite."""
    answer, _ = _search(_group(_problem({"SS": 61.0}, 1, 1)))
    assert answer.chosen is None
    assert answer.cost_w == np.inf


def test_known_prices_save_searches() -> None:
    """Tests that the prices of an answer prove the same of the same window in no more searches, to the same bound."""
    group = _group(_problem({"SS": 14.0, "MM": 13.0, "LL": 27.0}, 3, 1))
    cold, num_cold = _search(group)
    warm, num_warm = _search(group, cold.prices.tolist())
    assert num_warm <= num_cold
    assert warm.lower_w >= cold.lower_w - 1e-6 * abs(cold.lower_w)
    assert warm.cost_w <= cold.cost_w * (1 + 1e-9)


rates_of = st.fixed_dictionaries({c: st.floats(0.5, 30) for c in ("SS", "MM", "LL")})


@settings(max_examples=25, deadline=None)
@given(rates=rates_of, small=st.integers(0, 5), large=st.integers(0, 2))
def test_the_optimum_lies_between_bound_and_answer(rates: dict[str, float], small: int, large: int) -> None:
    """Tests against HiGHS: the bound is never above the optimum, the answer never below it, and limits are kept."""
    if small + large == 0:
        return
    problem = _problem(rates, small, large)
    group = _group(problem)
    answer, _ = _search(group)
    proved = solve(problem, solver="highs", gap_tolerance=1e-6)
    if proved.allocation is None:
        assert answer.chosen is None
        return
    other_w = sum(g.base_w for g in groups_of(problem)) - group.base_w
    optimum_w = proved.allocation.power_w - group.base_w - other_w
    scale_w = proved.allocation.power_w
    assert answer.lower_w <= optimum_w + 1e-5 * scale_w
    assert answer.cost_w >= optimum_w - 1e-5 * scale_w
    if answer.chosen is not None:
        assert (usage_of(answer.chosen, group.limits) <= group.limits).all()


def test_most_windows_that_fit_are_served_closely() -> None:
    """Tests that of 40 windows that fill up to 90 % of six instances nine in ten are answered, within 3 % of the bound.

    A search that always said that nothing fits would pass all the other tests.
    """
    rng = np.random.default_rng(0)
    answered = close = 0
    for _ in range(40):
        shares = rng.dirichlet([1.0, 1.0, 1.0]) * rng.uniform(20, 0.9 * 140)
        problem = _problem(dict(zip(("SS", "MM", "LL"), shares.tolist(), strict=True)), 4, 2)
        group = _group(problem)
        answer, _ = _search(group)
        answered += answer.chosen is not None
        close += answer.cost_w - answer.lower_w <= 0.03 * (group.base_w + answer.lower_w)
    assert answered >= 36
    assert close >= 36
