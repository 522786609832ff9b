"""Tests where instances of pools with spare capacity may sit."""

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from search_builders import AT, only_group, two_size_problem

from dynaopt.spare_points import Points, points_of


def points(*curves: tuple[int, list[tuple[float, float]]]) -> Points:
    """Return those of the pool SS with one curve for each degree."""
    profile = make_profile([make_curve(tp, 1000, "SS", levels) for tp, levels in curves])
    group = only_group(make_problem(profile, {"SS": 1.0}))
    return points_of(group, group.cost_w, AT["SS"])


def test_points_are_the_ends_of_concave_curves() -> None:
    """Tests TP2, 50 to 100 W, and TP8, whose bend at 1 request/s is concave: idle and full, and no bend."""
    group = only_group(two_size_problem({"SS": 1.0}))
    found = points_of(group, group.cost_w, AT["SS"])
    assert found.point.tolist() == [[0, 1, 50], [1, 1, 100], [0, 4, 100], [4, 4, 320]]
    assert [group.options[k].tp for k in found.point_option] == [2, 2, 8, 8]
    assert found.part[1:].tolist() == [[0, 1, 50, 100, 1], [0, 1, 100, 200, 4], [1, 4, 200, 320, 4]]


def test_no_instance_is_a_part_too() -> None:
    """Tests that the first part is no instance at all, which costs nothing and has no capacity."""
    found = points((2, [(0, 50), (1, 100)]))
    assert (found.part[0].tolist(), found.part_option[0]) == ([0.0] * 5, -1)


def test_a_convex_bend_is_a_point() -> None:
    """Tests 10 W to 0.5 requests/s and 240 W from there to 1."""
    found = points((2, [(0, 50), (0.5, 60), (1, 300)]))
    assert found.point.tolist() == [[0, 1, 50], [0.5, 1, 60], [1, 1, 300]]


def test_dominated_points_are_left_out() -> None:
    """Tests TP4 as large as TP2 and dearer, idle and full, and one of two alike."""
    curve = [(0.0, 50.0), (1.0, 100.0)]
    found = points((2, curve), (4, [(0, 70), (1, 130)])).up_to(np.inf)
    assert found.point.tolist() == [[0, 1, 50], [1, 1, 100]]
    assert len(points((2, curve), (4, curve)).up_to(np.inf).point) == 2


def test_only_small_instances_are_kept() -> None:
    """Tests that a large instance that is cheaper does not stand in for a small one where it is not allowed."""
    group = only_group(two_size_problem({"SS": 1.0}))
    both = points_of(group, np.where(group.breaks_rps >= 0, group.cost_w, 0.0), AT["SS"])
    small = both.up_to(1.0)
    assert small.point.tolist() == [[0, 1, 50], [1, 1, 100]]
    assert small.part[:, 4].max() == pytest.approx(1.0)
    cheap_large = points((2, [(0, 50), (1, 100)]), (8, [(0, 40), (4, 90)]))
    assert cheap_large.up_to(np.inf).point.tolist() == [[0, 4, 40], [4, 4, 90]]
    assert cheap_large.up_to(1.0).point.tolist() == [[0, 1, 50], [1, 1, 100]]


def test_a_pool_without_options_has_no_points() -> None:
    """Tests the pool SL, where nothing runs."""
    group = only_group(two_size_problem({"SS": 1.0}))
    assert points_of(group, group.cost_w, AT["SL"]).point.shape == (0, 3)
