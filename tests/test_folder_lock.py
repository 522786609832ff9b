"""Tests of the lock on a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.folder_lock import FolderLock


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    """Tests that the second is refused with the place and what runs, and let in when the first is done."""
    folder = tmp_path / "a" / "b"
    with (
        FolderLock(folder, where=tmp_path, what="plan"),
        pytest.raises(InvalidInputError, match=rf"{tmp_path}: expected a folder in which no other sweep runs"),
        FolderLock(folder, where=tmp_path, what="sweep"),
    ):
        pytest.fail("both hold it")
    with FolderLock(folder, where=tmp_path, what="plan"):
        assert folder.is_dir()


def test_a_process_that_dies_lets_go(tmp_path: Path) -> None:
    """Tests kill -9 of the holder."""
    code = (
        "import os, signal, sys; from pathlib import Path; from dynaopt.folder_lock import FolderLock\n"
        "path = Path(sys.argv[1]); FolderLock(path, where=path, what='plan').__enter__()\n"
        "print('held', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("held\n", -9)
    with FolderLock(tmp_path, where=tmp_path, what="plan"):
        pass
