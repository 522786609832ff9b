"""Tests of `dynaopt.modelled_build`."""

import json
import shutil
from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.modelled_build import modelled_build
from dynaopt.profile_build import build_profile
from dynaopt.profile_io import read_profile
from dynaopt.request_class import REQUEST_CLASSES

CONFIGS = Path(__file__).parent / "data" / "configs"


def test_names_and_clocks() -> None:
    """Tests names out of file and GPU, clocks from two fifths of the highest up, and powers of the table."""
    spec, model = modelled_build(CONFIGS / "qwen3-32b.json", "H100-SXM-80GB")
    assert (spec.name, model.name, model.model) == ("qwen3-32b-h100", "qwen3-32b-h100", "qwen3-32b")
    assert spec.frequencies_mhz == (800, 1200, 1590, 1980)
    assert (spec.power.gpu_on_w, spec.power.start_up_gpu_w) == (68.75, 110)
    assert {p.basis for p in spec.provenance} == {"modelled"}


def test_a_downloaded_folder(tmp_path: Path) -> None:
    """Tests that a config.json goes by the name of its folder, and that another name may be given."""
    folder = tmp_path / "Qwen3-8B"
    folder.mkdir()
    shutil.copy(CONFIGS / "qwen3-8b.json", folder / "config.json")
    spec, model = modelled_build(folder / "config.json", "A100-SXM-80GB")
    assert (spec.name, model.model) == ("Qwen3-8B-a100", "Qwen3-8B")
    assert modelled_build(folder / "config.json", "A100-SXM-80GB", name="mine")[0].name == "mine"


def test_weights_as_the_file_says() -> None:
    """Tests fp8 of a file that says so, and bf16 when it is asked for, which does not fit."""
    spec, model = modelled_build(CONFIGS / "deepseek-v3.json", "B200-SXM")
    assert model.tps == (8,)
    assert model.weights_bytes == pytest.approx(673e9, rel=0.01)
    assert spec.gpus_per_server == 8
    with pytest.raises(InvalidInputError, match="got one that needs 1,3"):
        modelled_build(CONFIGS / "deepseek-v3.json", "B200-SXM", dtype="bf16")


@pytest.mark.parametrize(
    ("config", "gpu", "dtype", "kind", "message"),
    [
        ("none.json", "B200-SXM", None, MissingFileError, r"none\.json: expected a file"),
        ("qwen3-8b.json", "B200", None, UnknownNameError, "option --gpu: expected one of A100"),
        ("qwen3-8b.json", "B200-SXM", "int4", InvalidInputError, "option --dtype: expected bf16 or fp8, got 'int4'"),
    ],
)
def test_bad_input(config: str, gpu: str, dtype: str | None, kind: type[Exception], message: str) -> None:
    """Tests that what is wrong is named."""
    with pytest.raises(kind, match=message):
        modelled_build(CONFIGS / config, gpu, dtype=dtype)


def test_a_profile_of_a_mixture(tmp_path: Path) -> None:
    """Tests the whole way, small: a profile that reads as any other, with its phase model, marked as modelled."""
    spec, model = modelled_build(CONFIGS / "deepseek-v3.json", "B200-SXM")
    few = {"frequencies_mhz": (1965,), "token_budgets": (1024,), "requests_per_level": 200, "mixes": ()}
    build_profile(spec.model_copy(update=few), tmp_path, model=model)
    profile = read_profile(tmp_path)
    assert {key[2] for key in profile.curves} == set(REQUEST_CLASSES)
    assert profile.tps == (8,)
    assert {p.basis for p in profile.metadata.provenance} == {"modelled"}
    assert profile.phase_model == model
    assert json.dumps(profile.metadata.model_dump(mode="json"))
