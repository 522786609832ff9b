"""Tests of `dynaopt.problem`."""

import numpy as np
import pytest
from builders import make_curve, make_metadata, make_problem, make_profile, make_window, same_for_all_classes

from dynaopt.errors import InvalidInputError
from dynaopt.problem import Cluster, WindowDemand
from dynaopt.profile import Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo

POINTS = [(0, 100), (2, 300), (4, 400)]
TINY = make_profile(same_for_all_classes(2, 1000, POINTS))


def _two_models(first: Profile, second: Profile) -> WindowDemand:
    rates = {p.model: np.ones(9) for p in (first, second)}
    return WindowDemand(
        start=make_window({}).start, window_s=300.0, rate_rps=rates, peak_factor=dict.fromkeys(rates, 1.0)
    )


def test_a_pool_for_each_class() -> None:
    """Tests that pools stand in the order of the classes, with their own arrivals."""
    problem = make_problem(TINY, {"SS": 1.5, "LL": 0.25})
    assert [p.request_class for p in problem.pools] == list(REQUEST_CLASSES)
    assert [p.rate_rps for p in problem.pools] == [1.5, 0, 0, 0, 0, 0, 0, 0, 0.25]


def test_peak_factor_and_headroom_shorten_the_curve() -> None:
    """Tests that 4 requests/s at a peak factor of 1.25 and a headroom of 0.28 leave 4 / 1.6 = 2.5 at 325 W.

    The curve rises by 50 W for each request/s beyond 2, where it stands at 300 W.
    """
    problem = make_problem(TINY, {"SS": 1}, peak_factor=1.25, headroom=0.28)
    option = problem.pools[0].options[0]
    assert option.rate_rps.tolist() == pytest.approx([0, 2, 2.5])
    assert option.power_w.tolist() == pytest.approx([100, 300, 325])
    assert option.capacity_rps == pytest.approx(2.5)


def test_a_shortened_curve_that_ends_on_a_level_has_no_empty_segment() -> None:
    """Tests that a capacity equal to a profiled load does not repeat it."""
    problem = make_problem(TINY, {"SS": 1}, headroom=1.0)
    assert problem.pools[0].options[0].rate_rps.tolist() == pytest.approx([0, 2])


def test_only_bends_of_the_power_are_breakpoints() -> None:
    """Tests a level at 2 on the line from 1 to 3, there for a latency; cut at 2.5 the power is still 100 + 10 · 2.5."""
    curve = make_curve(4, 2000, "SS", [(0, 90), (1, 110), (2, 120), (3, 130)], ttft_p99_s=[0.1, 0.1, 0.1, 0.4])
    option = make_problem(make_profile([curve]), {"SS": 1}, headroom=0.0).pools[0].options[0]
    assert option.rate_rps.tolist() == pytest.approx([0, 1, 2.5])
    assert option.power_w.tolist() == pytest.approx([90, 110, 125])


def test_configurations_that_cannot_keep_the_slo_are_no_options() -> None:
    """Tests that the SLO decides per class what may run."""
    slow = [make_curve(2, 800, c, POINTS, ttft_p99_s=[0.3, 0.3, 0.3]) for c in REQUEST_CLASSES]
    problem = make_problem(make_profile(slow), {"SS": 1})
    assert {p.request_class: len(p.options) for p in problem.pools} == {
        c: 0 if c[0] == "S" else 1 for c in REQUEST_CLASSES
    }


def test_promotions_go_only_upwards() -> None:
    """Tests that the allowed pairs are the 36 of a three-by-three order, own pools among them."""
    promotions = make_problem(TINY, {}).promotions
    assert len(promotions) == 36
    assert {(c, c) for c in range(9)} <= set(promotions)
    assert (0, 8) in promotions
    assert (8, 0) not in promotions


def test_two_models_share_the_cluster_but_not_their_pools() -> None:
    """Tests that no class is promoted to a pool of another model."""
    other = make_profile(same_for_all_classes(4, 1000, POINTS), name="other", model="other-model")
    problem = _two_models(TINY, other).problem([TINY, other], num_gpus=8)
    assert len(problem.pools) == 18
    assert all((c < 9) == (p < 9) for c, p in problem.promotions)


def test_a_demand_without_a_model_is_that_of_the_only_profile() -> None:
    """Tests that the model may be left out when there is one profile, and not when there are two."""
    window = make_window({"SS": 1.0}, model="")
    assert window.problem(TINY).pools[0].model == "tiny-model"
    other = make_profile(same_for_all_classes(4, 1000, POINTS), name="other", model="other-model")
    with pytest.raises(InvalidInputError, match="profiles: expected one for model ''"):
        window.problem([TINY, other])


def test_a_model_without_a_profile_is_named() -> None:
    """Tests that a demand for a model that nobody profiled is refused."""
    with pytest.raises(InvalidInputError, match="expected one for model 'absent', got only tiny-model"):
        make_window({"SS": 1.0}, model="absent").problem(TINY)


def test_profiles_of_different_gpus_are_refused() -> None:
    """Tests that one cluster has one kind of GPU."""
    other = make_profile(same_for_all_classes(4, 1000, POINTS), model="other-model", gpu="A100")
    with pytest.raises(InvalidInputError, match="one kind of GPU in a cluster, got A100, H100"):
        _two_models(TINY, other).problem([TINY, other])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_gpus": 0}, "option num_gpus: expected greater than 0, got 0"),
        ({"headroom": -0.1}, "option headroom: expected greater than or equal to 0, got -0.1"),
        ({"headroom": float("nan")}, "option headroom"),
        ({"reserve": 1.0}, "option reserve"),
        ({"reserve": "n+2"}, "option reserve"),
        ({"power_cap_w": 0}, "option power_cap_w"),
        ({"gpus": 8}, "option gpus: expected"),
        ({"unused_gpus": "asleep"}, "option unused_gpus: expected 'released' or 'on', got asleep"),
        ({"fixed_mix": {"tiny-model": {2: -1}}}, "option fixed_mix"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    """Tests that each option out of its range is refused with its name."""
    with pytest.raises(InvalidInputError, match=message):
        Cluster.of(**options)


@pytest.mark.parametrize(
    ("mix", "message"),
    [({"absent": {2: 1}}, "expected a model of tiny-model, got absent"), ({"tiny-model": {4: 1}}, "TP of \\(2,\\)")],
)
def test_a_fixed_mix_names_what_there_is(mix: dict[str, dict[int, int]], message: str) -> None:
    """Tests that a fixed mix for an unknown model or degree is refused."""
    with pytest.raises(InvalidInputError, match=message):
        make_problem(TINY, {"SS": 1}, fixed_mix=mix)


def test_replace_changes_only_what_is_named() -> None:
    """Tests that options of the cluster and the SLO can be changed, and the original stays."""
    problem = make_problem(TINY, {"SS": 1}, headroom=0.5)
    changed = problem.replace(num_gpus=3, slo=Slo.table_iv().scaled(2))
    assert (changed.num_gpus, changed.cluster.headroom) == (3, 0.5)
    assert changed.slo.of("SS") == (0.5, 0.2)
    assert (problem.num_gpus, problem.slo.of("SS")) == (64, (0.25, 0.1))


def test_powers_beside_the_instances() -> None:
    """Tests that a GPU in use carries an eighth of its host and that an unused one draws what its state says."""
    metadata = make_metadata(host_w=800, gpu_released_w=3, gpu_on_w=70)
    profile = Profile(metadata=metadata, curves=TINY.curves)
    problem = make_problem(profile, {"SS": 1})
    assert problem.pools[0].gpu_power_w == 100
    assert problem.unused_gpu_power_w == 3
    assert problem.replace(unused_gpus="on").unused_gpu_power_w == 70
