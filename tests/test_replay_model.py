"""Tests of `dynaopt.replay_model`: what is kept of instances and energy from window to window."""

import numpy as np
import pytest
from replay_builders import (
    LOOSE,
    Group,
    ListStream,
    Request,
    Route,
    engine_of_group,
    llama,
    make_schedule,
    own_routes,
)

from dynaopt.phase_model import iteration
from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult

MS: Group = ("MS", 4, 1980, 1, 2.0)
LL: Group = ("LL", 8, 1980, 1, 0.5)


def _replay(plans: list[list[Group]], requests: list[Request], *, seed: int = 0, **options: object) -> ReplayResult:
    windows: list[tuple[list[Group], list[Route]]] = [(groups, own_routes(groups)) for groups in plans]
    return replay(make_schedule(windows, slo=LOOSE), ListStream(requests), llama(), seed=seed, **options)


def test_energy_after_the_last_window_counts_for_it() -> None:
    """Tests 50 tokens that begin 1 ms before the end of the second window: idle for 100 s and for 99.999 s.

    The iteration of the prompt goes beyond the end, so that all its decode iterations come after it: 49 of about
    15 ms at 500 W or more make over 49 · 0.01 s · 500 W = 245 J, all of the second window.
    """
    windows = _replay([[MS]] * 2, [(199.999, 300, 50)]).windows
    idle_w = engine_of_group(MS).idle_power_w
    assert windows["idle_energy_j"].tolist() == pytest.approx([100.0 * idle_w, 99.999 * idle_w])
    assert windows["serving_energy_j"][0] == 0
    assert windows["serving_energy_j"][1] > 245.0


def test_request_counts_for_the_window_in_which_it_came() -> None:
    """Tests a request 1 ms before the edge, which ends after it: one that kept all in the first row, none beside."""
    result = _replay([[MS]] * 2, [(99.999, 300, 50)])
    columns = ["num_requests", "num_ttft_kept", "num_tbt_kept", "num_kept"]
    assert result.window_classes[columns].to_numpy().tolist() == [[1, 1, 1, 1]]
    assert result.windows["ttft_attainment"][0] == 1.0
    assert np.isnan(result.windows["ttft_attainment"][1])


def test_pause_for_a_change_of_clock_takes_idle_power() -> None:
    """Tests 1,980 to 1,400 MHz, idle: 100 s and the pause of 0.5 s at the old idle power, and 99.5 s at the new."""
    slower: Group = ("MS", 4, 1400, 1, 1.0)
    windows = _replay([[MS], [slower]], [], clock_change_s=0.5).windows
    old_w, new_w = (engine_of_group(g).idle_power_w for g in (MS, slower))
    assert windows["idle_energy_j"].tolist() == pytest.approx([100.0 * old_w, 0.5 * old_w + 99.5 * new_w])


def test_gpus_of_a_stopped_instance_are_free_when_it_has_finished() -> None:
    """Tests TP4 that stops with a request of a few seconds: 4 GPUs, 4 + 8 at the edge, and 8 a window later."""
    result = _replay([[MS], [LL], [LL]], [(99.0, 300, 90)])
    assert result.windows["num_gpus"].tolist() == [4, 12, 8]


def test_started_instance_owes_nothing_to_the_one_whose_number_it_has() -> None:
    """Tests 90 requests on a TP4 planned for a hundredth of what it can carry, at most 0.2 a second: due after 450 s.

    It stops, two TP8 start, and one of them gets its number. Two prompts that come at once then go to one each, and
    both take one iteration of 1,024 tokens; if one TP8 had its turn at 450 s or later, the other would serve both.
    """
    before: Group = ("MS", 4, 1980, 1, 0.0)
    after: Group = ("LS", 8, 1980, 2, 1.0)
    requests = [(1.0 + n, 300, 1) for n in range(90)] + [(150.0, 1024, 1)] * 2
    result = _replay([[before], [after]], requests, burst_requests=0.0, checks_deadline=False)
    one_s = iteration(engine_of_group(after).coefficients, 1024.0, 512.0, 0.0, 0.0)[0]
    row = result.classes.set_index("request_class").loc["LS"]
    assert row["ttft_mean_s"] == pytest.approx(one_s, rel=1e-9)


def test_instance_that_helped_out_is_not_passed_over_when_it_is_planned_for_more() -> None:
    """Tests 90 requests on a TP4 planned for a hundredth of what it can carry: its next turn is after 450 s or later.

    From 100 s on it and a second one are planned for 2 requests/s: at most 90 requests ahead, it has its turn again by
    145 s. Two prompts that come at once at 150 s go to one each, and both take one iteration of 300 tokens.
    """
    before: Group = ("MS", 4, 1980, 1, 0.0)
    after: Group = ("MS", 4, 1980, 2, 2.0)
    requests = [(1.0 + n, 300, 1) for n in range(90)] + [(150.0, 300, 1)] * 2
    result = _replay([[before], [after]], requests, burst_requests=0.0, checks_deadline=False)
    one_s = iteration(engine_of_group(after).coefficients, 300.0, 150.0, 0.0, 0.0)[0]
    assert result.classes.set_index("request_class").loc["MS", "ttft_mean_s"] == pytest.approx(one_s, rel=1e-9)


def test_seed_settles_the_order_of_equals() -> None:
    """Tests two equal TP4, a long and a short request at once, and a window later one of the two at a lower clock.

    The first of the order gets the long request. Both have one then, and of equals the lower number gets the higher
    load and clock: whether that is the one with the long request is whether the first permutation of 2 begins with 0.
    """
    equal: Group = ("MS", 4, 1980, 2, 1.0)
    fast: Group = ("MS", 4, 1980, 1, 1.0)
    slow: Group = ("MS", 4, 1200, 1, 0.5)
    requests = [(99.9, 300, 1500), (99.9, 300, 100)]
    plans = [[equal], [fast, slow]]
    by_order: dict[int, set[float]] = {0: set(), 1: set()}
    for seed in range(6):
        first = int(np.argmin(np.random.default_rng(seed).permutation(2)))
        result = _replay(plans, requests, seed=seed, burst_requests=0.0, checks_deadline=False)
        by_order[first].add(round(result.totals["serving_energy_j"], 6))
    assert [len(found) for found in by_order.values()] == [1, 1]
    assert by_order[0] != by_order[1]
