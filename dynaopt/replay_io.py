"""What a replay found, on disk: a folder of tables, and one JSON file that says what was replayed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynaopt.replay_result import ReplayResult
from dynaopt.tables import atomic_path, write_table

REPLAY_FOLDER = "replay"
REPLAY_FILE = "replay.json"
FORMAT_VERSION = 1
# The large table is Parquet; those that a person opens are text.
TABLES = {"classes": ".csv", "windows": ".csv", "pools": ".csv", "window_classes": ".parquet"}


def write_replay(result: ReplayResult, folder: str | Path, inputs: Mapping[str, Any]) -> None:
    """Write a replay into a folder; ``replay.json`` comes last, so that a folder with it is whole.

    Parameters
    ----------
    result
        What to write.
    folder
        It is made if it is not there. A replay in it is replaced.
    inputs
        What was replayed, in JSON's types: schedule, requests, profiles, seed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPLAY_FILE).unlink(missing_ok=True)
    for name, ending in TABLES.items():
        write_table(getattr(result, name), folder / f"{name}{ending}")
    with atomic_path(folder / REPLAY_FILE) as partial:
        partial.write_text(json.dumps(replay_json(result, inputs), indent=2) + "\n", encoding="utf-8")


def replay_json(result: ReplayResult, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs, totals and the rows of `classes` as plain records; what has no value is None.

    Parameters
    ----------
    result, inputs
        As for `write_replay`.
    """
    return {
        "format_version": FORMAT_VERSION,
        "name": result.name,
        "duration_s": result.duration_s,
        "inputs": dict(inputs),
        "totals": _plain(result.totals),
        "classes": [_plain(row) for row in result.classes.to_dict("records")],
    }


def _plain(record: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): None if isinstance(cell, float) and math.isnan(cell) else cell for name, cell in record.items()}
