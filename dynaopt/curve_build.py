"""One curve of a profile: an instance simulated at as many loads as the curve needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dynaopt.curve_limits import NUM_VALUES, curve_limits, latency_bounds
from dynaopt.instance_simulator import Run, serve
from dynaopt.instance_state import Engine
from dynaopt.load_levels import Levels, Limits, fewest_levels, find_last, rounded, sample_curve
from dynaopt.profile import LoadCurve
from dynaopt.request_class import MIX_PREFIX
from dynaopt.slo import Slo
from dynaopt.workload import Workload

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# The share of requests at the start that find the instance emptier than the others will.
_WARM_UP = 0.02
# A class in a mix with fewer requests takes its TTFT from all of the same input length, and its TBT from all of the
# same output length, or if those are too few as well from all. Of the TBT only requests with a second token tell.
_FEWEST_REQUESTS = 1000
_DIGITS = 6
# How well straight lines between few levels must meet the power, and the digits that keep the others on these lines.
_POWER_TOLERANCE = 0.005
_STRAIGHT_DIGITS = 12
# The rough search for the last load: how many requests, from which load, by which factor.
_SEARCH_REQUESTS = 5000


def build_curve(engine: Engine, workload: Workload, slo: Slo, *, tp: int, frequency_mhz: int) -> LoadCurve:
    """Simulate one curve.

    Parameters
    ----------
    engine
        The instance.
    workload
        What it serves.
    slo
        The bounds around which the curve is sampled.
    tp, frequency_mhz
        What to call the configuration.
    """
    unloaded = _observe(serve(engine, workload.alone()), workload)
    unloaded[0] = engine.idle_power_w
    limits = curve_limits(workload.name, workload.classes, slo, unloaded)
    rough = workload.first(_SEARCH_REQUESTS)

    def measure(rate_rps: float, load: Workload = workload) -> FloatArray:
        return _observe(serve(engine, load.at(rate_rps), warm_up=_warm_up(load)), load)

    guess = find_last(lambda rate: bool(np.all(measure(rate, rough) <= limits.stop)), 1.0, step=2.0, within=0.05)
    loads, values = sample_curve(measure, unloaded, limits, guess=guess)
    values = _rounded(values, _DIGITS)
    latencies = {}
    if workload.name.startswith(MIX_PREFIX):
        pairs = values[:, NUM_VALUES:].reshape(len(loads), -1, 2)
        latencies = {c: (pairs[:, i, 0], pairs[:, i, 1]) for i, c in enumerate(workload.classes)}
    return LoadCurve(
        tp=tp,
        frequency_mhz=frequency_mhz,
        request_class=workload.name,
        rate_rps=loads,
        power_w=_straightened(loads, values[:, 0]),
        ttft_p50_s=values[:, 1],
        ttft_p99_s=values[:, 2],
        tbt_p50_s=values[:, 3],
        tbt_p99_s=values[:, 4],
        class_latencies=latencies,
    )


def slo_load_rps(engine: Engine, workload: Workload, slo: Slo, *, guess: float = 1.0) -> float:
    """Return the highest load at which every class of a workload keeps its SLO, to within 2 %.

    Parameters
    ----------
    engine, workload, slo
        As for `build_curve`.
    guess
        Where to begin.

    Returns
    -------
    float
        Requests per second; 0 when not even an unloaded instance keeps the SLO.
    """
    bounds = latency_bounds(workload.name, workload.classes, slo)

    def keeps(run: Run) -> bool:
        return bool(np.all(_observe(run, workload)[1:] <= bounds[1:]))

    if not keeps(serve(engine, workload.alone())):
        return 0.0
    warm_up = _warm_up(workload)
    return find_last(
        lambda rate: keeps(serve(engine, workload.at(rate), warm_up=warm_up)), guess, step=1.5, within=0.02
    )


def _warm_up(workload: Workload) -> int:
    return int(_WARM_UP * len(workload.at_one_rps.arrival_s))


def _observe(run: Run, workload: Workload) -> FloatArray:
    """Return power, TTFT P50 and P99, TBT P50 and P99; and for a mix the P99 TTFT and TBT of each class in turn."""
    values = [run.power_w]
    values += [run.ttft_quantile_s(q) for q in (0.5, 0.99)]
    # Requests that decode alone have gaps as good as equal: there the median of all gaps can be a hair above.
    median_gap_s = run.tbt_quantile_s(0.5)
    values += [median_gap_s, max(median_gap_s, run.kept_tbt_s(0.99))]
    if workload.name.startswith(MIX_PREFIX):
        input_length, output_length = (np.array([c[i] for c in workload.classes])[run.group] for i in (0, 1))
        has_gaps = ~np.isnan(run.tail_gap_s)
        for group, request_class in enumerate(workload.classes):
            own = run.group == group
            alike = own if _are_enough(own) else input_length == request_class[0]
            values.append(float(np.quantile(run.ttft_s[alike], 0.99)))
            alike = own if _are_enough(own & has_gaps) else output_length == request_class[1]
            values.append(run.kept_tbt_s(0.99, alike if _are_enough(alike & has_gaps) else None))
    return np.array(values)


def _are_enough(chosen: BoolArray) -> bool:
    return int(chosen.sum()) >= _FEWEST_REQUESTS


def _rounded(values: FloatArray, digits: int) -> FloatArray:
    result: FloatArray = np.vectorize(lambda x: rounded(x, digits))(values)
    return result


def _straightened(loads: FloatArray, power_w: FloatArray) -> FloatArray:
    """Return the power with as few bends as keep it within half a per cent; a planner's work grows with the bends.

    Most levels are there for a latency. At those the power is put onto the line between the levels it bends at.
    """
    none = np.full(1, np.inf)
    limits = Limits(
        stop=none,
        relevant=none,
        relevant_from=np.zeros(1),
        everywhere=np.ones(1, dtype=bool),
        tolerance=_POWER_TOLERANCE,
    )
    bends = fewest_levels(Levels(loads, power_w[:, None]), limits)
    straight = _rounded(np.interp(loads, loads[bends], power_w[bends]), _STRAIGHT_DIGITS)
    straight[bends] = power_w[bends]
    return straight
