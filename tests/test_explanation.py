"""Tests what is said of a change."""

import pytest
from builders import make_window
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planner_builders import two_size_profile
from search_builders import two_size_problem

import dynaopt
from dynaopt.allocation import Allocation
from dynaopt.explanation import Explanation, explain
from dynaopt.problem import Problem
from dynaopt.refill import refill
from dynaopt.solvers.greedy import Greedy


def solved(problem: Problem) -> Allocation:
    """Return greedy's answer."""
    allocation = Greedy().solve(problem).allocation
    assert allocation is not None
    return allocation


def compared(problem: Problem, before: Allocation, after: Allocation) -> Explanation:
    """Explain; what changes must add up."""
    found = explain(problem, before, after, refill(problem, before))
    assert found.power_after_w == after.power_w
    assert found.changes["power_w"].sum() == pytest.approx(found.power_after_w - found.power_before_w, abs=1e-3)
    return found


def test_a_start_and_stops_with_the_time_that_pays_them_back() -> None:
    """Tests three TP2 (300 W) that become one TP8 (280 W): 91,300 J, paid back by 20 W in 4,565 s or 76.1 min."""
    problem = two_size_problem({"SS": 3.0})
    before = solved(problem.replace(fixed_mix={"tiny-model": {2: 3}}))
    found = compared(problem, before, solved(problem))
    assert found.payback_s == pytest.approx(4565.0)
    assert str(found).splitlines() == [
        "stop 3 × TP2 of tiny-model at 1000 MHz in SS: saves 300 W",
        "start 1 × TP8 of tiny-model at 1000 MHz in SS: draws 280 W, starting takes 25.4 Wh",
        "in all it saves 20 W (300 W to 280 W), starts take 25.4 Wh, paid back in 76.1 min",
    ]
    rows = found.changes.set_index("change")
    assert rows.loc["start", "energy_j"] == pytest.approx(91_300.0)
    assert rows["num_instances"].to_dict() == {"stop": 3, "start": 1}


def test_a_move_is_free() -> None:
    """Tests a TP2 that leaves SS, where nothing comes now, for LL, where 1 request/s draws 1.2 x 100 W."""
    before = solved(two_size_problem({"SS": 1.0}))
    found = compared(two_size_problem({"LL": 1.0}), before, solved(two_size_problem({"LL": 1.0})))
    row = found.changes.iloc[0]
    assert (row["change"], row["from_pool"], row["pool"], row["num_instances"]) == ("move", "SS", "LL", 1)
    assert (row["energy_j"], row["power_w"]) == (0.0, pytest.approx(20.0))
    assert found.payback_s is None
    assert "does not serve this demand: pool LL would get 1 requests/s and can carry 0" in str(found)


def test_a_clock_is_set() -> None:
    """Tests the shipped profile as the load of an hour falls: TP8 of the mix run on at a lower clock."""
    profile = dynaopt.read_profile("llama2-70b-h100")
    window = dynaopt.read_demand("azure-2024-conversation").window(400)
    problem = window.problem(profile, num_gpus=320)
    high = solved(problem)
    groups = tuple(
        dynaopt.InstanceGroup(**{**{k: getattr(g, k) for k in g.__dataclass_fields__}, "frequency_mhz": 1980})
        for g in high.groups
    )
    before = Allocation(groups=groups, routes=high.routes, power_w=high.power_w)
    found = compared(problem, before, high)
    slower = sum(g.num_instances for g in high.groups if g.frequency_mhz < 1980)
    assert slower > 0
    assert found.changes.loc[found.changes["change"] == "clock", "num_instances"].sum() == slower
    assert (found.changes.loc[found.changes["change"] == "clock", "from_frequency_mhz"] == 1980).all()
    assert "set " in str(found)
    assert found.transition_energy_j == 0


def test_nothing_changes() -> None:
    """Tests that it says so, and has no rows."""
    problem = two_size_problem({"SS": 1.0})
    found = compared(problem, solved(problem), solved(problem))
    assert str(found) == "nothing changes\npower stays at 100 W, starts take 0.0 Wh"
    assert found.changes.empty


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["SS", "MM", "LL"]), st.floats(0.05, 6.0), min_size=1),
    st.dictionaries(st.sampled_from(["SS", "MM", "LL"]), st.floats(0.05, 6.0), min_size=1),
)
def test_changes_lead_from_one_to_the_other(first: dict[str, float], then: dict[str, float]) -> None:
    """Tests that what ran, with all changes made, is what runs, pool by pool and degree by degree."""
    before, problem = solved(two_size_problem(first)), two_size_problem(then)
    after = solved(problem)
    counts: dict[tuple[str, int], int] = {}
    for sign, allocation in ((1, before), (-1, after)):
        for group in allocation.groups:
            key = group.pool, group.tp
            counts[key] = counts.get(key, 0) + sign * group.num_instances
    for row in compared(problem, before, after).changes.to_dict("records"):
        if row["change"] in ("start", "move"):
            key = row["pool"], row["tp"]
            counts[key] = counts.get(key, 0) + row["num_instances"]
        if row["change"] in ("stop", "move"):
            key = row["pool"] if row["change"] == "stop" else row["from_pool"], row["tp"]
            counts[key] = counts.get(key, 0) - row["num_instances"]
    assert not any(counts.values())


def test_a_window_of_a_planner_explains_itself() -> None:
    """Tests that an answer compares with what ran before it, or with any other."""
    planner = dynaopt.Planner(two_size_profile(), num_gpus=64, headroom=0.0)
    first = planner.replan(make_window({"SS": 1.0}))
    second = planner.replan(make_window({"SS": 3.0}))
    assert str(second.explain()) == str(second.explain(first)) == str(second.explain(first.allocation))
    with pytest.raises(dynaopt.DynaoptError, match="nothing ran before"):
        first.explain()
