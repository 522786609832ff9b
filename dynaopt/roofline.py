"""Phase model of any language model on a GPU of the table, scaled from a fitted one by what its work and memory are.

Every duration is taken for what limits it, and the share of the GPU's speed that the fitted model reaches is kept:
weights and KV cache for memory bandwidth, prompt tokens and attention for computing speed; what remains, the engine's
own work and communication, goes with the number of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import Gpu, find_gpu
from dynaopt.model_config import ModelShape, read_shape
from dynaopt.phase_model import Latency, Memory, PhaseModel, PhasePower, read_phase_model
from dynaopt.provenance import Provenance

CONFIGS = Path(__file__).parent / "data" / "reference" / "configs"
DTYPE_BYTES: Mapping[str, int] = {"bf16": 2, "fp8": 1}
DEGREES = (1, 2, 4, 8, 16)
FEWEST_KV_TOKENS = 4096
"""An instance whose KV cache holds fewer tokens serves no more than one long request at a time."""
KV_READ_EFFICIENCY = 0.8
_UTILISATION = 0.9
_ACTIVATION_BYTES = 0.5e9


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A fitted phase model, and what it is of.

    Parameters
    ----------
    model
        The fitted model.
    shape
        Sizes of its language model.
    gpu
        The GPU that it was measured on.
    """

    model: PhaseModel
    shape: ModelShape
    gpu: Gpu

    @classmethod
    def shipped(cls, name: str) -> Reference:
        """Return one that the package ships.

        Raises
        ------
        UnknownNameError
            If there is none of that name.
        """
        model = read_phase_model(name)
        return cls(model, read_shape(CONFIGS / f"{model.model}.json"), find_gpu(model.gpu))

    def degree(self, tp: int) -> int:
        """Return the measured tensor-parallel degree that is nearest to one."""
        return min(self.model.tps, key=lambda known: abs(known - tp))

    def overhead_s(self, tp: int) -> float:
        """Return what a decode step takes beside reading weights, on a measured degree."""
        read_s = self.model.weights_bytes / (tp * self.gpu.bandwidth_bytes_per_s * self.gpu.read_efficiency)
        return max(0.0, self.model.latency[tp].memory_base_s - read_s)


def roofline_model(
    shape: ModelShape, gpu: Gpu, *, name: str, model: str, dtype: str = "bf16", reference: Reference | None = None
) -> PhaseModel:
    """Return a phase model of a language model that was not measured.

    Parameters
    ----------
    shape
        Sizes of the language model.
    gpu
        The kind of GPU.
    name, model
        What the phase model and the language model are called.
    dtype
        ``bf16`` or ``fp8``: what the weights are stored and multiplied in.
    reference
        The fitted model to scale; the one that the table names for the GPU by default.

    Raises
    ------
    InvalidInputError
        If the GPU cannot compute in `dtype`, or the model does not fit into a server.
    """
    reference = reference or Reference.shipped(gpu.phase_model)
    flops = _flops(gpu, dtype)
    memory = Memory(
        gpu_memory_bytes=gpu.memory_bytes,
        utilisation=_UTILISATION,
        activation_bytes_per_gpu=_ACTIVATION_BYTES,
        weights_bytes=shape.weights_bytes(DTYPE_BYTES[dtype]),
        kv_bytes_per_token=shape.kv_bytes_per_token * _copies(shape, gpu.gpus_per_server),
    )
    tps = _fitting_degrees(shape, gpu, memory)
    ratio = gpu.max_frequency_mhz / reference.model.max_frequency_mhz
    return PhaseModel(
        name=name,
        model=model,
        gpu=gpu.name,
        engine=f"modelled after {reference.model.name}: {reference.model.engine}",
        max_frequency_mhz=gpu.max_frequency_mhz,
        min_frequency_mhz=round(reference.model.min_frequency_mhz * ratio),
        memory=memory,
        power=_power(memory, gpu, reference),
        latency={tp: _latency(shape, gpu, memory, flops, tp, reference) for tp in tps},
        provenance=_provenance(shape, gpu, dtype, reference),
    )


def _flops(gpu: Gpu, dtype: str) -> float:
    flops = {"bf16": gpu.bf16_flops, "fp8": gpu.fp8_flops}[dtype]
    if flops is None:
        raise InvalidInputError(f"GPU {gpu.name}", expected="bf16, for it cannot compute in fp8", found=dtype)
    return flops


def _copies(shape: ModelShape, tp: int) -> float:
    """Return how often a degree keeps each token's KV cache: GPUs beyond the number of heads have copies."""
    return max(1.0, tp / shape.num_kv_heads)


def _fitting_degrees(shape: ModelShape, gpu: Gpu, memory: Memory) -> tuple[int, ...]:
    usable = memory.utilisation * memory.gpu_memory_bytes - memory.activation_bytes_per_gpu
    possible = [tp for tp in DEGREES if tp <= gpu.gpus_per_server and shape.num_heads % tp == 0]
    needed = memory.weights_bytes + FEWEST_KV_TOKENS * memory.kv_bytes_per_token
    fitting = tuple(tp for tp in possible if tp * usable >= needed)
    if not fitting:
        raise InvalidInputError(
            f"GPU {gpu.name}",
            expected=f"a model whose weights and {FEWEST_KV_TOKENS:,} tokens of KV cache fit into the "
            f"{possible[-1] * usable / 1e9:,.0f} GB of {possible[-1]}",
            found=f"one that needs {needed / 1e9:,.0f} GB",
            hint="--dtype fp8 halves it, or a GPU with more memory",
        )
    return fitting


def _latency(shape: ModelShape, gpu: Gpu, memory: Memory, flops: float, tp: int, reference: Reference) -> Latency:
    """Scale the durations of the nearest measured degree."""
    near = reference.degree(tp)
    base = reference.model.latency[near]
    layers = shape.num_layers / reference.shape.num_layers
    # Seconds for an operation: what this GPU's speed and number of GPUs are to the measured ones.
    speed = near * reference.gpu.bf16_flops / (tp * flops)
    tokens = shape.token_flops / reference.shape.token_flops * speed
    pairs = shape.pair_flops / reference.shape.pair_flops * near * reference.gpu.bf16_flops / (tp * gpu.bf16_flops)
    exchange = layers * shape.hidden_size / reference.shape.hidden_size if tp > 1 else 0.0
    read_s = memory.weights_bytes / (tp * gpu.bandwidth_bytes_per_s * gpu.read_efficiency)
    kv_bytes = shape.kv_bytes_per_token * _copies(shape, tp)
    return base.model_copy(
        update={
            "memory_base_s": reference.overhead_s(near) * layers + read_s,
            "memory_per_sequence_s": base.memory_per_sequence_s * layers,
            "memory_per_context_token_s": kv_bytes / (tp * gpu.bandwidth_bytes_per_s * KV_READ_EFFICIENCY),
            "compute_base_s": base.compute_base_s * layers,
            "compute_per_sequence_s": base.compute_per_sequence_s * tokens,
            "compute_per_prompt_token_s": base.compute_per_prompt_token_s * tokens,
            "late_per_prompt_token_s": base.late_per_prompt_token_s * exchange,
            "attention_per_pair_s": base.attention_per_pair_s * pairs,
            "launch_s": base.launch_s * layers,
        }
    )


def _power(memory: Memory, gpu: Gpu, reference: Reference) -> PhasePower:
    """Scale powers by the power limit: of computing as they are, of reading for the time that a byte takes."""
    limits = gpu.tdp_w / reference.gpu.tdp_w
    bandwidths = reference.gpu.bandwidth_bytes_per_s / gpu.bandwidth_bytes_per_s
    fitted = reference.model.power
    per_byte_j = fitted.weights_j / reference.model.weights_bytes * limits * bandwidths
    return fitted.model_copy(
        update={
            "no_model_gpu_w": gpu.no_model_w,
            "idle_gpu_w": gpu.idle_w,
            "cap_gpu_w": gpu.tdp_w,
            "weights_j": per_byte_j * memory.weights_bytes,
            "context_token_j": per_byte_j * memory.kv_bytes_per_token,
            "compute_gpu_w": fitted.compute_gpu_w * limits,
        }
    )


def _provenance(shape: ModelShape, gpu: Gpu, dtype: str, reference: Reference) -> tuple[Provenance, ...]:
    source = f"phase model {reference.model.name}"
    licence = "Apache-2.0"
    notes = {
        "memory.weights_bytes, kv_bytes_per_token": (
            "config.json",
            f"{shape.num_parameters / 1e9:.4g}e9 parameters in {dtype}; KV cache in 16 bits, with the copies that as "
            "many GPUs as a server has need.",
        ),
        "memory.utilisation, activation_bytes_per_gpu": ("default of vLLM; none", ""),
        "latency.*: memory": (
            f"{source}; bandwidth of {gpu.name}",
            f"Weights at {gpu.read_efficiency:.0%} of the bandwidth ({gpu.read_basis}), KV cache at "
            f"{KV_READ_EFFICIENCY:.0%}; the rest by the number of layers. All experts are read in each iteration.",
        ),
        "latency.*: compute, attention, launch, late": (
            f"{source}; computing speed of {gpu.name}",
            "By operations, at the share of the speed that the fitted model reaches on the nearest degree.",
        ),
        "power": (f"{source}; power limit of {gpu.name}", f"Idle: {gpu.idle_basis}, {gpu.idle_source}."),
        "max_frequency_mhz, min_frequency_mhz": (f"table of GPUs; {source}", ""),
    }
    return tuple(
        Provenance(quantity=quantity, basis="modelled", source=told, licence=licence, note=note)
        for quantity, (told, note) in notes.items()
    )
