"""Random problems small enough for the exhaustive search."""

import numpy as np
from builders import make_curve, make_problem, make_profile, with_mix
from hypothesis import strategies as st

from dynaopt.problem import Problem
from dynaopt.profile import LoadCurve, Profile

CLASSES = ("SS", "SL", "LS", "MM", "LL")


@st.composite
def curves(draw: st.DrawFn, tp: int, frequency_mhz: int, request_class: str) -> LoadCurve:
    """Draw a curve of one to three straight parts, rising, falling, concave or convex."""
    size = draw(st.integers(1, 3))
    rates = np.cumsum(draw(st.lists(st.floats(0.2, 2.0), min_size=size, max_size=size))) * tp / 2
    rises = np.cumsum(draw(st.lists(st.floats(-20, 300), min_size=size, max_size=size))) * tp / 2
    powers = np.maximum(60.0 * tp + rises, 10.0)
    return make_curve(tp, frequency_mhz, request_class, [(0, 60.0 * tp), *zip(rates, powers, strict=True)])


@st.composite
def clusters(draw: st.DrawFn, tps: tuple[int, ...]) -> dict[str, object]:
    """Draw one option beside the number of GPUs, or none."""
    options = (
        {},
        {"reserve": 0.2},
        {"reserve": "n+1"},
        {"unused_gpus": "on"},
        {"power_cap_w": draw(st.floats(300, 2000))},
        {"fixed_mix": {"tiny-model": {tp: draw(st.integers(0, 2)) for tp in tps}}},
    )
    return {"num_gpus": draw(st.integers(4, 9)), "headroom": 0.1, **draw(st.sampled_from(options))}


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw a problem with one to three classes and one to three configurations."""
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=3, unique=True))
    tps = draw(st.sampled_from([(2,), (2, 4), (1, 2)]))
    clocks = draw(st.sampled_from([(1000,), (1000, 1980)])) if len(tps) == 1 else (1000,)
    drawn = [draw(curves(tp, f, c)) for tp in tps for f in clocks for c in classes]
    rates = {c: draw(st.one_of(st.floats(0.01, 3.0), st.sampled_from([0.0, 1e-4]))) for c in classes}
    profile = make_profile(drawn, host_w=draw(st.sampled_from([0.0, 400.0])))
    keys = [(tp, f) for tp in tps for f in clocks]
    for number in range(draw(st.integers(0, 2 if len(keys) == 1 else 1)) if len(classes) > 1 else 0):
        profile = draw(mixed(profile, f"ALL-{number}", classes, rates, keys))
    distance = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return make_problem(profile, rates, max_mix_distance=distance, **draw(clusters(tps)))  # type: ignore[arg-type]


@st.composite
def mixed(
    draw: st.DrawFn,
    profile: Profile,
    name: str,
    classes: list[str],
    rates: dict[str, float],
    keys: list[tuple[int, int]],
) -> Profile:
    """Draw a mix of some of the classes, as they come or with other shares, and its curves."""
    members = draw(st.lists(st.sampled_from(classes), min_size=2, max_size=len(classes), unique=True))
    shares = {c: rates[c] if draw(st.booleans()) and rates[c] > 0 else draw(st.floats(0.05, 1.0)) for c in members}
    own = [draw(curves(tp, mhz, name)) for tp, mhz in keys]
    return with_mix(profile, name, {c: share / sum(shares.values()) for c, share in shares.items()}, own)
