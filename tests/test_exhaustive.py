"""Tests of `dynaopt.solvers.exhaustive`."""

import ast
from pathlib import Path

import pytest
from builders import make_curve, make_problem, make_profile

import dynaopt
from dynaopt.errors import InvalidInputError
from dynaopt.problem import Problem
from dynaopt.result import Termination
from dynaopt.solvers import exhaustive
from dynaopt.solvers.exhaustive import Exhaustive


def pose(rates: dict[str, float], **options: object) -> Problem:
    """Pose a problem with TP2 and TP4 for SS and LL."""
    curves = [make_curve(2, 1000, c, [(0, 100), (1, 200)]) for c in ("SS", "LL")]
    curves += [make_curve(4, 1000, c, [(0, 200), (3, 350)]) for c in ("SS", "LL")]
    return make_problem(make_profile(curves), rates, **{"num_gpus": 8, **options})  # type: ignore[arg-type]


def placements(problem: Problem) -> list[list[tuple[int, int]]]:
    """Return (pool, tp) of every instance of every placement."""
    return [[(p, option.tp) for p, option in placement] for placement, _ in exhaustive._ways(problem)]


def test_every_placement_once() -> None:
    """Tests that all numbers of TP2 and TP4 in one pool within 8 GPUs are tried: 5 + 3 + 1 of them."""
    found = placements(pose({"LL": 1.0}))
    assert len(found) == 9
    assert sorted(map(len, found)) == [0, 1, 1, 2, 2, 2, 3, 3, 4]
    assert all(p == 8 for placement in found for p, _ in placement)


def test_both_pools() -> None:
    """Tests that a class that can be promoted is tried in both pools: 1 + 2 + 5 + 8 + 14 ways to fill 0 to 8 GPUs.

    With two kinds of 2 GPUs and two of 4, n units of 2 GPUs can be filled in Σ_j (j + 1)(n − 2 j + 1) ways.
    """
    expected = sum((j + 1) * (n - 2 * j + 1) for n in range(5) for j in range(n // 2 + 1))
    assert len(placements(pose({"SS": 1.0}))) == expected


def test_fixed_mix_is_kept() -> None:
    """Tests that with a fixed mix only placements with just these numbers are tried, idle pools included."""
    found = placements(pose({"LL": 1.0}, fixed_mix={"tiny-model": {2: 1, 4: 1}}))
    assert len(found) == 4
    assert all(sorted(tp for _, tp in placement) == [2, 4] for placement in found)
    assert placements(pose({"LL": 1.0}, fixed_mix={"tiny-model": {2: 9}})) == []


def test_least_first() -> None:
    """Tests that placements come in the order of the least that they can draw."""
    least = [power_w for _, power_w in exhaustive._ways(pose({"LL": 1.0}))]
    assert least == sorted(least)
    assert least[0] == 0.0
    assert least[-1] == 400.0


def test_too_large_is_refused() -> None:
    """Tests that a problem with too many placements is refused, with what to use instead."""
    with pytest.raises(InvalidInputError, match=r"20,000 ways .* use 'highs'"):
        dynaopt.solve(pose({"SS": 1.0}, num_gpus=320), solver="exhaustive")


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that at the limit the best answer so far is feasible and no more, or there is none."""
    problem = pose({"SS": 2.0, "LL": 3.0})
    assert Exhaustive().solve(problem, time_limit_s=1e-9).termination is Termination.NO_SOLUTION_FOUND
    clock = iter(range(10_000))
    monkeypatch.setattr(exhaustive.time, "perf_counter", lambda: float(next(clock)))
    stopped = [Exhaustive().solve(problem, time_limit_s=float(n)) for n in range(1, 120)]
    seen = [r for r in stopped if r.termination is Termination.FEASIBLE]
    assert seen
    assert all(r.lower_bound_w == 0.0 and r.reason == "the time limit was reached" for r in seen)


def test_instances_may_lie_in_the_valley() -> None:
    """Tests that curves that fall are searched in full: two at 1 request/s draw 2 · 40 W, one at 2 draws 300 W."""
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 100), (1, 40), (2, 300)])])
    result = dynaopt.solve(make_problem(profile, {"SS": 2.0}, num_gpus=8), solver="exhaustive")
    assert result.power_w == pytest.approx(80.0)
    assert result.termination is Termination.OPTIMAL
    assert result.lower_bound_w == result.power_w


def test_written_apart_from_formulation_and_pruning() -> None:
    """Tests that the oracle imports neither the program nor the pruning that it is to judge."""
    tree = ast.parse(Path(exhaustive.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "dynaopt.problem" in imported
    assert not imported & {"dynaopt.formulation", "dynaopt.pruning", "dynaopt.linear_model"}
