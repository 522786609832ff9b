"""Kinds of GPU that the package knows: power limit, memory, bandwidth, computing speed and clocks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.errors import UnknownNameError
from dynaopt.tables import Column, read_table

GPU_FILE = Path(__file__).parent / "data" / "reference" / "gpus.csv"
_COLUMNS = (
    Column("gpu", "text"),
    Column("tdp_w", positive=True),
    Column("memory_gb", positive=True),
    Column("memory_bandwidth_tb_s", positive=True),
    Column("dense_bf16_tflops", positive=True),
    Column("dense_fp8_tflops", positive=True, nullable=True),
    Column("max_sm_clock_mhz", "integer", positive=True),
    Column("gpus_per_server", "integer", positive=True),
    Column("no_model_w", minimum=0.0),
    Column("idle_w", minimum=0.0),
    Column("idle_basis", "text", choices=("measured", "fitted", "modelled", "assumed")),
    Column("idle_source", "text"),
    Column("read_efficiency", positive=True),
    Column("read_basis", "text", choices=("measured", "assumed")),
    Column("phase_model", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One kind of GPU.

    Parameters
    ----------
    name
        For example ``H100-SXM-80GB``.
    tdp_w
        Power limit, in watts.
    memory_bytes
        Memory.
    bandwidth_bytes_per_s
        Memory bandwidth.
    bf16_flops, fp8_flops
        Dense operations per second; `fp8_flops` is None where the GPU has none.
    max_frequency_mhz
        Highest SM clock, in MHz.
    gpus_per_server
        GPUs of a server.
    no_model_w, idle_w
        Power without a model, and of a loaded GPU that does nothing, in watts.
    idle_basis, idle_source
        Where these two come from.
    read_efficiency, read_basis
        Share of the bandwidth at which weights are read in decode, and whether that was measured.
    phase_model
        The fitted phase model from which other language models on this GPU are scaled.
    """

    name: str
    tdp_w: float
    memory_bytes: float
    bandwidth_bytes_per_s: float
    bf16_flops: float
    fp8_flops: float | None
    max_frequency_mhz: int
    gpus_per_server: int
    no_model_w: float
    idle_w: float
    idle_basis: str
    idle_source: str
    read_efficiency: float
    read_basis: str
    phase_model: str


@lru_cache(maxsize=1)
def known_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs in the table that the package ships."""
    table = read_table(GPU_FILE, _COLUMNS, key=["gpu"])
    return tuple(_gpu(row) for row in table.to_dict("records"))


def _gpu(row: Mapping[Hashable, Any]) -> Gpu:
    return Gpu(
        name=row["gpu"],
        tdp_w=row["tdp_w"],
        memory_bytes=row["memory_gb"] * 1e9,
        bandwidth_bytes_per_s=row["memory_bandwidth_tb_s"] * 1e12,
        bf16_flops=row["dense_bf16_tflops"] * 1e12,
        fp8_flops=None if pd.isna(row["dense_fp8_tflops"]) else row["dense_fp8_tflops"] * 1e12,
        max_frequency_mhz=row["max_sm_clock_mhz"],
        gpus_per_server=row["gpus_per_server"],
        no_model_w=row["no_model_w"],
        idle_w=row["idle_w"],
        idle_basis=row["idle_basis"],
        idle_source=row["idle_source"],
        read_efficiency=row["read_efficiency"],
        read_basis=row["read_basis"],
        phase_model=row["phase_model"],
    )


def find_gpu(name: str, where: str = "GPU") -> Gpu:
    """Return a GPU by name.

    Parameters
    ----------
    name
        For example ``H100-SXM-80GB``.
    where
        What a message calls the place that the name stands in.

    Raises
    ------
    UnknownNameError
        If the table has none of that name.
    """
    for gpu in known_gpus():
        if gpu.name == name:
            return gpu
    known = ", ".join(gpu.name for gpu in known_gpus())
    raise UnknownNameError(where, expected=f"one of {known}", found=f"'{name}'")
