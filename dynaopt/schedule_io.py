"""Schedules on disk: a folder that appears whole, and is read with every cell checked.

`docs/formats.md`, section Schedule, describes the files.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dynaopt.demand import Demand, read_demand, write_demand
from dynaopt.digests import demand_digest
from dynaopt.errors import InvalidInputError, MissingFileError, location
from dynaopt.result import Termination
from dynaopt.schedule import (
    ACCOUNT_COLUMNS,
    ALLOCATION_COLUMNS,
    ANSWER_COLUMNS,
    FORMAT_VERSIONS,
    ROUTE_COLUMNS,
    TRANSITION_COLUMNS,
    WINDOW_COLUMNS,
    Schedule,
    ScheduleMetadata,
)
from dynaopt.tables import Column, atomic_path, place, read_table, write_table

METADATA_FILE = "schedule.json"
PARTIAL_FOLDER = ".partial"
_STAGING_FOLDER = ".writing"
_ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a schedule: the name of its file, the ending that it is written with, its format."""

    name: str
    ending: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the file that is written."""
        return f"{self.name}{self.ending}"


# The large tables are Parquet, exact and small; the two that a person opens first are text.
_TABLES = (
    _Table("allocations", ".parquet", ALLOCATION_COLUMNS, ()),  # equal groups of instances may stand apart
    _Table("routes", ".parquet", ROUTE_COLUMNS, ("window_start", "model", "request_class", "pool")),
    _Table("transitions", ".csv", TRANSITION_COLUMNS, ("window_start", "model", "pool", "tp")),
    _Table("windows", ".csv", WINDOW_COLUMNS, ("window_start",)),
)
_ACCOUNTS = _Table("accounts", ".csv", ACCOUNT_COLUMNS, ("window_start",))
_DEMAND = "demand"


def write_schedule(schedule: Schedule, folder: str | Path) -> None:
    """Write a schedule into a folder.

    ``schedule.json`` comes last, and an earlier one goes first, so that a folder with that file is always whole, even
    if the machine stops half-way.

    Parameters
    ----------
    schedule
        What to write.
    folder
        The folder; it is made if it is not there. A schedule in it is replaced.
    """
    folder = Path(folder)
    staging = folder / _STAGING_FOLDER
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    tables = _TABLES if schedule.accounts is None else (*_TABLES, _ACCOUNTS)
    for table in tables:
        write_table(getattr(schedule, table.name), staging / table.file)
    write_demand(schedule.demand, staging / f"{_DEMAND}.parquet")
    # Without an objective the file is that of format version 1, which does not know one.
    left_out: dict[str, Any] = {"objective": True, "totals": {"objective"}} if schedule.accounts is None else {}
    left_out |= {"coupling": True} if schedule.metadata.coupling is None else {}
    with atomic_path(staging / METADATA_FILE) as partial:
        partial.write_text(schedule.metadata.model_dump_json(indent=2, exclude=left_out) + "\n", encoding="utf-8")
    remove_schedule(folder)
    for file in (*(t.file for t in tables), f"{_DEMAND}.parquet", METADATA_FILE):
        (staging / file).replace(folder / file)
    staging.rmdir()


def remove_schedule(folder: str | Path) -> None:
    """Remove the files of a schedule from a folder, and no others.

    Parameters
    ----------
    folder
        It may be empty or not be there.
    """
    (Path(folder) / METADATA_FILE).unlink(missing_ok=True)
    for name in (*(t.name for t in _TABLES), _ACCOUNTS.name, _DEMAND):
        for ending in _ENDINGS:
            (Path(folder) / f"{name}{ending}").unlink(missing_ok=True)


def read_schedule(folder: str | Path) -> Schedule:
    """Read a schedule.

    Parameters
    ----------
    folder
        A folder that `write_schedule` or ``dynaopt plan`` made. Each table may be CSV or Parquet.

    Returns
    -------
    Schedule
        As it was written. Whether it is right is for `dynaopt.check` to say.

    Raises
    ------
    MissingFileError
        If the folder or a file in it is not there.
    InvalidInputError
        If a file does not keep to the format or contradicts another; with file, line and column.
    """
    folder = Path(folder)
    metadata = read_schedule_metadata(folder)
    frames: dict[str, Any] = {}
    starts = pd.DatetimeIndex([])
    for table in reversed(_TABLES):  # the windows first: the other tables refer to them
        path = _find_table(folder, table.name)
        may_be_empty = table.name != "windows"
        frame = read_table(path, table.columns, key=table.key, keep_places=True, may_be_empty=may_be_empty)
        if table.name == "windows":
            frame = _check_windows(path, frame, metadata)
            starts = pd.DatetimeIndex(frame["window_start"])
            answered = starts[frame["power_w"].notna().to_numpy()]
        else:
            _check_starts(path, frame, starts, answered)
        frames[table.name] = frame.reset_index(drop=True)
    if metadata.objective is not None:
        frames["accounts"] = _read_accounts(folder, frames["windows"])
    demand = _read_own_demand(_find_table(folder, _DEMAND), metadata, starts)
    return Schedule(metadata=metadata, demand=demand, **frames)


def read_schedule_metadata(folder: str | Path) -> ScheduleMetadata:
    """Read ``schedule.json`` alone.

    Parameters
    ----------
    folder
        The folder of the schedule.

    Raises
    ------
    MissingFileError
        If the folder or the file is not there.
    InvalidInputError
        If the file is not JSON, is of another format version, or a key is missing, unknown or of the wrong kind.
    """
    path = Path(folder) / METADATA_FILE
    if not Path(folder).is_dir():
        raise MissingFileError(str(folder), expected="a folder with a schedule", found="nothing there")
    if not path.is_file():
        unfinished = (Path(folder) / PARTIAL_FOLDER).is_dir()
        hint = "the plan in this folder is unfinished; the command that started it resumes it" if unfinished else None
        raise MissingFileError(str(path), expected="a file", found="nothing there", hint=hint)
    content = _read_json(path)
    fields = content if isinstance(content, dict) else {}
    version = fields.get("format_version")
    if version not in FORMAT_VERSIONS:
        expected = " or ".join(map(str, FORMAT_VERSIONS))
        raise InvalidInputError(f"{path}, key 'format_version'", expected=expected, found=repr(version))
    if (version == 3) != (fields.get("coupling") is not None):
        expected = "what was coupled in version 3, and none in others"
        raise InvalidInputError(f"{path}, key 'coupling'", expected=expected, found=repr(fields.get("coupling")))
    if version != 3 and (version == 2) != (fields.get("objective") is not None):
        expected = "an objective in version 2, and none in version 1"
        raise InvalidInputError(f"{path}, key 'objective'", expected=expected, found=repr(fields.get("objective")))
    cluster = fields.get("cluster")
    if isinstance(cluster, dict):  # one of before there was the option kept to no distance
        cluster.setdefault("max_mix_distance", 1.0)
    try:
        return ScheduleMetadata.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        expected = first["msg"].removeprefix("Input should be ")
        found = "none" if first["type"] == "missing" else repr(first["input"])
        raise InvalidInputError(f"{path}, key '{key}'", expected=expected, found=found) from None


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        where = f"{location(path, line=error.lineno)}, column {error.colno}"
        raise InvalidInputError(where, expected="JSON", found=error.msg) from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(str(path), expected="JSON in UTF-8", found=str(error)) from None


def _find_table(folder: Path, name: str) -> Path:
    found = [folder / f"{name}{ending}" for ending in _ENDINGS if (folder / f"{name}{ending}").is_file()]
    if len(found) == 2:
        raise InvalidInputError(
            str(folder), expected=f"one table '{name}'", found=f"{found[0].name} and {found[1].name}"
        )
    if not found:
        raise MissingFileError(
            str(folder / name), expected=f"{name}.parquet or {name}.csv", found="neither in the schedule's folder"
        )
    return found[0]


def _check_windows(path: Path, frame: pd.DataFrame, metadata: ScheduleMetadata) -> pd.DataFrame:
    """Check what the rows of `windows` must keep to together, and give its optional columns their kinds."""
    starts = frame["window_start"]
    steps_s = starts.diff().dt.total_seconds().fillna(metadata.window_s)
    step = f"{metadata.window_s:g} s after the window before"
    _refuse(path, starts, steps_s != metadata.window_s, step)
    _refuse(
        path, frame["window_s"], frame["window_s"] != metadata.window_s, f"{metadata.window_s:g}, as {METADATA_FILE}"
    )
    solved = frame["termination"].isin([t for t in Termination if t.has_solution])
    unproved = metadata.objective is not None and metadata.objective.charges_for_gpus
    for name in ANSWER_COLUMNS:
        if not (unproved and name == "lower_bound_j"):
            _refuse(path, frame[name], solved & frame[name].isna(), "a number, for this window has an answer")
        _refuse(path, frame[name], ~solved & frame[name].notna(), "an empty cell, for this window has no answer")
    return frame.assign(num_gpus=frame["num_gpus"].astype("Int64"), reason=frame["reason"].fillna(""))


def _read_accounts(folder: Path, windows: pd.DataFrame) -> pd.DataFrame:
    path = _find_table(folder, _ACCOUNTS.name)
    frame = read_table(path, _ACCOUNTS.columns, key=_ACCOUNTS.key)
    if not frame["window_start"].equals(windows["window_start"]):
        raise InvalidInputError(
            str(path), expected="a row for each window of the table 'windows', in its order", found="others"
        )
    return frame


def _check_starts(path: Path, frame: pd.DataFrame, starts: pd.DatetimeIndex, answered: pd.DatetimeIndex) -> None:
    column = frame["window_start"]
    _refuse(path, column, ~column.isin(starts), "the start of a window in the table 'windows'")
    _refuse(path, column, ~column.isin(answered), "the start of a window that has an answer")


def _refuse(path: Path, cells: pd.Series, bad: pd.Series, expected: str) -> None:
    if bad.any():
        at = int(np.flatnonzero(bad.to_numpy())[0])
        cell = cells.iloc[at]
        found = (
            cell.isoformat() if isinstance(cell, pd.Timestamp) else "an empty cell" if pd.isna(cell) else f"'{cell}'"
        )
        raise InvalidInputError(place(path, int(cells.index[at]), str(cells.name)), expected=expected, found=found)


def _read_own_demand(path: Path, metadata: ScheduleMetadata, starts: pd.DatetimeIndex) -> Demand:
    raw = read_demand(path, window_s=metadata.window_s)
    if not raw.table["window_start"].isin(starts).all():
        raise InvalidInputError(
            str(path), expected="the windows of the table 'windows'", found=f"others from {raw.starts[0].isoformat()}"
        )
    demand = Demand(metadata.demand.name, metadata.window_s, raw.table, metadata.demand.sha256, starts)
    found = demand_digest(demand)
    if found != metadata.demand.content_sha256:
        raise InvalidInputError(
            str(path),
            expected=f"the demand that was planned for, with content SHA-256 {metadata.demand.content_sha256[:12]}…",
            found=f"one with {found[:12]}…",
        )
    return demand
