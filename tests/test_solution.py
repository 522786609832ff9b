"""Tests of `dynaopt.solution`: floats of a solver become an allocation that holds exactly."""

import numpy as np
import pytest
from builders import make_curve, make_problem, make_profile

from dynaopt.check import check_allocation
from dynaopt.errors import SolverError
from dynaopt.formulation import Formulation, formulate
from dynaopt.problem import Problem
from dynaopt.solution import Instances, read_allocation, settle
from dynaopt.solvers import solve

PLAIN = [(0, 100), (1, 200), (2, 300)]


def two_pools(**options: object) -> Problem:
    """Pose SS 2.2 and LL 1 with the plain curve in both pools (0 and 8)."""
    profile = make_profile([make_curve(2, 1000, c, PLAIN) for c in ("SS", "LL")])
    return make_problem(profile, {"SS": 2.2, "LL": 1.0}, num_gpus=12, **options)  # type: ignore[arg-type]


def values_of(formulation: Formulation, given: dict[str, float]) -> np.ndarray:
    """Return a value for each variable, 0 where none is given; prefixes name the first variable of that start."""
    names = formulation.model.variable_names
    values = np.zeros(len(names))
    for prefix, value in given.items():
        values[next(n for n, name in enumerate(names) if name.startswith(prefix))] = value
    return values


def noisy(amount: float) -> np.ndarray:
    """Return a full instance of SS, and one of LL that takes the rest, off by `amount` here and there."""
    formulation = formulate(two_pools())
    names = formulation.model.variable_names
    # Points come first, so y[0,... and y[8,... are the full instances; the second of each pool is its first stretch.
    full = next(name for name in names if name.startswith("y[0,"))
    stretch = [name for name in names if name.startswith("y[8,")][1]
    return values_of(
        formulation,
        {
            full: 1 - amount,
            stretch: 1 + amount,
            stretch.replace("y", "x", 1): 0.2 + amount,
            "o[0]": 1,
            "o[8]": 1,
            "z[0,0]": 2.0 / 2.2 + amount,
            "z[0,8]": 0.2 / 2.2 - 2 * amount,
            "z[8,8]": 1 - amount,
        },
    )


@pytest.mark.parametrize("amount", [0.0, 1e-7, -1e-7, 1e-6])
def test_noise_is_taken_out(amount: float) -> None:
    """Tests that counts become whole, flows add up, and an instance pushed over its capacity gives load away."""
    problem = two_pools()
    allocation = read_allocation(formulate(problem), noisy(amount))
    assert not check_allocation(problem, allocation)
    assert allocation.num_instances == 2
    assert allocation.power_w == pytest.approx(520.0, rel=1e-5)
    served = {}
    for route in allocation.routes:
        served[route.request_class] = served.get(route.request_class, 0.0) + route.rate_rps
    assert served == pytest.approx({"SS": 2.2, "LL": 1.0}, rel=1e-12)
    for group in allocation.groups:
        assert group.rate_per_instance_rps <= 2.0 * (1 + 1e-12)


def test_dust_of_a_flow_is_swept_up() -> None:
    """Tests that 1e-14 of a class makes no route of its own, and nothing of it is lost."""
    problem = two_pools()
    held = {p: Instances() for p in (0, 8)}
    held[0].add(problem.pools[0].options[0], 2, 0.0, is_point=False)
    held[8].add(problem.pools[8].options[0], 1, 0.0, is_point=False)
    allocation = settle(problem, held, {(0, 0): 2.2 - 1e-14, (0, 8): 1e-14, (8, 8): 1.0})
    assert [(r.request_class, r.pool) for r in allocation.routes] == [("SS", "SS"), ("LL", "LL")]
    assert not check_allocation(problem, allocation)


def test_too_much_is_an_error() -> None:
    """Tests that an answer that is wrong, and not only rounded, is refused."""
    formulation = formulate(two_pools())
    values = noisy(0.0)
    names = formulation.model.variable_names
    values[[n for n, name in enumerate(names) if name.startswith("y[8,")]] = 0
    with pytest.raises(SolverError, match="beyond its capacity"):
        read_allocation(formulation, values)


def test_free_instance_takes_the_remainder_first() -> None:
    """Tests that loads at points stay, and the free instance takes what is left."""
    problem = two_pools()
    option = problem.pools[0].options[0]
    held = Instances()
    held.add(option, 1, 1.0, is_point=True)
    held.add(option, 1, 0.0, is_point=False)
    held.settle(1.7)
    assert held.loads_rps == pytest.approx([1.0, 0.7])
    assert held.free == 1
    assert held.capacity_rps == 4.0


def test_loads_spill_over_and_shrink() -> None:
    """Tests that what the free instance cannot take or give goes to the others."""
    option = two_pools().pools[0].options[0]
    held = Instances()
    held.add(option, 2, 1.0, is_point=True)
    held.add(option, 1, 1.5, is_point=False)
    held.settle(4.5)
    assert held.loads_rps == pytest.approx([1.5, 1.0, 2.0])
    held.settle(0.5)
    assert sum(held.loads_rps) == pytest.approx(0.5)
    assert min(held.loads_rps) >= 0


def test_settle_groups_equal_instances() -> None:
    """Tests that instances at one load become one group with their number."""
    problem = two_pools()
    option = problem.pools[8].options[0]
    held = Instances()
    held.add(option, 3, 1.0, is_point=True)
    held.add(option, 1, 0.0, is_point=False)
    allocation = settle(problem, {8: held}, {(0, 8): 2.2, (8, 8): 1.0})
    assert [(g.num_instances, round(g.rate_per_instance_rps, 9)) for g in allocation.groups] == [(1, 0.2), (3, 1.0)]
    assert not check_allocation(problem, allocation)


def test_reserve_is_kept_when_flows_move() -> None:
    """Tests that a pool is filled up to its capacity less the reserve, and not beyond."""
    problem = two_pools(reserve=0.2)
    held = {p: Instances() for p in (0, 8)}
    for p, count in ((0, 1), (8, 2)):
        held[p].add(problem.pools[p].options[0], count, 0.0, is_point=False)
    allocation = settle(problem, held, {(0, 0): 2.0, (0, 8): 0.2, (8, 8): 1.0})
    assert not check_allocation(problem, allocation)
    own = next(r for r in allocation.routes if r.pool == "SS")
    assert own.rate_rps == pytest.approx(0.8 * 2.0)


def test_n_plus_one_is_kept_when_flows_move() -> None:
    """Tests that of two instances of 2 requests/s one must carry all: 2.00005 are 0.00005 too many, which move on."""
    problem = two_pools(reserve="n+1")
    held = {p: Instances() for p in (0, 8)}
    for p in held:
        held[p].add(problem.pools[p].options[0], 2, 0.0, is_point=False)
    allocation = settle(problem, held, {(0, 0): 2.00005, (0, 8): 0.19995, (8, 8): 1.0})
    assert not check_allocation(problem, allocation)
    own = next(r for r in allocation.routes if r.pool == "SS")
    assert own.rate_rps == pytest.approx(2.0)


def test_scaling_of_cp_sat_leaves_n_plus_one_whole() -> None:
    """Tests a problem in which its answer had 1.36366 requests/s where 3 x 0.5 / 1.1 = 1.36364 are what n+1 leaves."""
    curves = [make_curve(tp, 1000, c, [(0, 60 * tp), (0.5 * tp, 60 * tp)]) for tp in (1, 2) for c in ("SS", "SL", "LS")]
    rates = {"SS": 1.0, "SL": 0.5, "LS": 0.5}
    problem = make_problem(make_profile(curves), rates, num_gpus=7, headroom=0.1, reserve="n+1")
    result = solve(problem, solver="cp-sat")
    assert result.allocation is not None
    assert result.power_w == pytest.approx(420)
    assert not check_allocation(problem, result.allocation)
