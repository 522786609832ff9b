"""What is finished of a plan, on disk, so that one that is stopped at any moment loses none of it.

A journal is a folder: ``journal.json`` says which plan it belongs to, and each chunk of finished windows, or what else
was found on the way, is a file of two lines, a checksum and the content. Files appear whole or not at all; one that
does not fit its checksum is dropped and its content is found again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dynaopt.answers import Answers, is_complete, window_numbers
from dynaopt.errors import DynaoptError, InvalidInputError
from dynaopt.folder_lock import FolderLock
from dynaopt.schedule import ScheduleMetadata
from dynaopt.schedule_io import METADATA_FILE, read_schedule_metadata
from dynaopt.schedule_metadata import describe
from dynaopt.tables import atomic_path

_HEAD_FILE = "journal.json"
_KEPT, _CHUNKS = "*-*.json", "windows-*.json"


class Journal:
    """What is finished of one plan. A context: while it is open, no other process may open it.

    Parameters
    ----------
    folder
        Where it lies; made if it is not there.
    digest
        Names the plan: a journal of any other is refused.
    options
        What the plan was asked for, to tell two plans apart in words.
    overwrite
        Whether a journal of another plan is thrown away instead.

    Raises
    ------
    InvalidInputError
        On entering, if the journal is another plan's or another process has it open.
    """

    def __init__(self, folder: Path, *, digest: str, options: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder = folder
        self._digest = digest
        self._options = dict(options)
        self._overwrite = overwrite

    def __enter__(self) -> Self:
        self._lock = FolderLock(self.folder, where=self.folder.parent, what="plan").__enter__()
        try:
            self._claim()
        except BaseException:
            self._lock.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.__exit__()

    def read(self) -> Iterator[Answers]:
        """Iterate over the chunks that are whole; the others are removed."""
        seen: set[int] = set()
        for path in sorted(self.folder.glob(_CHUNKS)):
            answers = self._read_chunk(path)
            if answers is None or seen & set(window_numbers(answers)):
                path.unlink()
            else:
                seen |= set(window_numbers(answers))
                yield answers

    def write(self, answers: Answers) -> None:
        """Keep a chunk of finished windows.

        Parameters
        ----------
        answers
            Of at least one window.
        """
        numbers = window_numbers(answers)
        self.put(f"windows-{min(numbers):06d}-{max(numbers):06d}", answers)

    def get(self, name: str) -> Any:
        """Return what is kept under a name; None for nothing, or nothing that is whole. See `stores.Store`."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        checksum, _, text = path.read_bytes().decode("utf-8", errors="replace").partition("\n")
        text = text.removesuffix("\n")
        return json.loads(text) if checksum == self._checksum(text) else None

    def put(self, name: str, value: Any) -> None:
        """Keep a value; see `stores.Store`."""
        text = json.dumps(value, separators=(",", ":"))
        with atomic_path(self.folder / f"{name}.json") as partial:
            partial.write_text(f"{self._checksum(text)}\n{text}\n", encoding="utf-8")

    def remove(self) -> None:
        """Throw the journal away: all is finished and written elsewhere."""
        shutil.rmtree(self.folder)

    def _claim(self) -> None:
        """Take over the journal in the folder if it is this plan's, else begin one."""
        for left_over in self.folder.glob(".*"):  # half-written by a process that was killed
            left_over.unlink()
        head = self.folder / _HEAD_FILE
        found = _read_json(head)
        if isinstance(found, dict) and found.get("digest") == self._digest:
            return
        chunks = list(self.folder.glob(_KEPT))
        if chunks and not self._overwrite:
            raise different_plan(self.folder.parent, "an unfinished plan", found, self._options)
        for chunk in chunks:
            chunk.unlink()
        with atomic_path(head) as partial:
            partial.write_text(
                json.dumps({"digest": self._digest, "options": self._options}, indent=2) + "\n", encoding="utf-8"
            )

    def _read_chunk(self, path: Path) -> Answers | None:
        answers = self.get(path.stem)
        return answers if is_complete(answers) else None

    def _checksum(self, text: str) -> str:
        return hashlib.sha256(f"{self._digest}\n{text}".encode()).hexdigest()


def different_plan(folder: Path, what: str, found: object, options: Mapping[str, Any]) -> InvalidInputError:
    """Make the error for a folder that holds another plan's work, telling what differs.

    Parameters
    ----------
    folder
        Where the user wants the schedule.
    what
        What lies there, for example ``an unfinished plan``.
    found
        Its ``digest`` and ``options``, as far as they can be read.
    options
        Those of the plan that was asked for now.
    """
    other = found.get("options") if isinstance(found, dict) else None
    differences = _differences(other, options) if isinstance(other, dict) else []
    return InvalidInputError(
        str(folder),
        expected="nothing, or this same plan begun or finished",
        found=f"{what} of {', '.join(differences) or 'other inputs or options'}",
        hint="name another folder (--out), throw that one away, or plan anew in it (--overwrite)",
    )


def is_finished(folder: Path, metadata: ScheduleMetadata) -> bool:
    """Tell whether a folder holds the schedule of this very plan.

    Parameters
    ----------
    folder
        Where it would lie.
    metadata
        What names the plan.

    Raises
    ------
    InvalidInputError
        If it holds that of another plan, telling what differs, or one that cannot be read.
    """
    if not (folder / METADATA_FILE).is_file():
        return False
    options = describe(metadata)
    try:
        found = read_schedule_metadata(folder)
    except DynaoptError as error:
        raise different_plan(folder, f"a {METADATA_FILE} that cannot be read ({error})", None, options) from error
    if found.digest != metadata.digest:
        raise different_plan(folder, "the schedule", {"options": describe(found)}, options)
    return True


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    return [f"{name} {found.get(name)} and not {wanted.get(name)}" for name in names]


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
