"""Tests of the single pool: one static pool sized for the busiest minute, by the curve of a whole mix."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_metadata

from dynaopt.demand import Demand, read_demand
from dynaopt.errors import InvalidInputError, NoSolutionError, UnknownNameError
from dynaopt.lengths import mix_lengths
from dynaopt.objective import Objective
from dynaopt.profile import LoadCurve, Mix, Profile
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS, WINDOW_COLUMNS
from dynaopt.single_pool import best_single_pool, nearest_mix, single_pool
from dynaopt.slo import Slo

START = pd.Timestamp("2024-05-14T18:00:00Z")
CHAT = Mix(name="ALL-chat", shares={"SS": 0.5, "LL": 0.5})
CODE = Mix(name="ALL-code", shares={"LS": 1.0})


def make_demand(windows: Sequence[dict[str, float]], peaks: Sequence[float], model: str = "") -> Demand:
    """Make a demand of five-minute windows from the requests/s of some classes and the peak factor of each window."""
    rows = [
        (START + pd.Timedelta(seconds=300 * n), model, c, rate, 500.0, 100.0, peak)
        for n, (rates, peak) in enumerate(zip(windows, peaks, strict=True))
        for c, rate in rates.items()
    ]
    names = ["window_start", "model", "request_class", "rate_rps", "input_tokens", "output_tokens", "peak_factor"]
    return Demand("by-hand", 300.0, pd.DataFrame(rows, columns=names))


def make_mix_profile(curves: Sequence[LoadCurve], mixes: Sequence[Mix] = (CHAT, CODE), **metadata: object) -> Profile:
    """Make a profile with mixes."""
    made = make_metadata(**metadata).model_copy(update={"mixes": tuple(mixes)})  # type: ignore[arg-type]
    return Profile(metadata=made, curves={(c.tp, c.frequency_mhz, c.request_class): c for c in curves})


def make_mix_curve(
    tp: int, frequency_mhz: int, points: Sequence[tuple[float, float]], ttft_ll_s: Sequence[float] = (0.01, 0.01)
) -> LoadCurve:
    """Make the curve of a mix of SS and LL through two points; only LL may see a long TTFT."""
    curve = make_curve(tp, frequency_mhz, "ALL-chat", points, ttft_p99_s=ttft_ll_s)
    short = np.full(len(points), 0.01)
    return replace(curve, class_latencies={"SS": (short, short), "LL": (np.array(ttft_ll_s), short)})


TP8 = make_mix_curve(8, 1980, [(0, 800), (10, 2800)])
TP4 = make_mix_curve(4, 1400, [(0, 300), (6, 1500)])
DEMAND = make_demand([{"SS": 10, "LL": 10}, {"SS": 24, "LL": 16}], [1.0, 1.5])


def test_a_pool_by_hand() -> None:
    """Tests sizes and powers against arithmetic.

    The busiest minute is 40 requests/s x 1.5 = 60, with a tenth of headroom 66: 7 instances of 10 requests/s, 56 GPUs.
    First window: 20/7 requests/s on each, 800 + 200 x 20/7 W, times 7 = 9,600 W. Second: 40/7 each, 13,600 W. The 8
    GPUs left are released at 0 W. Energy: (9,600 + 13,600) W x 300 s = 6,960,000 J.
    """
    pool = single_pool(DEMAND, make_mix_profile([TP8]), num_gpus=64, headroom=0.1)
    assert (pool.num_instances, pool.num_gpus, pool.fits) == (7, 56, True)
    np.testing.assert_allclose(pool.power_w, [9_600, 13_600], rtol=1e-12)
    assert pool.energy_j == pytest.approx(6_960_000, rel=1e-12)


def test_hosts_and_unused_gpus_draw_power() -> None:
    """Tests 7 servers of 400 W for 56 GPUs, and 8 unused GPUs that stay on at 70 W: 2,800 + 560 W more."""
    profile = make_mix_profile([TP8], host_w=400.0)
    pool = single_pool(DEMAND, profile, num_gpus=64, headroom=0.1, unused_gpus="on")
    np.testing.assert_allclose(pool.power_w, [9_600 + 3_360, 13_600 + 3_360], rtol=1e-12)


@pytest.mark.parametrize(("reserve", "number"), [(0.0, 6), (0.2, 8), ("n+1", 7)])
def test_a_reserve_takes_more_instances(reserve: object, number: int) -> None:
    """Tests 60 requests/s at the peak: 6 instances, 60 / 0.8 = 75 for a spare fifth, one more for N+1."""
    pool = single_pool(DEMAND, make_mix_profile([TP8]), num_gpus=64, headroom=0.0, reserve=reserve)
    assert pool.num_instances == number


def test_a_capacity_that_is_just_met_is_enough() -> None:
    """Tests that rounding in the headroom does not buy an instance: 10 x 1.1 requests/s on one of 11."""
    profile = make_mix_profile([make_mix_curve(8, 1980, [(0, 800), (11, 2800)])])
    assert single_pool(make_demand([{"SS": 10}], [1.0]), profile, headroom=0.1).num_instances == 1


def test_the_slo_of_each_class_limits_the_mix() -> None:
    """Tests a mix whose LL see a TTFT of 1 to 3 s up to 10 requests/s: 2 s, its objective, at 5; 60 / 5 = 12."""
    curve = make_mix_curve(8, 1980, [(0, 800), (10, 2800)], ttft_ll_s=(1.0, 3.0))
    assert single_pool(DEMAND, make_mix_profile([curve]), headroom=0.0).num_instances == 12
    with pytest.raises(NoSolutionError, match="TP8 at 1980 MHz keeps the objectives of ALL-chat at no load"):
        single_pool(DEMAND, make_mix_profile([curve]), slo=Slo.table_iv().scaled(0.1))


def test_a_cluster_that_is_too_small_is_told() -> None:
    """Tests that the pool is reported although it needs 48 GPUs of 40; none is unused then."""
    pool = single_pool(DEMAND, make_mix_profile([TP8]), num_gpus=40, headroom=0.0, unused_gpus="on")
    assert (pool.num_gpus, pool.fits) == (48, False)
    np.testing.assert_allclose(pool.power_w, [6 * 800 + 200 * 20, 6 * 800 + 200 * 40])


def test_the_nearest_mix_is_taken() -> None:
    """Tests half the sum of differences: shares 34/60 and 26/60 are 4/60 from (1/2, 1/2) and 1 from all LS."""
    profile = make_mix_profile([TP8])
    mix, distance = nearest_mix(profile, DEMAND.rates_rps[""])
    assert mix.name == "ALL-chat"
    assert distance == pytest.approx(4 / 60)
    coding = make_demand([{"LS": 3.0, "SS": 1.0}], [1.0])
    assert nearest_mix(profile, coding.rates_rps[""])[0].name == "ALL-code"


def test_a_whole_service_gets_the_mix_of_the_whole() -> None:
    """Tests both shipped weeks against mixes of the services and of their parts by input length."""
    names = [f"{service}{part}" for service in ("conversation", "coding") for part in ("", "-S", "-M", "-L")]
    mixes = [Mix(name=f"ALL-{name}", shares=mix_lengths(name, TABLE_IV).shares(TABLE_IV)) for name in names]
    profile = make_mix_profile([TP8], mixes)
    for service in ("conversation", "coding"):
        rates = read_demand(f"azure-2024-{service}").rates_rps[""]
        mix, distance = nearest_mix(profile, rates)
        assert mix.name == f"ALL-{service}"
        assert distance < 0.02
        short = np.where([c[0] == "S" for c in REQUEST_CLASSES], rates, 0.0)
        assert nearest_mix(profile, short)[0].name == f"ALL-{service}-S"


def test_the_best_pool_beats_the_usual_one() -> None:
    """Tests the search over configurations.

    TP4 takes 10 instances of 6 requests/s for 60: 10 x 300 + 200 x 20 = 7,000 W and 11,000 W, against 8,800 and
    12,800 W on 6 of TP8.
    """
    profile = make_mix_profile([TP8, TP4])
    best = best_single_pool(DEMAND, profile, num_gpus=64, headroom=0.0)
    assert [(p.curve.tp, p.curve.frequency_mhz, p.num_instances) for p in best.pools] == [(4, 1400, 10)]
    assert best.energy_j == pytest.approx((7_000 + 11_000) * 300)
    assert best.energy_j < single_pool(DEMAND, profile, num_gpus=64, headroom=0.0).energy_j


def test_the_best_pool_has_to_fit() -> None:
    """Tests that a cheaper pool of more GPUs than there are is passed over, unless none fits."""
    wide = make_mix_curve(16, 1400, [(0, 10), (10, 20)])
    profile = make_mix_profile([TP8, wide])
    assert best_single_pool(DEMAND, profile, num_gpus=64, headroom=0.0).pools[0].curve.tp == 8
    assert best_single_pool(DEMAND, profile, num_gpus=96, headroom=0.0).pools[0].curve.tp == 16
    crowded = best_single_pool(DEMAND, profile, num_gpus=8, headroom=0.0)
    assert (crowded.pools[0].curve.tp, crowded.fits) == (16, False)


def test_two_models_share_a_cluster() -> None:
    """Tests one pool for each model: 6 x TP8 for 60 requests/s and 2 x TP4 for 12, unused GPUs counted once."""
    first, second = make_demand([{"SS": 60}], [1.0], "a"), make_demand([{"SS": 12}], [1.0], "b")
    both = Demand("both", 300.0, pd.concat([first.table, second.table], ignore_index=True))
    profiles = [make_mix_profile([TP8, TP4], model="a"), make_mix_profile([TP4], model="b")]
    pool = best_single_pool(both, profiles, num_gpus=128, headroom=0.0, unused_gpus="on")
    assert [(p.profile.model, p.curve.tp, p.num_instances) for p in pool.pools] == [("a", 4, 10), ("b", 4, 2)]
    expected_w = 10 * 300 + 200 * 60 + 2 * 300 + 200 * 12 + (128 - 48) * 70
    np.testing.assert_allclose(pool.power_w, [expected_w])


def test_a_schedule_says_the_same() -> None:
    """Tests the form of a plan: columns, energies, counts, and every request routed."""
    pool = single_pool(DEMAND, make_mix_profile([TP8]), num_gpus=64, headroom=0.1)
    schedule = pool.schedule()
    for frame, columns in (
        (schedule.allocations, ALLOCATION_COLUMNS),
        (schedule.routes, ROUTE_COLUMNS),
        (schedule.windows, WINDOW_COLUMNS),
    ):
        assert list(frame) == [c.name for c in columns]
    assert schedule.energy_j == pytest.approx(pool.energy_j)
    assert schedule.metadata.totals == schedule.totals()
    summary = schedule.summary()
    assert (summary["gpus_min"], summary["gpus_max"], summary["num_unsolved"]) == (56, 56, 0)
    assert schedule.num_requests == pytest.approx(DEMAND.num_requests)
    shares = schedule.allocations["num_instances"] * schedule.allocations["power_per_instance_w"]
    np.testing.assert_allclose(shares, schedule.windows["power_w"])


def test_a_named_model_is_routed_too() -> None:
    """Tests the routes of a demand that names its model."""
    demand = make_demand([{"SS": 10, "LL": 5}], [1.0], "tiny-model")
    routes = single_pool(demand, make_mix_profile([TP8])).schedule().routes
    assert routes[["model", "request_class", "pool", "rate_rps"]].to_numpy().tolist() == [
        ["tiny-model", "SS", "ALL-chat", 10.0],
        ["tiny-model", "LL", "ALL-chat", 5.0],
    ]


def test_profiles_without_mixes_have_no_single_pool() -> None:
    """Tests that both say so instead of falling back to the curves of one class."""
    profile = make_mix_profile([make_curve(8, 1980, c, [(0, 1), (1, 2)]) for c in REQUEST_CLASSES], mixes=())
    for function in (single_pool, best_single_pool):
        with pytest.raises(NoSolutionError, match="profile tiny has no curves of a whole mix"):
            function(DEMAND, profile)


def test_a_configuration_that_is_not_there_is_refused() -> None:
    """Tests that the profile's configurations are told."""
    with pytest.raises(UnknownNameError, match="TP4 at 1980 MHz for ALL-chat"):
        single_pool(DEMAND, make_mix_profile([TP8]), tp=4)


def test_a_model_without_a_profile_is_refused() -> None:
    """Tests that the model is named."""
    with pytest.raises(InvalidInputError, match="one for model 'other', got only tiny-model"):
        single_pool(make_demand([{"SS": 1}], [1.0], "other"), make_mix_profile([TP8]))


def test_the_repr_shows_the_pool() -> None:
    """Tests that one line says configuration, GPUs and energy."""
    pool = single_pool(DEMAND, make_mix_profile([TP8]), num_gpus=64, headroom=0.1)
    assert repr(pool) == "SinglePool(7 x TP8 at 1980 MHz for ALL-chat: 56 GPUs, 1.9 kWh)"


def test_the_busiest_minute_need_not_be_in_the_busiest_window() -> None:
    """Tests 40 requests/s with a peak of 1 and 20 with one of 1.5: 40 at most, four instances of 10, not six."""
    demand = make_demand([{"SS": 40}, {"SS": 20}], [1.0, 1.5])
    assert single_pool(demand, make_mix_profile([TP8]), headroom=0.0).num_instances == 4


def test_gpus_that_a_pool_leaves_on_are_no_saving() -> None:
    """Tests 20 requests/s on 2 TP8 (1,600 + 4,000 W, 16 GPUs) or on 4 TP2 of 5 (2,000 + 4,000 W, 8 GPUs).

    Where the GPUs beyond draw 70 W unused, TP8 leaves 8 fewer of them: 5,600 - 16 · 70 = 4,480 W against
    6,000 - 8 · 70 = 5,440 W, and the choice is the same. At 100 J more a request for TP8, 7,600 - 1,120 = 6,480 W
    are more than 5,440 W. At 22.5 J more it takes 6,050 W, above the 6,000 W of TP2, but with 8 unused GPUs fewer
    6,050 - 1,120 = 4,930 W are less.
    """
    demand = make_demand([{"SS": 20}], [1.0])
    small = make_mix_curve(2, 1980, [(0, 500), (5, 1500)])
    for points, unused, expected in (
        ([(0, 800), (10, 2800)], "on", 8),
        ([(0, 800), (10, 3800)], "on", 2),
        ([(0, 800), (10, 3025)], "on", 8),
        ([(0, 800), (10, 3025)], "released", 2),
    ):
        profile = make_mix_profile([make_mix_curve(8, 1980, points), small])
        best = best_single_pool(demand, profile, num_gpus=64, headroom=0.0, unused_gpus=unused)
        assert best.pools[0].curve.tp == expected


def test_a_price_of_gpus_decides_for_fewer() -> None:
    """Tests the two pools at 1 a kWh: 5.6 kW on 16 GPUs or 6 kW on 8, so TP2 from 0.4 / 8 = 0.05 a GPU-hour on."""
    demand = make_demand([{"SS": 20}], [1.0])
    profile = make_mix_profile([TP8, make_mix_curve(2, 1980, [(0, 500), (5, 1500)])])
    for price, expected in ((0.04, 8), (0.06, 2)):
        objective = Objective(minimise="cost", price_per_kwh=1.0, price_per_gpu_hour=price)
        best = best_single_pool(demand, profile, num_gpus=64, headroom=0.0, objective=objective)
        assert best.pools[0].curve.tp == expected


def test_the_highest_clock_of_a_given_degree_is_taken() -> None:
    """Tests TP4, whose curves come in the order of their clocks, and a clock whose largest degree is TP4."""
    profile = make_mix_profile([make_mix_curve(4, mhz, [(0, 300), (6, 1500)]) for mhz in (1400, 1980)] + [TP8])
    demand = make_demand([{"SS": 1}], [1.0])
    assert single_pool(demand, profile, tp=4).pools[0].curve.frequency_mhz == 1980
    assert single_pool(demand, profile, frequency_mhz=1400).pools[0].curve.tp == 4
