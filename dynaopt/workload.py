"""Streams of requests that load an instance: one class, a service's whole mix, or its part of one input length.

A workload is one draw of lengths and of gaps between arrivals; a load only stretches the gaps. So all loads of a curve
and all configurations see the same chance, and curves are smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dynaopt.instance_simulator import Requests
from dynaopt.lengths import Lengths
from dynaopt.request_class import REQUEST_CLASSES, CutPoints
from dynaopt.slo import Slo

FloatArray = npt.NDArray[np.float64]

# Gaps so long that each request meets an idle instance.
_ALONE_S = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Requests that may arrive at any rate.

    Parameters
    ----------
    name
        A request class, or ``ALL-…`` for a mix.
    classes
        The classes in it; a request's `group` is a place in this list.
    at_one_rps
        The requests when one arrives per second.
    """

    name: str
    classes: tuple[str, ...]
    at_one_rps: Requests

    def at(self, rate_rps: float) -> Requests:
        """Return the stream at a rate, in requests per second."""
        return self.at_one_rps._replace(arrival_s=self.at_one_rps.arrival_s / rate_rps)

    def alone(self) -> Requests:
        """Return the same requests so far apart that none ever meets another."""
        return self.at_one_rps._replace(arrival_s=_ALONE_S * np.arange(1.0, len(self.at_one_rps.arrival_s) + 1))

    def first(self, size: int) -> Workload:
        """Return a workload of the first requests only."""
        r = self.at_one_rps
        shorter = Requests(
            r.arrival_s[:size], r.input_tokens[:size], r.output_tokens[:size], r.ttft_slo_s[:size], r.group[:size]
        )
        return Workload(self.name, self.classes, shorter)

    @property
    def longest_tokens(self) -> int:
        """Prompt and output of the request that needs most KV cache."""
        return int((self.at_one_rps.input_tokens + self.at_one_rps.output_tokens).max())


def make_workload(name: str, lengths: Lengths, cut_points: CutPoints, slo: Slo, *, size: int, seed: int) -> Workload:
    """Draw a workload.

    Parameters
    ----------
    name
        A request class, or ``ALL-…`` for a mix; part of the seed.
    lengths
        Of the requests, for example `workload_lengths`.
    cut_points
        Where classes are cut.
    slo
        The TTFT bound of each class, by which requests are ordered.
    size
        How many requests.
    seed
        Seed of the draw.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    gaps = rng.standard_exponential(size)
    input_tokens, output_tokens = lengths.sample(size, rng)
    index = cut_points.classify(input_tokens, output_tokens)
    present, group = np.unique(index, return_inverse=True)
    requests = Requests(
        arrival_s=np.cumsum(gaps / gaps.mean()),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        ttft_slo_s=np.array(slo.ttft_s)[index],
        group=group.astype(np.int64),
    )
    return Workload(name, tuple(REQUEST_CLASSES[i] for i in present), requests)
