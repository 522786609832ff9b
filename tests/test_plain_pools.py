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
