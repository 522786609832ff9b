"""What to build for a language model that was not measured: a specification and a phase model out of its sizes."""

from __future__ import annotations

from pathlib import Path

from dynaopt.errors import InvalidInputError
from dynaopt.gpu_table import Gpu, find_gpu
from dynaopt.model_config import read_shape, stored_dtype
from dynaopt.phase_model import PhaseModel
from dynaopt.profile import ClassCuts, Power, StartUp
from dynaopt.profile_build import BuildSpec
from dynaopt.provenance import Provenance
from dynaopt.request_class import TABLE_IV
from dynaopt.roofline import DTYPE_BYTES, roofline_model

CLOCK_SHARES = (0.4, 0.6, 0.8, 1.0)
"""Clocks of a profile, as shares of the highest: how time and power go with the clock is no better known than that."""
REQUESTS_PER_LEVEL = 6000
_CLOCK_STEP_MHZ = 15
# DynamoLLM (HPCA 2025), Tables V and VI, as the shipped profiles have them.
_START_UP = StartUp(cold_s=423.0, reshard_s=2.2)
_TOKEN_BUDGETS = (128, 256, 384, 512, 768, 1024, 1536, 2048)


def modelled_build(
    config: str | Path, gpu: str, *, dtype: str | None = None, name: str | None = None
) -> tuple[BuildSpec, PhaseModel]:
    """Return what `build_profile` needs for a language model of which only the sizes are known.

    Parameters
    ----------
    config
        Its ``config.json``.
    gpu
        Name of a GPU in the table.
    dtype
        ``bf16`` or ``fp8``; as the file says by default.
    name
        Of the profile; the name of the model's folder, or of the file, and of the GPU by default.

    Raises
    ------
    MissingFileError, UnknownNameError, InvalidInputError
        If the file cannot be read, architecture or GPU are not known, or the model does not fit into a server.
    """
    path = Path(config)
    kind = find_gpu(gpu, "option --gpu")
    shape = read_shape(path)
    precision = dtype or stored_dtype(path)
    if precision not in DTYPE_BYTES:
        raise InvalidInputError("option --dtype", expected=" or ".join(DTYPE_BYTES), found=f"'{precision}'")
    model_name = path.absolute().parent.name if path.name == "config.json" else path.stem
    profile_name = name or f"{model_name}-{kind.name.split('-')[0].lower()}"
    model = roofline_model(shape, kind, name=profile_name, model=model_name, dtype=precision)
    return _spec(profile_name, model, kind), model


def _spec(name: str, model: PhaseModel, gpu: Gpu) -> BuildSpec:
    clocks = [_CLOCK_STEP_MHZ * -(-share * gpu.max_frequency_mhz // _CLOCK_STEP_MHZ) for share in CLOCK_SHARES]
    return BuildSpec(
        name=name,
        version="1",
        phase_model=name,
        gpus_per_server=gpu.gpus_per_server,
        frequencies_mhz=tuple(int(min(max(c, model.min_frequency_mhz), gpu.max_frequency_mhz)) for c in clocks),
        token_budgets=_TOKEN_BUDGETS,
        max_num_seqs=256,
        requests_per_level=REQUESTS_PER_LEVEL,
        mixes=("conversation", "coding"),
        power=Power(gpu_on_w=gpu.no_model_w, start_up_gpu_w=gpu.idle_w),
        start_up=_START_UP,
        classes=ClassCuts(input_tokens=TABLE_IV.input_tokens, output_tokens=TABLE_IV.output_tokens),
        provenance=_provenance(gpu),
    )


def _provenance(gpu: Gpu) -> tuple[Provenance, ...]:
    told = {
        "load.csv, mix.csv: power and latencies at load": (
            "dynaopt's instance simulator on a phase model scaled from a fitted one, Poisson arrivals, lengths of the "
            "Azure LLM inference trace 2024 (Stojkovic et al., DynamoLLM, HPCA 2025)",
            "Apache-2.0; lengths derived from data under CC-BY-4.0",
            "Nothing of this language model on this GPU was measured.",
        ),
        "power.gpu_on_w, start_up_gpu_w": (gpu.idle_source, "published figures", f"{gpu.idle_basis.capitalize()}."),
        "start_up": ("DynamoLLM (HPCA 2025), Tables V and VI, of Llama2-70B on H100", "published figures", ""),
        "classes: cut-points": ("DynamoLLM (HPCA 2025), Table IV", "published figures", ""),
    }
    return tuple(
        Provenance(quantity=quantity, basis="modelled", source=source, licence=licence, note=note)
        for quantity, (source, licence, note) in told.items()
    )
