"""Duration and power of one iteration of an inference engine, from its tokens, the number of GPUs and their clock.

An iteration computes `prefill_tokens` prompt tokens and one new token for each of `decode_batch` sequences. It reads
the weights once, whatever it computes, so that a mixed iteration costs a decode step plus the prompt tokens' compute.
`docs/profiles.md` derives the form; `scripts/fit_phase_model.py` fits the coefficients that the package ships.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.provenance import NonNegative, Positive, Provenance, Section
from dynaopt.toml_text import read_toml, write_toml

FloatArray = npt.NDArray[np.float64]

(
    _MEMORY_BASE_S,
    _MEMORY_PER_SEQUENCE_S,
    _MEMORY_PER_CONTEXT_TOKEN_S,
    _COMPUTE_BASE_S,
    _COMPUTE_PER_SEQUENCE_S,
    _COMPUTE_PER_PROMPT_TOKEN_S,
    _LATE_PER_PROMPT_TOKEN_S,
    _LATE_FROM_TOKENS,
    _LATE_CONTEXT_SHARE,
    _ATTENTION_PER_PAIR_S,
    _LAUNCH_S,
    _LAUNCH_HALF_TOKENS,
    _IDLE_W,
    _WEIGHTS_J,
    _CONTEXT_TOKEN_J,
    _COMPUTE_W,
    _CAP_W,
    _NUM_COEFFICIENTS,
) = range(18)


class Latency(Section):
    """Durations of one iteration at the highest clock, in seconds, for one tensor-parallel degree.

    The `memory_…` parts (reading weights and KV cache, and the engine's own work), `late_…` and `launch_…` do not
    follow the clock; the `compute_…` and `attention_…` parts are inverse to it. `late_per_prompt_token_s` comes on top
    for prompt tokens beyond `late_from_tokens`, counted from the start of the iteration or, to the extent of
    `late_context_share`, of the prompt. `attention_per_pair_s` is the cost of one prompt token attending to one token
    before it; `launch_s` is what an iteration with prompt tokens costs beyond reading and computing, half of it at
    `launch_half_tokens`.
    """

    memory_base_s: Positive
    memory_per_sequence_s: NonNegative
    memory_per_context_token_s: NonNegative
    compute_base_s: NonNegative
    compute_per_sequence_s: NonNegative
    compute_per_prompt_token_s: Positive
    late_per_prompt_token_s: NonNegative
    late_from_tokens: Positive
    late_context_share: Annotated[float, Field(ge=0, le=1)]
    attention_per_pair_s: NonNegative
    launch_s: NonNegative
    launch_half_tokens: Positive


class PhasePower(Section):
    """Powers and energies at the highest clock, and the share of each that follows the clock.

    `idle_gpu_w` is drawn by each GPU of a loaded instance that does nothing, `no_model_gpu_w` by one without a model:
    the difference is proportional to the clock. On top come `weights_j` of each iteration and `context_token_j` of each
    token of KV cache read, of the whole instance, and `compute_gpu_w` of each GPU while it computes tokens. Of the
    energies `memory_clock_share`, and of `compute_gpu_w` `compute_clock_share`, go as clock times voltage squared, the
    voltage rising by `voltage_per_ghz` beyond `voltage_knee_ghz`; the rest does not depend on the clock.
    """

    no_model_gpu_w: NonNegative
    idle_gpu_w: NonNegative
    cap_gpu_w: Positive
    weights_j: NonNegative
    context_token_j: NonNegative
    memory_clock_share: Annotated[float, Field(ge=0, le=1)]
    compute_gpu_w: NonNegative
    compute_clock_share: Annotated[float, Field(ge=0, le=1)]
    voltage_per_ghz: NonNegative
    voltage_knee_ghz: NonNegative


class Memory(Section):
    """GPU memory, in bytes: what it holds of weights and KV cache."""

    gpu_memory_bytes: Positive
    utilisation: Annotated[float, Field(gt=0, le=1)]
    activation_bytes_per_gpu: NonNegative
    weights_bytes: Positive
    kv_bytes_per_token: Positive


class PhaseModel(Section):
    """Phase model of one language model on one kind of GPU, as its file holds it.

    Parameters
    ----------
    name
        For example ``llama2-70b-h100``.
    model, gpu, engine
        What was measured or modelled; `engine` names the year too.
    max_frequency_mhz
        The clock at which the durations hold, in MHz.
    min_frequency_mhz
        The lowest clock for which the model is meant, in MHz.
    memory
        Sizes, in bytes.
    power
        Powers and energies.
    latency
        Durations, by tensor-parallel degree.
    provenance
        Where each coefficient comes from.
    """

    name: str
    model: str
    gpu: str
    engine: str
    max_frequency_mhz: Positive
    min_frequency_mhz: Positive
    memory: Memory
    power: PhasePower
    latency: Mapping[int, Latency]
    provenance: tuple[Provenance, ...]

    @property
    def tps(self) -> tuple[int, ...]:
        """Tensor-parallel degrees, ascending."""
        return tuple(sorted(self.latency))

    @property
    def weights_bytes(self) -> float:
        """Size of the weights, in bytes."""
        return self.memory.weights_bytes

    @property
    def kv_bytes_per_token(self) -> float:
        """Size of the KV cache of one token over all GPUs of an instance, in bytes."""
        return self.memory.kv_bytes_per_token

    @property
    def gpu_memory_bytes(self) -> float:
        """Memory of one GPU, in bytes."""
        return self.memory.gpu_memory_bytes

    def kv_capacity_tokens(self, tp: int) -> int:
        """Return how many tokens the KV cache of an instance holds; 0 when the weights leave no room.

        Parameters
        ----------
        tp
            Tensor-parallel degree.
        """
        self._check(tp, self.max_frequency_mhz)
        memory = self.memory
        usable = tp * (memory.utilisation * memory.gpu_memory_bytes - memory.activation_bytes_per_gpu)
        return max(0, int((usable - memory.weights_bytes) // memory.kv_bytes_per_token))

    def idle_power_w(self, tp: int, frequency_mhz: float) -> float:
        """Return the power of an instance that is loaded and has nothing to do, in watts.

        Parameters
        ----------
        tp
            Tensor-parallel degree.
        frequency_mhz
            GPU clock, in MHz.
        """
        self._check(tp, frequency_mhz)
        power = self.power
        excess_w = (power.idle_gpu_w - power.no_model_gpu_w) * frequency_mhz / self.max_frequency_mhz
        return tp * (power.no_model_gpu_w + excess_w)

    def coefficients(self, tp: int, frequency_mhz: float) -> FloatArray:
        """Return what `iteration` needs for one configuration.

        Parameters
        ----------
        tp
            Tensor-parallel degree.
        frequency_mhz
            GPU clock, in MHz.

        Returns
        -------
        numpy.ndarray
            Shape (17,); opaque, for `iteration` only.

        Raises
        ------
        UnknownNameError
            If the model has no such tensor-parallel degree.
        InvalidInputError
            If the clock lies outside the range for which the model is meant.
        """
        self._check(tp, frequency_mhz)
        latency, power = self.latency[tp], self.power
        slowdown = self.max_frequency_mhz / frequency_mhz
        compute_factor = self._power_factor(power.compute_clock_share, frequency_mhz)
        memory_factor = self._power_factor(power.memory_clock_share, frequency_mhz)
        c = np.empty(_NUM_COEFFICIENTS)
        c[_MEMORY_BASE_S] = latency.memory_base_s
        c[_MEMORY_PER_SEQUENCE_S] = latency.memory_per_sequence_s
        c[_MEMORY_PER_CONTEXT_TOKEN_S] = latency.memory_per_context_token_s
        c[_COMPUTE_BASE_S] = latency.compute_base_s * slowdown
        c[_COMPUTE_PER_SEQUENCE_S] = latency.compute_per_sequence_s * slowdown
        c[_COMPUTE_PER_PROMPT_TOKEN_S] = latency.compute_per_prompt_token_s * slowdown
        c[_LATE_PER_PROMPT_TOKEN_S] = latency.late_per_prompt_token_s
        c[_LATE_FROM_TOKENS] = latency.late_from_tokens
        c[_LATE_CONTEXT_SHARE] = latency.late_context_share
        c[_ATTENTION_PER_PAIR_S] = latency.attention_per_pair_s * slowdown
        c[_LAUNCH_S] = latency.launch_s
        c[_LAUNCH_HALF_TOKENS] = latency.launch_half_tokens
        c[_IDLE_W] = self.idle_power_w(tp, frequency_mhz)
        c[_WEIGHTS_J] = power.weights_j * memory_factor
        c[_CONTEXT_TOKEN_J] = power.context_token_j * memory_factor
        c[_COMPUTE_W] = tp * power.compute_gpu_w * compute_factor
        c[_CAP_W] = tp * power.cap_gpu_w
        return c

    def _power_factor(self, clock_share: float, frequency_mhz: float) -> float:
        """Power at a clock over power at the highest, when `clock_share` of it goes as f·V²."""
        return 1 - clock_share + clock_share * self._fv2(frequency_mhz) / self._fv2(self.max_frequency_mhz)

    def _fv2(self, frequency_mhz: float) -> float:
        ghz = frequency_mhz / 1000
        voltage = 1 + self.power.voltage_per_ghz * max(0.0, ghz - self.power.voltage_knee_ghz)
        return ghz * voltage * voltage

    def _check(self, tp: int, frequency_mhz: float) -> None:
        if tp not in self.latency:
            raise UnknownNameError(f"phase model {self.name}", expected=f"one of TP {self.tps}", found=f"TP{tp}")
        if not self.min_frequency_mhz <= frequency_mhz <= self.max_frequency_mhz:
            expected = f"a clock from {self.min_frequency_mhz:g} to {self.max_frequency_mhz:g} MHz"
            raise InvalidInputError(f"phase model {self.name}", expected=expected, found=f"{frequency_mhz:g} MHz")


@njit(cache=True)  # type: ignore[untyped-decorator]
def iteration(
    coefficients: FloatArray,
    prefill_tokens: float,
    prefill_context_tokens: float,
    decode_batch: float,
    decode_context_tokens: float,
) -> tuple[float, float]:
    """Return the duration and the mean power of one iteration of a whole instance.

    Parameters
    ----------
    coefficients
        From `PhaseModel.coefficients`.
    prefill_tokens
        New prompt tokens computed in this iteration, of all prompts together; 0 for a pure decode step.
    prefill_context_tokens
        How many tokens one of them attends to on average, itself included: c + n/2 for a chunk of n tokens after c
        that are cached already, hence n/2 for a whole prompt; for several prompts the mean weighted by their tokens.
    decode_batch
        Sequences that get one new token each; 0 for a pure prefill.
    decode_context_tokens
        Sum of the contexts of these sequences.

    Returns
    -------
    duration_s, power_w : float
        Seconds, and watts of all GPUs of the instance.
    """
    c = coefficients
    memory_s = (
        c[_MEMORY_BASE_S]
        + c[_MEMORY_PER_SEQUENCE_S] * decode_batch
        + c[_MEMORY_PER_CONTEXT_TOKEN_S] * decode_context_tokens
    )
    start = c[_LATE_CONTEXT_SHARE] * max(0.0, prefill_context_tokens - 0.5 * prefill_tokens)
    late_tokens = max(0.0, start + prefill_tokens - c[_LATE_FROM_TOKENS]) - max(0.0, start - c[_LATE_FROM_TOKENS])
    compute_s = (
        c[_COMPUTE_BASE_S]
        + c[_COMPUTE_PER_SEQUENCE_S] * decode_batch
        + c[_COMPUTE_PER_PROMPT_TOKEN_S] * prefill_tokens
        + c[_LATE_PER_PROMPT_TOKEN_S] * late_tokens
        + c[_ATTENTION_PER_PAIR_S] * prefill_tokens * prefill_context_tokens
    )
    launch_s = c[_LAUNCH_S] * prefill_tokens / (prefill_tokens + c[_LAUNCH_HALF_TOKENS])
    duration_s = (memory_s**4 + compute_s**4) ** 0.25 + launch_s
    # A decoded token takes the energy of a prompt token: what it takes longer is waiting, which costs no power.
    waiting_s = (c[_COMPUTE_PER_SEQUENCE_S] - c[_COMPUTE_PER_PROMPT_TOKEN_S]) * decode_batch
    busy_s = compute_s - c[_COMPUTE_BASE_S] - waiting_s
    energy_j = c[_WEIGHTS_J] + c[_CONTEXT_TOKEN_J] * decode_context_tokens + c[_COMPUTE_W] * busy_s
    # A GPU at its power cap slows down: the work takes its energy, and as long as the cap makes it take.
    duration_s = max(duration_s, energy_j / (c[_CAP_W] - c[_IDLE_W]))
    return duration_s, c[_IDLE_W] + energy_j / duration_s


def read_phase_model(name: str) -> PhaseModel:
    """Load a phase model that the package ships.

    Parameters
    ----------
    name
        For example ``llama2-70b-h100``.

    Raises
    ------
    UnknownNameError
        If the package ships none of that name.
    """
    folder = resources.files("dynaopt") / "data" / "phase"
    known = sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))
    if name not in known:
        raise UnknownNameError("phase model", expected=f"one of {', '.join(known)}", found=f"'{name}'")
    return PhaseModel.model_validate(tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")))


def read_phase_file(path: str | Path) -> PhaseModel:
    """Read a phase model from a file.

    Parameters
    ----------
    path
        A TOML file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it is not TOML, or a key is missing, unknown or of the wrong kind.
    """
    return read_toml(Path(path), PhaseModel)


def write_phase_model(model: PhaseModel, path: str | Path) -> None:
    """Write a phase model as a TOML file, which appears whole or not at all.

    Parameters
    ----------
    model
        What to write.
    path
        The file; its folder must exist.
    """
    write_toml(model, path)
