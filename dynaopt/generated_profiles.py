"""Made-up profiles for benchmarks: any number of configurations, concave, convex or mixed power curves, by a seed.

Nothing in them is measured. They keep the shape of real ones: larger `tp` and higher clocks serve more at more power,
long requests are dearer than short ones, and the latency rises ever faster towards the end of a curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from dynaopt.profile import ClassCuts, LoadCurve, Metadata, Power, Profile, StartUp
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

Shape = Literal["concave", "convex", "mixed"]

TPS = (2, 4, 8)
_TOP_MHZ, _LOW_MHZ = 1980, 800
_LOADS = np.array([0.0, 0.1, 0.25, 0.4, 0.6, 0.8, 0.9, 1.0])
_INPUT_COST: Mapping[str, float] = {"S": 0.015, "M": 0.07, "L": 0.30}
_OUTPUT_COST: Mapping[str, float] = {"S": 0.01, "M": 0.05, "L": 0.15}
_EXPONENTS: Mapping[Shape, tuple[float, float]] = {"concave": (0.5, 0.8), "convex": (1.2, 1.8), "mixed": (0.5, 1.8)}


def make_profile(seed: int, num_configurations: int, shape: Shape, *, model: str = "generated") -> Profile:
    """Make a profile.

    Parameters
    ----------
    seed
        The same seed makes the same profile.
    num_configurations
        A multiple of 3: as many clocks of each of TP 2, 4 and 8, evenly spaced from 1980 MHz downwards.
    shape
        Whether power over load is concave, as it is measured to be; convex; or either, by configuration.
    model
        Name of the model.

    Raises
    ------
    ValueError
        If the number of configurations is not a positive multiple of 3.
    """
    if num_configurations < len(TPS) or num_configurations % len(TPS):
        raise ValueError(f"The number of configurations must be a multiple of {len(TPS)}, got {num_configurations}.")
    rng = np.random.default_rng([seed, num_configurations, sorted(_EXPONENTS).index(shape)])
    clocks = np.linspace(_TOP_MHZ, _LOW_MHZ, num_configurations // len(TPS)).round().astype(int)
    curves = {}
    for tp in TPS:
        for mhz in clocks.tolist():
            exponent = rng.uniform(*_EXPONENTS[shape])
            for request_class in REQUEST_CLASSES:
                key = (tp, mhz, request_class)
                curves[key] = _curve(key, exponent, float(rng.lognormal(0.0, 0.05)))
    return Profile(metadata=_metadata(f"{model}-{shape}-{num_configurations}-{seed}", model), curves=curves)


def _curve(key: tuple[int, int, str], exponent: float, luck: float) -> LoadCurve:
    tp, mhz, request_class = key
    cost_s = _INPUT_COST[request_class[0]] + _OUTPUT_COST[request_class[1]]
    clock = mhz / _TOP_MHZ
    end_rps = luck * (tp / 8) ** 0.85 * clock**0.6 / cost_s
    ttft_bound_s, tbt_bound_s = Slo.table_iv().of(request_class)
    tail = 1 + 2.5 * _LOADS**4
    ttft_s = tail * (ttft_bound_s * (0.3 * (8 / tp) ** 0.5 * clock**-0.8))
    tbt_s = tail * (tbt_bound_s * 0.25 * clock**-0.5)
    return LoadCurve(
        tp=tp,
        frequency_mhz=mhz,
        request_class=request_class,
        rate_rps=_LOADS * end_rps,
        power_w=tp * (70 + 30 * clock + 480 * clock**1.3 * _LOADS**exponent),
        ttft_p50_s=ttft_s / 2,
        ttft_p99_s=ttft_s,
        tbt_p50_s=tbt_s / 2,
        tbt_p99_s=tbt_s,
    )


def _metadata(name: str, model: str) -> Metadata:
    return Metadata(
        format_version=1,
        name=name,
        version="1",
        model=model,
        gpu="generated",
        engine="none",
        gpus_per_server=8,
        power=Power(gpu_on_w=70.0, start_up_gpu_w=110.0, host_w=800.0),
        start_up=StartUp(cold_s=400.0, reshard_s=5.0),
        classes=ClassCuts(input_tokens=(255, 1023), output_tokens=(99, 349)),
        provenance=(),
    )
