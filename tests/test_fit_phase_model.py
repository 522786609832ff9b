"""Tests of `scripts/fit_phase_model.py`."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from phase_builders import round_model

from dynaopt.phase_model import PhaseModel, read_phase_model
from dynaopt.provenance import Provenance

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DATA = ROOT / "dynaopt" / "data"
NAMES = sorted(file.stem for file in (ROOT / "scripts" / "phase").glob("*.toml"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("fit_phase_model", ROOT / "scripts" / "fit_phase_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_model_survives_its_file(script: ModuleType) -> None:
    """Tests that what is written reads back the same, text with quotes and letters beyond ASCII included."""
    row = Provenance(quantity='the "power"', basis="assumed", source="Grüße", licence="none", note="a\\b")
    model = round_model().model_copy(update={"provenance": (row,)})
    again = PhaseModel.model_validate(tomllib.loads(script.document(model)))
    assert again == model
    assert again.provenance == (row,)


def test_rounding_keeps_six_digits(script: ModuleType) -> None:
    """Tests that fitted numbers are rounded and facts are not."""
    model = round_model({"launch_s": 0.0123456789}, weights_j=19.123456789)
    rounded = script.rounded(model)
    assert rounded.latency[4].launch_s == 0.0123457
    assert rounded.power.weights_j == 19.1235
    assert rounded.memory == model.memory


def test_each_draft_has_its_place_in_the_order(script: ModuleType) -> None:
    """Tests that the script fits all drafts, and what lends its powers before what takes them."""
    assert sorted(script.NAMES) == NAMES
    for at, name in enumerate(script.NAMES):
        source = script.read_draft(name).options.power_of
        assert not source or source in script.NAMES[:at]


@pytest.mark.parametrize("name", NAMES)
def test_the_draft_knows_the_facts_of_the_shipped_model(script: ModuleType, name: str) -> None:
    """Tests that the fit changed no fact: sizes, clocks, voltages, thresholds and provenance."""
    draft, shipped = script.read_draft(name).model, read_phase_model(name)
    for key in ("name", "model", "gpu", "engine", "max_frequency_mhz", "min_frequency_mhz", "memory", "provenance"):
        assert getattr(draft, key) == getattr(shipped, key)
    for tp in shipped.tps:
        for key in ("late_from_tokens", "late_context_share", "launch_half_tokens"):
            assert getattr(draft.latency[tp], key) == getattr(shipped.latency[tp], key)
    for key in ("no_model_gpu_w", "cap_gpu_w", "voltage_per_ghz", "voltage_knee_ghz"):
        assert getattr(draft.power, key) == getattr(shipped.power, key)


@pytest.mark.raw_data
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no raw files")
def test_the_script_writes_what_the_package_ships(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that reference points come out byte by byte, and coefficients to five digits on any machine."""
    arguments = ["fit", str(SHARED / "data"), str(SHARED / "reference"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    for name in NAMES:
        for file in sorted((DATA / "reference" / name).iterdir()):
            assert (tmp_path / "reference" / name / file.name).read_bytes() == file.read_bytes(), file
        written = PhaseModel.model_validate(tomllib.loads((tmp_path / "phase" / f"{name}.toml").read_text()))
        shipped = read_phase_model(name)
        assert written.power.model_dump() == pytest.approx(shipped.power.model_dump(), rel=1e-4)
        for tp in shipped.tps:
            expected = shipped.latency[tp].model_dump()
            assert written.latency[tp].model_dump() == pytest.approx(expected, rel=1e-3, abs=1e-15)
