"""What was measured or modelled offline: power and latency of an instance against its load.

A profile is a folder with ``profile.toml`` (what it is and where its numbers come from), ``load.csv`` (one curve for
each configuration and request class, and for each mix) and, where it has mixes, ``mix.csv`` (the latencies that each
class sees inside a mix); and, where it was built from a phase model, ``phase.toml``. `docs/formats.md` describes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dynaopt.errors import UnknownNameError
from dynaopt.phase_model import PhaseModel
from dynaopt.provenance import NonNegative, Provenance, Section
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# By what share a power may lie beside the line between its neighbours for the three to lie on one.
_STRAIGHT = 1e-9


class Power(Section):
    """Powers that do not depend on load, in watts; the power of a loaded instance stands in the curves.

    `gpu_released_w` is drawn by a GPU that was given back or is off, `gpu_on_w` by one that is on without a model,
    `start_up_gpu_w` by one on which an instance is starting. `host_w` is what a server draws beside its GPUs.
    """

    gpu_released_w: NonNegative = 0.0
    gpu_on_w: NonNegative
    start_up_gpu_w: NonNegative
    host_w: NonNegative = 0.0


class StartUp(Section):
    """How long it takes until a new instance serves, in seconds.

    `cold_s` on GPUs that were not in use; `reshard_s` on GPUs that held the same model at another tensor-parallel
    degree.
    """

    cold_s: NonNegative
    reshard_s: NonNegative


class ClassCuts(Section):
    """The longest S and the longest M, of inputs and of outputs, in tokens."""

    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]


class Mix(Section):
    """A mix of classes, whose curves have the `request_class` `name`: the share of requests of each class.

    It is a service's whole mix (``ALL-conversation``) or its part of one input length (``ALL-conversation-S``).
    """

    name: str
    shares: dict[str, NonNegative]

    def distance(self, rate_rps: FloatArray) -> float:
        """Return what share of requests the mix takes for another class: half the sum of the differences of shares.

        Parameters
        ----------
        rate_rps
            What came of each of `REQUEST_CLASSES`, shape (9,). The distance of nothing is 0.
        """
        total = rate_rps.sum()
        shares = np.array([self.shares.get(c, 0.0) for c in REQUEST_CLASSES])
        return 0.5 * float(np.abs(rate_rps / total - shares / shares.sum()).sum()) if total > 0 else 0.0


class EngineOptions(Section):
    """How the engine of a configuration was set when the curve of a class, or of a mix, was taken.

    `token_budget` is the most tokens of one iteration, prompts and decodes together; `max_num_seqs` the most requests
    that an instance serves at once; `kv_capacity_tokens` what its KV cache holds.
    """

    tp: Annotated[int, Field(gt=0)]
    frequency_mhz: Annotated[int, Field(gt=0)]
    request_class: str
    token_budget: Annotated[int, Field(gt=0)]
    max_num_seqs: Annotated[int, Field(gt=0)]
    kv_capacity_tokens: Annotated[int, Field(gt=0)]


class Simulation(Section):
    """How curves are simulated from the phase model, so that more of them can be taken in the same way.

    Parameters
    ----------
    token_budgets
        Token budgets to choose from.
    max_num_seqs
        Most requests that an instance serves at once.
    requests_per_level
        Requests in the simulation of one load; a service's whole mix takes twice as many.
    tbt_margin
        What a token budget must leave of the TBT bound, as a share. A full iteration takes as long at every load, so
        that at its bound all are late when something takes a little longer than modelled.
    slo_scale
        Multiplies the objectives of Table IV, around which curves are taken and for which token budgets are chosen: 1
        by default, more on hardware on which the language model cannot keep them.
    """

    token_budgets: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]
    max_num_seqs: Annotated[int, Field(gt=0)]
    requests_per_level: Annotated[int, Field(ge=100)]
    tbt_margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    slo_scale: Annotated[float, Field(gt=0)] = 1.0

    @property
    def slo(self) -> Slo:
        """Objectives around which curves are taken."""
        return Slo.table_iv().scaled(self.slo_scale)


class Metadata(Section):
    """The content of ``profile.toml``.

    `simulation` is None where the curves were not simulated, or where that was not kept.
    """

    format_version: Literal[1]
    name: str
    version: str
    model: str
    gpu: str
    engine: str
    gpus_per_server: Annotated[int, Field(gt=0)]
    power: Power
    start_up: StartUp
    classes: ClassCuts
    simulation: Simulation | None = None
    mixes: tuple[Mix, ...] = ()
    engine_options: tuple[EngineOptions, ...] = ()
    provenance: tuple[Provenance, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LoadCurve:
    """Power and latency of one configuration that serves one class, against the load on it.

    All arrays have shape (m + 1,) and run over the same loads; between two loads the curve is linear, and beyond the
    last there is nothing.

    Parameters
    ----------
    tp
        Tensor-parallel degree: the number of GPUs.
    frequency_mhz
        GPU clock, in MHz.
    request_class
        A class, or ``ALL-…`` for a mix.
    rate_rps
        Load offered to the instance, in requests per second; starts at 0 and increases.
    power_w
        Mean power of the whole instance, in watts.
    ttft_p50_s, ttft_p99_s, tbt_p50_s, tbt_p99_s
        Percentiles of the latencies, in seconds.
    class_latencies
        For a mix, the P99 TTFT and the P99 TBT that each class in it sees, in seconds, shape (m + 1,) each.
    """

    tp: int
    frequency_mhz: int
    request_class: str
    rate_rps: FloatArray
    power_w: FloatArray
    ttft_p50_s: FloatArray
    ttft_p99_s: FloatArray
    tbt_p50_s: FloatArray
    tbt_p99_s: FloatArray
    class_latencies: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def slo_rate_rps(self, slo: Slo) -> float | None:
        """Return the last load up to which the P99 TTFT and the P99 TBT keep their bounds.

        Parameters
        ----------
        slo
            The bounds. A mix keeps its SLO when each of its classes keeps its own.

        Returns
        -------
        float or None
            Requests per second; None when not even an unloaded instance keeps the bounds.
        """
        latencies = self.class_latencies or {self.request_class: (self.ttft_p99_s, self.tbt_p99_s)}
        rates = [
            _last_rate_within(self.rate_rps, values, bound)
            for request_class, pair in latencies.items()
            for values, bound in zip(pair, slo.of(request_class), strict=True)
        ]
        kept = [rate for rate in rates if rate is not None]
        return min(kept) if len(kept) == len(rates) and min(kept) > 0 else None

    def power_bends(self) -> IntArray:
        """Return the levels at which the slope of the power changes, as indices; the first and the last among them.

        The power between two of them is a straight line, to within rounding, so that a planner needs no others.
        """
        rates, power_w = self.rate_rps, self.power_w
        share = (rates[1:-1] - rates[:-2]) / (rates[2:] - rates[:-2])
        lines = power_w[:-2] + share * (power_w[2:] - power_w[:-2])
        bent = np.abs(lines - power_w[1:-1]) > _STRAIGHT * power_w[1:-1]
        return np.flatnonzero(np.concatenate([[True], bent, [True]]))

    def power_at_w(self, rate_rps: float) -> float:
        """Interpolate the power at a load within the curve.

        Raises
        ------
        ValueError
            If the load is negative or beyond the last one in the curve.
        """
        last = self.rate_rps[-1]
        if not 0 <= rate_rps <= last * (1 + 1e-9):
            raise ValueError(f"The load must lie in [0, {last:g}] requests/s, got {rate_rps:g}.")
        return float(np.interp(rate_rps, self.rate_rps, self.power_w))


def _last_rate_within(rates: FloatArray, values: FloatArray, bound: float) -> float | None:
    """Load at which a linear interpolation of `values` first exceeds `bound`; None if it does so from the start."""
    above = np.flatnonzero(values > bound)
    if above.size == 0:
        return float(rates[-1])
    at = int(above[0])
    if at == 0:
        return None
    share = (bound - values[at - 1]) / (values[at] - values[at - 1])
    return float(rates[at - 1] + share * (rates[at] - rates[at - 1]))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """All curves of one model on one kind of GPU, and what goes with them.

    Parameters
    ----------
    metadata
        The content of ``profile.toml``.
    curves
        Every curve, by (`tp`, `frequency_mhz`, `request_class`).
    sha256
        Digest of the files that it was read from; empty for one made in memory.
    phase_model
        What one iteration of the engine takes, from which the curves were simulated; None where nothing tells.
    """

    metadata: Metadata
    curves: Mapping[tuple[int, int, str], LoadCurve]
    sha256: str = ""
    phase_model: PhaseModel | None = None

    @property
    def name(self) -> str:
        """Name of the profile, for example ``llama2-70b-h100``."""
        return self.metadata.name

    @property
    def model(self) -> str:
        """Name of the model, as demand tables have it."""
        return self.metadata.model

    @property
    def cut_points(self) -> CutPoints:
        """Where this profile's classes are cut."""
        return CutPoints(self.metadata.classes.input_tokens, self.metadata.classes.output_tokens)

    @property
    def tps(self) -> tuple[int, ...]:
        """Tensor-parallel degrees, ascending."""
        return _degrees(self)

    @property
    def frequencies_mhz(self) -> tuple[int, ...]:
        """GPU clocks, ascending."""
        return tuple(sorted({f for _, f, _ in self.curves}))

    def of_class(self, request_class: str) -> Iterator[LoadCurve]:
        """Iterate over the curves of a class, by `tp` and then by clock."""
        return (self.curves[key] for key in sorted(self.curves) if key[2] == request_class)

    def curve(self, tp: int, frequency_mhz: int, request_class: str) -> LoadCurve:
        """Return one curve.

        Raises
        ------
        UnknownNameError
            If the profile has no such curve.
        """
        try:
            return self.curves[tp, frequency_mhz, request_class]
        except KeyError:
            known = f"TP {self.tps}, clocks {self.frequencies_mhz} MHz"
            raise UnknownNameError(
                f"profile {self.name}", expected=known, found=f"TP{tp} at {frequency_mhz} MHz for {request_class}"
            ) from None

    def __repr__(self) -> str:
        classes = sorted({c for _, _, c in self.curves})
        return f"Profile({self.name}: TP {self.tps}, {self.frequencies_mhz} MHz, {', '.join(classes)})"


@lru_cache(maxsize=64)
def _degrees(profile: Profile) -> tuple[int, ...]:
    """Return `Profile.tps`, which every problem asks for several times."""
    return tuple(sorted({tp for tp, _, _ in profile.curves}))


@lru_cache(maxsize=64)
def slo_rates_rps(profile: Profile, slo: Slo) -> Mapping[tuple[int, int, str], float]:
    """Return `LoadCurve.slo_rate_rps` of every curve that can keep its SLO at all, by the keys of `Profile.curves`."""
    rates = {key: curve.slo_rate_rps(slo) for key, curve in profile.curves.items()}
    return {key: rate for key, rate in rates.items() if rate is not None}
