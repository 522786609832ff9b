"""A phase model with round numbers, whose iterations can be worked out by hand."""

from typing import Any

from dynaopt.phase_model import Latency, Memory, PhaseModel, PhasePower

ROUND_LATENCY = Latency(
    memory_base_s=0.02,
    memory_per_sequence_s=1e-4,
    memory_per_context_token_s=1e-7,
    compute_base_s=0.0,
    compute_per_sequence_s=2e-4,
    compute_per_prompt_token_s=1e-4,
    late_per_prompt_token_s=5e-5,
    late_from_tokens=2000,
    late_context_share=1.0,
    attention_per_pair_s=0.0,
    launch_s=0.0,
    launch_half_tokens=100,
)
ROUND_POWER = PhasePower(
    no_model_gpu_w=60,
    idle_gpu_w=100,
    cap_gpu_w=700,
    weights_j=10,
    context_token_j=1e-4,
    memory_clock_share=0.0,
    compute_gpu_w=500,
    compute_clock_share=1.0,
    voltage_per_ghz=0.0,
    voltage_knee_ghz=1.0,
)
ROUND_MEMORY = Memory(
    gpu_memory_bytes=100.0,
    utilisation=0.9,
    activation_bytes_per_gpu=10.0,
    weights_bytes=200.0,
    kv_bytes_per_token=3.0,
)


def round_model(latency: dict[str, float] | None = None, **power: float) -> PhaseModel:
    """Return a model of TP2 and TP4 from 1,000 to 2,000 MHz.

    Parameters
    ----------
    latency, power
        Numbers that differ from the round ones.
    """
    own = ROUND_LATENCY.model_copy(update=dict(latency or {}))
    return PhaseModel(
        name="round",
        model="round",
        gpu="round",
        engine="none",
        max_frequency_mhz=2000,
        min_frequency_mhz=1000,
        memory=ROUND_MEMORY,
        power=ROUND_POWER.model_copy(update=power),
        latency={4: own, 2: own},
        provenance=(),
    )


def content(model: PhaseModel) -> dict[str, Any]:
    """Return a model as its file would hold it."""
    return model.model_dump()
