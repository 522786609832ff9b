"""Profiles that are wrong on purpose: what the truth may be when a profile's power or latency is off by some share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray, LoadCurve, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """How the truth differs from a profile, by factors; a factor of 1 is no difference.

    Parameters
    ----------
    name
        What differs, in a few words.
    idle
        On the power of an instance without load.
    slope
        On what an instance draws beyond that.
    slope_at_lowest_clock
        On the same at the lowest clock, falling linearly to 1 at the highest: the power follows the clock otherwise.
    latency
        On all latencies, at the same load.
    duration
        On the duration of every iteration of the engine. Time runs slower then: latencies are longer by this factor, at
        a load that is lower by it, and so is the last load of each curve; power is that of the same iterations.
    tp
        The tensor-parallel degree that differs; all by default.
    input_letter
        The input length (``S``, ``M`` or ``L``) of the classes that differ; all by default. A mix differs if all
        classes in it are of that length.
    """

    name: str
    idle: float = 1.0
    slope: float = 1.0
    slope_at_lowest_clock: float = 1.0
    latency: float = 1.0
    duration: float = 1.0
    tp: int | None = None
    input_letter: str | None = None

    @property
    def is_slower(self) -> bool:
        """Whether latencies are longer than the profile says, so that a plan may break its SLO."""
        return max(self.latency, self.duration) > 1


def perturbed(profile: Profile, change: Perturbation) -> Profile:
    """Return a profile as it would be if the truth differed; its name and everything but the curves stay.

    Parameters
    ----------
    profile
        What was believed.
    change
        How the truth differs.
    """
    clocks = profile.frequencies_mhz
    letters = {mix.name: {request_class[0] for request_class in mix.shares} for mix in profile.metadata.mixes}
    curves = {}
    for key, curve in profile.curves.items():
        own_letters = letters.get(curve.request_class, {curve.request_class[0]})
        applies = change.tp in (None, curve.tp) and (
            change.input_letter is None or own_letters == {change.input_letter}
        )
        curves[key] = _perturbed(curve, change, clocks[0], clocks[-1]) if applies else curve
    return replace(profile, curves=curves, sha256="")


def perturbations(profile: Profile, size: float) -> tuple[Perturbation, ...]:
    """Return a small set of ways to be off, each up and down by the same share.

    Power without load, power beyond it, that of each tensor-parallel degree, of classes with long inputs, and how it
    goes with the clock; latencies, the duration of iterations, and that of each degree. An error that all
    configurations share hardly changes which is best; those between degrees, clocks and classes do.

    Parameters
    ----------
    profile
        Its degrees decide which there are.
    size
        By what share; 0.1 for 10 %.

    Raises
    ------
    InvalidInputError
        If `size` is not above 0 and below 1.
    """
    if not 0 < size < 1:
        raise InvalidInputError("option perturb", expected="a share above 0 and below 1", found=f"{size:g}")
    changes = []
    for sign in (1, -1):
        factor, text = 1 + sign * size, f"{sign * size:+.0%}"
        changes += [
            Perturbation(name=f"idle power {text}", idle=factor),
            Perturbation(name=f"power beyond idle {text}", slope=factor),
            Perturbation(name=f"power at low clocks {text}", slope_at_lowest_clock=factor),
            Perturbation(name=f"power of long inputs {text}", idle=factor, slope=factor, input_letter="L"),
            *(Perturbation(name=f"power of TP{tp} {text}", idle=factor, slope=factor, tp=tp) for tp in profile.tps),
            Perturbation(name=f"latencies {text}", latency=factor),
            Perturbation(name=f"iterations {text}", duration=factor),
            *(Perturbation(name=f"iterations of TP{tp} {text}", duration=factor, tp=tp) for tp in profile.tps),
        ]
    return tuple(changes)


def _perturbed(curve: LoadCurve, change: Perturbation, lowest_mhz: int, highest_mhz: int) -> LoadCurve:
    share = (highest_mhz - curve.frequency_mhz) / (highest_mhz - lowest_mhz) if highest_mhz > lowest_mhz else 0.0
    slope = change.slope * (1 + share * (change.slope_at_lowest_clock - 1))
    idle_w = curve.power_w[0]
    slower = change.latency * change.duration

    def longer(values: FloatArray) -> FloatArray:
        return np.asarray(values * slower)

    return replace(
        curve,
        rate_rps=curve.rate_rps / change.duration,
        power_w=idle_w * change.idle + (curve.power_w - idle_w) * slope,
        ttft_p50_s=longer(curve.ttft_p50_s),
        ttft_p99_s=longer(curve.ttft_p99_s),
        tbt_p50_s=longer(curve.tbt_p50_s),
        tbt_p99_s=longer(curve.tbt_p99_s),
        class_latencies={c: (longer(ttft), longer(tbt)) for c, (ttft, tbt) in curve.class_latencies.items()},
    )
