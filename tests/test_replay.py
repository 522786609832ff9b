"""Tests of `dynaopt.replay`: hand-computed cases, agreement with the simulator, theory, and what always holds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_builders import (
    LOOSE,
    MODEL,
    START,
    Group,
    ListStream,
    Request,
    engine_of_group,
    llama,
    make_schedule,
    own_routes,
    poisson,
)

from dynaopt.errors import InvalidInputError
from dynaopt.instance_simulator import Requests, serve
from dynaopt.phase_model import iteration
from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.slo import Slo

MS: Group = ("MS", 4, 1980, 1, 2.0)
LS: Group = ("LS", 8, 1980, 1, 1.0)


def _one_window(
    group: Group, requests: list[Request], *, window_s: float = 100.0, slo: Slo | None = None, **options: object
) -> ReplayResult:
    schedule = make_schedule([([group], own_routes([group]))], window_s=window_s, slo=slo)
    return replay(schedule, ListStream(requests), llama(), **options)


def _of_class(result: ReplayResult, request_class: str) -> pd.Series:
    return result.classes.set_index("request_class").loc[request_class]


def _duration_s(group: Group, tokens: float, mean_context: float, batch: float, context: float) -> float:
    return float(iteration(engine_of_group(group).coefficients, tokens, mean_context, batch, context)[0])


class TestByHand:
    """One instance and a few requests, worked out with the phase model."""

    def test_prompt_alone_takes_one_iteration_and_idle_power_the_rest(self) -> None:
        """Tests 300 tokens after 10 s of 100: an iteration of 300 tokens, mean context 150, and 100 s minus it idle."""
        result = _one_window(MS, [(10.0, 300, 1)])
        engine = engine_of_group(MS)
        busy_s, busy_w = iteration(engine.coefficients, 300.0, 150.0, 0.0, 0.0)
        assert _of_class(result, "MS")["ttft_mean_s"] == pytest.approx(busy_s, rel=1e-12)
        assert result.totals["serving_energy_j"] == pytest.approx(busy_s * busy_w, rel=1e-12)
        assert result.totals["idle_energy_j"] == pytest.approx((100.0 - busy_s) * engine.idle_power_w, rel=1e-12)
        assert result.totals["start_up_energy_j"] == 0

    def test_second_request_waits_for_the_iteration_that_runs(self) -> None:
        """Tests two prompts of 768, the budget, a millisecond apart: the second takes two iterations less 1 ms."""
        result = _one_window(MS, [(1.0, 768, 1), (1.001, 768, 1)])
        one_s = _duration_s(MS, 768, 384, 0, 0)
        assert _of_class(result, "MS")["ttft_mean_s"] == pytest.approx(0.5 * (one_s + 2 * one_s - 0.001), rel=1e-12)

    def test_output_tokens_take_a_step_each(self) -> None:
        """Tests 3 output tokens after 300: two gaps, with contexts of 301 and 302, in one leap at the mean of both."""
        result = _one_window(MS, [(1.0, 300, 3)])
        row = _of_class(result, "MS")
        assert row["tpot_p50_s"] == pytest.approx(_duration_s(MS, 0, 0, 1, 301.5), rel=2e-3)
        assert row["tbt_p99_s"] == pytest.approx(_duration_s(MS, 0, 0, 1, 301.5), rel=2e-3)

    def test_request_in_flight_at_the_end_is_finished(self) -> None:
        """Tests a request that comes 1 ms before the end: nothing lost, its tokens and energy counted, no idling."""
        result = _one_window(MS, [(99.999, 300, 50)])
        assert result.num_lost == 0
        assert _of_class(result, "MS")["num_requests"] == 1
        assert result.totals["serving_energy_j"] > 50 * 0.015 * 500
        idle_w = engine_of_group(MS).idle_power_w
        assert result.totals["idle_energy_j"] == pytest.approx(99.999 * idle_w, rel=1e-9)

    @pytest.mark.parametrize(("bound_s", "kept"), [(0.02, 1.0), (0.005, 0.0)])
    def test_tbt_is_judged_by_the_bound(self, bound_s: float, kept: float) -> None:
        """Tests 80 output tokens at a step of 14 to 18 ms: within 20 ms, beyond 5 ms."""
        slo = Slo(ttft_s=(1.0,) * 9, tbt_s=(bound_s,) * 9)
        row = _of_class(_one_window(MS, [(1.0, 300, 80)], slo=slo), "MS")
        assert row["tbt_attainment"] == kept
        assert row["gaps_within"] == kept
        assert row["goodput_rps"] == pytest.approx(kept / 100.0)

    @pytest.mark.parametrize(("output_tokens", "kept"), [(100, 0.0), (101, 1.0), (201, 1.0)])
    def test_one_slow_gap_in_a_hundred_is_allowed(self, output_tokens: int, kept: float) -> None:
        """Tests a second prompt in the middle: one slow gap of 99 (none allowed) breaks the TBT, of 100 or 200 not."""
        group: Group = ("LM", 8, 1980, 1, 1.0)
        slow_s = _duration_s(group, 1000, 500, 1, 1300)
        slo = Slo(ttft_s=(1000.0,) * 9, tbt_s=(0.9 * slow_s,) * 9)
        result = _one_window(group, [(1.0, 1200, output_tokens), (1.5, 1000, 1)], slo=slo)
        row = _of_class(result, "LM" if output_tokens > 99 else "LS")
        assert row["tbt_attainment"] == (kept if output_tokens > 99 else 0.5)
        assert row["gaps_within"] == pytest.approx(1 - 1 / (output_tokens - 1))

    def test_time_per_output_token_is_the_mean_gap(self) -> None:
        """Tests 3 output tokens, between which a prompt of 767 comes: a gap with it, one without, and their mean.

        The first gap is an iteration of 767 tokens, the budget of 768 less one, beside a context of 301; the second
        is a decode iteration at a context of 302. The first token's time, of 300 tokens, is no part of the mean.
        """
        result = _one_window(MS, [(1.0, 300, 3), (1.001, 767, 1)], slo=LOOSE)
        slow_s, fast_s = _duration_s(MS, 767, 383.5, 1, 301), _duration_s(MS, 0, 0, 1, 302)
        row = _of_class(result, "MS")
        assert row["tpot_p50_s"] == pytest.approx(0.5 * (slow_s + fast_s), rel=2.1e-3)
        assert row["tbt_p50_s"] == pytest.approx(fast_s, rel=2.1e-3)
        assert row["tbt_p99_s"] == pytest.approx(slow_s, rel=2.1e-3)

    @pytest.mark.parametrize(("ulps_longer", "kept"), [(0, 1.0), (1, 0.0)])
    def test_what_is_as_long_as_the_bound_keeps_it(self, ulps_longer: int, kept: float) -> None:
        """Tests a request at 0 s whose only gap, at a context of 301, is as long as the bound, and one ulp longer.

        So is its first token, an iteration of 300 tokens.
        """
        gap_s, first_s = _duration_s(MS, 0, 0, 1, 301), _duration_s(MS, 300, 150, 0, 0)
        bounds_s = [np.nextafter(s, 0) if ulps_longer else s for s in (gap_s, first_s)]
        slo = Slo(tbt_s=(float(bounds_s[0]),) * 9, ttft_s=(float(bounds_s[1]),) * 9)
        row = _of_class(_one_window(MS, [(0.0, 300, 2)], slo=slo), "MS")
        assert (row["tbt_attainment"], row["ttft_attainment"], row["gaps_within"]) == (kept, kept, kept)

    def test_ttft_is_judged_by_the_bound_of_the_class(self) -> None:
        """Tests two M prompts at once and a bound between one and two iterations: one in time, one late."""
        one_s = _duration_s(MS, 768, 384, 0, 0)
        slo = Slo(ttft_s=(1.5 * one_s,) * 9, tbt_s=(1.0,) * 9)
        result = _one_window(MS, [(1.0, 768, 1), (1.0, 768, 1)], slo=slo, clocks_up=False)
        assert _of_class(result, "MS")["ttft_attainment"] == 0.5
        assert _of_class(result, "MS")["attainment"] == 0.5


class TestAgainstTheSimulator:
    """One instance and one pool are what `instance_simulator.serve` simulates."""

    @pytest.mark.parametrize(("group", "tokens"), [(("MS", 4, 1980, 1, 4.0), (600, 60)), (LS, (3000, 50))])
    def test_same_times_and_same_energy(self, group: Group, tokens: tuple[int, int]) -> None:
        """Tests mean TTFT and energy to 1e-9, and percentiles to the width of a bin, over 2,000 s at high load."""
        rate_rps = group[4]
        requests = [
            (0.5, *tokens),
            *((t + 1.0, i, o) for t, i, o in poisson(rate_rps, 1900.0, *tokens)),
            (1990.0, 300, 1),
        ]
        result = _one_window(group, requests, window_s=2000.0, checks_deadline=False)
        engine = engine_of_group(group)
        arrival_s, inputs, outputs = (np.array(c) for c in zip(*requests, strict=True))
        stream = Requests(
            arrival_s,
            inputs.astype(np.int64),
            outputs.astype(np.int64),
            np.full(len(inputs), 2.0),
            np.zeros(len(inputs), np.int64),
        )
        run = serve(engine, stream)
        whole = _of_class(result, "all")
        assert whole["ttft_mean_s"] == pytest.approx(run.ttft_s.mean(), rel=1e-9)
        assert whole["ttft_p99_s"] == pytest.approx(np.quantile(run.ttft_s, 0.99, method="inverted_cdf"), rel=5e-3)
        assert whole["tbt_p99_s"] == pytest.approx(run.tbt_quantile_s(0.99), rel=5e-3)
        last_s, last_w = iteration(engine.coefficients, 300.0, 150.0, 0.0, 0.0)
        expected_j = run.power_w * (1990.0 - 0.5) + engine.idle_power_w * (0.5 + 10.0 - last_s) + last_s * last_w
        assert result.energy_j == pytest.approx(expected_j, rel=1e-9)


class TestAgainstTheory:
    """Streams whose waiting times are known."""

    @pytest.mark.parametrize("utilisation", [0.4, 0.7])
    def test_prompts_that_fill_an_iteration_wait_as_in_m_d_1(self, utilisation: float) -> None:
        """Tests the mean wait ρ·s / (2·(1 − ρ)) (Pollaczek–Khinchine) of 768 tokens, one output token, to 4 %."""
        service_s = _duration_s(MS, 768, 384, 0, 0)
        requests = poisson(utilisation / service_s, 8000.0, 768, 1)
        result = _one_window(MS, requests, window_s=8000.0, slo=LOOSE)
        expected_s = utilisation * service_s / (2 * (1 - utilisation))
        assert _of_class(result, "MS")["ttft_mean_s"] - service_s == pytest.approx(expected_s, rel=0.04)
        busy_w = iteration(engine_of_group(MS).coefficients, 768.0, 384.0, 0.0, 0.0)[1]
        assert result.totals["serving_energy_j"] / busy_w / 8000.0 == pytest.approx(utilisation, rel=0.02)

    def test_random_service_times_wait_as_in_m_g_1(self) -> None:
        """Tests prompts of 1 to 12 full iterations, nearly exponential: wait λ·E[S²] / (2·(1 − ρ)), to 6 %.

        All have the same deadline after arrival, so that they are served in the order of arrival, and every prompt is
        a whole number of budgets, so that no two share an iteration. E[S²] is near 2·E[S]², which is M/M/1.
        """
        rng = np.random.default_rng(3)
        rounds = np.minimum(rng.geometric(0.4, 40_000), 12)
        lengths = {n: sum(_duration_s(LS, 1024, 1024 * k + 512, 0, 0) for k in range(n)) for n in range(1, 13)}
        service_s = np.array([lengths[n] for n in rounds])
        rate_rps = 0.6 / service_s.mean()
        arrival_s = np.cumsum(rng.standard_exponential(len(rounds))) / rate_rps
        requests = [(float(t), 1024 * int(n), 1) for t, n in zip(arrival_s, rounds, strict=True)]
        result = _one_window(LS, requests, window_s=float(np.ceil(arrival_s[-1])), slo=LOOSE)
        rho = rate_rps * service_s.mean()
        expected_s = rate_rps * (service_s**2).mean() / (2 * (1 - rho))
        assert _of_class(result, "all")["ttft_mean_s"] - service_s.mean() == pytest.approx(expected_s, rel=0.06)


class TestProperties:
    """What holds for every schedule and stream."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.floats(0.0, 59.0), st.integers(1, 8000), st.integers(1, 1500)), max_size=60),
        st.lists(
            st.lists(
                st.tuples(
                    st.sampled_from(["SS", "MM", "LL", "ALL-conversation"]), st.sampled_from([4, 8]), st.integers(1, 3)
                ),
                min_size=1,
                max_size=4,
                unique_by=lambda g: g[:2],
            ),
            min_size=3,
            max_size=3,
        ),
        st.booleans(),
    )
    def test_every_request_is_finished_once(
        self, requests: list[Request], windows: list[list[tuple[str, int, int]]], checks_deadline: bool
    ) -> None:
        """Tests that what arrives in each class is what finished, whatever runs, and that time costs energy."""
        plans = [[(pool, tp, 1980, n, 0.5) for pool, tp, n in own] for own in windows]
        schedule = make_schedule([(groups, own_routes(groups)) for groups in plans], window_s=20.0)
        result = replay(schedule, ListStream(requests), llama(), checks_deadline=checks_deadline)
        assert result.num_requests == len(requests)
        assert result.num_lost == 0
        classes = TABLE_IV.classify([r[1] for r in requests], [r[2] for r in requests])
        expected = pd.Series([REQUEST_CLASSES[c] for c in classes], dtype=str).value_counts().to_dict()
        assert result.window_classes.groupby("request_class")["num_requests"].sum().to_dict() == expected
        assert (result.window_classes["num_kept"] <= result.window_classes["num_ttft_kept"]).all()
        tokens = result.totals["serving_energy_j"] + result.totals["idle_energy_j"]
        idle_w = min(engine_of_group(g).idle_power_w for own in plans for g in own)
        assert tokens >= 60.0 * idle_w
        assert result.pools["energy_j"].sum() == pytest.approx(tokens)

    def test_same_seed_same_result(self) -> None:
        """Tests that tables are equal to the last digit, with two models' worth of instances to choose from."""
        groups: list[Group] = [("MS", 4, 1980, 3, 3.0), ("MS", 8, 1980, 2, 4.0)]
        schedule = make_schedule([(groups, own_routes(groups))] * 2, window_s=60.0)
        stream = ListStream(poisson(18.0, 120.0, 700, 60))
        first, second = (replay(schedule, stream, llama(), seed=7) for _ in range(2))
        for name in ("classes", "windows", "window_classes", "pools"):
            pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
        assert first.summary() == second.summary()

    def test_what_came_before_does_not_matter_to_the_count(self) -> None:
        """Tests a stream that starts an hour before the schedule: only requests in its windows count."""
        schedule = make_schedule([([MS], own_routes([MS]))])
        requests = [(1.0, 300, 5), (3600.5, 300, 5), (3601.0, 300, 5), (3701.0, 300, 5)]
        stream = ListStream(requests, start=START - pd.Timedelta(hours=1))
        assert replay(schedule, stream, llama()).num_requests == 2


class TestFleets:
    """Several instances over several windows."""

    def test_idle_fleet_draws_idle_power(self) -> None:
        """Tests two windows of 100 s without a request: 2 instances of TP4 and 1 of TP8, idle all the time."""
        groups: list[Group] = [("MS", 4, 1400, 2, 1.0), ("LL", 8, 1980, 1, 0.5)]
        result = replay(make_schedule([(groups, own_routes(groups))] * 2), ListStream([]), llama())
        idle_w = 2 * engine_of_group(groups[0]).idle_power_w + engine_of_group(groups[1]).idle_power_w
        assert result.energy_j == pytest.approx(200.0 * idle_w, rel=1e-12)
        assert result.windows["idle_energy_j"].tolist() == pytest.approx([100.0 * idle_w] * 2)
        assert result.totals["most_gpus"] == 16
        assert len(result.classes) == 1

    def test_stopped_instance_finishes_what_it_has_and_is_gone(self) -> None:
        """Tests TP4 of the first window with a request of 200 tokens 1 s before the edge, and TP8 from there on.

        TP4 idles 99 s and serves beyond the edge; TP8 idles 100 s; 4 GPUs of TP4 and 8 of TP8 are in use at the edge.
        """
        after: Group = ("LL", 8, 1980, 1, 0.5)
        schedule = make_schedule([([MS], own_routes([MS])), ([after], own_routes([after]))])
        result = replay(schedule, ListStream([(99.0, 300, 90)]), llama())
        idle_j = 99.0 * engine_of_group(MS).idle_power_w + 100.0 * engine_of_group(after).idle_power_w
        assert result.totals["idle_energy_j"] == pytest.approx(idle_j, rel=1e-9)
        assert result.windows["num_gpus"].tolist() == [4, 12]
        second = result.windows.iloc[1]
        assert second["serving_energy_j"] > 0
        assert result.num_lost == 0

    def test_start_takes_energy_and_is_ready_at_the_edge(self) -> None:
        """Tests 4 GPUs of TP4 that become 8 of TP8: 4 are resharded, 4 cold, at 110 W; and a request at the edge.

        110 W · (4 · 2.2 s + 4 · 423 s) = 187,088 J.
        """
        after: Group = ("LS", 8, 1980, 1, 0.5)
        schedule = make_schedule([([MS], own_routes([MS])), ([after], own_routes([after]))])
        result = replay(schedule, ListStream([(100.0, 1024, 1)]), llama())
        assert result.windows["start_up_energy_j"].tolist() == pytest.approx([0.0, 187_088.0])
        assert _of_class(result, "LS")["ttft_mean_s"] == pytest.approx(_duration_s(after, 1024, 512, 0, 0), rel=1e-9)

    def test_change_of_clock_pauses(self) -> None:
        """Tests a request at the edge where its instance goes from 1,980 to 1,400 MHz: 65 ms, then one iteration."""
        slower: Group = ("MS", 4, 1400, 1, 1.0)
        schedule = make_schedule([([MS], own_routes([MS])), ([slower], own_routes([slower]))])
        result = replay(schedule, ListStream([(100.0, 300, 1)]), llama())
        assert _of_class(result, "MS")["ttft_mean_s"] == pytest.approx(0.065 + _duration_s(slower, 300, 150, 0, 0))
        assert result.totals["start_up_energy_j"] == 0

    def test_window_without_an_answer_goes_on_as_before(self) -> None:
        """Tests that the instances of the last answered window serve on, and that no plan is compared with."""
        schedule = make_schedule([([MS], own_routes([MS])), None])
        result = replay(schedule, ListStream([(150.0, 300, 1)]), llama())
        assert result.num_lost == 0
        assert result.windows["idle_energy_j"].tolist() == pytest.approx(
            [100 * engine_of_group(MS).idle_power_w] * 2, rel=1e-2
        )
        assert np.isnan(result.windows["planned_energy_j"].iloc[1])

    def test_request_waits_for_the_first_window_with_an_instance(self) -> None:
        """Tests a request at 90 s while nothing runs until 100 s: it is served then, 10 s late, and not lost."""
        schedule = make_schedule([([], []), ([MS], own_routes([MS]))])
        result = replay(schedule, ListStream([(90.0, 300, 1)]), llama())
        assert result.num_lost == 0
        assert _of_class(result, "MS")["ttft_mean_s"] == pytest.approx(10.0 + _duration_s(MS, 300, 150, 0, 0))

    def test_request_that_no_instance_can_ever_hold_is_lost(self) -> None:
        """Tests 42,600 tokens where only TP2 runs, whose cache holds 42,517, and that it stays lost."""
        small: Group = ("MS", 2, 1980, 1, 0.5)
        schedule = make_schedule([([small], own_routes([small]))] * 2)
        result = replay(schedule, ListStream([(1.0, 42_400, 200), (2.0, 300, 2)]), llama())
        assert (result.num_requests, result.num_lost) == (2, 1)
        assert _of_class(result, "LM")["num_lost"] == 1
        assert "1 lost" in repr(result)
        assert _of_class(result, "LM")["ttft_attainment"] == 0
        assert result.totals["ttft_attainment"] == 0.5
        assert result.windows["tbt_attainment"].max() <= 1

    def test_request_too_big_for_its_pool_goes_to_another(self) -> None:
        """Tests the same with a TP4 of another pool beside it: served there, and counted."""
        groups: list[Group] = [("LM", 2, 1400, 1, 0.005), ("SS", 4, 1980, 1, 1.0)]
        schedule = make_schedule([(groups, own_routes(groups))])
        result = replay(schedule, ListStream([(1.0, 42_400, 200)]), llama())
        assert (result.num_lost, result.totals["num_oversize"]) == (0, 1)

    def test_classes_go_where_routes_say(self) -> None:
        """Tests SS, a quarter of which is promoted to LL: the LL instance serves 25 of 100, by their iterations."""
        groups: list[Group] = [("SS", 4, 1980, 1, 3.0), ("LL", 8, 1980, 1, 1.0)]
        schedule = make_schedule([(groups, [("SS", "SS", 3.0), ("SS", "LL", 1.0)])], slo=LOOSE)
        requests = [(float(t) / 2, 200, 1) for t in range(100)]
        result = replay(schedule, ListStream(requests), llama())
        energies = result.pools.set_index("pool")["energy_j"]
        busy_s, busy_w = iteration(engine_of_group(groups[1]).coefficients, 200.0, 100.0, 0.0, 0.0)
        idle_w = engine_of_group(groups[1]).idle_power_w
        assert energies["LL"] == pytest.approx(25 * busy_s * busy_w + (100 - 25 * busy_s) * idle_w, rel=1e-9)

    def test_mix_pool_serves_every_class(self) -> None:
        """Tests one pool named after a mix, and short and long requests."""
        group: Group = ("ALL-conversation", 8, 1980, 1, 1.0)
        routes = [(c, group[0], 0.1) for c in ("SS", "LL")]
        result = replay(make_schedule([([group], routes)]), ListStream([(1.0, 100, 10), (2.0, 2000, 400)]), llama())
        assert result.num_lost == 0
        assert result.classes["request_class"].tolist() == ["SS", "LL", "all"]

    def test_class_without_a_route_goes_to_the_nearest_pool(self) -> None:
        """Tests SM, which is not planned for, beside SS, MM and LL: it is served by MM, the smallest that may."""
        groups: list[Group] = [("SS", 4, 1980, 1, 1.0), ("MM", 4, 1800, 1, 1.0), ("LL", 8, 1980, 1, 1.0)]
        schedule = make_schedule([(groups, own_routes(groups))])
        result = replay(schedule, ListStream([(1.0, 100, 200)]), llama())
        energies = result.pools.set_index("pool")["energy_j"]
        idle_j = [100.0 * engine_of_group(g).idle_power_w for g in groups]
        assert energies["MM"] > 1.001 * idle_j[1]
        assert energies[["SS", "LL"]].tolist() == pytest.approx([idle_j[0], idle_j[2]])
        assert result.totals["num_larger_pool"] == 1


class TestSurges:
    """Each measure by itself."""

    GROUPS: tuple[Group, ...] = (("MS", 4, 1980, 2, 0.5),)

    def test_late_request_goes_to_the_other_instance(self) -> None:
        """Tests 6 prompts at once, all planned for one of two instances: those that would be late use the other."""
        groups: list[Group] = [("MS", 4, 1980, 1, 4.0), ("MS", 4, 1980, 1, 0.01)]
        schedule = make_schedule([(groups, own_routes(groups))])
        stream = ListStream([(1.0, 1000, 1)] * 6)
        checked = replay(schedule, stream, llama(), clocks_up=False, resteers=False, squashes=False)
        unchecked = replay(schedule, stream, llama(), checks_deadline=False, burst_requests=100.0)
        assert unchecked.totals["num_elsewhere"] == 0
        assert checked.totals["ttft_attainment"] > unchecked.totals["ttft_attainment"]

    def test_clock_goes_up_until_no_prompt_is_left(self) -> None:
        """Tests three prompts of 768 at once at 800 MHz, in time only at 1,980 MHz, and one later at 800 MHz again."""
        slow: Group = ("MS", 8, 800, 1, 1.0)
        requests = [(1.0, 1000, 1)] * 3 + [(50.0, 1000, 1)]
        with_clock = _one_window(slow, requests)
        without = _one_window(slow, requests, clocks_up=False)
        assert with_clock.totals["num_clock_ups"] == 1
        assert without.totals["num_clock_ups"] == 0
        assert with_clock.totals["ttft_attainment"] > without.totals["ttft_attainment"]
        assert with_clock.totals["ttft_attainment"] == 1.0

    def test_larger_pool_helps_when_the_own_cannot(self) -> None:
        """Tests 10 M prompts at once on one TP4, and an idle LL beside it: some go there, and more are in time."""
        groups: list[Group] = [("MS", 4, 1980, 1, 1.0), ("LL", 8, 1980, 1, 0.5)]
        stream = ListStream([(1.0, 1000, 1)] * 10)
        together = replay(make_schedule([(groups, own_routes(groups))]), stream, llama())
        alone = _one_window(groups[0], [(1.0, 1000, 1)] * 10)
        assert together.totals["num_larger_pool"] > 0
        assert together.totals["ttft_attainment"] > alone.totals["ttft_attainment"]


class TestRefusals:
    """What cannot be replayed."""

    def test_model_without_a_profile(self) -> None:
        """Tests a schedule for a model that no profile was given for."""
        schedule = make_schedule([([MS], own_routes([MS]))], model="another")
        with pytest.raises(InvalidInputError, match="one for model 'another'"):
            replay(schedule, ListStream([]), llama())

    def test_unknown_option(self) -> None:
        """Tests a misspelt option."""
        with pytest.raises(ValueError, match="squash"):
            replay(make_schedule([([MS], own_routes([MS]))]), ListStream([]), llama(), squash=True)

    def test_progress_is_told(self) -> None:
        """Tests the windows and requests so far, after each window."""
        seen: list[tuple[int, int, int]] = []
        schedule = make_schedule([([MS], own_routes([MS]))] * 2)
        requests = [(1.0, 300, 1), (101.0, 300, 1), (102.0, 300, 1)]
        replay(schedule, ListStream(requests), llama(), progress=lambda *told: seen.append(told))
        assert seen == [(1, 2, 1), (2, 2, 3)]

    def test_two_models_are_apart(self) -> None:
        """Tests two models with an instance each: with one stream the other idles, with a stream each both serve."""
        one = make_schedule([([MS], own_routes([MS]))])
        two = make_schedule([([MS], own_routes([MS]))], model="second")
        both = replace(
            one,
            allocations=pd.concat([one.allocations, two.allocations], ignore_index=True),
            routes=pd.concat([one.routes, two.routes], ignore_index=True),
        )
        metadata = llama().metadata.model_copy(update={"model": "second", "name": "second"})
        profiles = [llama(), replace(llama(), metadata=metadata)]
        first, second = ListStream([(1.0, 300, 9)], model=MODEL), ListStream([(2.0, 300, 9)] * 2, model="second")
        alone = replay(both, first, profiles)
        together = replay(both, [first, second], profiles)
        idle_j = 100 * engine_of_group(MS).idle_power_w
        energies = alone.pools.set_index("model")["energy_j"]
        assert energies["second"] == pytest.approx(idle_j)
        assert energies[MODEL] > idle_j
        assert together.classes.set_index("model").loc["second", "num_requests"] == 2
        assert together.num_requests == 3
