"""Mirror tests of `dynaopt.coupled`: the coupled problem against the whole horizon as one integer program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dynaopt.capacity_program import solve_program
from dynaopt.coupled import CoupledAnswer, solve_coupled
from dynaopt.coupled_program import formulate_horizon
from dynaopt.coupled_shard import Found
from dynaopt.coupled_windows import CoupledWindow, ready_window
from dynaopt.coupling import Links
from dynaopt.generated_profiles import make_profile
from dynaopt.price_search import Workspace
from dynaopt.problem import Problem, WindowDemand
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.solvers.greedy import FEW_NODES

NUM_GPUS, WINDOW_S = 32, 300.0
GAP = 1e-5
LEVELS = (0.25, 0.9, 0.2, 0.8)


def _problems(seed: int, levels: Sequence[float] = LEVELS, **cluster: object) -> list[Problem]:
    """Windows of a small generated profile with three classes, at some levels of a base demand."""
    profile = make_profile(seed, 3, "concave")
    rng = np.random.default_rng(seed)
    shares = np.zeros(len(REQUEST_CLASSES))
    shares[[0, 4, 8]] = rng.dirichlet(np.ones(3))
    start = pd.Timestamp("2024-05-14T18:00:00Z")
    base = WindowDemand(
        start=start, window_s=WINDOW_S, rate_rps={profile.model: shares}, peak_factor={profile.model: 1.1}
    )
    unit = base.problem(profile, num_gpus=NUM_GPUS)
    gpus = sum(p.rate_rps * min(o.tp / o.capacity_rps for o in p.options) for p in unit.pools if p.rate_rps > 0)
    scale = 0.5 * NUM_GPUS / gpus
    return [
        replace(
            base, start=start + pd.Timedelta(seconds=WINDOW_S * t), rate_rps={profile.model: shares * scale * level}
        ).problem(profile, num_gpus=NUM_GPUS, **cluster)
        for t, level in enumerate(levels)
    ]


def _ready(problems: Sequence[Problem]) -> list[CoupledWindow]:
    tps = np.array(next(iter(problems[0].profiles.values())).tps, dtype=np.int64)
    found = [ready_window(problem, 0.0, [tps], Workspace(), GAP) for problem in problems]
    return [window for window in found if window is not None]


def _links(problems: Sequence[Problem], windows: Sequence[CoupledWindow], **changes: object) -> Links:
    profile = next(iter(problems[0].profiles.values()))
    tps = np.array(profile.tps, dtype=np.int64)
    options = {
        "number": np.arange(len(problems)),
        "models": (profile.model,),
        "model_of": np.zeros(tps.size, dtype=np.int64),
        "tp": tps,
        "idle_w": windows[0].models[0].idle_w(),
        "cold_j": np.array([60_000.0]),
        "reshard_j": np.array([500.0]),
        "start_up_windows": np.array([1]),
        "num_gpus": NUM_GPUS,
        "power_cap_w": np.inf,
        "window_s": WINDOW_S,
        "weight": np.ones(len(problems)),
        "gpu_price_w": np.zeros(len(problems)),
        "min_up_windows": 1,
        "max_starts": None,
        "initial": None,
    }
    return Links(**{**options, **changes})  # type: ignore[arg-type]


def _solve(windows: Sequence[CoupledWindow], links: Links) -> CoupledAnswer:
    room = Workspace()

    def search(prices: Sequence[Sequence[np.ndarray]]) -> list[list[Found]]:
        return [
            [m.cheapest(p, room, max_nodes=FEW_NODES, gap=GAP / 2) for m, p in zip(w.models, own, strict=True)]
            for w, own in zip(windows, prices, strict=True)
        ]

    return solve_coupled([w.mixes for w in windows], links, search, gap=GAP)


def _objective(windows: Sequence[CoupledWindow], links: Links, answer: object) -> float:
    """Count the objective of an answer again from what its allocations say."""
    total, before = 0.0, links.initial
    for t, (window, mixes) in enumerate(zip(windows, answer.chosen, strict=True)):  # type: ignore[attr-defined]
        assert mixes is not None
        allocation = window.allocation(mixes, [answer.idle[t]], float(links.gpu_price_w[t]))  # type: ignore[attr-defined]
        counts = np.zeros(links.num_kinds, dtype=np.int64)
        for group in allocation.groups:
            counts[np.searchsorted(links.tp, group.tp)] += group.num_instances
        total += float(links.weight[t]) * links.window_s * allocation.objective_w
        if before is not None:
            total += float(links.weight[t]) * links.start_energy_j(before, counts)
        before = counts
    return total


CHANGES = {
    "free": {},
    "min-up": {"min_up_windows": 3},
    "max-starts": {"max_starts": 1},
    "initial": {"initial": np.array([0, 1, 1])},
    "start-up": {"start_up_windows": np.array([3])},
    "gap": {"number": np.array([0, 1, 4, 5]), "start_up_windows": np.array([2]), "num_gpus": 26},
    "prices": {"weight": np.array([1.0, 3.0, 1.0, 0.5]), "gpu_price_w": np.full(4, 20.0)},
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_the_whole_horizon_as_one_program(name: str, seed: int) -> None:
    """Tests that the optimum of the whole program lies between bound and schedule, at most 1 % apart."""
    problems = _problems(seed)
    windows = _ready(problems)
    links = _links(problems, windows, **CHANGES[name])
    answer = _solve(windows, links)
    oracle = solve_program(formulate_horizon(problems, links), 120.0, 1e-6)
    assert oracle is not None
    found = _objective(windows, links, answer)
    assert answer.lower_bound <= oracle.value * (1 + 1e-6)
    assert found >= oracle.bound * (1 - 1e-6)
    assert found - answer.lower_bound <= 1e-2 * found


def test_costs_no_more_than_windows_by_themselves() -> None:
    """Tests that where demand swings the coupled schedule takes less than myopic windows and their starts."""
    problems = _problems(3)
    windows = _ready(problems)
    links = _links(problems, windows)
    answer = _solve(windows, links)
    myopic = replace(answer, chosen=[w.mixes for w in windows], idle=np.zeros_like(answer.idle))
    assert _objective(windows, links, answer) < _objective(windows, links, myopic)


def test_free_starts_leave_windows_to_themselves() -> None:
    """Tests that without a cost of starts the bound is the sum of the windows' own."""
    problems = _problems(1)
    windows = _ready(problems)
    links = _links(problems, windows, cold_j=np.zeros(1), reshard_j=np.zeros(1))
    answer = _solve(windows, links)
    alone = sum((w.lower_w - w.base_w) * WINDOW_S for w in windows)
    assert answer.lower_bound == pytest.approx(alone, rel=1e-4)
