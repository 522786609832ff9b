"""Tests of the specifications that the package ships, and of what they say."""

from pathlib import Path

import pytest

from dynaopt.phase_model import read_phase_model
from dynaopt.profile_build import read_build_spec
from dynaopt.profile_io import read_profile
from dynaopt.slo import Slo

SPECS = Path(__file__).parents[1] / "dynaopt" / "data" / "spec"


def test_looser_objectives() -> None:
    """Tests that a spec's scale reaches what curves are taken around, and that the shipped one has none."""
    spec = read_build_spec("llama2-70b-h100")
    assert spec.slo == Slo.table_iv()
    assert spec.model_copy(update={"slo_scale": 3.0}).slo == Slo.table_iv().scaled(3.0)


@pytest.mark.parametrize("name", [file.stem for file in SPECS.glob("*.toml")])
def test_every_shipped_profile_keeps_how_it_was_simulated(name: str) -> None:
    """Tests that curves can be added to each in the way in which its own were taken."""
    assert read_profile(name).metadata.simulation == read_build_spec(name).simulation


@pytest.mark.parametrize("name", [file.stem for file in SPECS.glob("*.toml")])
def test_every_spec_has_its_phase_model(name: str) -> None:
    """Tests that clocks lie within what the phase model is meant for, and that name, provenance and model agree."""
    spec = read_build_spec(name)
    model = read_phase_model(spec.phase_model)
    assert spec.name == name == model.name
    assert model.min_frequency_mhz <= min(spec.frequencies_mhz)
    assert max(spec.frequencies_mhz) == model.max_frequency_mhz
    told = {p.quantity for p in spec.provenance}
    assert {"power.gpu_on_w", "power.start_up_gpu_w", "start_up.cold_s", "start_up.reshard_s"} <= told
