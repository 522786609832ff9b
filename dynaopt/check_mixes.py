"""Pools of a mix: their curve was taken with certain classes together, so they must serve just those, and together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dynaopt.check_evidence import BoolArray, Evidence, exceeds, of_pools, place_of_route
from dynaopt.profile import FloatArray
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.violations import RATE_TOLERANCE_RPS, RELATIVE_TOLERANCE, Violation, ViolationKind


def check_mixes(evidence: Evidence) -> Iterable[Violation]:
    """Give every route into the pool of a mix that its curve does not hold for.

    A class that the mix does not have must not be served there. Of all its classes the same part must come: were the
    long ones alone sent to it, its curve would promise too much. And what arrives of them must not be further from the
    mix than the cluster allows.

    Parameters
    ----------
    evidence
        What is claimed, and what it must agree with.
    """
    routes = evidence.routes
    own, pool = evidence.classes_of(routes), evidence.pools_of(routes)
    for at, (model, mix) in enumerate(evidence.mixes, start=evidence.num_classes):
        here = np.flatnonzero((pool == at) & (own >= 0))
        if here.size == 0:
            continue
        first = list(evidence.profiles).index(model) * len(REQUEST_CLASSES)
        served = np.array([mix.shares.get(c, 0.0) > 0 for c in REQUEST_CLASSES])
        for row in here[~served[own[here] - first]].tolist():
            yield Violation(
                kind=ViolationKind.MIX,
                window_start=evidence.starts[routes["window"].iloc[row]],
                where=place_of_route(routes.iloc[row]),
                found="a class that the mix does not have",
                expected=f"one of {', '.join(c for c in REQUEST_CLASSES if mix.shares.get(c, 0.0) > 0)}",
            )
        arriving = evidence.rate_rps[:, first : first + len(REQUEST_CLASSES)] * served
        routed = np.zeros_like(arriving)
        np.add.at(
            routed,
            (routes["window"].to_numpy()[here], own[here] - first),
            routes["rate_rps"].to_numpy(float)[here],
        )
        yield from _uneven(evidence, routed * served, arriving, first)
        shares = np.array([mix.shares.get(c, 0.0) for c in REQUEST_CLASSES])
        yield from _far(evidence, at, routed.any(axis=1), arriving, shares / shares.sum())


def _uneven(evidence: Evidence, routed: FloatArray, arriving: FloatArray, first: int) -> Iterable[Violation]:
    """Tell where a pool gets another part of one of its classes than of all of them together."""
    total = arriving.sum(axis=1, keepdims=True)
    part = routed.sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    expected = np.zeros((len(routed), evidence.num_classes))
    found = np.zeros_like(expected)
    span = slice(first, first + arriving.shape[1])
    expected[:, span], found[:, span] = part * arriving, routed
    slack = RELATIVE_TOLERANCE * np.maximum(found, expected) + RATE_TOLERANCE_RPS
    bad = np.abs(found - expected) > slack
    text = "{} requests/s in the pool of the mix, the same part as of its other classes"
    yield from of_pools(evidence, ViolationKind.MIX, bad, found, expected, text)


def _far(
    evidence: Evidence, pool: int, used: BoolArray, arriving: FloatArray, shares: FloatArray
) -> Iterable[Violation]:
    """Tell where what arrives for a pool in use has too little in common with its mix."""
    total = arriving.sum(axis=1, keepdims=True)
    in_common = np.minimum(arriving / np.where(total > 0, total, 1.0), shares).sum(axis=1)
    found = np.zeros(evidence.shape)
    found[:, pool] = np.where(used, 1 - in_common, 0.0)
    limit = np.full(evidence.shape, evidence.cluster.max_mix_distance)
    text = "at most {} of the requests taken for another class by the curves of the mix"
    yield from of_pools(evidence, ViolationKind.MIX, exceeds(found, limit, RELATIVE_TOLERANCE), found, limit, text)
