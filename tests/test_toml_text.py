"""Tests of `dynaopt.toml_text`."""

import tomllib
from pathlib import Path

import pytest
from phase_builders import round_model

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.phase_model import PhaseModel
from dynaopt.toml_text import read_toml, write_toml


def test_tables_of_tables_get_headers_of_their_own(tmp_path: Path) -> None:
    """Tests that the durations of each degree stand under a header, and read back the same."""
    path = tmp_path / "phase.toml"
    write_toml(round_model(), path)
    headers = [line for line in path.read_text().splitlines() if line.startswith("[")]
    assert headers == ["[memory]", "[power]", "[latency.4]", "[latency.2]"]
    assert set(tomllib.loads(path.read_text())["latency"]) == {"2", "4"}
    assert read_toml(path, PhaseModel) == round_model()


def test_small_and_large_numbers_survive(tmp_path: Path) -> None:
    """Tests numbers that are written with an exponent."""
    model = round_model({"memory_per_context_token_s": 3.21e-17, "late_from_tokens": 1.5e22})
    write_toml(model, tmp_path / "phase.toml")
    assert read_toml(tmp_path / "phase.toml", PhaseModel) == model


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("utilisation = 0.9", "", "phase.toml: expected a key 'memory.utilisation', got none"),
        ("utilisation = 0.9", "use = 1\nutilisation = 0.9", "only the keys that the format names, got 'memory.use'"),
        ("utilisation = 0.9", "utilisation = 0", "key 'memory.utilisation': expected greater than 0, got 0"),
        ("memory_base_s = 0.02", "memory_base_s = 'x'", "key 'latency.4.memory_base_s': expected a valid number"),
        ("utilisation = 0.9", "utilisation", "phase.toml: expected a TOML file in UTF-8"),
    ],
)
def test_faults_are_told_with_their_key(old: str, new: str, said: str, tmp_path: Path) -> None:
    """Tests a missing key, an unknown one, a number out of range, a text for a number, and what is no TOML."""
    path = tmp_path / "phase.toml"
    write_toml(round_model(), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidInputError) as caught:
        read_toml(path, PhaseModel)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Tests that the file that is not there is named."""
    with pytest.raises(MissingFileError, match=r"phase\.toml"):
        read_toml(tmp_path / "phase.toml", PhaseModel)
