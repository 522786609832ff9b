"""Problems worked by hand, each with the arithmetic in its docstring.

Unless a case says otherwise: one model, the same curves for each class that arrives and for none else,
configurations that keep their SLO up to the end of their curves, no headroom, 12 GPUs that draw nothing while unused,
no host power. The plain curve is TP2, 100 W idle and 100 W for each request/s, up to 2 requests/s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import builders
import numpy as np
from builders import make_curve, make_profile, make_window

from dynaopt.problem import Problem
from dynaopt.slo import Slo

Curves = dict[tuple[int, int], list[tuple[float, float]]]
PLAIN: list[tuple[float, float]] = [(0, 100), (1, 200), (2, 300)]


@dataclass(frozen=True)
class Case:
    """A problem and the least power of its cluster, in watts."""

    problem: Problem
    power_w: float


def pose(curves: Curves, rates: dict[str, float], *, pools: Sequence[str] = (), **options: Any) -> Problem:
    """Pose a problem with these curves, (tp, MHz) to points, for each class that arrives and for `pools`."""
    host_w = options.pop("host_w", 0.0)
    made = [make_curve(*key, c, points) for c in {**rates, **dict.fromkeys(pools)} for key, points in curves.items()]
    return builders.make_problem(make_profile(made, host_w=host_w), rates, **{"num_gpus": 12, **options})


def plain_problem(rates: dict[str, float], **options: Any) -> Problem:
    """Pose a problem with the plain curve only."""
    return pose({(2, 1000): PLAIN}, rates, **options)


def one_instance() -> Case:
    """1.5 requests/s fit on one instance: 100 + 1.5 · 100 = 250 W."""
    return Case(plain_problem({"SS": 1.5}), 250.0)


def two_instances() -> Case:
    """3 requests/s need two instances, however split: 2 · 100 + 3 · 100 = 500 W."""
    return Case(plain_problem({"SS": 3.0}), 500.0)


def full_to_the_brim() -> Case:
    """4 requests/s are just what two instances on all 4 GPUs carry: 2 · 300 = 600 W."""
    return Case(plain_problem({"SS": 4.0}, num_gpus=4), 600.0)


def nothing_arrives() -> Case:
    """Nothing to serve, nothing runs: 0 W."""
    return Case(plain_problem({}), 0.0)


def concave_curve() -> Case:
    """2.5 requests/s with P(0, 1, 2) = 100, 300, 400 W: 2 + 0.5 draws 400 + 200 = 600 W; 1.25 + 1.25 draws 650 W."""
    return Case(pose({(2, 1000): [(0, 100), (1, 300), (2, 400)]}, {"SS": 2.5}), 600.0)


def convex_curve() -> Case:
    """3 requests/s with P(0, 1, 2) = 100, 150, 400 W: three at 1 draw 450 W; 2 + 1 draws 550 W."""
    return Case(pose({(2, 1000): [(0, 100), (1, 150), (2, 400)]}, {"SS": 3.0}), 450.0)


def lower_clock() -> Case:
    """0.8 requests/s: 1000 MHz draws 100 + 0.8 · 50 = 140 W, 1980 MHz 140 + 0.8 · 80 = 204 W."""
    curves: Curves = {(2, 1000): [(0, 100), (1, 150)], (2, 1980): [(0, 140), (2, 300)]}
    return Case(pose(curves, {"SS": 0.8}), 140.0)


def mixed_clocks() -> Case:
    """2.8 requests/s with the clocks of `lower_clock`: 1 at 1000 MHz and 1.8 at 1980 MHz draw 150 + 284 = 434 W.

    0.8 and 2 draw 140 + 300 = 440 W, three at 1000 MHz 300 + 2.8 · 50 = 440 W, two at 1980 MHz 280 + 2.8 · 80 = 504 W.
    """
    curves: Curves = {(2, 1000): [(0, 100), (1, 150)], (2, 1980): [(0, 140), (2, 300)]}
    return Case(pose(curves, {"SS": 2.8}), 434.0)


def larger_degree() -> Case:
    """2.5 requests/s: one TP4 draws 200 + 2.5 · 100 = 450 W; three TP2 with P(0, 1) = 100, 300 W draw 800 W."""
    curves: Curves = {(2, 1000): [(0, 100), (1, 300)], (4, 1000): [(0, 200), (3, 500)]}
    return Case(pose(curves, {"SS": 2.5}), 450.0)


def _scarce(num_gpus: int) -> Problem:
    curves: Curves = {(2, 1000): [(0, 100), (1, 150)], (4, 1000): [(0, 300), (3, 600)]}
    return pose(curves, {"SS": 3.0}, num_gpus=num_gpus)


def gpus_in_plenty() -> Case:
    """3 requests/s: three TP2 at 150 W draw 450 W, one TP4 600 W; 6 GPUs are there for the former."""
    return Case(_scarce(6), 450.0)


def gpus_scarce() -> Case:
    """Two TP2 carry only 2 of the 3 requests/s on 4 GPUs, so one TP4 must do: 600 W."""
    return Case(_scarce(4), 600.0)


def promotion_pays() -> Case:
    """SS 0.1 and LL 1: in the pool of LL they share an instance, 100 + 110 = 210 W; apart they draw 310 W."""
    return Case(plain_problem({"SS": 0.1, "LL": 1.0}), 210.0)


def promotion_does_not_pay() -> Case:
    """SS 1 at 10 W for each request/s, LL 0.5 at 500 W: apart 110 + 350 = 460 W; together 100 + 750 = 850 W."""
    curves = [make_curve(2, 1000, "SS", [(0, 100), (2, 120)]), make_curve(2, 1000, "LL", [(0, 100), (2, 1100)])]
    return Case(builders.make_problem(make_profile(curves), {"SS": 1.0, "LL": 0.5}, num_gpus=12), 460.0)


def promotion_of_a_part() -> Case:
    """SS 2.2 and LL 1: 0.2 of SS move to LL, so that two instances carry all: 2 · 100 + 3.2 · 100 = 520 W."""
    return Case(plain_problem({"SS": 2.2, "LL": 1.0}), 520.0)


def meet_in_a_third_pool() -> Case:
    """SL and LS may not serve each other; 0.5 of each meet in the pool of LL: 100 + 100 = 200 W instead of 300 W."""
    return Case(plain_problem({"SL": 0.5, "LS": 0.5}, pools=["LL"]), 200.0)


def no_way_down() -> Case:
    """Only SS and SL have curves; SL 1.9 and SS 1.9 cannot share one instance, so 2 · 100 + 3.8 · 100 = 580 W."""
    curves = [make_curve(2, 1000, c, PLAIN) for c in ("SS", "SL")]
    return Case(builders.make_problem(make_profile(curves), {"SS": 1.9, "SL": 1.9}, num_gpus=12), 580.0)


def peak_and_headroom() -> Case:
    """Halve the capacity by a peak of 1.25 and a headroom of 0.6, 2 / (1.25 · 1.6) = 1: 200 + 1.5 · 100 = 350 W."""
    return Case(plain_problem({"SS": 1.5}, peak_factor=1.25, headroom=0.6), 350.0)


def slo_shortens_the_curve() -> Case:
    """Let the TTFT go from 0.05 s to 0.45 s over 2 requests/s, so 0.25 s are kept up to 1: two instances, 350 W."""
    curve = make_curve(2, 1000, "SS", [(0, 100), (2, 300)], ttft_p99_s=[0.05, 0.45])
    return Case(builders.make_problem(make_profile([curve]), {"SS": 1.5}, num_gpus=12), 350.0)


def reserve_share() -> Case:
    """With half of the capacity in reserve, 1.5 requests/s need a capacity of 3: two instances, 200 + 150 = 350 W."""
    return Case(plain_problem({"SS": 1.5}, reserve=0.5), 350.0)


def n_plus_one() -> Case:
    """3 requests/s need two instances, and a third so that one may fail: 3 · 100 + 3 · 100 = 600 W."""
    return Case(plain_problem({"SS": 3.0}, reserve="n+1"), 600.0)


def n_plus_one_of_two_sizes() -> Case:
    """1 request/s; TP2 draws 150 W + 100 W/(request/s), up to 1; TP4 160 W + 10 W/(request/s), up to 3.

    Two TP2: 300 + 100 = 400 W. Two TP4: 320 + 10 = 330 W. One of each, the load on TP4: 310 + 10 = 320 W, and when
    the TP4 fails, the TP2 carries the 1 request/s.
    """
    curves: Curves = {(2, 1000): [(0, 150), (1, 250)], (4, 1000): [(0, 160), (3, 190)]}
    return Case(pose(curves, {"SS": 1.0}, reserve="n+1"), 320.0)


def power_cap_just_kept() -> Case:
    """One instance at 1.5 requests/s draws 250 W, which is just the cap."""
    return Case(plain_problem({"SS": 1.5}, power_cap_w=250.0), 250.0)


def fixed_mix() -> Case:
    """Three TP2 must run for 1.5 requests/s, two of them for nothing: 3 · 100 + 150 = 450 W."""
    return Case(plain_problem({"SS": 1.5}, fixed_mix={"tiny-model": {2: 3}}), 450.0)


def hosts_and_unused_gpus() -> Case:
    """One TP2 at 250 W, its share of a host of 800 W for 8 GPUs, 2 · 100 W, and 6 GPUs on at 70 W: 870 W."""
    return Case(plain_problem({"SS": 1.5}, num_gpus=8, unused_gpus="on", host_w=800.0), 870.0)


def two_models() -> Case:
    """Model a (plain curve) gets 3 requests/s, model b (TP4, 150 W + 50 W/(request/s), up to 4) gets 2; 8 GPUs.

    a takes two TP2, 200 + 300 = 500 W; b takes one TP4, 150 + 100 = 250 W; 750 W on all 8 GPUs.
    """
    a = make_profile([make_curve(2, 1000, "SS", PLAIN)], model="a")
    b = make_profile([make_curve(4, 1000, "LL", [(0, 150), (4, 350)])], model="b")
    window = make_window({"SS": 3.0}, model="a")
    window = replace(
        window, rate_rps={**window.rate_rps, "b": np.array([0.0] * 8 + [2.0])}, peak_factor={"a": 1.0, "b": 1.0}
    )
    return Case(window.problem([a, b], num_gpus=8, headroom=0.0), 750.0)


def a_trickle() -> Case:
    """LL 1, and SS a millionth: it rides along with LL, 100 + 1.000001 · 100 = 200.0001 W."""
    return Case(plain_problem({"SS": 1e-6, "LL": 1.0}), 200.0001)


CASES: tuple[Callable[[], Case], ...] = (
    one_instance,
    two_instances,
    full_to_the_brim,
    nothing_arrives,
    concave_curve,
    convex_curve,
    lower_clock,
    mixed_clocks,
    larger_degree,
    gpus_in_plenty,
    gpus_scarce,
    promotion_pays,
    promotion_does_not_pay,
    promotion_of_a_part,
    meet_in_a_third_pool,
    no_way_down,
    peak_and_headroom,
    slo_shortens_the_curve,
    reserve_share,
    n_plus_one,
    n_plus_one_of_two_sizes,
    power_cap_just_kept,
    fixed_mix,
    hosts_and_unused_gpus,
    two_models,
    a_trickle,
)


def too_few_gpus() -> tuple[Problem, str]:
    """LL 5 needs 5 / 2, so three TP2 on 6 GPUs; there are 4."""
    return plain_problem({"LL": 5.0}, num_gpus=4), "class LL in window 2024-05-14 18:05 needs 6 GPUs of 4"


def too_low_a_cap() -> tuple[Problem, str]:
    """1.5 requests/s draw at least 250 W."""
    return plain_problem({"SS": 1.5}, power_cap_w=240.0), "needs 250 W of a power cap of 240 W"


def too_tight_an_slo() -> tuple[Problem, str]:
    """Unloaded, the instance has a TTFT of 10 ms; the objective is 5 ms for S."""
    slo = Slo.table_iv().scaled(0.02)
    return plain_problem({"SS": 1.0}, slo=slo), "class SS in window 2024-05-14 18:05 keeps its SLO"


def too_small_a_mix() -> tuple[Problem, str]:
    """One TP2 carries 2 of 4 requests/s."""
    return plain_problem({"SS": 4.0}, fixed_mix={"tiny-model": {2: 1}}), "the fixed mix carries at most 50 %"


def too_large_a_mix() -> tuple[Problem, str]:
    """Forty TP2 take 80 GPUs."""
    return plain_problem({"SS": 4.0}, fixed_mix={"tiny-model": {2: 40}}), "the fixed mix takes 80 GPUs of 12"


def too_few_for_n_plus_one() -> tuple[Problem, str]:
    """3 requests/s take 4 GPUs, and 6 with n+1; there are 4."""
    return plain_problem({"SS": 3.0}, num_gpus=4, reserve="n+1"), "needs 6 GPUs of 4 with n+1"


INFEASIBLE: tuple[Callable[[], tuple[Problem, str]], ...] = (
    too_few_gpus,
    too_low_a_cap,
    too_tight_an_slo,
    too_small_a_mix,
    too_large_a_mix,
    too_few_for_n_plus_one,
)
