"""The folder of a sweep: what is finished is kept there as it comes, point by point and chunk by chunk.

A finished point is a file named after its digest, so that a sweep with a longer list plans only what is new; the chunks
of one that is begun lie in a journal. The table is made of the points that the sweep has now.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.folder_lock import FolderLock
from dynaopt.journal import Journal, is_finished
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import write_schedule
from dynaopt.schedule_metadata import describe
from dynaopt.sweep_points import Point
from dynaopt.tables import atomic_path, write_table

TABLE_FILES = ("sweep.csv", "sweep.parquet")
POINTS_FOLDER = "points"
SCHEDULES_FOLDER = "schedules"
PARTIAL_FOLDER = ".partial"
_DIGITS = 32

Record = Mapping[str, Any]
"""What is known of a finished point, as JSON has it."""


class SweepStore:
    """The folder of a sweep. A context: while it is open, no other process may open it.

    Parameters
    ----------
    folder
        Where it lies; made if it is not there.
    schedules
        Whether a point is finished only when its schedule is there, too.
    overwrite
        Whether schedules of other plans under the name of a point are replaced.
    """

    def __init__(self, folder: Path, *, schedules: bool = False, overwrite: bool = False) -> None:
        self.folder = folder
        self._with_schedules = schedules
        self._overwrite = overwrite

    def __enter__(self) -> Self:
        self._lock = FolderLock(self.folder / PARTIAL_FOLDER, where=self.folder, what="sweep").__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.__exit__()

    def find(self, point: Point) -> Record | None:
        """Return what is known of a point; None where it is not finished.

        Raises
        ------
        InvalidInputError
            If a schedule is asked for, and that of another plan lies under the name of the point.
        """
        if self._with_schedules and not self._has_schedule(point):
            return None
        try:
            found = json.loads(self._record_file(point).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        is_own = isinstance(found, dict) and found.get("digest") == point.digest
        return found["record"] if is_own and isinstance(found.get("record"), dict) else None

    def keep(self, point: Point, record: Record, schedule: Schedule) -> None:
        """Keep a finished point: its schedule if asked for, then what is known of it."""
        if self._with_schedules:
            folder = self.schedule_folder(point)
            folder.mkdir(parents=True, exist_ok=True)
            write_schedule(schedule, folder)
        path = self._record_file(point)
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as partial:
            content = {"digest": point.digest, "point": point.name, "record": record}
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def journal(self, point: Point) -> Journal:
        """Return the journal of a point that is not finished, yet to be opened."""
        horizon = point.horizon
        return Journal(self._journal_folder(point), digest=point.digest, options=describe(horizon.metadata))

    def has_journal(self, point: Point) -> bool:
        """Tell whether chunks of a point may lie in its journal."""
        return self._journal_folder(point).is_dir()

    def write_tables(self, points: pd.DataFrame) -> None:
        """Write the table, both as text and as Parquet."""
        for name in TABLE_FILES:
            write_table(points, self.folder / name)

    def clear(self, points: Sequence[Point]) -> None:
        """Throw away the journals of finished points that were left by a process that was killed."""
        for point in points:
            shutil.rmtree(self._journal_folder(point), ignore_errors=True)

    def schedule_folder(self, point: Point) -> Path:
        """Return where the schedule of a point lies, or would."""
        return self.folder / SCHEDULES_FOLDER / point.name

    def _has_schedule(self, point: Point) -> bool:
        folder = self.schedule_folder(point)
        try:
            return is_finished(folder, point.horizon.metadata)
        except InvalidInputError:
            if not self._overwrite:
                raise
            return False

    def _record_file(self, point: Point) -> Path:
        return self.folder / POINTS_FOLDER / f"{point.digest[:_DIGITS]}.json"

    def _journal_folder(self, point: Point) -> Path:
        return self.folder / PARTIAL_FOLDER / point.digest[:_DIGITS]
