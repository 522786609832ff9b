"""Tests of `dynaopt.curve_build`."""

import numpy as np
import pytest

from dynaopt.curve_build import build_curve, slo_load_rps
from dynaopt.instance_simulator import Engine, engine_of, serve
from dynaopt.lengths import Lengths, workload_lengths
from dynaopt.phase_model import read_phase_model
from dynaopt.profile import LoadCurve
from dynaopt.request_class import TABLE_IV
from dynaopt.slo import Slo
from dynaopt.workload import Workload, make_workload

SLO = Slo.table_iv()
SIZE = 3000


def _workload(name: str) -> Workload:
    return make_workload(name, workload_lengths(name, TABLE_IV), TABLE_IV, SLO, size=SIZE, seed=0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return a TP4 instance at the highest clock with 512 tokens per iteration."""
    return engine_of(read_phase_model("llama2-70b-h100"), 4, 1980, 512)


@pytest.fixture(scope="module")
def curve(engine: Engine) -> LoadCurve:
    """Return the curve of MS."""
    return build_curve(engine, _workload("MS"), SLO, tp=4, frequency_mhz=1980)


@pytest.fixture(scope="module")
def mix(engine: Engine) -> LoadCurve:
    """Return the curve of the coding service's mix."""
    return build_curve(engine, _workload("ALL-coding"), SLO, tp=4, frequency_mhz=1980)


def test_curve_starts_with_the_idle_instance(curve: LoadCurve, engine: Engine) -> None:
    """Tests that load 0 has the idle power and the latencies of requests that come alone."""
    alone = serve(engine, _workload("MS").alone())
    assert (curve.tp, curve.frequency_mhz, curve.request_class) == (4, 1980, "MS")
    assert (curve.rate_rps[0], curve.power_w[0]) == (0, engine.idle_power_w)
    assert curve.ttft_p50_s[0] == pytest.approx(alone.ttft_quantile_s(0.5), rel=1e-5)
    assert curve.ttft_p99_s[0] == pytest.approx(alone.ttft_quantile_s(0.99), rel=1e-5)
    assert curve.tbt_p99_s[0] == pytest.approx(alone.kept_tbt_s(0.99), rel=1e-5)


def test_curve_ends_between_its_slo_and_three_times_it(curve: LoadCurve) -> None:
    """Tests that the last level keeps three times the SLO and lies above the load that keeps it once."""
    slo_rate = curve.slo_rate_rps(SLO)
    assert slo_rate is not None
    assert slo_rate < curve.rate_rps[-1]
    assert curve.ttft_p99_s[-1] <= 3 * SLO.of("MS")[0]
    assert curve.tbt_p99_s[-1] <= 3 * SLO.of("MS")[1]


@pytest.mark.parametrize("at", [0.3, 0.7, 0.95])
def test_lines_between_levels_meet_the_simulation(curve: LoadCurve, engine: Engine, at: float) -> None:
    """Tests loads that are no levels: power within 2 %, P99s within 2.5 % of the SLO."""
    rate_rps = at * (curve.slo_rate_rps(SLO) or 0.0)
    run = serve(engine, _workload("MS").at(rate_rps), warm_up=int(0.02 * SIZE))
    assert curve.power_at_w(rate_rps) == pytest.approx(run.power_w, rel=0.02)
    for values, quantile_s, bound_s in zip(
        (curve.ttft_p99_s, curve.tbt_p99_s),
        (run.ttft_quantile_s(0.99), run.kept_tbt_s(0.99)),
        SLO.of("MS"),
        strict=True,
    ):
        assert np.interp(rate_rps, curve.rate_rps, values) == pytest.approx(quantile_s, abs=0.025 * bound_s)


def test_slo_load_is_where_the_curve_passes_the_slo(curve: LoadCurve, engine: Engine) -> None:
    """Tests the quick search against the curve: within its 2 % and the curve's lines."""
    assert slo_load_rps(engine, _workload("MS"), SLO) == pytest.approx(curve.slo_rate_rps(SLO), rel=0.04)


def test_slo_load_is_zero_where_even_unloaded_requests_are_late(engine: Engine) -> None:
    """Tests a tenth of Table IV's bounds."""
    assert slo_load_rps(engine, _workload("LS"), SLO.scaled(0.1)) == 0


def test_mix_has_latencies_of_each_of_its_classes(mix: LoadCurve) -> None:
    """Tests that every class has both latencies at every level, and that long prompts wait longer than short ones."""
    assert set(mix.class_latencies) == set(_workload("ALL-coding").classes)
    assert all(len(values) == len(mix.rate_rps) for pair in mix.class_latencies.values() for values in pair)
    assert (mix.class_latencies["LS"][0] > mix.class_latencies["SS"][0]).all()


def test_rare_class_takes_latencies_of_the_like(mix: LoadCurve) -> None:
    """Tests that SL, with a handful of requests, has the TTFT of all short prompts and the TBT of the whole mix."""
    np.testing.assert_array_equal(mix.class_latencies["SL"][0], mix.class_latencies["SM"][0])
    np.testing.assert_allclose(mix.class_latencies["SL"][1], mix.tbt_p99_s)
    assert not np.array_equal(mix.class_latencies["LS"][0], mix.class_latencies["SL"][0])


def test_a_class_of_single_tokens_takes_the_gaps_of_the_mix(engine: Engine) -> None:
    """Tests 2,000 MS requests of one token each: they have no time between tokens, and the curve is none the worse."""
    own = Lengths(np.array([100, 500]), np.array([20, 1]), np.array([2.0, 2.0]))
    workload = make_workload("ALL-own", own, TABLE_IV, SLO, size=4000, seed=0)
    curve = build_curve(engine, workload, SLO, tp=4, frequency_mhz=1980)
    np.testing.assert_array_equal(curve.class_latencies["MS"][1], curve.tbt_p99_s)
    assert curve.slo_rate_rps(SLO) is not None


def test_mix_ends_where_its_first_class_is_late(mix: LoadCurve) -> None:
    """Tests that at the last level some class stands near three times its SLO, and none beyond."""
    at_end = [pair[i][-1] / SLO.of(name)[i] for name, pair in mix.class_latencies.items() for i in (0, 1)]
    assert 1.5 < max(at_end) <= 3
