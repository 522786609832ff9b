"""Mirror tests of `dynaopt.window_mixes`: the cheapest instances of a model in a window, at prices of instances."""

from __future__ import annotations

import numpy as np
import pytest

from dynaopt.bench_cases import shipped_demand, shipped_profile
from dynaopt.flat_problem import model_group
from dynaopt.price_search import Workspace
from dynaopt.solvers import solve
from dynaopt.window_mixes import ModelWindow

DEGREES = np.array([2, 4, 8])
PROBLEM = shipped_demand("azure-2024-conversation").window(700).problem(shipped_profile(), num_gpus=320)


@pytest.fixture(scope="module")
def window() -> ModelWindow:
    """Take a window of the conversation week."""
    return ModelWindow(model_group(PROBLEM, 0, 320), DEGREES, PROBLEM.unused_gpu_power_w, 0.0)


def _cheapest(window: ModelWindow, price_w: list[float]) -> tuple[float, np.ndarray, float]:
    mix, lower_w = window.cheapest(np.array(price_w), Workspace(), max_nodes=600, gap=1e-5)
    assert mix is not None
    return mix.power_w, mix.counts, lower_w


def test_without_prices_it_is_the_window_problem(window: ModelWindow) -> None:
    """Tests that at no price the power is that of the window's optimum."""
    power_w, _, lower_w = _cheapest(window, [0.0, 0.0, 0.0])
    assert power_w == pytest.approx(solve(PROBLEM, solver="greedy").power_w, rel=2e-4)
    assert lower_w <= power_w


@pytest.mark.parametrize(
    "price_w", [[0.0, 0.0, 500.0], [300.0, 0.0, 0.0], [50.0, 100.0, 200.0], [-150.0, -300.0, -600.0]]
)
def test_bounds_every_mix_at_the_prices(window: ModelWindow, price_w: list[float]) -> None:
    """Tests that no mix found at other prices costs less at these than the bound."""
    power_w, counts, lower_w = _cheapest(window, price_w)
    own = power_w + float(np.array(price_w) @ counts)
    assert lower_w <= own * (1 + 1e-9)
    for other in ([0.0, 0.0, 0.0], [0.0, 0.0, 500.0], [300.0, 0.0, 0.0], [200.0, 400.0, 800.0]):
        other_w, other_counts, _ = _cheapest(window, other)
        assert lower_w <= (other_w + float(np.array(price_w) @ other_counts)) * (1 + 1e-9)


def test_a_price_beyond_what_idling_saves_only_lowers_the_bound(window: ModelWindow) -> None:
    """Tests that where an instance would earn more than it draws idle, the bound allows for as many as fit the GPUs."""
    idle_w = window.idle_w()
    _, _, edge_w = _cheapest(window, (-idle_w).tolist())
    _, _, lower_w = _cheapest(window, (-idle_w - np.array([1.0, 0.0, 0.0])).tolist())
    assert lower_w == pytest.approx(edge_w - 160.0, rel=1e-6)


def test_idle_instances(window: ModelWindow) -> None:
    """Tests that idle instances of each degree draw what `idle_w` says, and carry nothing."""
    loads = window.idle_loads(np.array([1, 0, 2]))
    assert [(load.option.tp, load.num_instances, load.rate_rps) for load in loads] == [(2, 1, 0.0), (8, 2, 0.0)]
    for load in loads:
        host_w = load.option.tp * (PROBLEM.pools[load.pool].gpu_power_w - PROBLEM.unused_gpu_power_w)
        at = int(np.searchsorted(DEGREES, load.option.tp))
        assert float(load.option.power_w[0]) + host_w == pytest.approx(float(window.idle_w()[at]))
