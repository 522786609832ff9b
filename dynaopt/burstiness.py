"""How unevenly requests arrive inside a minute: measured, and drawn again.

What is measured is how often two requests of one minute fall into the same bin, be it a second or ten. With k bins to
a minute and no burstiness that chance is 1/k; the *clustering* c = (q - 1/k) / (1 - 1/k) of the real chance q is 0
then, and 1 where each minute's requests come in one bin. A minute of n requests has an expected index of dispersion

    D = sum over bins of (count - n/k)^2 / (n (1 - 1/k)) = 1 + (n - 1) c,

which is 1 for independent arrivals, given n. Bursts that come from clients acting together keep c as traffic grows, so
that D grows with it (the pessimistic reading of a small trace); those that come from each client by itself keep D (the
optimistic one). `docs/replay.md` has what was measured and why each service is read as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from dynaopt.errors import UnknownNameError
from dynaopt.request_stream import FloatArray, Int64Array

SECONDS_PER_MINUTE = 60
BLOCK_S = 10
"""Burstiness is kept at two scales, a second and this many."""
_NUM_BLOCKS = SECONDS_PER_MINUTE // BLOCK_S
_MINUTES_PER_HOUR = 60
_NUM_GROUPS = 6
_LAW_AT = 1000.0

Reading = Literal["bounded", "minutes", "relative", "index", "poisson"]
READINGS: tuple[Reading, ...] = ("bounded", "minutes", "relative", "index", "poisson")
DEFAULT_READING: Reading = "bounded"

_MOST_CLUSTERING = 0.9
"""Beyond it a Dirichlet draw has weights too small for floating point; only minutes of a dozen requests come near."""


class BinStatistics(NamedTuple):
    """Burstiness at one width of bins: clustering c and index of dispersion D, both given each minute's count."""

    clustering: float
    dispersion: float


def bin_statistics(arrival_s: FloatArray, bin_s: float) -> BinStatistics:
    """Measure burstiness inside minutes.

    Parameters
    ----------
    arrival_s
        Arrivals in seconds, shape (requests,). Minutes begin at multiples of 60; the first and the last minute with
        arrivals, covered in part, are left out.
    bin_s
        Width of a bin in seconds, which divides a minute.

    Returns
    -------
    BinStatistics
        Over all minutes together, each with the weight that its count gives it.
    """
    per_minute = round(SECONDS_PER_MINUTE / bin_s)
    first, last = (int(np.floor(edge / SECONDS_PER_MINUTE)) for edge in (arrival_s.min(), arrival_s.max()))
    at = np.floor(arrival_s / bin_s).astype(np.int64) - (first + 1) * per_minute
    num_bins = (last - first - 1) * per_minute
    counts = np.bincount(at[(at >= 0) & (at < num_bins)], minlength=num_bins)
    return count_statistics(counts.reshape(-1, per_minute))


def count_statistics(counts: Int64Array) -> BinStatistics:
    """Measure burstiness from counts.

    Parameters
    ----------
    counts
        Requests of each bin, shape (minutes, bins).
    """
    num_bins = counts.shape[1]
    total = counts.sum(axis=1)
    spread = float(((counts - total[:, None] / num_bins) ** 2).sum() / (1 - 1 / num_bins))
    pairs = float((total * (total - 1)).sum())
    return BinStatistics((spread - float(total.sum())) / pairs, spread / float(total.sum()))


def minute_dispersion(per_minute: Int64Array) -> float:
    """Measure how much counts change from minute to minute beyond the slow course of the day.

    Parameters
    ----------
    per_minute
        Requests of consecutive minutes, shape (minutes,).

    Returns
    -------
    float
        Half the variance of the change from a minute to the next, over the mean; 1 for independent arrivals.
    """
    return float(np.var(np.diff(per_minute)) / 2 / per_minute.mean())


def minute_law(per_minute: Int64Array) -> tuple[float, float]:
    """Fit how the dispersion between minutes grows with traffic: a power law over six groups of hours.

    Parameters
    ----------
    per_minute
        Requests of consecutive minutes, whole hours of them, shape (minutes,).

    Returns
    -------
    tuple of float
        The dispersion at 1,000 requests a minute, and the exponent.
    """
    hours = per_minute.reshape(-1, _MINUTES_PER_HOUR)
    traffic, variance = hours.mean(axis=1), np.diff(hours, axis=1).var(axis=1) / 2
    groups = np.array_split(np.argsort(traffic), _NUM_GROUPS)
    x = [np.log(traffic[group].mean() / _LAW_AT) for group in groups]
    y = [np.log(variance[group].mean() / traffic[group].mean()) for group in groups]
    exponent, at_1000 = np.polyfit(x, y, 1)
    return float(np.exp(at_1000)), float(exponent)


@dataclass(frozen=True, slots=True)
class Burstiness:
    """How uneven the arrivals inside a minute are to be, at both scales.

    Parameters
    ----------
    clustering_1s, clustering_10s
        Clustering of seconds and of tens of seconds, 0 to 1.
    least_1s, least_10s
        The index of dispersion that minutes have where clustering gives less; at least 1.
    limit
        The index of dispersion that no minute of 1,000 requests exceeds, at either scale.
    limit_exponent
        The power of a minute's requests that the limit grows with; 0 where it is the same for all.
    """

    clustering_1s: float = 0.0
    clustering_10s: float = 0.0
    least_1s: float = 1.0
    least_10s: float = 1.0
    limit: float = np.inf
    limit_exponent: float = 0.0

    def dispersions(self, per_minute: Int64Array) -> tuple[FloatArray, FloatArray]:
        """Return the expected index of dispersion of the seconds and of the tens of seconds of minutes.

        Parameters
        ----------
        per_minute
            Requests of each minute, shape (minutes,).

        Returns
        -------
        tuple of numpy.ndarray
            Shape (minutes,) each.
        """
        others = np.maximum(per_minute - 1, 0)
        limit = np.maximum(self.limit * np.maximum(per_minute / _LAW_AT, 1e-3) ** self.limit_exponent, 1.0)
        second = np.minimum(np.maximum(1 + others * self.clustering_1s, self.least_1s), limit)
        ten = np.minimum(np.maximum(1 + others * self.clustering_10s, self.least_10s), limit)
        return second, ten

    def draw_seconds(self, per_minute: Int64Array, rng: np.random.Generator) -> Int64Array:
        """Distribute the requests of minutes over their seconds.

        A minute's six tens of seconds, and then the ten seconds of each, get Dirichlet weights, whose concentration
        is set so that two requests meet as often as they are to; requests fall by these weights (multinomial).

        Parameters
        ----------
        per_minute
            Requests of each minute, shape (minutes,).
        rng
            Source of chance.

        Returns
        -------
        numpy.ndarray
            Requests of each second, shape (minutes, 60); rows add up to `per_minute`.
        """
        others = np.maximum(per_minute - 1, 1)
        second, block = (np.minimum((D - 1) / others, _MOST_CLUSTERING) for D in self.dispersions(per_minute))
        meet_10s = _chance(block, _NUM_BLOCKS)
        # Two requests of one second are of one ten too: the chance inside it is the ratio.
        inside = _clustering(_chance(second, SECONDS_PER_MINUTE) / meet_10s, BLOCK_S)
        num_minutes = len(per_minute)
        tens = _dirichlet(block[:, None], _NUM_BLOCKS, rng)
        seconds = _dirichlet(np.repeat(inside, _NUM_BLOCKS).reshape(num_minutes, _NUM_BLOCKS, 1), BLOCK_S, rng)
        weights = (tens[:, :, None] * seconds).reshape(num_minutes, SECONDS_PER_MINUTE)
        return rng.multinomial(per_minute, weights)


@dataclass(frozen=True, slots=True)
class MeasuredBurstiness:
    """What was measured of a service; `scripts/measure_burstiness.py` prints it from the raw files.

    Parameters
    ----------
    clustering_1s, clustering_10s, dispersion_1s, dispersion_10s
        Inside the minutes of the service's hour of the Azure trace of 2023.
    minute_dispersion
        Between the minutes of its week of 2024: half the variance of the change from a minute to the next, over the
        mean count.
    minute_law
        How that grows with traffic: its value at 1,000 requests a minute, and the exponent.
    """

    clustering_1s: float
    clustering_10s: float
    dispersion_1s: float
    dispersion_10s: float
    minute_dispersion: float
    minute_law: tuple[float, float]


MEASURED = {
    "conversation": MeasuredBurstiness(1.73e-4, 1.46e-3, 1.060, 1.509, 8.16, (5.04, 0.435)),
    "coding": MeasuredBurstiness(3.09e-2, 2.12e-1, 10.678, 67.286, 11.15, (7.96, 0.379)),
}


def service_burstiness(service: str, reading: str = DEFAULT_READING) -> Burstiness:
    """Return how bursty a service is to be.

    Parameters
    ----------
    service
        ``"conversation"`` or ``"coding"``.
    reading
        How the hour of 2023 is carried over to the week of 2024, which has 8 to 11 times its traffic. ``"relative"``:
        clustering stays. ``"index"``: the index of dispersion stays. ``"bounded"``, the default: whichever of the two
        is burstier, but not beyond the dispersion between minutes in 2024. ``"minutes"``: clustering stays, but not
        beyond the dispersion between minutes of 2024 with the same traffic. ``"poisson"``: no burstiness at all.

    Raises
    ------
    UnknownNameError
        If there is no such service or reading.
    """
    if service not in MEASURED:
        raise UnknownNameError("service", expected=f"one of {', '.join(MEASURED)}", found=f"'{service}'")
    known = MEASURED[service]
    clustering = {"clustering_1s": known.clustering_1s, "clustering_10s": known.clustering_10s}
    least = {"least_1s": known.dispersion_1s, "least_10s": known.dispersion_10s}
    if reading == "bounded":
        return Burstiness(**clustering, **least, limit=max(known.minute_dispersion, known.dispersion_1s))
    if reading == "minutes":
        return Burstiness(**clustering, limit=known.minute_law[0], limit_exponent=known.minute_law[1])
    if reading == "relative":
        return Burstiness(**clustering)
    if reading == "index":
        return Burstiness(**least)
    if reading == "poisson":
        return Burstiness()
    raise UnknownNameError("burstiness", expected=f"one of {', '.join(READINGS)}", found=f"'{reading}'")


def _chance(clustering: FloatArray, num_bins: int) -> FloatArray:
    """Chance that two requests meet in a bin."""
    return 1 / num_bins + (1 - 1 / num_bins) * clustering


def _clustering(chance: FloatArray, num_bins: int) -> FloatArray:
    """Invert `_chance`; a chance below that of even arrivals counts as even."""
    return np.clip((chance - 1 / num_bins) / (1 - 1 / num_bins), 0.0, _MOST_CLUSTERING)


def _dirichlet(clustering: FloatArray, num_bins: int, rng: np.random.Generator) -> FloatArray:
    """Draw weights that add up to 1 along the last axis; `clustering` has length 1 there.

    Two requests that fall by symmetric Dirichlet weights of total concentration A meet with clustering 1 / (1 + A).
    """
    concentration = np.divide(1 - clustering, clustering, where=clustering > 0, out=np.zeros_like(clustering))
    shape = (*clustering.shape[:-1], num_bins)
    draws = rng.standard_gamma(np.broadcast_to(concentration / num_bins, shape))
    draws = np.where(clustering > 0, draws, 1.0)
    weights: FloatArray = draws / draws.sum(axis=-1, keepdims=True)
    return weights
