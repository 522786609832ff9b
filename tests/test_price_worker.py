"""Tests of `dynaopt.price_worker`."""

import pandas as pd
import pytest
from builders import make_curve, make_problem, make_profile, same_for_all_classes

import dynaopt
from dynaopt.price_changes import Change
from dynaopt.price_difference import Difference, Proved
from dynaopt.price_worker import Asked, PriceTask, Solved, difference_of, is_same, solve_all, usable_gpus
from dynaopt.problem import Problem
from dynaopt.window_task import Task

PROFILE = make_profile(
    [*same_for_all_classes(4, 1000, [(0, 100), (10, 600)]), *same_for_all_classes(8, 1000, [(0, 300), (20, 1200)])]
)
MORE_GPUS = Change(kind="gpu", item="cluster", step=1.0)


def task_of(problem: Problem, **changes: object) -> PriceTask:
    """Make the task that solves a problem's window."""
    fields = {"profiles": problem.profiles, "slo": problem.slo, "cluster": problem.cluster, "solver": "greedy"}
    return PriceTask(Task(**{**fields, "time_limit_s": None, "gap_tolerance": 0.0, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("num_gpus", "usable"), [(3, 0), (4, 4), (7, 4), (11, 8)])
def test_usable_gpus(num_gpus: int, usable: int) -> None:
    """Tests that of 11 GPUs instances of 4 and 8 can take 8."""
    assert usable_gpus(make_problem(PROFILE, {"SS": 1.0}, num_gpus=num_gpus)) == usable


def test_usable_gpus_without_any_configuration() -> None:
    """Tests that with nothing to run all GPUs stay."""
    problem = make_problem(PROFILE, {"SS": 1.0}, num_gpus=7)
    assert usable_gpus(problem.replace(slo=problem.slo.scaled(1e-6))) == 7


def test_a_solve_says_what_the_whole_problem_says() -> None:
    """Tests that 15 requests/s on 11 GPUs have the answer of HiGHS, and 25 none, because of 11 GPUs and not of 8."""
    problem = make_problem(PROFILE, {"SS": 15.0}, num_gpus=11)
    result = task_of(problem).solve(Asked(problem.demand, None))
    assert result.power_w == pytest.approx(dynaopt.solve(problem, solver="highs", gap_tolerance=0.0).power_w)
    more = make_problem(PROFILE, {"SS": 25.0}, num_gpus=11)
    assert "needs 12 GPUs of 11" in task_of(more).solve(Asked(more.demand, None)).reason


def test_solves_come_in_order_and_refusals_among_them() -> None:
    """Tests a change that cannot be made between two that can: 5 requests/s take 350 W, 6 take 400 W."""
    problem = make_problem(PROFILE, {"SS": 5.0}, num_gpus=16)
    changes = [None, *(Change(kind="request_class", model="tiny-model", item="SS", step=s) for s in (-6.0, 1.0))]
    found = solve_all(task_of(problem), [Asked(problem.demand, c) for c in changes], 1)
    assert [s.proved and round(s.proved.power_w) for s in found] == [350, None, 400]
    assert [s.termination for s in found] == ["optimal", None, "optimal"]
    assert "expected at least 6, got 5 requests/s" in found[1].reason


def test_gpu_prices_are_part_of_the_objective() -> None:
    """Tests that the objective has the price of the GPUs in use: 350 W and 4 times 10 W."""
    problem = make_problem(PROFILE, {"SS": 5.0}, num_gpus=16)
    start = pd.Timestamp(problem.demand.start)
    (found,) = solve_all(task_of(problem, gpu_price_w={start: 10.0}), [Asked(problem.demand, None)], 1)
    assert found.proved is not None
    assert (found.proved.power_w, found.proved.objective_w) == pytest.approx((350.0, 390.0))
    assert found.proved.bound_w == pytest.approx(390.0)


def solved(objective_w: float, bound_w: float, num_gpus: int = 4) -> Solved:
    """Make what a solve said whose objective is its power."""
    proved = Proved(power_w=objective_w, objective_w=objective_w, bound_w=bound_w)
    return Solved(proved=proved, num_gpus=num_gpus, termination="feasible", reason="")


def gpu_price(before: Solved, after: Solved, **cluster: object) -> Difference:
    """Return the price of a GPU more than 16 where two solves said this."""
    problem = make_problem(PROFILE, {"SS": 5.0}, **{"num_gpus": 16, **cluster})  # type: ignore[arg-type]
    return difference_of(task_of(problem), problem.demand, MORE_GPUS, before, after)


def test_an_unused_gpu_that_stays_on_costs_what_it_draws() -> None:
    """Tests 70 W for one GPU more whether the solves have gaps or not, and none where it is given back."""
    before, after = solved(600.0, 595.0), solved(670.0, 665.0)
    on = gpu_price(before, after, unused_gpus="on")
    assert (on.objective_w, on.lower_w, on.upper_w) == (70, 70, 70)
    released = gpu_price(before, before)
    assert (released.lower_w, released.upper_w) == (0, 0)


def test_gpus_that_no_instance_can_take_are_worth_nothing() -> None:
    """Tests that 16 and 17 GPUs are the same where degrees are 4 and 8, however wide the gaps; 19 and 20 are not."""
    before, after = solved(600.0, 100.0, 16), solved(600.0, 90.0, 16)
    assert gpu_price(before, after).lower_w == 0
    open_ends = gpu_price(solved(600.0, 100.0, 16), solved(590.0, 90.0, 20), num_gpus=19)
    assert (open_ends.lower_w, open_ends.objective_w, open_ends.upper_w) == (-510, -10, 0)


def test_under_a_power_cap_a_gpu_that_stays_on_may_cost() -> None:
    """Tests that nothing is concluded from widening there, since each GPU more draws power under the same cap."""
    found = gpu_price(solved(600.0, 595.0), solved(690.0, 685.0), unused_gpus="on", power_cap_w=700.0)
    assert (found.objective_w, found.upper_w) == (90, 95)


def test_a_cap_that_does_not_bind_is_worth_nothing() -> None:
    """Tests that an answer below both caps serves under both, whatever the gaps."""
    change = Change(kind="power_cap", item="cluster", step=-1.0)
    problem = make_problem(PROFILE, {"SS": 5.0}, power_cap_w=700.0)
    found = difference_of(task_of(problem), problem.demand, change, solved(600.0, 500.0), solved(620.0, 500.0))
    assert (found.objective_w, found.lower_w) == (0.0, 0.0)
    bound = difference_of(task_of(problem), problem.demand, change, solved(699.5, 699.5), solved(799.5, 799.5))
    assert bound.objective_w == 100


def test_what_has_no_answer_has_no_difference() -> None:
    """Tests that it is refused."""
    problem = make_problem(PROFILE, {"SS": 5.0})
    nothing = Solved(proved=None, num_gpus=0, termination="infeasible", reason="")
    with pytest.raises(ValueError, match="answers that there are not"):
        difference_of(task_of(problem), problem.demand, MORE_GPUS, nothing, nothing)


def test_what_makes_problems_the_same() -> None:
    """Tests that objectives that no curve comes near do not matter, and those that cut a curve do."""
    curve = make_curve(2, 1000, "LL", [(0, 100), (2, 300)], ttft_p99_s=[0.01, 4.0])
    problem = make_problem(make_profile([curve]), {"LL": 1.0}, num_gpus=4)
    assert is_same(problem, problem.replace(slo=problem.slo.shifted(tbt_s=0.01)))
    assert not is_same(problem, problem.replace(slo=problem.slo.shifted(ttft_s=0.01)))
    assert not is_same(problem, problem.replace(slo=problem.slo.scaled(1e-6)))
    assert is_same(problem, problem.replace(num_gpus=5))
    assert not is_same(problem, problem.replace(num_gpus=6))


def test_a_curve_alone() -> None:
    """Tests that one degree alone is what GPUs come in."""
    profile = make_profile([make_curve(2, 1000, "SS", [(0, 1), (1, 2)])])
    assert usable_gpus(make_problem(profile, {"SS": 1.0}, num_gpus=5)) == 4
