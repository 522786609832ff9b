"""Small groups of pools for tests of the tree search."""

import numpy as np
from builders import make_curve, make_problem, make_profile, with_mix

from dynaopt.flat_problem import Group, groups_of
from dynaopt.load_sets import NUM_CLASSES
from dynaopt.pool_value import POOL, fill_pools
from dynaopt.problem import Problem
from dynaopt.request_class import REQUEST_CLASSES

Curve = tuple[list[float], list[float]]
NEAR: list[Curve] = [([0.0, 1.0], [30.0, 100.0]), ([0.0, 0.97], [29.0, 97.1]), ([0.0, 1.31], [35.0, 131.4])]
"""Three sizes of 100, 100.1 and 100.3 W for each request/s when full: their sums are many, and most are undominated."""

AT = {name: number for number, name in enumerate(REQUEST_CLASSES)}


def two_size_problem(
    rates: dict[str, float], classes: tuple[str, ...] = ("SS", "MM", "LL"), **cluster: object
) -> Problem:
    """Pose a problem with two configurations: TP2 carries 1 request/s at 50 to 100 W, TP8 4 at 100 to 320 W.

    Pools of longer classes draw a tenth more for each step in the list of classes.
    """
    curves = [
        make_curve(tp, 1000, name, [(r, (1 + 0.1 * n) * w) for r, w in points])
        for n, name in enumerate(classes)
        for tp, points in ((2, [(0, 50), (1, 100)]), (8, [(0, 100), (1, 200), (4, 320)]))
    ]
    return make_problem(make_profile(curves), rates, **cluster)  # type: ignore[arg-type]


def three_mixes_problem(rates: dict[str, float], **cluster: object) -> Problem:
    """Pose a problem of TP2, 1 request/s, for SM, SL, LS and LM, and for mixes of two pairs of them and of all.

    It draws 55 to 110 W in the pools of classes and in the mix of all, and 50 to 100 W in those of the pairs.
    """
    mixes = {"ALL-S": ("SM", "SL"), "ALL-L": ("LS", "LM"), "ALL-both": ("SM", "SL", "LS", "LM")}
    profile = make_profile([make_curve(2, 1000, c, [(0, 55), (1, 110)]) for c in mixes["ALL-both"]])
    for name, members in mixes.items():
        points = [(0, 55), (1, 110)] if len(members) > 2 else [(0, 50), (1, 100)]
        shares = dict.fromkeys(members, 1 / len(members))
        profile = with_mix(profile, name, shares, [make_curve(2, 1000, name, points)])
    return make_problem(profile, rates, **{"max_mix_distance": 1.0, **cluster})  # type: ignore[arg-type]


def only_group(problem: Problem) -> Group:
    """Return the group of a problem that has one."""
    groups = [group for group in groups_of(problem) if group.pools]
    assert len(groups) == 1
    return groups[0]


def loads(**by_class: float) -> np.ndarray:
    """Return the loads of the nine pools."""
    found = np.zeros(NUM_CLASSES)
    for name, rate in by_class.items():
        found[AT[name]] = rate
    return found


def value_table(curves: list[Curve], wanted: float = 20.0, opening: float = 0.0) -> np.void:
    """Compute the value function of a pool with these curves."""
    pools, scratch = np.zeros(1, POOL), np.zeros(2, POOL)
    pools["opening"] = opening
    first_point = np.cumsum([0, *(len(rates) for rates, _ in curves)])
    rates = np.concatenate([np.array(r) for r, _ in curves]) if curves else np.empty(0)
    costs = np.concatenate([np.array(c) for _, c in curves]) if curves else np.empty(0)
    fill_pools(np.array([0, len(curves)]), first_point, rates, costs, np.array([wanted]), scratch, pools)
    return pools[0]
