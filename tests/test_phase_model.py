"""Tests of `dynaopt.phase_model`."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phase_builders import ROUND_LATENCY, content, round_model
from pydantic import ValidationError

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.phase_model import PhaseModel, iteration, read_phase_model

NAME = "llama2-70b-h100"
CLOCKS_MHZ = (800, 1000, 1200, 1400, 1600, 1800, 1980)


@pytest.fixture(scope="module")
def llama() -> PhaseModel:
    """Return the shipped model."""
    return read_phase_model(NAME)


def _prefill(
    model: PhaseModel, tp: int, tokens: float, context: float | None = None, mhz: float | None = None
) -> tuple[float, float]:
    coefficients = model.coefficients(tp, mhz or model.max_frequency_mhz)
    return iteration(coefficients, float(tokens), tokens / 2 if context is None else context, 0.0, 0.0)


def _decode(
    model: PhaseModel, tp: int, batch: float, context: float = 500.0, mhz: float | None = None
) -> tuple[float, float]:
    coefficients = model.coefficients(tp, mhz or model.max_frequency_mhz)
    return iteration(coefficients, 0.0, 0.0, float(batch), batch * context)


class TestByHand:
    """Iterations of the round model, worked out."""

    def test_reading_and_computing_overlap(self) -> None:
        """Tests 200 prompt tokens: reading 20 ms and computing 20 ms, together (2 · 20⁴)^¼ = 23.78 ms."""
        assert _prefill(round_model(), 4, 200)[0] == pytest.approx(0.02 * 2**0.25)

    def test_decode_reads_weights_sequences_and_context(self) -> None:
        """Tests 50 sequences of 1,000 tokens without compute: 20 + 50 · 0.1 + 50,000 · 0.0001 = 30 ms."""
        model = round_model({"compute_per_sequence_s": 0.0})
        assert _decode(model, 4, 50, 1000)[0] == pytest.approx(0.030)

    def test_compute_grows_with_the_inverse_of_the_clock(self) -> None:
        """Tests 20,000 tokens at half the clock, where reading is nothing beside 2 × 2 s of computing."""
        model = round_model({"late_per_prompt_token_s": 0.0, "memory_base_s": 1e-9})
        assert _prefill(model, 4, 20_000, mhz=2000)[0] == pytest.approx(2.0)
        assert _prefill(model, 4, 20_000, mhz=1000)[0] == pytest.approx(4.0)

    def test_reading_does_not_depend_on_the_clock(self) -> None:
        """Tests a decode step that computes nothing."""
        model = round_model({"compute_per_sequence_s": 0.0})
        assert _decode(model, 4, 50, mhz=1000)[0] == _decode(model, 4, 50, mhz=2000)[0]

    def test_late_tokens_cost_more_and_do_not_follow_the_clock(self) -> None:
        """Tests 3,000 tokens: 3,000 · 0.1 = 300 ms at 2 GHz and 600 ms at 1 GHz, plus 1,000 · 0.05 = 50 ms at both."""
        model = round_model({"memory_base_s": 1e-9})
        assert _prefill(model, 4, 3000, mhz=2000)[0] == pytest.approx(0.350)
        assert _prefill(model, 4, 3000, mhz=1000)[0] == pytest.approx(0.650)

    @pytest.mark.parametrize(("share", "late_tokens"), [(1.0, 1000), (0.75, 500), (0.0, 0)])
    def test_what_counts_as_late(self, share: float, late_tokens: int) -> None:
        """Tests a chunk of 1,000 tokens after 2,000 others, of which the share counts: 2,000, 1,500 or none."""
        model = round_model({"memory_base_s": 1e-9, "late_context_share": share})
        expected = 0.1 + 5e-5 * late_tokens
        assert _prefill(model, 4, 1000, 2500)[0] == pytest.approx(expected)

    def test_attention_counts_pairs(self) -> None:
        """Tests 1,000 tokens that attend to 500 others each, at 1 µs a pair: 100 + 500 ms."""
        model = round_model({"memory_base_s": 1e-9, "attention_per_pair_s": 1e-6})
        assert _prefill(model, 4, 1000)[0] == pytest.approx(0.6)

    def test_launching_fades_in(self) -> None:
        """Tests that half of 40 ms is paid at 100 tokens, three quarters at 300, none without prompt tokens."""
        plain, launching = round_model(), round_model({"launch_s": 0.04})
        assert _prefill(launching, 4, 100)[0] - _prefill(plain, 4, 100)[0] == pytest.approx(0.02)
        assert _prefill(launching, 4, 300)[0] - _prefill(plain, 4, 300)[0] == pytest.approx(0.03)
        assert _decode(launching, 4, 8)[0] == _decode(plain, 4, 8)[0]

    def test_power_is_idle_plus_energy_over_time(self) -> None:
        """Tests 50 sequences of 1,000 tokens in 30 ms on 2 GPUs: 200 W + (10 + 5 + 2 · 500 · 0.005) J / 30 ms = 867 W.

        A decoded token takes the energy of a prompt token, 0.1 ms of two GPUs at 500 W, though here it takes no time.
        """
        model = round_model({"compute_per_sequence_s": 0.0})
        assert _decode(model, 2, 50, 1000)[1] == pytest.approx(200 + 20 / 0.030)

    def test_the_cap_stretches_time(self) -> None:
        """Tests 100 J for weights and 20 J for 200 tokens: 120 J above the idle 200 W take 100 ms under 1,400 W."""
        free, capped = round_model(cap_gpu_w=5000, weights_j=100), round_model(weights_j=100)
        duration_s, power_w = _prefill(capped, 2, 200)
        free_s, free_w = _prefill(free, 2, 200)
        assert power_w == pytest.approx(1400)
        assert duration_s == pytest.approx(120 / 1200)
        assert duration_s * (power_w - 200) == pytest.approx(free_s * (free_w - 200))

    def test_power_factors(self) -> None:
        """Tests fV² with V = 1 at 1 GHz and 1.5 at 2 GHz: 1 against 4.5, so that 40 % of it leave 0.6 + 0.4 / 4.5."""
        model = round_model(voltage_per_ghz=0.5, memory_clock_share=0.4)
        free = {"compute_per_sequence_s": 0.0, "compute_per_prompt_token_s": 1e-12}
        model = model.model_copy(update={"latency": {2: ROUND_LATENCY.model_copy(update=free)}})
        slow, fast = (_decode(model, 2, 1, mhz=f)[1] - model.idle_power_w(2, f) for f in (1000, 2000))
        assert slow / fast == pytest.approx(0.6 + 0.4 / 4.5)

    def test_idle_power(self) -> None:
        """Tests 2 GPUs: 60 W each without a model, and 40 W more at the highest clock, 20 W at half of it."""
        model = round_model()
        assert model.idle_power_w(2, 2000) == pytest.approx(200)
        assert model.idle_power_w(2, 1000) == pytest.approx(160)

    def test_kv_capacity(self) -> None:
        """Tests 4 GPUs of (0.9 · 100 - 10) bytes less 200 of weights: 120 bytes hold 40 tokens; 2 GPUs hold none."""
        assert round_model().kv_capacity_tokens(4) == 40
        assert round_model().kv_capacity_tokens(2) == 0


class TestContinuity:
    """Prefill, decode and mixed iterations are one function."""

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_a_vanishing_prompt_changes_nothing(self, llama: PhaseModel, tp: int) -> None:
        """Tests that a mixed iteration tends to the decode step as its prompt gets short."""
        coefficients = llama.coefficients(tp, 1980)
        decode = iteration(coefficients, 0.0, 0.0, 32.0, 16_000.0)
        mixed = iteration(coefficients, 1e-6, 5e-7, 32.0, 16_000.0)
        assert mixed == pytest.approx(decode, rel=1e-6)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_a_vanishing_batch_changes_nothing(self, llama: PhaseModel, tp: int) -> None:
        """Tests that a mixed iteration tends to the prefill as its batch gets small."""
        coefficients = llama.coefficients(tp, 1980)
        prefill = iteration(coefficients, 512.0, 256.0, 0.0, 0.0)
        mixed = iteration(coefficients, 512.0, 256.0, 1e-6, 1e-6)
        assert mixed == pytest.approx(prefill, rel=1e-6)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    @pytest.mark.parametrize("mhz", CLOCKS_MHZ)
    def test_weights_are_read_once(self, llama: PhaseModel, tp: int, mhz: int) -> None:
        """Tests that a mixed iteration takes less time and energy than its halves apart, and more time than each."""
        coefficients = llama.coefficients(tp, mhz)
        mixed = iteration(coefficients, 512.0, 256.0, 32.0, 16_000.0)
        halves = (iteration(coefficients, 512.0, 256.0, 0.0, 0.0), iteration(coefficients, 0.0, 0.0, 32.0, 16_000.0))
        assert max(s for s, _ in halves) < mixed[0] < sum(s for s, _ in halves)
        assert mixed[0] * mixed[1] < sum(s * w for s, w in halves)


class TestSanity:
    """What physics asks of the shipped model."""

    @given(
        tp=st.sampled_from((2, 4, 8)),
        mhz=st.floats(800, 1980),
        work=st.tuples(st.floats(0, 4096), st.floats(0, 8192), st.floats(0, 256), st.floats(0, 8192)),
        more=st.tuples(st.floats(0, 64), st.floats(0, 512), st.floats(0, 16), st.floats(0, 512)),
    )
    def test_more_work_takes_more_time_and_energy(
        self,
        tp: int,
        mhz: float,
        work: tuple[float, float, float, float],
        more: tuple[float, float, float, float],
    ) -> None:
        """Tests that neither falls with more tokens, sequences or context, and that power stays in bounds."""
        model = read_phase_model(NAME)
        coefficients = model.coefficients(tp, mhz)

        def of(prompt: float, cached: float, batch: float, context: float) -> tuple[float, float]:
            return iteration(coefficients, prompt, cached + prompt / 2, batch, batch * context)

        duration_s, power_w = of(*work)
        longer_s, longer_w = of(*np.add(work, more))
        assert longer_s >= duration_s * (1 - 1e-12)
        assert longer_s * longer_w >= duration_s * power_w * (1 - 1e-9)
        assert model.idle_power_w(tp, mhz) < power_w <= 700 * tp * (1 + 1e-12)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_a_faster_clock_is_faster_and_draws_more(self, llama: PhaseModel, tp: int) -> None:
        """Tests that over the clocks time never rises and power never falls, in prefill and in decode."""
        for run in (lambda f: _prefill(llama, tp, 1024, mhz=f), lambda f: _decode(llama, tp, 64, mhz=f)):
            durations_s, powers_w = np.array([run(f) for f in CLOCKS_MHZ]).T
            assert np.all(np.diff(durations_s) < 0)
            assert np.all(np.diff(powers_w) > 0)

    @pytest.mark.parametrize("mhz", CLOCKS_MHZ)
    @pytest.mark.parametrize(
        "run", [lambda m, tp, f: _prefill(m, tp, 1024, mhz=f), lambda m, tp, f: _decode(m, tp, 32, mhz=f)]
    )
    def test_more_gpus_are_faster_and_spend_more(
        self, llama: PhaseModel, mhz: int, run: Callable[[PhaseModel, int, int], tuple[float, float]]
    ) -> None:
        """Tests that energy per token rises with TP, and that TP2 is slowest; TP8 may decode slower than TP4."""
        results = [run(llama, tp, mhz) for tp in (2, 4, 8)]
        energies_j = [s * w for s, w in results]
        assert energies_j == sorted(energies_j)
        assert results[0][0] > max(results[1][0], results[2][0])

    @pytest.mark.parametrize("tp", [2, 4, 8])
    @pytest.mark.parametrize("mhz", CLOCKS_MHZ)
    def test_energy_per_token_falls_with_the_batch(self, llama: PhaseModel, tp: int, mhz: int) -> None:
        """Tests that sharing the reading of weights always pays, in prefill up to 2,048 tokens and in decode."""
        decode = [np.prod(_decode(llama, tp, b, mhz=mhz)) / b for b in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
        prefill = [np.prod(_prefill(llama, tp, n, mhz=mhz)) / n for n in (64, 128, 256, 512, 1024, 2048)]
        assert np.all(np.diff(decode) < 0)
        assert np.all(np.diff(prefill) < 0)

    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_the_cheapest_clock_lies_inside(self, llama: PhaseModel, tp: int) -> None:
        """Tests that idle power at low clocks and voltage at high ones leave the cheapest prefill between them."""
        energies_j = [np.prod(_prefill(llama, tp, 2048, mhz=f)) for f in CLOCKS_MHZ]
        assert 0 < int(np.argmin(energies_j)) < len(CLOCKS_MHZ) - 1

    @pytest.mark.parametrize("share", [0.0, 1.0])
    @pytest.mark.parametrize("tp", [2, 4, 8])
    def test_chunks_add_up_to_the_prompt(self, llama: PhaseModel, tp: int, share: float) -> None:
        """Tests 8,192 tokens in four chunks: slower than at once by three launches and reads at most.

        With lateness counted from the start of the iteration, no chunk has any: then the chunks are compared with the
        prompt without its late tokens.
        """
        own = llama.latency[tp].model_copy(update={"late_context_share": share})
        model = llama.model_copy(update={"latency": {tp: own}})
        late_s = own.late_per_prompt_token_s * (8192 - own.late_from_tokens)
        whole_s = _prefill(model, tp, 8192)[0] - (1 - share) * late_s
        chunks_s = sum(_prefill(model, tp, 2048, 2048 * i + 1024)[0] for i in range(4))
        overhead_s = 3 * (own.launch_s + own.compute_base_s + own.memory_base_s)
        assert whole_s < chunks_s < whole_s + overhead_s

    def test_more_gpus_compute_long_prompts_faster(self, llama: PhaseModel) -> None:
        """Tests 8,192 tokens in chunks of 2,048: each doubling of the GPUs saves at least a quarter of the time."""
        times_s = [sum(_prefill(llama, tp, 2048, 2048 * i + 1024)[0] for i in range(4)) for tp in (2, 4, 8)]
        assert times_s[1] < 0.75 * times_s[0]
        assert times_s[2] < 0.75 * times_s[1]

    def test_sizes(self, llama: PhaseModel) -> None:
        """Tests 80 layers, keys and values, 8 heads of 128, 2 bytes; TP2 is left with 14 GB for the KV cache."""
        assert llama.kv_bytes_per_token == 80 * 2 * 8 * 128 * 2 == 327_680
        assert llama.weights_bytes == 2 * 68.98e9
        assert llama.gpu_memory_bytes == 84.94e9
        assert [llama.kv_capacity_tokens(tp) for tp in llama.tps] == [42_517, 506_054, 1_433_129]

    def test_every_number_has_a_source(self, llama: PhaseModel) -> None:
        """Tests that each coefficient of the file is named in its provenance."""
        text = " ".join(p.quantity for p in llama.provenance)
        sections = content(llama)
        names = [*sections["memory"], *sections["power"], *sections["latency"][4]]
        assert [name for name in names if name not in text] == []


class TestErrors:
    """What cannot be asked."""

    def test_unknown_name(self) -> None:
        """Tests that the names there are are listed."""
        with pytest.raises(UnknownNameError, match=r"phase model: expected one of .*llama2-70b-h100.*, got 'llama3'"):
            read_phase_model("llama3")

    @pytest.mark.parametrize(
        "ask", [lambda m: m.coefficients(3, 1980), lambda m: m.idle_power_w(3, 1980), lambda m: m.kv_capacity_tokens(3)]
    )
    def test_unknown_degree(self, llama: PhaseModel, ask: Callable[[PhaseModel], object]) -> None:
        """Tests a tensor-parallel degree that was not fitted."""
        with pytest.raises(UnknownNameError, match=r"expected one of TP \(2, 4, 8\), got TP3"):
            ask(llama)

    @pytest.mark.parametrize("mhz", [799, 1981, 0, -1, float("nan")])
    def test_clock_out_of_range(self, llama: PhaseModel, mhz: float) -> None:
        """Tests that the model is not extrapolated over the clock."""
        with pytest.raises(InvalidInputError, match="a clock from 800 to 1980 MHz"):
            llama.coefficients(4, mhz)

    @pytest.mark.parametrize(
        ("section", "key", "value"),
        [
            ("power", "weights_j", -1.0),
            ("power", "compute_clock_share", 1.1),
            ("memory", "utilisation", 0.0),
            ("memory", "unknown", 1.0),
        ],
    )
    def test_numbers_that_make_no_sense(self, section: str, key: str, value: float) -> None:
        """Tests that a file with such a number is refused."""
        broken = content(round_model())
        broken[section][key] = value
        with pytest.raises(ValidationError, match=key):
            PhaseModel.model_validate(broken)

    def test_models_do_not_change(self, llama: PhaseModel) -> None:
        """Tests that coefficients handed out are a copy and the model is frozen."""
        first = llama.coefficients(4, 1980)
        first[:] = 0
        assert llama.coefficients(4, 1980)[0] == llama.latency[4].memory_base_s > 0
        with pytest.raises(ValidationError, match="frozen"):
            llama.name = "other"  # type: ignore[misc]


def test_degrees_are_ascending() -> None:
    """Tests that the order in a file does not matter."""
    assert list(round_model().latency) == [4, 2]
    assert round_model().tps == (2, 4)
