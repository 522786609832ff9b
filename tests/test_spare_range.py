"""Tests what pools with spare capacity cost over ranges of load, against all sums of few instances."""

from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from search_builders import AT, NEAR, only_group

from dynaopt.flat_problem import Group
from dynaopt.spare_points import points_of
from dynaopt.spare_range import SpareRange, sizes_of

Reserve = float | Literal["n+1"]
Levels = list[tuple[float, float]]
CONCAVE: list[Levels] = [[(0, 50), (1, 100)], [(0, 90), (1, 170), (2.5, 220)]]
CONVEX: list[Levels] = [[(0, 50), (0.4, 60), (1, 160)], [(0, 70), (1, 110), (1.7, 300)]]
MOST = 4
"""Instances of the pools that are tried; enough for the loads here."""


def group_of(curves: list[Levels]) -> Group:
    """Return the group of a problem with these curves, of ever larger degrees, in SS."""
    profile = make_profile([make_curve(2 * n, 1000 + n, "SS", levels) for n, levels in enumerate(curves, 1)])
    return only_group(make_problem(profile, {"SS": 1.0}))


def least_cost(curves: list[Levels], reserve: Reserve, load: float, step: float = 0.1) -> float:
    """Return the least cost of all choices of up to four instances, loads being multiples of a step."""
    best = np.inf
    for number in range(1, MOST + 1):
        for chosen in combinations_with_replacement(range(len(curves)), number):
            sizes = [curves[k][-1][0] for k in chosen]
            spare = sum(sizes) - max(sizes) if reserve == "n+1" else (1 - reserve) * sum(sizes)
            if spare >= load - 1e-9:
                best = min(best, _least_split([curves[k] for k in chosen], load, step))
    return best


def _least_split(curves: list[Levels], load: float, step: float) -> float:
    """Return the least cost of given instances that share a load in multiples of a step."""
    units = round(load / step)
    cost = np.full(units + 1, np.inf)
    cost[0] = 0.0
    for levels in curves:
        rates, watts = zip(*levels, strict=True)
        own = [float(np.interp(n * step, rates, watts)) for n in range(min(units, int(rates[-1] / step + 1e-9)) + 1)]
        cost = np.array([min(cost[u - n] + own[n] for n in range(min(u, len(own) - 1) + 1)) for u in range(units + 1)])
    return float(cost[-1])


def raised(curves: list[Levels], reserve: Reserve, low: float, high: float, budget: float) -> tuple[Group, SpareRange]:
    """Return a range of loads of the pool SS with a budget."""
    group = group_of(curves)
    found = SpareRange(sizes_of(points_of(group, group.cost_w, AT["SS"]), reserve), low, high)
    assert found.raise_to(budget)
    return group, found


def drawn_cost(one: SpareRange, load: float) -> tuple[float, bool]:
    """Return the cost that was drawn at a load, and whether it is known."""
    envelope = one.envelope[0]
    at = int(np.searchsorted(envelope["break_rps"][1 : envelope["num_pieces"]] + one.low_rps, load * (1 - 1e-9)))
    start, end = envelope["break_rps"][at] + one.low_rps, envelope["break_rps"][at + 1] + one.low_rps
    share = (load - start) / (end - start)
    left, right = envelope["left"][at], envelope["right"][at]
    return float(left + (right - left) * share), bool(envelope["option"][at] >= 0)


@pytest.mark.parametrize("curves", [CONCAVE, CONVEX], ids=["concave", "convex"])
@pytest.mark.parametrize("reserve", [0.2, 0.45, "n+1"])
def test_it_is_the_least_of_all_choices(curves: list[Levels], reserve: Reserve) -> None:
    """Tests loads from 0.1 to 1.6 requests/s, a tenth apart, at which all bends lie."""
    _, one = raised(curves, reserve, 0.0, 1.6, 400.0)
    for load in np.arange(0.1, 1.61, 0.1):
        cost, is_known = drawn_cost(one, float(load))
        assert is_known
        assert cost == pytest.approx(least_cost(curves, reserve, float(load)), rel=1e-6), load


@pytest.mark.parametrize("reserve", [0.2, "n+1"])
def test_instances_attain_it(reserve: Reserve) -> None:
    """Tests that instances carry the load, keep the reserve and cost as much as was drawn."""
    group, one = raised(CONVEX, reserve, 0.5, 1.6, 400.0)
    for load in np.linspace(0.51, 1.6, 23):
        parts = one.cheapest(float(load))
        assert sum(n * rate for _, n, rate in parts) == pytest.approx(load)
        sizes = np.repeat([group.curve(k)[0][-1] for k, _, _ in parts], [n for _, n, _ in parts])
        spare = sizes.sum() - sizes.max() if reserve == "n+1" else (1 - reserve) * sizes.sum()
        assert spare >= load * (1 - 1e-9)
        cost = sum(n * float(np.interp(rate, *group.curve(k))) for k, n, rate in parts)
        assert cost == pytest.approx(drawn_cost(one, float(load))[0], rel=1e-9)


@pytest.mark.parametrize("reserve", [0.2, "n+1"])
def test_a_small_budget_leaves_a_floor(reserve: Reserve) -> None:
    """Tests that nowhere more than the least cost is drawn, and it where it is said to be known."""
    _, one = raised(CONCAVE, reserve, 0.8, 1.6, 20.0)
    seen = set()
    for load in np.arange(0.9, 1.61, 0.1):
        (cost, is_known), least = drawn_cost(one, float(load)), least_cost(CONCAVE, reserve, float(load))
        assert cost <= least * (1 + 1e-6)
        seen.add(is_known)
        if is_known:
            assert cost == pytest.approx(least, rel=1e-6)
        else:
            assert cost == pytest.approx(one.line[0] + one.line[1] * load + 20.0)
    assert False in seen


def test_unknown_loads_are_told() -> None:
    """Tests that without a budget the whole range is unknown, and with a large one nothing of it."""
    group = group_of(CONCAVE)
    one = SpareRange(sizes_of(points_of(group, group.cost_w, AT["SS"]), 0.2), 0.5, 1.5)
    assert [ends.tolist() for ends in one.unknown] == [[0.5], [1.5]]
    one.raise_to(400.0)
    assert one.unknown[0].size == 0


def test_too_many_sums_leave_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests three near sizes with room for ten sums: what was known before stays, and it says that it is full."""
    group = group_of([list(zip(*curve, strict=True)) for curve in NEAR])
    one = SpareRange(sizes_of(points_of(group, group.cost_w, AT["SS"]), 0.1), 15.0, 20.0)
    monkeypatch.setattr("dynaopt.spare_range.ROOMS", (10,))
    assert not one.raise_to(30.0)
    assert (one.is_full, one.budget) == (True, 0.0)
    monkeypatch.undo()
    assert one.raise_to(30.0)
    assert (one.is_full, one.budget) == (False, 30.0)
