"""Tests answers between two prices of a limit."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile
from search_builders import AT, loads, only_group, three_mixes_problem

from dynaopt.blends import blend, blended_loads, kept_parts
from dynaopt.flat_problem import Group
from dynaopt.limit_price import Bracket, Tried
from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import PoolInstances, Workspace
from dynaopt.problem import Problem
from dynaopt.result import Termination
from dynaopt.solvers.greedy import Greedy


def spare_or_cheap(num_gpus: int, rate_rps: float = 80.0, classes: tuple[str, ...] = ("SS",)) -> Problem:
    """Pose a problem of TP2, 1 request/s at 60 W (30 W idle), and TP8, 8 requests/s at 640 W (200 W idle).

    A request/s takes 2 GPUs and 60 W, or 1 GPU and 80 W.
    """
    curves = [
        make_curve(tp, 1000, name, points)
        for name in classes
        for tp, points in ((2, [(0, 30), (1, 60)]), (8, [(0, 200), (8, 640)]))
    ]
    return make_problem(make_profile(curves), dict.fromkeys(classes, rate_rps), num_gpus=num_gpus)


def tried(pools: PlainPools, price_w: float, loads_rps: np.ndarray) -> Tried:
    """Return what pools do at a price and given loads."""
    pools.set_prices(np.array([price_w]))
    chosen = pools.instances(loads_rps)
    excess = sum(way.usage for way in chosen) - pools.group.limits
    cost_w = sum(way.cost_w for way in chosen) + price_w * float(excess[0])
    return Tried(np.array([price_w]), loads_rps, chosen, excess, cost_w, cost_w)


@pytest.mark.parametrize(
    ("num_gpus", "num_spare"),
    [(128, 4), (152, 1), (88, 9), (81, 10), (127, 5)],
)
def test_a_pool_runs_some_instances_either_way(num_gpus: int, num_spare: int) -> None:
    """Tests 80 requests/s: 80 TP2 take 160 GPUs, 10 TP8 80, and n TP8 with 80 - 8n TP2 take 160 - 8n.

    So n = (160 - GPUs) / 8, rounded up, at 640 n + 60 (80 - 8 n) W; no single price yields any but 0 and 10.
    """
    pools = PlainPools(only_group(spare_or_cheap(num_gpus)), Workspace())
    own = loads(SS=80.0)
    ends = Bracket(tried(pools, 19.0, own), tried(pools, 21.0, own))
    chosen = blend(pools, ends, [], own)
    assert chosen is not None
    way = chosen[AT["SS"]]
    assert way.cost_w == pytest.approx(640 * num_spare + 60 * (80 - 8 * num_spare))
    assert way.usage[0] == 160 - 8 * num_spare
    assert sum(n * rate for _, n, rate in way.parts) == pytest.approx(80.0)


@pytest.mark.parametrize(("num_gpus", "power_w"), [(128, 5440.0), (152, 4960.0), (88, 6240.0)])
def test_greedy_finds_and_proves_it(num_gpus: int, power_w: float) -> None:
    """Tests the same through the solver: at 20 W for a GPU both ways tie, and the bound is what the blend draws."""
    result = Greedy().solve(spare_or_cheap(num_gpus))
    assert result.termination is Termination.OPTIMAL
    assert result.power_w == pytest.approx(power_w)


def test_no_way_fits() -> None:
    """Tests 79 GPUs, of which 80 are needed."""
    pools = PlainPools(only_group(spare_or_cheap(79)), Workspace())
    own = loads(SS=80.0)
    assert blend(pools, Bracket(tried(pools, 19.0, own), tried(pools, 21.0, own)), [], own) is None


def test_ways_that_are_known_are_used() -> None:
    """Tests that what another price yielded at the same loads is among the ways, and at other loads is not."""
    pools = PlainPools(only_group(spare_or_cheap(128)), Workspace())
    own = loads(SS=80.0)
    ends = Bracket(tried(pools, 19.0, own), tried(pools, 21.0, own))
    cheap = PoolInstances(((0, 1, 1.0),), 1.0, np.array([2.0]))
    gift = replace(ends.low, chosen=[cheap] * 9)
    chosen = blend(pools, ends, [gift], own)
    assert chosen is not None
    assert chosen[AT["SS"]].cost_w == 1.0
    other = blend(pools, ends, [replace(gift, loads_rps=loads(SS=79.0))], own)
    assert other is not None
    assert other[AT["SS"]].cost_w == pytest.approx(5440.0)


@pytest.mark.parametrize(("num_gpus", "ends_w"), [(128, (2.0, 4.0)), (128, (300.0, 400.0)), (90, (1.0, 1.5))])
def test_prices_are_moved_until_they_straddle_the_limit(num_gpus: int, ends_w: tuple[float, float]) -> None:
    """Tests ends both of which are too cheap, or both too dear, for 20 W is where the pool changes."""
    pools = PlainPools(only_group(spare_or_cheap(num_gpus)), Workspace())
    own = loads(SS=80.0)
    chosen = blend(pools, Bracket(*(tried(pools, price_w, own) for price_w in ends_w)), [], own)
    assert chosen is not None
    num_spare = -(-(160 - num_gpus) // 8)
    assert chosen[AT["SS"]].cost_w == pytest.approx(640 * num_spare + 60 * (80 - 8 * num_spare))


def two_models(num_gpus: int) -> Group:
    """Return a group of two models of SS and MM, which MM may serve."""
    problem = spare_or_cheap(num_gpus, 10.0, ("SS", "MM"))
    profile = next(iter(problem.profiles.values()))
    other = replace(profile, metadata=profile.metadata.model_copy(update={"model": "other"}))
    rates = problem.demand.rate_rps["tiny-model"]
    demand = replace(
        problem.demand, rate_rps={"tiny-model": rates, "other": rates}, peak_factor={"tiny-model": 1.0, "other": 1.0}
    )
    return only_group(problem.replace(demand=demand, profiles={"tiny-model": profile, "other": other}))


def end(group: Group, loads_rps: np.ndarray, costs_w: dict[int, float], taken: dict[int, float]) -> Tried:
    """Make one end of a bracket of given costs and GPUs of some pools."""
    chosen = [PoolInstances((), costs_w.get(p, 0.0), np.array([taken.get(p, 0.0)])) for p in range(len(group.pools))]
    excess = sum(way.usage for way in chosen) - group.limits
    return Tried(np.zeros(1), loads_rps, chosen, excess, 0.0, 0.0)


def test_models_go_over_one_after_the_other() -> None:
    """Tests 50 GPUs, of which 30 are used; a first model saves 20 W a GPU for 16 more, a second 30 W for 10 more.

    The second goes over whole, and the first 10 / 16 of the way with the 10 GPUs that are left.
    """
    group = two_models(50)
    scarce = np.concatenate([loads(SS=4.0, MM=16.0), loads(SS=4.0, MM=16.0)])
    cheap = np.concatenate([loads(SS=8.0, MM=12.0), loads(SS=10.0, MM=10.0)])
    first, second = AT["MM"], 9 + AT["MM"]
    high = end(group, scarce, {first: 1000.0, second: 1000.0}, {first: 15.0, second: 15.0})
    low = end(group, cheap, {first: 680.0, second: 700.0}, {first: 31.0, second: 25.0})
    _, blended, *others = blended_loads(group, Bracket(low, high), [high, low])
    assert blended[9:].tolist() == cheap[9:].tolist()
    assert blended[:9] == pytest.approx(loads(SS=4 + 4 * 10 / 16, MM=16 - 4 * 10 / 16))
    assert [one.tolist() for one in others] == [scarce.tolist(), cheap.tolist()]


def test_each_model_does_as_at_the_price_that_suits_the_others() -> None:
    """Tests two ways of each of two models within 50 GPUs, and a third of one that takes too many.

    The first goes over: 680 + 1000 W on 46 GPUs, where 1000 + 700 W take 40, and 680 + 700 W would take 56.
    """
    group = two_models(50)
    scarce = np.concatenate([loads(SS=4.0, MM=16.0), loads(SS=4.0, MM=16.0)])
    cheap = np.concatenate([loads(SS=8.0, MM=12.0), loads(SS=10.0, MM=10.0)])
    first, second = AT["MM"], 9 + AT["MM"]
    high = end(group, scarce, {first: 1000.0, second: 1000.0}, {first: 15.0, second: 15.0})
    low = end(group, cheap, {first: 680.0, second: 700.0}, {first: 31.0, second: 25.0})
    third = end(group, cheap, {first: 600.0, second: 1000.0}, {first: 45.0, second: 15.0})
    picked, *_ = blended_loads(group, Bracket(low, high), [high, low, third])
    assert picked.tolist() == [*cheap[:9], *scarce[9:]]


def test_loads_that_agree_are_not_tried_twice() -> None:
    """Tests that one candidate is left where both ends have the same loads."""
    group = two_models(50)
    same = np.concatenate([loads(SS=4.0, MM=16.0)] * 2)
    assert len(blended_loads(group, Bracket(end(group, same, {0: 1.0}, {0: 60.0}), end(group, same, {}, {})), [])) == 1


def test_a_mixed_pool_is_not_opened_in_part() -> None:
    """Tests a model whose ends open different pools: it stays where it keeps the limit, when it does not fit whole."""
    group = only_group(three_mixes_problem({"SM": 1.0, "SL": 1.0}, num_gpus=40))
    mixed = group.families[0][-1].mixed[0]
    apart = np.zeros(len(group.pools))
    apart[[AT["SM"], AT["SL"]]] = 1.0
    together = np.zeros(len(group.pools))
    together[mixed] = 2.0
    high, low = end(group, apart, {0: 500.0}, {0: 36.0}), end(group, together, {0: 300.0}, {0: 48.0})
    assert [one.tolist() for one in blended_loads(group, Bracket(low, high), [])] == [apart.tolist(), together.tolist()]
    fits = end(group, together, {0: 300.0}, {0: 40.0})
    assert blended_loads(group, Bracket(fits, high), [])[0].tolist() == together.tolist()


def test_kept_parts() -> None:
    """Tests a third and two thirds of 3 instances at 2 requests/s and of 1 at 5: 1 and 2 of the former, none else."""
    way = PoolInstances(((0, 3, 2.0), (4, 1, 5.0)), 0.0, np.zeros(1))
    kept = kept_parts(way, 11.0, np.array([0.34, 0.35, 0.67]))
    assert kept == [([(0, 1, 2.0)], 9.0), ([(0, 2, 2.0)], 7.0)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_and_all_are_not_parts(share: float) -> None:
    """Tests that a way is not offered whole again, nor nothing of it."""
    way = PoolInstances(((0, 3, 2.0),), 0.0, np.zeros(1))
    assert kept_parts(way, 6.0, np.array([share])) == []
