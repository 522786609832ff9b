"""Tests of `dynaopt.profile_toml`."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_faults import TINY

from dynaopt.errors import MissingFileError
from dynaopt.profile import Metadata, Profile, Simulation
from dynaopt.profile_toml import read_metadata, write_metadata
from dynaopt.provenance import Provenance
from dynaopt.slo import Slo


def _with_note(metadata: Metadata, note: str) -> Metadata:
    row = Provenance(quantity="q", basis="measured", source="s", licence="MIT", note=note)
    return metadata.model_copy(update={"provenance": (row,)})


def test_reading_keeps_sections_apart() -> None:
    """Tests one key of every section of the hand-made file."""
    metadata = read_metadata(TINY / "profile.toml")
    assert metadata.power.gpu_on_w == 50
    assert metadata.start_up.reshard_s == 2
    assert metadata.classes.output_tokens == (99, 349)
    assert metadata.mixes[0].shares == {"SS": 0.75, "LL": 0.25}
    assert metadata.engine_options[1].token_budget == 1024
    assert metadata.provenance[0].basis == "assumed"


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Tests that the file that is not there is named."""
    with pytest.raises(MissingFileError, match=r"nowhere\.toml"):
        read_metadata(tmp_path / "nowhere.toml")


def test_lists_stand_before_the_first_table(tiny: Profile, tmp_path: Path) -> None:
    """Tests that the engine options stay at the top level, which a table header would end."""
    write_metadata(tiny.metadata, tmp_path / "profile.toml")
    content = tomllib.loads((tmp_path / "profile.toml").read_text())
    assert [row["tp"] for row in content["engine_options"]] == [2, 4]
    assert set(content) == set(Metadata.model_fields) - {"simulation"}


def test_how_curves_were_simulated_may_be_kept(tiny: Profile, tmp_path: Path) -> None:
    """Tests that the section survives, and that a file without it, as all were once, says None."""
    assert tiny.metadata.simulation is None
    simulation = Simulation(token_budgets=(256, 512), max_num_seqs=64, requests_per_level=100, slo_scale=2.0)
    kept = tiny.metadata.model_copy(update={"simulation": simulation})
    write_metadata(kept, tmp_path / "profile.toml")
    assert read_metadata(tmp_path / "profile.toml") == kept
    assert simulation.slo == Slo.table_iv().scaled(2.0)


def test_empty_lists_are_written(tiny: Profile, tmp_path: Path) -> None:
    """Tests that a profile without mixes, engine options and provenance survives."""
    bare = tiny.metadata.model_copy(update={"mixes": (), "engine_options": (), "provenance": ()})
    write_metadata(bare, tmp_path / "profile.toml")
    assert read_metadata(tmp_path / "profile.toml") == bare


@given(note=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(note: str, tiny: Profile, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests quotes, backslashes, line ends, control characters and foreign scripts in a note."""
    path = tmp_path_factory.getbasetemp() / "any_text.toml"
    metadata = _with_note(tiny.metadata, note)
    write_metadata(metadata, path)
    assert read_metadata(path) == metadata
