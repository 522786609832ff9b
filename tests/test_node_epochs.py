"""Tests how DynamoLLM's cluster manager gives servers to pools, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from policy_builders import TP8, make_policy_case, make_policy_profile

from dynaopt.demand import Demand
from dynaopt.errors import NoSolutionError
from dynaopt.policies.base import Case
from dynaopt.policies.node_epochs import Rounding, assign_nodes
from dynaopt.request_class import REQUEST_CLASSES


def servers(case: Case, rounding: Rounding) -> dict[str, list[int]]:
    """Return the servers of each pool by window."""
    found = assign_nodes(case, case.models()[0], rounding)
    return {nodes.pool.name: (nodes.num_gpus // 8).tolist() for nodes in found}


def test_what_does_not_fill_a_server_goes_to_the_next_longer_pool() -> None:
    """Tests 12 requests/s of SS and 6 of LL on servers of 10: one for SS, and what is left, 2, joins the 6 of LL."""
    case = make_policy_case(make_policy_profile(TP8), {"SS": [12.0], "LL": [6.0]})
    short, long = assign_nodes(case, case.models()[0], "longer-output")
    assert (short.pool.name, short.pool.load_rps.tolist(), short.num_gpus.tolist()) == ("SS", [10.0], [8])
    assert long.pool.rate_rps[0, [0, 8]].tolist() == [2.0, 6.0]
    assert long.num_gpus.tolist() == [8]


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("longer-output", {"SM": [1], "LL": [1]}),
        ("longer-input", {"MS": [1], "LL": [1]}),
        ("up", {"SS": [1], "SM": [1], "MS": [1]}),
    ],
)
def test_longer_in_output_or_in_input(rounding: Rounding, expected: dict[str, list[int]]) -> None:
    """Tests 4 requests/s of SS with 7 each of SM and MS: the 4 fill up either, the others spill over to LL, or none."""
    case = make_policy_case(make_policy_profile(TP8, classes=REQUEST_CLASSES), {"SS": [4.0], "SM": [7.0], "MS": [7.0]})
    assert servers(case, rounding) == expected


def test_servers_stay_for_half_an_hour() -> None:
    """Tests that the busiest of six windows, its busiest minute 1.25 times that, counts for all of them: 25 of 10."""
    rates = [5.0, 20.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    case = make_policy_case(make_policy_profile(TP8), {"LL": rates}, peak_factor=1.25)
    assert servers(case, "longer-output") == {"LL": [3, 3, 3, 3, 3, 3, 1]}


def test_a_pool_takes_what_it_can_and_no_more() -> None:
    """Tests that of 12 and 8 requests/s, one server for SS takes 10 and 8: only what is beyond it spills over."""
    case = make_policy_case(make_policy_profile(TP8), {"SS": [12.0, 8.0]})
    loads = {nodes.pool.name: nodes.pool.load_rps for nodes in assign_nodes(case, case.models()[0], "longer-input")}
    assert loads["SS"] == pytest.approx([10, 8])
    assert loads["LL"] == pytest.approx([2, 0])


@pytest.mark.parametrize("reserve", [0.0, 0.2, "n+1"])
@pytest.mark.parametrize("rounding", ["longer-output", "longer-input", "up"])
def test_nothing_is_lost_on_the_way(rounding: Rounding, reserve: float | str) -> None:
    """Tests random rates: what the pools serve adds up to what arrives, and each has the servers for it."""
    rng = np.random.default_rng(1)
    rates = {c: rng.uniform(0, 30, 13).tolist() for c in REQUEST_CLASSES}
    case = make_policy_case(make_policy_profile(TP8, classes=REQUEST_CLASSES), rates, reserve=reserve, headroom=0.1)
    found = assign_nodes(case, case.models()[0], rounding)
    assert sum(nodes.pool.rate_rps for nodes in found) == pytest.approx(case.models()[0].rate_rps)
    for nodes in found:
        held = nodes.num_gpus // 8 - (reserve == "n+1")
        usable = held * 10 * (1 - (0 if reserve == "n+1" else float(reserve)))
        assert (nodes.pool.load_rps * nodes.pool.stretch <= usable * (1 + 1e-9)).all()


def test_a_class_without_curves_goes_on_or_is_told() -> None:
    """Tests that SM is served by LL where the profile knows no pool in between, and LL by none."""
    case = make_policy_case(make_policy_profile(TP8), {"SM": [3.0]})
    assert servers(case, "up") == {"LL": [1]}
    with pytest.raises(NoSolutionError, match="keeps the objectives of LL"):
        servers(make_policy_case(make_policy_profile(TP8, classes=("SS",)), {"LL": [3.0]}), "up")


def test_the_busiest_minute_of_a_window_limits_what_a_server_takes() -> None:
    """Tests a peak of 1.25: 12 requests/s reach 15, one server; it takes 10 / 1.25 = 8, and 4 spill over to LL."""
    case = make_policy_case(make_policy_profile(TP8), {"SS": [12.0]}, peak_factor=1.25)
    short, long = assign_nodes(case, case.models()[0], "longer-output")
    assert (short.pool.load_rps[0], short.num_gpus[0]) == (pytest.approx(8), 8)
    assert (long.pool.load_rps[0], long.num_gpus[0]) == (pytest.approx(4), 8)


def test_a_pool_without_servers_has_no_spare_one() -> None:
    """Tests n+1 over two epochs: SS fills a server (and gets a spare) in the first, and none in the second.

    LL takes 2 requests/s and then 4: one server and its spare in both.
    """
    rates = [12.0] * 6 + [4.0]
    case = make_policy_case(make_policy_profile(TP8), {"SS": rates}, reserve="n+1")
    assert servers(case, "longer-output") == {"SS": [2] * 6 + [0], "LL": [2] * 7}


@pytest.mark.parametrize(("minutes", "expected"), [(10, [2, 2, 2, 1]), (60, [1, 2, 1, 1])])
def test_an_epoch_has_the_windows_of_half_an_hour_and_at_least_one(minutes: int, expected: list[int]) -> None:
    """Tests 5, 20, 5 and 5 requests/s on servers of 10: three windows of 10 minutes an epoch, or one of an hour."""
    case = make_policy_case(make_policy_profile(TP8), {"LL": [5.0, 20.0, 5.0, 5.0]})
    starts = pd.date_range("2024-05-12T00:00:00Z", periods=4, freq=f"{minutes}min", unit="us")
    demand = Demand("longer", 60.0 * minutes, case.demand.table.assign(window_start=starts), starts=starts)
    assert servers(replace(case, demand=demand), "up") == {"LL": expected}


def test_rounding_leaves_no_server_out() -> None:
    """Tests 0.7 requests/s on servers of 0.1: seven of them and nothing left, although 0.7 / 0.1 < 7 in floats."""
    case = make_policy_case(make_policy_profile((8, 1980, [(0.0, 100.0), (0.1, 200.0)])), {"SS": [0.7]})
    assert servers(case, "longer-output") == {"SS": [7]}
