"""Tests of `dynaopt.gpu_table`."""

from pathlib import Path

import pytest

from dynaopt.errors import UnknownNameError
from dynaopt.gpu_table import GPU_FILE, find_gpu, known_gpus


def test_an_h100() -> None:
    """Tests data-sheet figures in SI units, and powers without load from the paper's figure: 550 and 880 W of eight."""
    gpu = find_gpu("H100-SXM-80GB")
    assert (gpu.memory_bytes, gpu.bandwidth_bytes_per_s) == (80e9, 3.35e12)
    assert (gpu.bf16_flops, gpu.fp8_flops) == (989e12, 1979e12)
    assert (gpu.tdp_w, gpu.max_frequency_mhz, gpu.gpus_per_server) == (700, 1980, 8)
    assert (8 * gpu.no_model_w, 8 * gpu.idle_w) == (550, 880)


def test_an_a100_has_no_fp8() -> None:
    """Tests that what a GPU cannot do is None, not 0."""
    assert find_gpu("A100-SXM-80GB").fp8_flops is None


@pytest.mark.parametrize("gpu", known_gpus(), ids=lambda gpu: gpu.name)
def test_powers_are_in_order(gpu) -> None:
    """Tests no model below idle below the limit, and a source for both."""
    assert 0 < gpu.no_model_w < gpu.idle_w < gpu.tdp_w
    assert gpu.idle_source


def test_an_unknown_gpu() -> None:
    """Tests that those there are are listed."""
    with pytest.raises(UnknownNameError, match=r"option --gpu: expected one of A100-SXM-80GB, .*, got 'H100'"):
        find_gpu("H100", "option --gpu")


def test_the_facts_are_those_of_the_shared_table() -> None:
    """Tests against the project's own table of data sheets, where it is there."""
    shared = Path(__file__).parents[2] / "shared" / "reference" / "gpus.csv"
    if not shared.is_file():
        pytest.skip("no shared files")
    ours, theirs = (
        {line.split(",")[0]: line.split(",")[1:5] for line in file.read_text().splitlines() if line[0] in "ABH"}
        for file in (GPU_FILE, shared)
    )
    assert {name: [float(x) for x in cells] for name, cells in ours.items()} == {
        name: [float(x) for x in cells] for name, cells in theirs.items()
    }
