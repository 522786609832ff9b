"""Where a command may write: told before the work begins rather than after it, and before anything is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dynaopt.errors import InvalidInputError


def check_out_folder(option: str, folder: Path) -> None:
    """Refuse a folder that can neither be made nor written to.

    Parameters
    ----------
    option
        Where it was typed, for the message.
    folder
        It need not be there yet, nor the folders that it lies in.

    Raises
    ------
    InvalidInputError
        If the nearest thing that is there is a file, or a folder without leave to write.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        found = "one that cannot be written to" if there.is_dir() else "a file"
        raise InvalidInputError(f"option {option}, {there}", expected="a folder that can be written to", found=found)


def check_out_file(option: str, path: Path, endings: Sequence[str]) -> None:
    """Refuse a file of another ending, or in a folder that is not there.

    Parameters
    ----------
    option
        Where it was typed, for the message.
    path
        It need not be there yet.
    endings
        Those allowed, with their dots.

    Raises
    ------
    InvalidInputError
        If it has another ending, is a folder, or its folder is not there or cannot be written to.
    """
    if not path.name.endswith(tuple(endings)) or path.is_dir():
        found = "a folder" if path.is_dir() else f"'{path.name}'"
        raise InvalidInputError(f"option {option}", expected=f"a file ending in {' or '.join(endings)}", found=found)
    if not path.absolute().parent.is_dir():
        expected = "a file in a folder that is there"
        raise InvalidInputError(f"option {option}", expected=expected, found=f"'{path}'")
    check_out_folder(option, path.absolute().parent)
