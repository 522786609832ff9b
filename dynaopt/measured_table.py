"""Levels of load in a table: measured by whatever means, one row for each level."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.measured_level import MeasuredLevel
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import Column, place, read_table

LOAD_COLUMNS = (
    Column("tp", "integer", positive=True, required=False),
    Column("frequency_mhz", "integer", positive=True, required=False),
    Column("request_class", "text", choices=REQUEST_CLASSES, required=False),
    Column("rate_rps", minimum=0.0),
    Column("power_w", minimum=0.0, required=False),
    Column("ttft_p50_s", positive=True),
    Column("ttft_p99_s", positive=True),
    Column("tbt_p50_s", positive=True),
    Column("tbt_p99_s", positive=True),
    Column("start_time", "timestamp", required=False),
    Column("end_time", "timestamp", required=False),
)
CONFIGURATION = ("tp", "frequency_mhz", "request_class")
Configuration = tuple[int, int, str]


def read_load_table(path: str | Path, defaults: Mapping[str, Any]) -> dict[Configuration, tuple[MeasuredLevel, ...]]:
    """Read measured levels by configuration and class.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` table with `LOAD_COLUMNS`.
    defaults
        `tp`, `frequency_mhz` and `request_class` of a table without these columns; None where not given.

    Returns
    -------
    dict
        The levels of each (`tp`, `frequency_mhz`, `request_class`), in the order of the table.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there, a cell does not fit, or a configuration is given neither there nor by `defaults`.
    """
    frame = read_table(path, LOAD_COLUMNS, key=[*CONFIGURATION, "rate_rps"], keep_places=True)
    for name in CONFIGURATION:
        if name not in frame:
            if defaults.get(name) is None:
                option = f"--{name.replace('_', '-')}"
                raise InvalidInputError(str(path), expected=f"a column '{name}', or {option}", found="neither")
            frame[name] = defaults[name]
    levels: dict[Configuration, tuple[MeasuredLevel, ...]] = {}
    for number, row in zip(frame.index, frame.to_dict("records"), strict=True):
        key = int(row["tp"]), int(row["frequency_mhz"]), str(row["request_class"])
        levels[key] = (*levels.get(key, ()), _level(place(path, int(number)), row))
    return levels


def _level(where: str, row: Mapping[Hashable, Any]) -> MeasuredLevel:
    start, end = row.get("start_time"), row.get("end_time")
    if start is not None and end is not None and not start < end:
        raise InvalidInputError(where, expected="an end_time after the start_time", found=f"{pd.Timestamp(end)}")
    power_w = row.get("power_w")
    return MeasuredLevel(
        where=where,
        rate_rps=float(row["rate_rps"]),
        power_w=None if power_w is None else float(power_w),
        start=start,
        end=end,
        ttft_p50_s=float(row["ttft_p50_s"]),
        ttft_p99_s=float(row["ttft_p99_s"]),
        tbt_p50_s=float(row["tbt_p50_s"]),
        tbt_p99_s=float(row["tbt_p99_s"]),
    )
