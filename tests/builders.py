"""Small profiles and windows made in memory, for tests of every module."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dynaopt.problem import Problem, WindowDemand
from dynaopt.profile import ClassCuts, LoadCurve, Metadata, Mix, Power, Profile, StartUp
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo


def make_curve(
    tp: int,
    frequency_mhz: int,
    request_class: str,
    points: Sequence[tuple[float, float]],
    *,
    ttft_p99_s: Sequence[float] | None = None,
    tbt_p99_s: Sequence[float] | None = None,
) -> LoadCurve:
    """Make a curve through (requests/s, watts); latencies are far below every objective unless given."""
    rates, powers = np.array(points, dtype=float).T
    ttft = np.full_like(rates, 0.01) if ttft_p99_s is None else np.array(ttft_p99_s, dtype=float)
    tbt = np.full_like(rates, 0.01) if tbt_p99_s is None else np.array(tbt_p99_s, dtype=float)
    return LoadCurve(
        tp=tp,
        frequency_mhz=frequency_mhz,
        request_class=request_class,
        rate_rps=rates,
        power_w=powers,
        ttft_p50_s=ttft / 2,
        ttft_p99_s=ttft,
        tbt_p50_s=tbt / 2,
        tbt_p99_s=tbt,
    )


def make_metadata(*, name: str = "tiny", model: str = "tiny-model", gpu: str = "H100", **power: float) -> Metadata:
    """Make metadata whose powers are 70 W on, 110 W starting, unless given."""
    return Metadata(
        format_version=1,
        name=name,
        version="1",
        model=model,
        gpu=gpu,
        engine="by hand",
        gpus_per_server=8,
        power=Power(**{"gpu_on_w": 70.0, "start_up_gpu_w": 110.0, **power}),
        start_up=StartUp(cold_s=400.0, reshard_s=5.0),
        classes=ClassCuts(input_tokens=(255, 1023), output_tokens=(99, 349)),
        provenance=(),
    )


def make_profile(curves: Sequence[LoadCurve], **metadata: object) -> Profile:
    """Make a profile of these curves."""
    by_key = {(c.tp, c.frequency_mhz, c.request_class): c for c in curves}
    return Profile(metadata=make_metadata(**metadata), curves=by_key)  # type: ignore[arg-type]


def with_mix(profile: Profile, name: str, shares: Mapping[str, float], curves: Sequence[LoadCurve]) -> Profile:
    """Return a profile with one more mix, whose classes all see the latencies of the curves as they are given."""
    mix = Mix(name=name, shares=dict(shares))
    metadata = profile.metadata.model_copy(update={"mixes": (*profile.metadata.mixes, mix)})
    added = {
        (k.tp, k.frequency_mhz, name): replace(
            k, request_class=name, class_latencies=dict.fromkeys(shares, (k.ttft_p99_s, k.tbt_p99_s))
        )
        for k in curves
    }
    return Profile(metadata=metadata, curves={**profile.curves, **added})


def same_for_all_classes(tp: int, frequency_mhz: int, points: Sequence[tuple[float, float]]) -> list[LoadCurve]:
    """Make nine equal curves, one for each class."""
    return [make_curve(tp, frequency_mhz, c, points) for c in REQUEST_CLASSES]


def make_window(
    rates: Mapping[str, float], *, model: str = "tiny-model", peak_factor: float = 1.0, window_s: float = 300.0
) -> WindowDemand:
    """Make a window with the given requests/s for some classes and none for the others."""
    unknown = set(rates) - set(REQUEST_CLASSES)
    assert not unknown, unknown
    return WindowDemand(
        start=pd.Timestamp("2024-05-14T18:05:00Z"),
        window_s=window_s,
        rate_rps={model: np.array([rates.get(c, 0.0) for c in REQUEST_CLASSES])},
        peak_factor={model: peak_factor},
    )


def make_problem(
    profile: Profile,
    rates: Mapping[str, float],
    *,
    peak_factor: float = 1.0,
    slo: Slo | None = None,
    **cluster: object,
) -> Problem:
    """Pose a problem with 64 GPUs and no headroom, unless given."""
    window = make_window(rates, model=profile.model, peak_factor=peak_factor)
    return window.problem(profile, slo=slo, **{"num_gpus": 64, "headroom": 0.0, **cluster})
