"""Problems with mixed pools on offer, worked by hand; what `cases` says of its own holds here too.

Unless a case says otherwise SL and LS arrive, which may not serve each other, half a request/s each, and the mix is of
halves. Its plain curve is that of the classes: TP2, 100 W idle and 100 W for each request/s, up to 2 requests/s.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import builders
import numpy as np
from builders import make_curve, make_profile, make_window, with_mix
from cases import PLAIN, Case

from dynaopt.problem import Problem
from dynaopt.profile import Profile

BOTH = {"SL": 0.5, "LS": 0.5}
CHEAP = [(0, 100), (2, 220)]
"""100 W idle and 60 W for each request/s, up to 2."""
DEAR = [(0, 100), (2, 900)]
"""100 W idle and 400 W for each request/s, up to 2."""


def profile_of(
    points: list[tuple[float, float]] = PLAIN, *, classes: tuple[str, ...] = ("SL", "LS"), model: str = "tiny-model"
) -> Profile:
    """Make a profile of the plain curve for some classes, and of a mix of SL and LS with a curve of its own."""
    plain = make_profile([make_curve(2, 1000, c, PLAIN) for c in classes], model=model)
    return with_mix(plain, "ALL-chat", {"SL": 0.5, "LS": 0.5}, [make_curve(2, 1000, "ALL-chat", points)])


def pose(profile: Profile, rates: dict[str, float] = BOTH, **options: Any) -> Problem:
    """Pose a problem with 12 GPUs, unless given."""
    return builders.make_problem(profile, rates, **{"num_gpus": 12, **options})


def mixed_pool_wins() -> Case:
    """Together 100 + 100 = 200 W on one instance; apart 2 · 100 + 100 = 300 W."""
    return Case(pose(profile_of()), 200.0)


def mixed_pool_loses() -> Case:
    """Let a mix be dear, 100 + 400 = 500 W; apart 300 W."""
    return Case(pose(profile_of(DEAR)), 300.0)


def no_mixed_pools() -> Case:
    """At a distance of 0 there are none: 300 W, although what comes is just the mix."""
    return Case(pose(profile_of(), max_mix_distance=0.0), 300.0)


def mix_too_far() -> Case:
    """SL 0.9 and LS 0.1 are 0.4 from halves, more than 0.1: apart 300 W."""
    return Case(pose(profile_of(), {"SL": 0.9, "LS": 0.1}), 300.0)


def mix_allowed_to_be_far() -> Case:
    """Allow 0.5 for the same: together 200 W."""
    return Case(pose(profile_of(), {"SL": 0.9, "LS": 0.1}, max_mix_distance=0.5), 200.0)


def one_member_is_no_mix() -> Case:
    """SL alone, any distance allowed: the pool of its class, 100 + 50 = 150 W, although the mix would draw 130 W."""
    return Case(pose(profile_of(CHEAP), {"SL": 0.5}, max_mix_distance=1.0), 150.0)


def all_or_none() -> Case:
    """SL 1.2 and LS 1.2, cheap mix: two instances for all, 200 + 144 = 344 W; apart 200 + 240 = 440 W.

    Could 2 of the 2.4 requests/s go to the mix alone, 220 W, the others would still need 2 · 100 + 40 W.
    """
    return Case(pose(profile_of(CHEAP), {"SL": 1.2, "LS": 1.2}), 344.0)


def no_promotion_into_a_mix() -> Case:
    """SS 0.5 beside the two, cheap mix: 160 W and a pool of SS of 150 W, 310 W.

    By class SS rides along with SL, 200 + 150 = 350 W. In the mixed pool it would be 190 W, but it is no member.
    """
    profile = profile_of(CHEAP, classes=("SS", "SL", "LS"))
    return Case(pose(profile, {"SS": 0.5, **BOTH}), 310.0)


def overlapping_mixes() -> Case:
    """MM 0.5 too, and a dear mix of thirds of all three: 100 + 600 = 700 W; the pair beside MM draws 200 + 150 W."""
    profile = profile_of(classes=("SL", "LS", "MM"))
    thirds = {"SL": 1 / 3, "LS": 1 / 3, "MM": 1 / 3}
    whole = with_mix(profile, "ALL-three", thirds, [make_curve(2, 1000, "ALL-three", DEAR)])
    return Case(pose(whole, {**BOTH, "MM": 0.5}), 350.0)


def the_nearest_of_two_mixes() -> Case:
    """Offer a cheap mix of 0.55 and 0.45 too, 0.05 from what comes; the plain one is nearer: 200 W, not 160 W."""
    shares = {"SL": 0.55, "LS": 0.45}
    profile = with_mix(profile_of(), "ALL-other", shares, [make_curve(2, 1000, "ALL-other", CHEAP)])
    return Case(pose(profile), 200.0)


def mixed_reserve() -> Case:
    """With half in reserve, 1 request/s is just what one instance of 2 carries: 200 W; apart one each, 300 W."""
    return Case(pose(profile_of(), reserve=0.5), 200.0)


def mixed_n_plus_one() -> Case:
    """SL 1 and LS 1: together one instance and a spare one, 200 + 200 = 400 W; apart two of each, 600 W."""
    return Case(pose(profile_of(), {"SL": 1.0, "LS": 1.0}, reserve="n+1"), 400.0)


def mixed_fixed_mix() -> Case:
    """Three TP2 must run; cheap mix: 300 + 60 = 360 W with two of them idle; apart 300 + 100 = 400 W."""
    return Case(pose(profile_of(CHEAP), fixed_mix={"tiny-model": {2: 3}}), 360.0)


def mixed_power_cap() -> Case:
    """Keep a cap of 200 W just so, which two instances apart cannot."""
    return Case(pose(profile_of(), power_cap_w=200.0), 200.0)


def only_a_mixed_pool_fits() -> Case:
    """2 GPUs hold one instance, which carries all only if they share it: 200 W."""
    return Case(pose(profile_of(), num_gpus=2), 200.0)


def only_a_mix_keeps_the_slo() -> Case:
    """LS has no curve but in the mix: 200 W."""
    return Case(pose(profile_of(classes=("SL",))), 200.0)


def two_models_with_mixes() -> Case:
    """Both models get the two classes; a's mix is plain, b's dear: 200 + 300 = 500 W on 6 GPUs."""
    profiles = [profile_of(model="a"), profile_of(DEAR, model="b")]
    window = make_window(BOTH, model="a")
    rates = window.rate_rps["a"]
    window = replace(window, rate_rps={"a": rates, "b": np.array(rates)}, peak_factor={"a": 1.0, "b": 1.0})
    return Case(window.problem(profiles, num_gpus=6, headroom=0.0), 500.0)


MIXED_CASES: tuple[Callable[[], Case], ...] = (
    mixed_pool_wins,
    mixed_pool_loses,
    no_mixed_pools,
    mix_too_far,
    mix_allowed_to_be_far,
    one_member_is_no_mix,
    all_or_none,
    no_promotion_into_a_mix,
    overlapping_mixes,
    the_nearest_of_two_mixes,
    mixed_reserve,
    mixed_n_plus_one,
    mixed_fixed_mix,
    mixed_power_cap,
    only_a_mixed_pool_fits,
    only_a_mix_keeps_the_slo,
    two_models_with_mixes,
)


def too_few_gpus_without_mixes() -> tuple[Problem, str]:
    """Apart the two need an instance each, 4 GPUs."""
    return pose(profile_of(), num_gpus=2, max_mix_distance=0.0), "needs 4 GPUs of 2"


def too_few_gpus_with_mixes() -> tuple[Problem, str]:
    """3 requests/s need two instances, however they are grouped."""
    return pose(profile_of(), {"SL": 1.5, "LS": 1.5}, num_gpus=2), "needs 4 GPUs of 2"


def too_low_a_cap_for_a_mix() -> tuple[Problem, str]:
    """Together they draw 200 W at least."""
    return pose(profile_of(), power_cap_w=190.0), "needs 200 W of a power cap of 190 W"


def too_small_a_fixed_mix() -> tuple[Problem, str]:
    """One TP2 carries 2 of 3 requests/s, all of them in the mixed pool."""
    problem = pose(profile_of(), {"SL": 1.5, "LS": 1.5}, fixed_mix={"tiny-model": {2: 1}})
    return problem, "the fixed mix carries at most 66.6 %"


MIXED_INFEASIBLE: tuple[Callable[[], tuple[Problem, str]], ...] = (
    too_few_gpus_without_mixes,
    too_few_gpus_with_mixes,
    too_low_a_cap_for_a_mix,
    too_small_a_fixed_mix,
)
