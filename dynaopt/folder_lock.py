"""A lock on a folder, which the system releases however the process ends that holds it."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType
from typing import Self

from dynaopt.errors import InvalidInputError

_LOCK_FILE = "lock"


class FolderLock:
    """While it is held no other process can hold it. A context.

    Parameters
    ----------
    folder
        Gets the file that is locked; made if it is not there.
    where
        What a message calls it.
    what
        What runs while it is held, for example ``plan``.

    Raises
    ------
    InvalidInputError
        On entering, if another process holds it.
    """

    def __init__(self, folder: Path, *, where: Path, what: str) -> None:
        self._folder = folder
        self._where = where
        self._what = what

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = (self._folder / _LOCK_FILE).open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            expected = f"a folder in which no other {self._what} runs"
            raise InvalidInputError(str(self._where), expected=expected, found="one that runs") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._file.close()
