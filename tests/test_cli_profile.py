"""Tests of `dynaopt profile`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from phase_builders import round_model
from profile_faults import TINY

from dynaopt import cli_profile
from dynaopt.cli import main
from dynaopt.profile import Profile
from dynaopt.profile_io import list_profiles, write_profile


def test_list_names_the_shipped_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the table and the JSON."""
    assert main(["profile", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in list_profiles())
    assert main(["profile", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert tuple(profile["name"] for profile in told["profiles"]) == list_profiles()


def test_show_tells_loads_and_provenance(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the loads at which the tiny profile just keeps Table IV: SS 8 on TP2; a dash where there is none."""
    assert main(["profile", "show", str(TINY)]) == 0
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["SS", "1,000", "8", "–"] in cells
    assert ["everything", "assumed"] in [row[:2] for row in cells]


def test_show_tells_of_the_phase_model(tiny: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests a profile with a phase model and one without, as text and as JSON."""
    assert main(["profile", "show", str(TINY)]) == 0
    assert "no phase model" in capsys.readouterr().out
    model = round_model().model_copy(update={"model": tiny.model, "gpu": tiny.metadata.gpu})
    write_profile(replace(tiny, phase_model=model), tmp_path)
    assert main(["profile", "show", str(tmp_path)]) == 0
    assert "phase model covers TP 2, 4 at 1000 to 2000 MHz" in capsys.readouterr().out
    assert main(["profile", "show", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phase_model"]["memory"]["utilisation"] == 0.9


def test_show_with_looser_objectives(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that loads are those within the objectives asked for, and that the title says which."""
    assert main(["profile", "show", "llama2-70b-a100", "--slo-scale", "1.75"]) == 0
    loose = capsys.readouterr().out
    assert "just keeps Table IV's objectives x 1.75" in loose
    assert main(["profile", "show", "llama2-70b-a100", "--json"]) == 0
    strict = json.loads(capsys.readouterr().out)["slo_loads"]
    assert main(["profile", "show", "llama2-70b-a100", "--slo-scale", "1.75", "--json"]) == 0
    looser = json.loads(capsys.readouterr().out)["slo_loads"]
    assert sum(row["TP8"] is not None for row in looser) >= sum(row["TP8"] is not None for row in strict)
    assert sum(row["TP2"] is not None for row in looser) > sum(row["TP2"] is not None for row in strict)


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the same loads, and the metadata as profile.toml has it."""
    assert main(["profile", "show", str(TINY), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["tps"], told["frequencies_mhz"]) == ("tiny", [2, 4], [1000, 2000])
    assert told["power"]["gpu_on_w"] == 50.0
    assert {"class": "SS", "MHz": 1000, "TP2": 8.0, "TP4": None} in told["slo_loads"]


def _fake_build(tiny: Profile, calls: list[dict]):
    def build(spec, folder, **options) -> Profile:
        calls.append({"name": spec.name, **options})
        options["progress"](1, 1, "all of it")
        write_profile(tiny, folder)
        return tiny

    return build


def test_build_passes_on_what_was_typed(tiny: Profile, tmp_path: Path, capsys, monkeypatch) -> None:
    """Tests name, seed and workers, the default folder, and the line at the end; the building has its own tests."""
    calls: list[dict] = []
    monkeypatch.setattr(cli_profile, "build_profile", _fake_build(tiny, calls))
    monkeypatch.chdir(tmp_path)
    assert main(["profile", "build", "--seed", "7", "--workers", "2"]) == 0
    assert [(c["name"], c["seed"], c["workers"]) for c in calls] == [("llama2-70b-h100", 7, 2)]
    assert (tmp_path / "llama2-70b-h100" / "profile.toml").is_file()
    assert capsys.readouterr().out.startswith("llama2-70b-h100: Profile(tiny")


def test_build_does_not_replace_a_profile_unasked(tiny: Profile, tmp_path: Path, capsys, monkeypatch) -> None:
    """Tests one line and exit code 2, and that --overwrite goes on."""
    calls: list[dict] = []
    monkeypatch.setattr(cli_profile, "build_profile", _fake_build(tiny, calls))
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    assert main(["profile", "build", "--out", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"expected a folder without a profile, got one in {folder}; --overwrite replaces it")
    assert calls == []
    assert main(["profile", "build", "--out", str(folder), "--overwrite"]) == 0
    assert len(calls) == 1


def test_build_for_a_config(tiny: Profile, tmp_path: Path, capsys, monkeypatch) -> None:
    """Tests that a config and a GPU make the specification and the phase model; the folder goes by both names."""
    calls: list[dict] = []
    monkeypatch.setattr(cli_profile, "build_profile", _fake_build(tiny, calls))
    monkeypatch.chdir(tmp_path)
    config = Path(__file__).parent / "data" / "configs" / "qwen3-8b.json"
    assert main(["profile", "build", "--config", str(config), "--gpu", "H100-SXM-80GB", "--dtype", "fp8"]) == 0
    assert calls[0]["name"] == "qwen3-8b-h100"
    assert calls[0]["model"].weights_bytes == pytest.approx(9.4e9, rel=0.01)
    assert (tmp_path / "qwen3-8b-h100" / "profile.toml").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu", "H100-SXM-80GB"], "option --gpu: expected --config beside it, got none"),
        (["--name", "mine"], "option --name: expected --config beside it, got none"),
        (["--config", "config.json"], "option --gpu: expected a kind of GPU, such as H100-SXM-80GB, got none"),
        (["a-spec", "--config", "config.json"], "option --config: expected no name or file of a specification"),
        (["--config", "none.json", "--gpu", "B200-SXM"], "none.json: expected a file"),
    ],
)
def test_build_refuses_what_does_not_go_together(words: list[str], message: str, capsys) -> None:
    """Tests exit code 2 and one line."""
    assert main(["profile", "build", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
