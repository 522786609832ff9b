"""Tests of `dynaopt.infeasibility`: the cause is the right one, and every change that is offered helps."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile

import dynaopt
from dynaopt import infeasibility
from dynaopt.infeasibility import explain
from dynaopt.problem import Problem
from dynaopt.profile import LoadCurve

PLAIN = [(0, 100), (1, 200), (2, 300)]


def curve(request_class: str, ttft_s: float = 2.0) -> LoadCurve:
    """Return the plain curve with a TTFT that rises from 10 ms to `ttft_s` at 2 requests/s."""
    return make_curve(2, 1000, request_class, PLAIN, ttft_p99_s=[0.01, (0.01 + ttft_s) / 2, ttft_s])


def pose(rates: dict[str, float], ttft_s: float = 0.02, **options: object) -> Problem:
    """Pose a problem with that curve for each class that arrives, on 4 GPUs."""
    profile = make_profile([curve(c, ttft_s) for c in rates])
    return make_problem(profile, rates, **{"num_gpus": 4, **options})  # type: ignore[arg-type]


def feasible(problem: Problem) -> bool:
    """Tell whether HiGHS finds an answer."""
    return dynaopt.solve(problem, solver="highs").termination.has_solution


def test_one_class_and_gpus() -> None:
    """Tests that a single class is named with the GPUs that it needs: 5 / 2 requests/s make three TP2."""
    problem = pose({"LL": 5.0})
    text = explain(problem)
    assert text == "class LL in window 2024-05-14 18:05 needs 6 GPUs of 4; it fits with 6 GPUs"
    assert not feasible(problem)
    assert feasible(problem.replace(num_gpus=6))


def test_looser_slo_is_offered() -> None:
    """Tests that the TTFT that is offered fits, and the next smaller one that is tried does not.

    The TTFT rises to 4 s at 2 requests/s; two TP2 for 3.6 requests/s need 1.8 each, so about 3.6 s instead of 2 s.
    """
    problem = pose({"LL": 3.6}, ttft_s=4.0)
    text = explain(problem)
    found = re.search(r"it fits at a TTFT of ([0-9.]+) s instead of 2 s, or with 8 GPUs$", text)
    assert found, text
    offered = float(found[1]) / 2.0
    assert 1.8 <= offered <= 2.0
    changed = replace(problem.slo, ttft_s=tuple(t * offered for t in problem.slo.ttft_s))
    assert feasible(problem.replace(slo=changed))
    assert not feasible(problem.replace(slo=problem.slo.scaled(1.75)))


def test_several_classes_name_the_largest() -> None:
    """Tests that with several classes the window is named, and the class that takes most."""
    text = explain(pose({"SS": 1.0, "LL": 6.0}))
    assert text.startswith("window 2024-05-14 18:05 needs 8 GPUs of 4, about 6 of them for class LL; it fits ")


def test_headroom_is_offered() -> None:
    """Tests that less headroom is offered: 4 requests/s are just what two TP2 carry without any."""
    problem = pose({"LL": 4.0}, headroom=0.4)
    text = explain(problem)
    assert "with a headroom of 0 instead of 0.4" in text
    assert feasible(problem.replace(headroom=0.0))


def test_part_of_the_headroom_is_enough() -> None:
    """Tests that no more headroom is given up than a step of the ladder: 3.3 of 4 requests/s leave 21 %."""
    problem = pose({"LL": 3.3}, headroom=0.4)
    assert "with a headroom of 0.2 instead of 0.4" in explain(problem)
    assert feasible(problem.replace(headroom=0.2))


def test_reserve_is_named_and_offered() -> None:
    """Tests that a reserve is named as part of the need, and a smaller one is offered."""
    problem = pose({"LL": 3.0}, reserve=0.4)
    text = explain(problem)
    assert "needs 6 GPUs of 4 with a reserve of 0.4" in text
    assert "with a reserve of 0.2 instead of 0.4" in text
    assert feasible(problem.replace(reserve=0.2))


def test_n_plus_one_is_named_and_offered() -> None:
    """Tests that n+1 is named as part of the need, and going without is offered."""
    text = explain(pose({"LL": 3.0}, reserve="n+1"))
    assert "needs 6 GPUs of 4 with n+1; it fits without n+1, or with 6 GPUs" in text


def test_n_plus_one_counts_the_largest() -> None:
    """Tests that n+1 needs capacity beside the largest instance: 3 requests/s on a TP4 of 4 need a second one."""
    curves = [make_curve(2, 1000, "LL", [(0, 100), (1, 200)]), make_curve(4, 1000, "LL", [(0, 100), (4, 500)])]
    problem = make_problem(make_profile(curves), {"LL": 3.0}, num_gpus=4, reserve="n+1")
    assert "needs 8 GPUs of 4 with n+1" in explain(problem)
    assert not feasible(problem.replace(num_gpus=7))
    assert feasible(problem.replace(num_gpus=8))


def test_no_configuration() -> None:
    """Tests that a class without configuration is named with its bounds and the nearest curve."""
    problem = pose({"LL": 1.0})
    text = explain(problem.replace(slo=problem.slo.scaled(0.001)))
    assert text.startswith(
        "class LL in window 2024-05-14 18:05 keeps its SLO (TTFT 0.002 s, TBT 0.0001 s) on no configuration: unloaded,"
        " TP2 at 1000 MHz comes nearest with a TTFT of 0.01 s and a TBT of 0.01 s"
    )


def test_slo_that_no_factor_reaches_gets_no_promise() -> None:
    """Tests that nothing is offered that does not fit."""
    problem = pose({"LL": 1.0})
    assert "it fits" not in explain(problem.replace(slo=problem.slo.scaled(1e-6)))


def test_no_curve() -> None:
    """Tests that a class of which the profile has no curve is told so."""
    profile = make_profile([curve("SS")])
    assert "LL" in (text := explain(make_problem(profile, {"LL": 1.0})))
    assert text.endswith("on no configuration, for the profile has no curve of it")


def test_power_cap() -> None:
    """Tests that a cap is named with the least power, which then fits: 250 W."""
    problem = pose({"LL": 1.5}, power_cap_w=200.0)
    text = explain(problem)
    assert text == "window 2024-05-14 18:05 needs 250 W of a power cap of 200 W; it fits with a cap of 250 W"
    assert feasible(problem.replace(power_cap_w=250.0))


def test_fixed_mix_that_is_too_small() -> None:
    """Tests that the share that a mix carries is named: one TP2 carries 2 of 3 requests/s."""
    problem = pose({"LL": 3.0}, fixed_mix={"tiny-model": {2: 1}})
    assert explain(problem) == (
        "the fixed mix carries at most 66.6 % of what arrives in window 2024-05-14 18:05; it fits without the fixed mix"
    )


def test_fixed_mix_of_a_degree_that_keeps_no_slo() -> None:
    """Tests that a mix is told which of its degrees keeps no SLO."""
    slow = make_curve(4, 1000, "LL", PLAIN, ttft_p99_s=[9.0, 9.0, 9.0])
    profile = make_profile([curve("LL"), slow])
    problem = make_problem(profile, {"LL": 1.0}, fixed_mix={"tiny-model": {2: 1, 4: 1}})
    assert explain(problem).startswith("the fixed mix wants TP4 of tiny-model, which keeps the SLO of no class")


def test_fixed_mix_that_takes_too_many_gpus() -> None:
    """Tests that the GPUs of the mix are named."""
    assert explain(pose({"LL": 1.0}, fixed_mix={"tiny-model": {2: 3}})).startswith("the fixed mix takes 6 GPUs of 4")


def test_models_are_named_where_there_are_several() -> None:
    """Tests that with two models the class comes with its model."""
    a, b = (make_profile([curve("LL", 0.02)], model=name) for name in ("a", "b"))
    window = pose({"LL": 1.0}).demand
    rates = {"a": np.array([0.0] * 8 + [1.0]), "b": np.array([0.0] * 8 + [9.0])}
    window = replace(window, rate_rps=rates, peak_factor={"a": 1.0, "b": 1.0})
    text = explain(window.problem([a, b], num_gpus=4, headroom=0.0))
    assert "needs 12 GPUs of 4, about 9 of them for class LL of b" in text


@pytest.mark.parametrize("rates", [{"SS": 1.0, "LL": 1.0}])
def test_feasible_problem_blames_nothing(rates: dict[str, float]) -> None:
    """Tests that no limit is blamed that holds."""
    assert explain(pose(rates)) == "window 2024-05-14 18:05 has no allocation that keeps every limit"


def test_a_passed_deadline_leaves_the_window() -> None:
    """Tests that without any time the window is named, nothing is promised, and the lack of time is told."""
    text = explain(pose({"LL": 5.0}), deadline_s=time.perf_counter())
    assert text == (
        "window 2024-05-14 18:05 has no allocation that keeps every limit (the time limit left no time to look further)"
    )


def test_what_was_found_by_the_deadline_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the cause and the first change are kept where time runs out while others are looked for."""
    problem = pose({"LL": 3.6}, ttft_s=4.0)
    whole = explain(problem)
    first = whole.split(", or ")[0]

    def stop(*_: object) -> None:
        raise infeasibility._OutOfTimeError

    monkeypatch.setattr(infeasibility, "_headroom_change", stop)
    assert explain(problem) == f"{first} (the time limit left no time to look further)"


def test_no_configuration_needs_no_time() -> None:
    """Tests that a class that keeps its SLO on no configuration is named even without time."""
    problem = pose({"LL": 1.0})
    text = explain(problem.replace(slo=problem.slo.scaled(0.001)), deadline_s=time.perf_counter())
    assert text.startswith("class LL in window 2024-05-14 18:05 keeps its SLO")
    assert text.endswith("(the time limit left no time to look further)")


@pytest.mark.parametrize("solver", ["greedy", "exact", "highs"])
def test_solvers_pass_their_deadline_on(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an infeasible problem under a time limit is explained until that limit, and without one for good."""
    seen: list[float] = []

    def note(problem: Problem, *, deadline_s: float = np.inf) -> str:
        seen.append(deadline_s)
        return "noted"

    for module in ("greedy", "milp"):
        monkeypatch.setattr(f"dynaopt.solvers.{module}.explain", note)
    before = time.perf_counter()
    assert dynaopt.solve(pose({"LL": 5.0}), solver=solver, time_limit_s=30.0).reason == "noted"
    assert before + 30 <= seen[0] <= time.perf_counter() + 30
    dynaopt.solve(pose({"LL": 5.0}), solver=solver)
    assert seen[1] == np.inf
