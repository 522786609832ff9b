"""Tests of `dynaopt.relaxation_levers`."""

import pytest
from builders import make_curve, make_problem, make_profile

from dynaopt.problem import Problem
from dynaopt.relaxation_levers import Lever, levers

PROFILE = make_profile([make_curve(2, 1000, c, [(0, 100), (2, 300)]) for c in ("SS", "LL")])


def pose(**options: object) -> Problem:
    """Pose 3 requests/s of SS and 0.255 of LL, 1.2 times as many at the busiest minute."""
    return make_problem(PROFILE, {"SS": 3.0, "LL": 0.255}, peak_factor=1.2, num_gpus=4, **options)  # type: ignore[arg-type]


def lever(problem: Problem, kind: str, item: str | None = None) -> Lever:
    """Return the only lever of a kind and an item."""
    (found,) = [each for each in levers(problem) if each.kind == kind and item in (None, each.item)]
    return found


def test_what_there_is_to_move() -> None:
    """Tests that only what a problem has can give way, and only classes that arrive."""
    plain = ["gpu", "ttft", "tbt", "ttft_and_tbt", "peak_factor", "arrivals", "request_class", "request_class"]
    assert [each.kind for each in levers(pose())] == plain
    mix = {"tiny-model": {2: 1}}
    more = {each.kind for each in levers(pose(headroom=0.1, reserve=0.2, power_cap_w=9.0, fixed_mix=mix))} - set(plain)
    assert more == {"headroom", "reserve", "power_cap", "fixed_mix"}
    assert "spare_instances" in {each.kind for each in levers(pose(reserve="n+1"))}


def test_where_each_starts_and_ends() -> None:
    """Tests that no step is where the problem stands, and the last one is the end of the range."""
    problem = pose(headroom=0.1, reserve=0.2, power_cap_w=9.0)
    ends = {"headroom": 0.0, "reserve": 0.0, "peak_factor": 1.0, "arrivals": 0.0, "request_class": 0.0, "gpu": 256.0}
    ends |= {"ttft": 20.0, "tbt": 20.0, "ttft_and_tbt": 20.0, "power_cap": 9.0 * 1024}
    for each in levers(problem):
        assert each.value(0) == pytest.approx(each.from_value)
        assert each.value(each.most) == pytest.approx(ends[each.kind])


def test_gpus_and_power_cap() -> None:
    """Tests steps of one GPU and one watt."""
    assert lever(pose(), "gpu").at(3).num_gpus == 7
    assert lever(pose(power_cap_w=9.5), "power_cap").at(2).cluster.power_cap_w == 11.0


@pytest.mark.parametrize(
    ("kind", "ttft_s", "tbt_s"), [("ttft", 2.5, 0.1), ("tbt", 2.0, 0.125), ("ttft_and_tbt", 2.5, 0.125)]
)
def test_objectives(kind: str, ttft_s: float, tbt_s: float) -> None:
    """Tests that 250 steps are a quarter more of one bound or of both."""
    assert lever(pose(), kind).at(250).slo.of("LL") == pytest.approx((ttft_s, tbt_s))


def test_margins() -> None:
    """Tests headroom, reserve and peak factor 10 steps of 0.001 down, and n+1 given up."""
    problem = pose(headroom=0.1, reserve=0.2)
    assert lever(problem, "headroom").at(10).cluster.headroom == pytest.approx(0.09)
    assert lever(problem, "reserve").at(10).cluster.reserve == pytest.approx(0.19)
    assert lever(problem, "peak_factor").at(10).demand.peak_factor["tiny-model"] == pytest.approx(1.19)
    spare = lever(pose(reserve="n+1"), "spare_instances")
    assert (spare.at(0).cluster.reserve, spare.at(1).cluster.reserve) == ("n+1", 0.0)


def test_arrivals() -> None:
    """Tests that all classes shrink alike, one class alone, and not below nothing: 0.255 has 26 steps of 0.01."""
    assert lever(pose(), "arrivals").at(500).demand.rate_rps["tiny-model"][[0, 8]] == pytest.approx([1.5, 0.1275])
    only = lever(pose(), "request_class", "LL")
    assert only.most == 26
    assert only.at(1).demand.rate_rps["tiny-model"][[0, 8]] == pytest.approx([3.0, 0.245])
    assert only.at(26).demand.rate_rps["tiny-model"][8] == 0.0


def test_a_fixed_mix_is_freed() -> None:
    """Tests that what is fixed falls from three instances to none."""
    freed = lever(pose(fixed_mix={"tiny-model": {2: 3}}), "fixed_mix")
    assert (freed.model, freed.from_value, freed.value(1)) == ("tiny-model", 3.0, 0.0)
    assert freed.at(1).cluster.fixed_mix == {}
    assert freed.at(0).cluster.fixed_mix == {"tiny-model": {2: 3}}


def test_the_problem_itself_stays() -> None:
    """Tests that nothing is changed in place."""
    problem = pose(headroom=0.1)
    before = problem.demand.rate_rps["tiny-model"].copy()
    for each in levers(problem):
        each.at(each.most)
    assert problem.demand.rate_rps["tiny-model"].tolist() == before.tolist()
    assert (problem.num_gpus, problem.cluster.headroom) == (4, 0.1)
