"""SHA-256 of what a plan takes from its inputs, however they were stored."""

from __future__ import annotations

import hashlib

import numpy as np

from dynaopt.demand import Demand
from dynaopt.profile import FloatArray, Profile


def demand_digest(demand: Demand) -> str:
    """Return the SHA-256 of a demand's content.

    Parameters
    ----------
    demand
        Its windows, rates and peak factors count; its name and the means of tokens do not.
    """
    digest = hashlib.sha256(f"{demand.window_s!r} {demand.models!r}\n".encode())
    digest.update(demand.starts.as_unit("us").asi8.tobytes())
    for model in demand.models:
        _update(digest, demand.rates_rps[model], demand.peak_factors[model])
    return digest.hexdigest()


def profile_digest(profile: Profile) -> str:
    """Return the SHA-256 of a profile's content.

    Parameters
    ----------
    profile
        Its metadata and every curve count, so that one made in memory has a digest too.
    """
    digest = hashlib.sha256(profile.metadata.model_dump_json(exclude_none=True).encode())
    for key in sorted(profile.curves):
        curve = profile.curves[key]
        digest.update(f"{key!r} {sorted(curve.class_latencies)!r}\n".encode())
        _update(digest, curve.rate_rps, curve.power_w, curve.ttft_p50_s, curve.ttft_p99_s)
        _update(digest, curve.tbt_p50_s, curve.tbt_p99_s)
        for request_class in sorted(curve.class_latencies):
            _update(digest, *curve.class_latencies[request_class])
    return digest.hexdigest()


def series_digest(means: FloatArray) -> str:
    """Return the SHA-256 of the means of a series over windows.

    Parameters
    ----------
    means
        Shape (windows,). Twelve digits count, which text keeps.
    """
    return hashlib.sha256("\n".join(f"{value:.12g}" for value in means.tolist()).encode()).hexdigest()


def _update(digest: hashlib._Hash, *arrays: FloatArray) -> None:
    for array in arrays:
        digest.update(f"{array.shape!r}".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
