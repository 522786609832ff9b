"""Tests of `dynaopt.allocation`."""

import pytest
from builders import make_metadata, make_problem, make_profile, same_for_all_classes

from dynaopt.allocation import Load, Route, make_allocation
from dynaopt.profile import Profile

TINY = make_profile(same_for_all_classes(2, 1000, [(0, 100), (2, 300), (4, 400)]))


def test_power_is_counted_from_instances_and_curves() -> None:
    """Tests that two instances at 3 requests/s (350 W) and one at 1 (200 W) draw 900 W."""
    problem = make_problem(TINY, {"SS": 7})
    option = problem.pools[0].options[0]
    loads = [
        Load(pool=0, option=option, num_instances=2, rate_rps=3.0),
        Load(pool=0, option=option, num_instances=1, rate_rps=1.0),
    ]
    allocation = make_allocation(problem, loads, [(0, 0, 7.0)])
    assert allocation.power_w == pytest.approx(900)
    assert (allocation.num_instances, allocation.num_gpus) == (3, 6)
    assert [g.power_per_instance_w for g in allocation.groups] == [200, 350]
    assert allocation.routes == (Route(model="tiny-model", request_class="SS", pool="SS", rate_rps=7.0),)


def test_hosts_and_unused_gpus_are_counted() -> None:
    """Tests that one TP2 instance at 400 W, two GPUs' hosts at 100 W each and six unused GPUs at 70 W draw 1,020 W."""
    profile = Profile(metadata=make_metadata(host_w=800, gpu_on_w=70), curves=TINY.curves)
    problem = make_problem(profile, {"SS": 4}, num_gpus=8, unused_gpus="on")
    load = Load(pool=0, option=problem.pools[0].options[0], num_instances=1, rate_rps=4.0)
    assert make_allocation(problem, [load], [(0, 0, 4.0)]).power_w == pytest.approx(400 + 200 + 420)


def test_what_is_zero_is_left_out() -> None:
    """Tests that an option that nobody runs and a route that carries nothing do not appear."""
    problem = make_problem(TINY, {})
    load = Load(pool=0, option=problem.pools[0].options[0], num_instances=0, rate_rps=0.0)
    allocation = make_allocation(problem, [load], [(0, 0, 0.0)])
    assert (allocation.groups, allocation.routes, allocation.power_w) == ((), (), 0)


def test_promoted_requests_name_class_and_pool() -> None:
    """Tests that a route from SS to the LL pool says so, and that groups come in the order of the pools."""
    problem = make_problem(TINY, {"SS": 1, "LL": 1})
    loads = [Load(pool=p, option=problem.pools[p].options[0], num_instances=1, rate_rps=1.0) for p in (8, 0)]
    allocation = make_allocation(problem, loads, [(8, 8, 0.5), (0, 8, 0.5)])
    assert [g.pool for g in allocation.groups] == ["SS", "LL"]
    assert [(r.request_class, r.pool) for r in allocation.routes] == [("SS", "LL"), ("LL", "LL")]


def test_alike_instances_become_one_group() -> None:
    """Tests that 2 + 1 instances at 3 requests/s are one group of three, and one at 1 stays apart: 3 x 350 + 200 W."""
    problem = make_problem(TINY, {"SS": 10})
    option = problem.pools[0].options[0]
    loads = [Load(pool=0, option=option, num_instances=n, rate_rps=r) for n, r in ((2, 3.0), (1, 1.0), (1, 3.0))]
    allocation = make_allocation(problem, loads, [(0, 0, 10.0)])
    assert [(g.num_instances, g.rate_per_instance_rps) for g in allocation.groups] == [(1, 1.0), (3, 3.0)]
    assert allocation.power_w == pytest.approx(1250)


def test_the_price_of_gpus_is_in_the_objective_and_not_in_the_power() -> None:
    """Tests the 1,020 W of hosts and unused GPUs again: at 30 W a GPU in use the objective is 1,020 + 2 · 30 W."""
    profile = Profile(metadata=make_metadata(host_w=800, gpu_on_w=70), curves=TINY.curves)
    problem = make_problem(profile, {"SS": 4}, num_gpus=8, unused_gpus="on").replace(gpu_price_w=30.0)
    load = Load(pool=0, option=problem.pools[0].options[0], num_instances=1, rate_rps=4.0)
    allocation = make_allocation(problem, [load], [(0, 0, 4.0)])
    assert allocation.power_w == pytest.approx(1_020)
    assert allocation.objective_w == pytest.approx(1_080)


@pytest.mark.parametrize(("found_rps", "written_rps", "power_w"), [(4 + 1e-9, 4.0, 400), (-1e-9, 0.0, 100)])
def test_a_load_that_a_solver_rounded_is_put_back_on_the_curve(
    found_rps: float, written_rps: float, power_w: float
) -> None:
    """Tests loads just beyond the end of the curve and just below none: 4 requests/s and 0."""
    problem = make_problem(TINY, {"SS": 4})
    load = Load(pool=0, option=problem.pools[0].options[0], num_instances=1, rate_rps=found_rps)
    (group,) = make_allocation(problem, [load], []).groups
    assert (group.rate_per_instance_rps, group.power_per_instance_w) == (written_rps, power_w)
