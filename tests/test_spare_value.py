"""Tests the least cost of a pool with spare capacity, at one load."""

import numpy as np
import pytest

from dynaopt.pool_value import POOL, fill_pools, find_vertices
from dynaopt.spare_value import first_at_least, spare_value

FIRST_POINT = np.array([0, 2, 5])
RATES = np.array([0.0, 1.0, 0.0, 1.0, 4.0])
COSTS = np.array([50.0, 100.0, 100.0, 200.0, 320.0])


def tables() -> tuple[np.void, np.void]:
    """Compute full and idle instances of TP2 (1 request/s, 50 to 100 W) and TP8 (4, 100 to 320 W)."""
    used, idle, scratch = np.zeros(1, POOL), np.zeros(1, POOL), np.zeros(2, POOL)
    fill_pools(np.array([0, 2]), FIRST_POINT, RATES, COSTS, np.array([20.0]), scratch, used)
    idle["num_items"] = 2
    idle["item_rps"][0, :2], idle["item_cost"][0, :2] = [4.0, 1.0], [100.0, 50.0]
    find_vertices(idle[0], 20.0, scratch)
    return used[0], idle[0]


@pytest.mark.parametrize(
    ("load", "required", "cost"),
    [
        (4.0, 4.0, 320.0),  # a full TP8
        (4.0, 5.0, 370.0),  # and an idle TP2
        (4.0, 6.0, 420.0),  # and two idle TP2, or an idle TP8
        (4.0, 8.0, 420.0),  # and an idle TP8
        (0.9, 1.0, 95.0),  # a TP2 that is not full
        (0.9, 2.0, 145.0),  # and an idle one
        (3.0, 4.0, 280.0),  # a TP8 that is not full
        (4.5, 8.0, 470.0),  # a full TP8 and one at 0.5; half a TP2 and an idle TP8 would make 495
    ],
)
def test_by_hand(load: float, required: float, cost: float) -> None:
    """Tests loads worked out by hand."""
    used, idle = tables()
    assert spare_value(used, idle, FIRST_POINT, RATES, COSTS, load, required)[0] == pytest.approx(cost)


def test_more_capacity_never_costs_less() -> None:
    """Tests required capacities from the load to three times as much."""
    used, idle = tables()
    for load in (0.3, 1.0, 2.7, 4.0, 6.1):
        costs = [
            spare_value(used, idle, FIRST_POINT, RATES, COSTS, load, r)[0] for r in np.linspace(load, 3 * load, 25)
        ]
        assert (np.diff(costs) >= -1e-9).all()


def test_first_at_least() -> None:
    """Tests below, at, between and beyond capacities of idle instances, 0, 1, 4, 5, 8, ... requests/s."""
    _, idle = tables()
    found = [float(idle["vertex_rps"][first_at_least(idle, x)]) for x in (-1.0, 0.0, 1.0, 1.1, 4.5)]
    assert found == [0.0, 0.0, 1.0, 4.0, 5.0]
    assert first_at_least(idle, 1e9) == idle["num_vertices"]
