"""Tests of the options that the commands which write a profile share."""

import shutil
from pathlib import Path

import pytest
from profile_faults import TINY

from dynaopt.cli_build_options import checked_workers
from dynaopt.errors import InvalidInputError


def test_as_many_processes_as_cores_by_default(tmp_path: Path) -> None:
    """Tests that a number is taken as typed, and that without one there is at least one process."""
    assert checked_workers(tmp_path / "new", seed=0, workers=3, overwrite=False) == 3
    assert checked_workers(tmp_path / "new", seed=0, workers=None, overwrite=False) >= 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"workers": 0}, "option --workers: expected at least 1, got 0"),
        ({"seed": -1}, "option --seed: expected at least 0, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(typed: dict[str, int], said: str, tmp_path: Path) -> None:
    """Tests no process at all, and a negative seed."""
    with pytest.raises(InvalidInputError, match=said):
        checked_workers(tmp_path, **({"seed": 0, "workers": None, "overwrite": False} | typed))


def test_a_profile_is_not_replaced_unasked(tmp_path: Path) -> None:
    """Tests a folder with a profile, with and without leave to replace it, and a file in the way."""
    shutil.copytree(TINY, tmp_path / "tiny")
    with pytest.raises(InvalidInputError, match=r"a folder without a profile, got one in .*; --overwrite replaces it"):
        checked_workers(tmp_path / "tiny", seed=0, workers=1, overwrite=False)
    assert checked_workers(tmp_path / "tiny", seed=0, workers=1, overwrite=True) == 1
    with pytest.raises(InvalidInputError, match="expected a folder that can be written to, got a file"):
        checked_workers(tmp_path / "tiny" / "load.csv", seed=0, workers=1, overwrite=False)
