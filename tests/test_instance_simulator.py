"""Tests of `dynaopt.instance_simulator`."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaopt.instance_simulator import Engine, Requests, engine_of, serve
from dynaopt.phase_model import PhaseModel, iteration, read_phase_model

FAR_S = 1000.0


@pytest.fixture(scope="module")
def llama() -> PhaseModel:
    """Return the shipped phase model."""
    return read_phase_model("llama2-70b-h100")


@pytest.fixture(scope="module")
def engine(llama: PhaseModel) -> Engine:
    """Return a TP4 instance at the highest clock with 512 tokens per iteration."""
    return engine_of(llama, 4, 1980, 512)


def _requests(
    rows: Sequence[tuple[float, int, int]], slo_s: float | Sequence[float] = 1.0, group: Sequence[int] | None = None
) -> Requests:
    """Make a stream of (arrival, input, output), and a last one far away so that everything before it counts."""
    arrival_s, input_tokens, output_tokens = zip(*rows, (FAR_S, 1, 1), strict=True)
    slos = np.full(len(rows) + 1, slo_s) if isinstance(slo_s, float) else np.array([*slo_s, 1.0])
    return Requests(
        np.array(arrival_s, dtype=float),
        np.array(input_tokens, dtype=np.int64),
        np.array(output_tokens, dtype=np.int64),
        slos.astype(float),
        np.array([*(group or [0] * len(rows)), 0], dtype=np.int64),
    )


def _poisson(rate_rps: float, size: int, input_tokens: int, output_tokens: int, seed: int = 0) -> Requests:
    gaps = np.random.default_rng(seed).standard_exponential(size)
    return Requests(
        np.cumsum(gaps / gaps.mean()) / rate_rps,
        np.full(size, input_tokens, dtype=np.int64),
        np.full(size, output_tokens, dtype=np.int64),
        np.ones(size),
        np.zeros(size, dtype=np.int64),
    )


def _duration_s(engine: Engine, tokens: float, mean_context: float, batch: float, context: float) -> float:
    return float(iteration(engine.coefficients, tokens, mean_context, batch, context)[0])


class TestByHand:
    """A few requests, worked out iteration by iteration with the phase model."""

    def test_unloaded_prompt_takes_the_sum_of_its_chunks(self, engine: Engine) -> None:
        """Tests a prompt of 1,200: chunks of 512, 512 and 176 after 0, 512 and 1,024 tokens."""
        run = serve(engine, _requests([(1.0, 1200, 1)]))
        chunks = ((512.0, 256.0), (512.0, 768.0), (176.0, 1112.0))
        expected = sum(_duration_s(engine, tokens, context, 0, 0) for tokens, context in chunks)
        assert run.ttft_s[0] == pytest.approx(expected, rel=1e-12)
        assert np.isnan(run.tbt_quantile_s(0.5, 0))
        assert np.isnan(run.tbt_mean_s())

    def test_unloaded_decode_has_a_gap_for_each_token_but_the_first(self, engine: Engine) -> None:
        """Tests 100 prompt and 3 output tokens: gaps with a context of 101 and of 102."""
        run = serve(engine, _requests([(1.0, 100, 3)]))
        assert run.token_gaps.sum() == 2
        assert run.tbt_quantile_s(0.99) == pytest.approx(_duration_s(engine, 0, 0, 1, 102), rel=5e-4)
        both_s = [_duration_s(engine, 0, 0, 1, context) for context in (101, 102)]
        assert run.tbt_mean_s() == pytest.approx(np.mean(both_s), rel=5e-4)

    def test_gaps_that_a_request_keeps(self, engine: Engine) -> None:
        """Tests a request of 300 gaps into which prompts come, and one of 4.

        Of 300 gaps 3 may be longer than the bound it keeps. Four prompts of 400 tokens come one after the other while
        it decodes: the shortest of their four iterations decides, the first, whose context is shortest. With three
        prompts only it is a gap without any. One of the 99 of a request with 100 tokens counts.
        """
        start_s = 1.0 + _duration_s(engine, 100, 50, 0, 0)
        step_s = _duration_s(engine, 0, 0, 1, 250)
        prompts = [(start_s + step_s * n, 400, 1) for n in (20.5, 60.5, 120.5, 180.5)]
        runs = [
            serve(engine, _requests([(1.0, 100, 301), *prompts[:n]]), max_leap=leap) for n in (4, 3) for leap in (1, 64)
        ]
        with_prompt_s = [_duration_s(engine, 400, 200, 1, context) for context in (101, 401)]
        for run in runs[:2]:
            assert with_prompt_s[0] < run.tail_gap_s[0] < with_prompt_s[1]
            assert np.isnan(run.tail_gap_s[1:]).all()
        for run in runs[2:]:
            assert run.tail_gap_s[0] == pytest.approx(_duration_s(engine, 0, 0, 1, 400), rel=2e-3)
        short = serve(engine, _requests([(1.0, 100, 100), prompts[0]]))
        assert with_prompt_s[0] < short.tail_gap_s[0] < with_prompt_s[1]

    def test_share_of_requests_that_keeps_a_bound(self, engine: Engine) -> None:
        """Tests that a request without a gap keeps any bound, and that some of the requests may be asked for.

        The last request of the stream, far away, has none either.
        """
        run = serve(engine, _requests([(1.0, 100, 1), (100.0, 100, 2), (200.0, 900, 2)]))
        gaps_s = [_duration_s(engine, 0, 0, 1, context) for context in (101, 901)]
        assert run.kept_tbt_s(1.0) == pytest.approx(gaps_s[1])
        assert run.kept_tbt_s(0.25) == 0.0
        assert run.kept_tbt_s(1.0, np.array([True, True, False, False])) == pytest.approx(gaps_s[0])
        assert np.isnan(run.kept_tbt_s(0.99, np.array([True, False, False, True])))

    def test_energy_of_busy_and_idle_time(self, engine: Engine) -> None:
        """Tests the mean power from the first arrival to the last, 999 s later, of one prompt and idling."""
        run = serve(engine, _requests([(1.0, 300, 1)]))
        busy_s, busy_w = iteration(engine.coefficients, 300.0, 150.0, 0.0, 0.0)
        expected = (busy_s * busy_w + (FAR_S - 1.0 - busy_s) * engine.idle_power_w) / (FAR_S - 1.0)
        assert run.power_w == pytest.approx(expected, rel=1e-12)

    def test_decodes_go_on_while_a_prompt_is_computed(self, engine: Engine) -> None:
        """Tests that a decode takes 1 of 512 tokens, so that a prompt of 600 gets 511 and 89, and waits for nobody."""
        first_s = _duration_s(engine, 100, 50, 0, 0)
        run = serve(engine, _requests([(1.0, 100, 4), (1.0 + first_s / 2, 600, 1)]))
        one_s = _duration_s(engine, 511, 255.5, 1, 101)
        two_s = _duration_s(engine, 89, 555.5, 1, 102)
        assert run.ttft_s[0] == pytest.approx(first_s)
        assert run.ttft_s[1] == pytest.approx(first_s / 2 + one_s + two_s)
        assert run.token_gaps.sum() == 3
        assert run.tbt_quantile_s(0.99) == pytest.approx(one_s, rel=5e-4)

    def test_prompts_share_an_iteration(self, engine: Engine) -> None:
        """Tests 200 and 300 tokens that wait together: one iteration, mean context (200·100 + 300·150)/500 = 130."""
        first_s = _duration_s(engine, 512, 256, 0, 0)
        run = serve(engine, _requests([(1.0, 512, 1), (1.01, 200, 1), (1.02, 300, 1)]))
        both_s = _duration_s(engine, 500, 130, 0, 0)
        assert run.ttft_s[1] == pytest.approx(first_s - 0.01 + both_s)
        assert run.ttft_s[2] == pytest.approx(first_s - 0.02 + both_s)

    def test_earlier_deadline_overtakes_a_long_prompt(self, engine: Engine) -> None:
        """Tests that a short request is done after the chunk that runs, and first come first served has it wait."""
        rows = [(1.0, 4096, 1), (1.01, 256, 1)]
        overtaking = serve(engine, _requests(rows, slo_s=[2.0, 0.25]))
        waiting = serve(engine, _requests(rows, slo_s=[2.0, 2.0]))
        first_s = _duration_s(engine, 512, 256, 0, 0)
        # The second iteration holds all 256 of the short one and 256 more of the long one, after 512.
        shared_s = _duration_s(engine, 512, (256 * 128 + 256 * 640) / 512, 0, 0)
        assert overtaking.ttft_s[1] == pytest.approx(first_s + shared_s - 0.01)
        assert waiting.ttft_s[1] > waiting.ttft_s[0] - 0.01 > 4 * overtaking.ttft_s[1]
        assert overtaking.ttft_s[0] == pytest.approx(waiting.ttft_s[0], rel=0.15)

    def test_kv_cache_admits_what_fits_whole(self, engine: Engine) -> None:
        """Tests a cache of 1,000: a request of 300 + 400 keeps one of 300 + 10 out until its last token."""
        small = engine._replace(kv_capacity_tokens=1000)
        rows = [(1.0, 300, 400), (1.001, 300, 10)]
        run = serve(small, _requests(rows), max_leap=1)
        decode_s = sum(_duration_s(engine, 0, 0, 1, 300 + j) for j in range(1, 400))
        prompt_s = _duration_s(engine, 300, 150, 0, 0)
        assert run.ttft_s[1] == pytest.approx(2 * prompt_s + decode_s - 0.001)
        assert serve(engine, _requests(rows)).ttft_s[1] < 0.2

    def test_no_more_sequences_than_allowed(self, engine: Engine) -> None:
        """Tests that with one sequence at a time the second prompt waits for the first one's last token."""
        rows = [(1.0, 100, 50), (1.001, 100, 2)]
        alone = serve(engine._replace(max_num_seqs=1), _requests(rows), max_leap=1)
        decode_s = sum(_duration_s(engine, 0, 0, 1, 100 + j) for j in range(1, 50))
        assert alone.ttft_s[1] == pytest.approx(2 * _duration_s(engine, 100, 50, 0, 0) + decode_s - 0.001)

    def test_gaps_are_told_apart_by_group(self, engine: Engine) -> None:
        """Tests 5 and 3 output tokens of two groups: 4 and 2 gaps, and a TTFT each."""
        run = serve(engine, _requests([(1.0, 100, 5), (1.0, 100, 3)], group=[1, 0]))
        assert run.token_gaps.sum(axis=1).tolist() == [2, 4]
        assert run.ttft_quantile_s(0.5, 1) == pytest.approx(_duration_s(engine, 200, 50, 0, 0))


class TestAgainstTheory:
    """Streams whose waiting times are known."""

    @pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
    def test_single_iteration_requests_wait_as_in_m_d_1(self, engine: Engine, utilisation: float) -> None:
        """Tests prompts that fill the budget: mean wait ρ·D / (2·(1 − ρ)) (Pollaczek–Khinchine), to within 3 %."""
        service_s = _duration_s(engine, 512, 256, 0, 0)
        run = serve(engine, _poisson(utilisation / service_s, 200_000, 512, 1), warm_up=4000)
        expected = utilisation * service_s / (2 * (1 - utilisation))
        assert float(run.ttft_s.mean()) - service_s == pytest.approx(expected, rel=0.03)

    @pytest.mark.parametrize("utilisation", [0.3, 0.6])
    def test_power_of_m_d_1_is_that_of_its_utilisation(self, engine: Engine, utilisation: float) -> None:
        """Tests that the server is busy a share ρ of the time and idle the rest."""
        service_s, service_w = iteration(engine.coefficients, 512.0, 256.0, 0.0, 0.0)
        run = serve(engine, _poisson(utilisation / service_s, 100_000, 512, 1), warm_up=2000)
        expected = utilisation * service_w + (1 - utilisation) * engine.idle_power_w
        assert run.power_w == pytest.approx(expected, rel=0.005)


class TestProperties:
    """What holds for every stream."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.floats(0.0, 3.0), st.integers(1, 3000), st.integers(1, 300), st.sampled_from([0.25, 0.4, 2.0])
            ),
            min_size=1,
            max_size=25,
        )
    )
    def test_every_request_gets_all_its_tokens(self, engine: Engine, rows: list[tuple[float, int, int, float]]) -> None:
        """Tests that gaps add up to output tokens but the first, and nobody is faster than alone."""
        rows = sorted(rows)
        requests = _requests([row[:3] for row in rows], slo_s=[row[3] for row in rows])
        tight = engine._replace(kv_capacity_tokens=4000, max_num_seqs=8)
        run = serve(tight, requests)
        assert run.token_gaps.sum() == sum(row[2] - 1 for row in rows)
        for row, ttft_s in zip(rows, run.ttft_s, strict=False):
            alone = serve(tight, _requests([(1.0, row[1], row[2])]))
            assert ttft_s >= alone.ttft_s[0] - 1e-9

    @pytest.mark.parametrize(("input_tokens", "output_tokens", "rate_rps"), [(150, 500, 2.0), (3000, 300, 0.8)])
    def test_leaps_change_next_to_nothing(
        self, engine: Engine, input_tokens: int, output_tokens: int, rate_rps: float
    ) -> None:
        """Tests power with and without leaps to 0.05 %, medians to 0.3 % and P99s, which chance moves more, to 1 %."""
        requests = _poisson(rate_rps, 60_000, input_tokens, output_tokens)
        leaping, walking = serve(engine, requests), serve(engine, requests, max_leap=1)
        assert leaping.power_w == pytest.approx(walking.power_w, rel=5e-4)
        assert leaping.num_iterations == pytest.approx(walking.num_iterations, rel=5e-3)
        for q, tolerance in ((0.5, 3e-3), (0.99, 1e-2)):
            assert leaping.ttft_quantile_s(q) == pytest.approx(walking.ttft_quantile_s(q), rel=tolerance)
            assert leaping.tbt_quantile_s(q) == pytest.approx(walking.tbt_quantile_s(q), rel=tolerance)

    def test_same_stream_same_run(self, engine: Engine) -> None:
        """Tests that nothing is left to chance, and that the stream is not changed."""
        requests = _poisson(1.0, 500, 800, 100)
        before = [array.copy() for array in requests]
        first, second = serve(engine, requests), serve(engine, requests)
        np.testing.assert_array_equal(first.ttft_s, second.ttft_s)
        assert first.power_w == second.power_w
        for array, copy in zip(requests, before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_warm_up_does_not_count(self, engine: Engine) -> None:
        """Tests that requests of the warm-up are left out and later ones keep their times."""
        requests = _poisson(1.0, 500, 800, 100)
        all_of_them, later = serve(engine, requests), serve(engine, requests, warm_up=100)
        np.testing.assert_array_equal(all_of_them.ttft_s[100:], later.ttft_s)
        assert later.token_gaps.sum() < all_of_them.token_gaps.sum()


def test_engine_takes_the_phase_model_at_its_word(llama: PhaseModel) -> None:
    """Tests idle power, KV cache, and that no more sequences are admitted than the budget has tokens."""
    engine = engine_of(llama, 8, 1400, 128)
    assert engine.idle_power_w == llama.idle_power_w(8, 1400)
    assert engine.kv_capacity_tokens == llama.kv_capacity_tokens(8)
    assert (engine.token_budget, engine.max_num_seqs) == (128, 128)
    assert engine_of(llama, 8, 1400, 1024).max_num_seqs == 256


def test_request_that_never_fits_is_refused(engine: Engine) -> None:
    """Tests a prompt and output one token longer than the KV cache, which would wait for ever."""
    small = engine._replace(kv_capacity_tokens=1000)
    serve(small, _requests([(1.0, 900, 100)]))
    with pytest.raises(ValueError, match="does not fit into a KV cache of 1000 tokens"):
        serve(small, _requests([(1.0, 900, 101)]))


@pytest.mark.parametrize("max_num_seqs", [0, 513])
def test_more_sequences_than_budget_are_refused(engine: Engine, max_num_seqs: int) -> None:
    """Tests that a budget in which decodes would have to wait is not simulated."""
    with pytest.raises(ValueError, match="sequences need a token budget"):
        serve(engine._replace(max_num_seqs=max_num_seqs), _requests([(1.0, 1, 1)]))
