"""The rules that every window must keep, recomputed from demand, profile and options.

Written apart from the integer program and from what the solvers use to state their answers, and in another form where
the rule allows one: an instance keeps its SLO when the latency read from its curve at (load times peak factor times
(1 + headroom)) does, instead of when its load stays on a shortened curve.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from dynaopt.check_curves import CurveReadings, read_curves
from dynaopt.check_evidence import (
    BoolArray,
    Evidence,
    differ,
    exceeds,
    of_groups,
    of_pools,
    of_windows,
    place_of_group,
    place_of_route,
    stretch,
)
from dynaopt.check_mixes import check_mixes
from dynaopt.profile import FloatArray
from dynaopt.violations import RATE_TOLERANCE_RPS, Violation, ViolationKind


def check_windows(evidence: Evidence) -> list[Violation]:
    """Return every violation of the rules of a window.

    Parameters
    ----------
    evidence
        What is claimed, and what it must agree with.
    """
    readings = read_curves(evidence.groups, evidence.profiles, evidence.slo, stretch(evidence))
    return [
        *_names(evidence, readings),
        *_numbers(evidence),
        *_served(evidence),
        *_promotions(evidence),
        *check_mixes(evidence),
        *_pool_loads(evidence),
        *_instances(evidence, readings),
        *_reserve(evidence, readings),
        *_limits(evidence, readings),
        *_fixed_mix(evidence),
        *_no_answer(evidence),
    ]


def drawn_w(evidence: Evidence, readings: CurveReadings) -> FloatArray:
    """Return the power of each window, in watts: instances by their curves, their hosts, and unused GPUs; length W."""
    groups = evidence.groups
    count = groups["num_instances"].to_numpy(float)
    given_w = evidence.cluster.host_w
    on_host_w = groups["model"].map(
        {
            m: (p.metadata.power.host_w if given_w is None else given_w) / p.metadata.gpus_per_server
            for m, p in evidence.profiles.items()
        }
    )
    tp = groups["tp"].to_numpy(float)
    each_w = np.where(readings.known, readings.power_w + tp * on_host_w.to_numpy(float), 0.0)
    instances_w = evidence.add_up_windows(groups, count * each_w)
    power = next(iter(evidence.profiles.values())).metadata.power
    unused_w = power.gpu_on_w if evidence.cluster.unused_gpus == "on" else power.gpu_released_w
    return instances_w + (evidence.cluster.num_gpus - used_gpus(evidence)) * unused_w


def used_gpus(evidence: Evidence) -> FloatArray:
    """Return the number of GPUs under instances in each window, length W."""
    groups = evidence.groups
    return evidence.add_up_windows(groups, (groups["tp"] * groups["num_instances"]).to_numpy(float))


def _names(evidence: Evidence, readings: CurveReadings) -> Iterable[Violation]:
    tables = [(evidence.groups, place_of_group, ~readings.known)]
    routes = evidence.routes
    unknown = (evidence.classes_of(routes) < 0) | (evidence.pools_of(routes) < 0)
    tables.append((routes, place_of_route, unknown))
    for table, place, bad in tables:
        for _, row in table[bad].iterrows():
            yield Violation(
                kind=ViolationKind.UNKNOWN_NAME,
                window_start=evidence.starts[row["window"]],
                where=place(row),
                found="a name that the profile does not have",
                expected="a model, class and configuration of the profile",
            )


def _numbers(evidence: Evidence) -> Iterable[Violation]:
    groups, routes = evidence.groups, evidence.routes
    count = groups["num_instances"].to_numpy(float)
    yield from _impossible(
        evidence, groups, count, ~((count > 0) & (count == np.round(count))), "a whole number above 0"
    )
    for table, column in ((groups, "rate_per_instance_rps"), (routes, "rate_rps")):
        values = table[column].to_numpy(float)
        yield from _impossible(evidence, table, values, ~(np.isfinite(values) & (values >= 0)), "a rate of at least 0")


def _impossible(
    evidence: Evidence, table: pd.DataFrame, values: FloatArray, bad: BoolArray, expected: str
) -> Iterable[Violation]:
    for at in np.flatnonzero(bad).tolist():
        row = table.iloc[at]
        yield Violation(
            kind=ViolationKind.IMPOSSIBLE_NUMBER,
            window_start=evidence.starts[row["window"]],
            where=place_of_route(row) if table is evidence.routes else place_of_group(row),
            found=f"{values[at]:g}",
            expected=expected,
        )


def _served(evidence: Evidence) -> Iterable[Violation]:
    routes, expected = evidence.routes, evidence.rate_rps
    routed = evidence.add_up(routes, evidence.classes_of(routes), routes["rate_rps"].to_numpy(float))
    found = routed[:, : evidence.num_classes]
    bad = differ(found, expected, RATE_TOLERANCE_RPS) & evidence.answered[:, None]
    short = ~(found > expected)
    text = "{} requests/s routed"
    yield from of_pools(evidence, ViolationKind.UNSERVED_DEMAND, bad & short, found, expected, text)
    yield from of_pools(evidence, ViolationKind.INVENTED_DEMAND, bad & ~short, found, expected, text)


def _promotions(evidence: Evidence) -> Iterable[Violation]:
    routes = evidence.routes
    own, pool = evidence.classes_of(routes), evidence.pools_of(routes)
    inputs, outputs = (own % 9 // 3, pool % 9 // 3), (own % 3, pool % 3)
    of_class = (pool >= 0) & (pool < evidence.num_classes)
    shorter = of_class & (own >= 0) & ((inputs[1] < inputs[0]) | (outputs[1] < outputs[0]))
    for _, row in routes[shorter].iterrows():
        yield Violation(
            kind=ViolationKind.PROMOTION,
            window_start=evidence.starts[row["window"]],
            where=f"{row['model']}, {row['request_class']}",
            found=f"pool {row['pool']}",
            expected="a pool at least as long in both lengths",
        )


def _carried(evidence: Evidence) -> FloatArray:
    groups = evidence.groups
    load = (groups["num_instances"] * groups["rate_per_instance_rps"]).to_numpy(float)
    return evidence.add_up(groups, evidence.pools_of(groups), load)


def _pool_loads(evidence: Evidence) -> Iterable[Violation]:
    routes = evidence.routes
    routed = evidence.add_up(routes, evidence.pools_of(routes), routes["rate_rps"].to_numpy(float))
    carried = _carried(evidence)
    bad = differ(carried, routed, RATE_TOLERANCE_RPS)
    return of_pools(evidence, ViolationKind.POOL_LOAD, bad, carried, routed, "{} requests/s, as is routed to it")


def _instances(evidence: Evidence, readings: CurveReadings) -> Iterable[Violation]:
    known = readings.known
    stretched = readings.peak_rate_rps
    beyond = known & exceeds(stretched, readings.last_rate_rps)
    yield from of_groups(
        evidence, ViolationKind.BEYOND_CURVE, beyond, stretched, readings.last_rate_rps, "at most {} requests/s at peak"
    )
    for kind, found, bound in (
        (ViolationKind.TTFT, readings.ttft_p99_s, readings.ttft_bound_s),
        (ViolationKind.TBT, readings.tbt_p99_s, readings.tbt_bound_s),
    ):
        yield from of_groups(evidence, kind, known & exceeds(found, bound), found, bound, "at most {} s")
    claimed = evidence.groups["power_per_instance_w"].to_numpy(float)
    wrong = known & differ(claimed, readings.power_w)
    yield from of_groups(evidence, ViolationKind.INSTANCE_POWER, wrong, claimed, readings.power_w, "{} W by the curve")


def _reserve(evidence: Evidence, readings: CurveReadings) -> Iterable[Violation]:
    reserve = evidence.cluster.reserve
    if reserve == 0:
        return
    groups, pool = evidence.groups, evidence.pools_of(evidence.groups)
    each = np.where(readings.known, readings.capacity_rps, 0.0)
    spare = evidence.add_up(groups, pool, groups["num_instances"].to_numpy(float) * each)
    if reserve == "n+1":
        largest = np.zeros(evidence.shape)
        np.maximum.at(largest, (groups["window"].to_numpy()[pool >= 0], pool[pool >= 0]), each[pool >= 0])
        spare -= largest
    else:
        spare *= 1 - float(reserve)
    load = _carried(evidence)
    bad = exceeds(load, spare, RATE_TOLERANCE_RPS)
    yield from of_pools(
        evidence, ViolationKind.RESERVE, bad, load, spare, f"at most {{}} requests/s at reserve {reserve}"
    )


def _limits(evidence: Evidence, readings: CurveReadings) -> Iterable[Violation]:
    cluster, answered = evidence.cluster, evidence.answered
    used = used_gpus(evidence)
    limit = np.full(len(used), float(cluster.num_gpus))
    yield from of_windows(evidence, ViolationKind.GPU_LIMIT, exceeds(used, limit), used, limit, "at most {} GPUs")
    power = drawn_w(evidence, readings)
    claimed = evidence.power_w
    wrong = answered & differ(claimed, power)
    yield from of_windows(evidence, ViolationKind.WINDOW_POWER, wrong, claimed, power, "{} W")
    if cluster.power_cap_w is not None:
        cap = np.full(len(used), cluster.power_cap_w)
        bad = answered & exceeds(power, cap)
        yield from of_windows(evidence, ViolationKind.POWER_CAP, bad, power, cap, "at most {} W")


def _fixed_mix(evidence: Evidence) -> Iterable[Violation]:
    groups = evidence.groups
    for model, mix in evidence.cluster.fixed_mix.items():
        for tp in sorted({*mix, *evidence.profiles[model].tps}):
            chosen = ((groups["model"] == model) & (groups["tp"] == tp)).to_numpy(float)
            found = evidence.add_up_windows(groups, chosen * groups["num_instances"].to_numpy(float))
            expected = np.full(len(found), float(mix.get(tp, 0)))
            bad = evidence.answered & differ(found, expected)
            text = f"{{}} instances of {model} at TP{tp}"
            yield from of_windows(evidence, ViolationKind.FIXED_MIX, bad, found, expected, text)


def _no_answer(evidence: Evidence) -> Iterable[Violation]:
    for window in np.flatnonzero(~evidence.answered).tolist():
        yield Violation(
            kind=ViolationKind.NO_ANSWER,
            window_start=evidence.starts[window],
            found="none",
            expected=f"an answer for {evidence.rate_rps[window].sum():.6g} requests/s",
        )
