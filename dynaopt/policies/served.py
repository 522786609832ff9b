"""Pools as policies see them: the classes that go there, and the configurations that keep their SLO."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dynaopt.errors import NoSolutionError
from dynaopt.policies.base import Case, ModelDemand
from dynaopt.problem import host_power_w
from dynaopt.profile import FloatArray, LoadCurve, slo_rates_rps
from dynaopt.request_class import LENGTHS, REQUEST_CLASSES
from dynaopt.single_pool import nearest_mix


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Configuration:
    """A configuration in a pool.

    Parameters
    ----------
    curve
        Of the pool's class or mix.
    slo_rate_rps
        Load up to which an instance keeps the SLO, in requests per second.
    """

    curve: LoadCurve
    slo_rate_rps: float

    @property
    def tp(self) -> int:
        """Tensor-parallel degree."""
        return self.curve.tp

    @property
    def frequency_mhz(self) -> int:
        """GPU clock."""
        return self.curve.frequency_mhz

    def power_w(self, rate_rps: FloatArray) -> FloatArray:
        """Return the power of an instance at each load, host excluded, in watts."""
        power: FloatArray = np.interp(rate_rps, self.curve.rate_rps, self.curve.power_w)
        return power


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ServedPool:
    """A pool and what comes to it in each of W windows.

    Parameters
    ----------
    model
        Name of the model.
    name
        A class or a mix.
    rate_rps
        What comes, by class, in requests per second, shape (W, 9).
    stretch
        How far above its mean load an instance must keep its SLO, shape (W,).
    configurations
        Those that keep it, by `tp` and then by clock.
    largest_tp
        The profile's largest tensor-parallel degree.
    host_w
        Share of its server's power that falls to a GPU in use, in watts.
    """

    model: str
    name: str
    rate_rps: FloatArray
    stretch: FloatArray
    configurations: tuple[Configuration, ...]
    largest_tp: int
    host_w: float

    @property
    def load_rps(self) -> FloatArray:
        """What comes in all, in requests per second, shape (W,)."""
        load: FloatArray = self.rate_rps.sum(axis=1)
        return load

    def at(self, tp: int, frequency_mhz: int) -> Configuration:
        """Return one configuration.

        Raises
        ------
        NoSolutionError
            If it keeps the SLO at no load, or the profile does not have it.
        """
        for found in self.configurations:
            if (found.tp, found.frequency_mhz) == (tp, frequency_mhz):
                return found
        raise NoSolutionError(f"TP{tp} at {frequency_mhz} MHz keeps the objectives of pool {self.name} at no load")

    def routes(self) -> pd.DataFrame:
        """Return what comes as rows of ``window, model, request_class, pool, rate_rps``."""
        window, number = np.nonzero(self.rate_rps > 0)
        values = {
            "window": window,
            "model": self.model,
            "request_class": [REQUEST_CLASSES[n] for n in number],
            "pool": self.name,
            "rate_rps": self.rate_rps[window, number],
        }
        return pd.DataFrame(values)


def class_pools(case: Case) -> list[ServedPool]:
    """Give every class that arrives a pool of its own.

    Parameters
    ----------
    case
        What arrives.

    Raises
    ------
    NoSolutionError
        If a class arrives whose SLO no configuration keeps.
    """
    return [
        serve(case, part, c, [n])
        for part in case.models()
        for n, c in enumerate(REQUEST_CLASSES)
        if part.rate_rps[:, n].any()
    ]


def mix_pools(case: Case, *, by_input: bool) -> list[ServedPool]:
    """Give every model one pool of the mix that is nearest to its demand, or one of it for each length of inputs.

    A class that arrives and is not in the mix has no curve there; it gets a pool of its own.

    Parameters
    ----------
    case
        What arrives.
    by_input
        Whether there is a pool for each length of inputs.

    Raises
    ------
    NoSolutionError
        If a profile has no curves of such mixes, or none that keeps the SLO.
    """
    found = []
    for part in case.models():
        mixes = {mix.name: mix for mix in part.profile.metadata.mixes}
        if by_input:
            names = [f"{_nearest_service(part)}-{letter}" for letter in LENGTHS]
        else:
            names = [nearest_mix(part.profile, part.rate_rps)[0].name]
        left = set(np.flatnonzero(part.rate_rps.any(axis=0)).tolist())
        for name in (name for name in names if name in mixes):  # a service need not have inputs of every length
            classes = [n for n in sorted(left) if mixes[name].shares.get(REQUEST_CLASSES[n], 0.0) > 0]
            if classes:
                found.append(serve(case, part, name, classes))
                left -= set(classes)
        found += [serve(case, part, REQUEST_CLASSES[n], [n]) for n in sorted(left)]
    return found


def _nearest_service(part: ModelDemand) -> str:
    """Return the name of the mix nearest to a demand among those that are cut by input length too."""
    metadata = part.profile.metadata
    names = {mix.name for mix in metadata.mixes}
    whole = tuple(mix for mix in metadata.mixes if any(f"{mix.name}-{letter}" in names for letter in LENGTHS))
    if not whole:
        raise NoSolutionError(f"profile {part.profile.name} has no curves of mixes by input length")
    profile = replace(part.profile, metadata=metadata.model_copy(update={"mixes": whole}))
    return nearest_mix(profile, part.rate_rps)[0].name


def serve(case: Case, part: ModelDemand, name: str, classes: Iterable[int]) -> ServedPool:
    """Make a pool that gets all of some classes.

    Parameters
    ----------
    case
        Objectives and cluster.
    part
        What arrives for the model.
    name
        Of the pool: a class or a mix.
    classes
        Indices into `REQUEST_CLASSES`.

    Raises
    ------
    NoSolutionError
        If no configuration keeps the SLO there.
    """
    rates = slo_rates_rps(part.profile, case.slo)
    configurations = tuple(
        Configuration(curve=part.profile.curves[key], slo_rate_rps=rates[key])
        for key in sorted(rates)
        if key[2] == name
    )
    if not configurations:
        raise NoSolutionError(f"no configuration of profile {part.profile.name} keeps the objectives of pool {name}")
    chosen = np.isin(np.arange(len(REQUEST_CLASSES)), list(classes))
    return ServedPool(
        model=part.profile.model,
        name=name,
        rate_rps=np.where(chosen, part.rate_rps, 0.0),
        stretch=part.stretch,
        configurations=configurations,
        largest_tp=max(part.profile.tps),
        host_w=host_power_w(part.profile, case.cluster),
    )
