"""Tests pools without spare capacity."""

import numpy as np
import pytest
from search_builders import AT, only_group, two_size_problem

from dynaopt.plain_pools import PlainPools
from dynaopt.price_search import Workspace


def test_prices_change_what_is_found() -> None:
    """Tests SS 3.0: a TP8 draws 280 W on 8 GPUs, three TP2 300 W on 6; 10 W a GPU is the price at which they tie."""
    pools = PlainPools(only_group(two_size_problem({"SS": 3.0})), Workspace())
    usage = []
    for price_w in (0.0, 9.0, 11.0):
        pools.set_prices(np.array([price_w]))
        found = pools.search(100, 1e-6)
        way = pools.instances(found.loads_rps)[AT["SS"]]
        usage.append(way.usage[0])
        assert found.cost == pytest.approx(way.cost_w + price_w * way.usage[0])
    assert usage == [8.0, 8.0, 6.0]


def test_least_usage() -> None:
    """Tests that without regard to power 3.0 requests/s take 6 GPUs."""
    pools = PlainPools(only_group(two_size_problem({"SS": 3.0})), Workspace())
    pools.set_prices(np.ones(1), power_weight=0.0)
    assert pools.search(100, 1e-6).cost == pytest.approx(6.0)


def test_keeping_part_of_a_way() -> None:
    """Tests half of two TP8 of 4 requests/s kept at 5 W a GPU, and all else as is cheapest then: a TP8, or TP2.

    At 9.0 requests/s a TP8 is left with 4 of 5; at no price another TP8 and a TP2 serve them, at 1,000 W five TP2 do.
    """
    pools = PlainPools(only_group(two_size_problem({"SS": 9.0})), Workspace())
    pools.set_prices(np.zeros(1))
    way = pools.instances_of(AT["SS"], 9.0)
    assert (way.cost_w, way.usage.tolist()) == (pytest.approx(2 * 320 + 100), [18.0])
    for price_w in (0.0, 1000.0):
        pools.set_prices(np.array([price_w]))
        (kept,) = pools.keeping(AT["SS"], 9.0, way, np.array([0.5]))
        (k, n, rate), *_ = kept.parts
        assert (pools.group.options[k].tp, n, rate) == (8, 1, 4.0)
        rest = pools.instances_of(AT["SS"], 5.0)
        assert kept.cost_w == pytest.approx(320 + rest.cost_w)
        assert kept.usage.tolist() == [8 + rest.usage[0]]
