"""Power of GPUs over time, as ``nvidia-smi`` or a table of samples has it, and its mean while a load was measured."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dynaopt.errors import InvalidInputError, MissingFileError, location

SHARE_LEFT_OUT = 0.1
"""The share of a run at its start and at its end that does not count: the instance fills and drains."""
FEWEST_SAMPLES = 10
"""Fewer samples of a GPU in a run give no mean worth having."""
_TIME = ("timestamp",)
_GPU = ("index", "gpu", "uuid")
_POWER = ("power.draw.average", "power.draw", "power_w", "power.draw.instant")


@dataclass(frozen=True, slots=True, eq=False)
class PowerLog:
    """Samples of the power of some GPUs.

    Parameters
    ----------
    where
        The file, for messages.
    samples
        Columns `time` (UTC), `gpu` (its name) and `power_w`, one row for each sample.
    """

    where: str
    samples: pd.DataFrame

    @property
    def gpus(self) -> tuple[str, ...]:
        """Names of the GPUs."""
        return tuple(sorted(self.samples["gpu"].unique()))

    def mean_w(self) -> float:
        """Return the mean power of all GPUs together over the whole log, in watts."""
        return float(self.samples.groupby("gpu")["power_w"].mean().sum())

    def during(self, start: pd.Timestamp, end: pd.Timestamp) -> PowerLog:
        """Return the middle of a run: without its first and its last tenth.

        Parameters
        ----------
        start, end
            When it took place.

        Raises
        ------
        InvalidInputError
            If the log does not reach over it, or has too few samples of a GPU in it.
        """
        margin = SHARE_LEFT_OUT * (end - start)
        first, last = start + margin, end - margin
        times = self.samples["time"]
        if times.min() > first or times.max() < last:
            expected = f"samples from {_shown(first)} to {_shown(last)}, when the load was measured"
            found = f"some from {_shown(times.min())} to {_shown(times.max())}"
            raise InvalidInputError(self.where, expected=expected, found=found, hint="--time-zone if clocks differ")
        inside = self.samples[(times >= first) & (times <= last)]
        fewest = int(inside.groupby("gpu").size().reindex(self.gpus, fill_value=0).min())
        if fewest < FEWEST_SAMPLES:
            expected = f"at least {FEWEST_SAMPLES} samples of each GPU from {_shown(first)} to {_shown(last)}"
            raise InvalidInputError(self.where, expected=expected, found=f"{fewest}")
        return PowerLog(self.where, inside)


def read_power_log(path: str | Path, *, time_zone: str = "UTC") -> PowerLog:
    """Read a log of power.

    Parameters
    ----------
    path
        What ``nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -lms 500`` prints, with or without units,
        or any table with the columns ``timestamp``, ``gpu`` and ``power_w``.
    time_zone
        IANA name of the zone of times that have none.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If a column is missing or a cell does not fit it; with the line.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(str(path), expected="a file", found="nothing there")
    with path.open(encoding="utf-8", newline="") as file:
        lines = [[cell.strip() for cell in row] for row in csv.reader(file)]
    rows = {number: row for number, row in enumerate(lines, start=1) if any(row) and not row[0].startswith("#")}
    if len(rows) < 2:
        raise InvalidInputError(str(path), expected="a header and samples", found=f"{len(rows)} lines")
    header_line = next(iter(rows))
    header = [cell.split(" [")[0] for cell in rows.pop(header_line)]
    picked = [_column(path, header_line, header, names) for names in (_TIME, _GPU, _POWER)]
    for number, row in rows.items():
        if len(row) != len(header):
            raise InvalidInputError(location(path, line=number), expected=f"{len(header)} cells", found=f"{len(row)}")
    cells = pd.DataFrame.from_dict(rows, orient="index")[picked].set_axis(["time", "gpu", "power_w"], axis=1)
    samples = pd.DataFrame(
        {
            "time": _times(cells["time"], time_zone),
            "gpu": cells["gpu"],
            "power_w": pd.to_numeric(cells["power_w"].str.removesuffix("W").str.strip(), errors="coerce"),
        }
    )
    _refuse(path, cells["time"], samples["time"].isna(), "a time such as 2025/11/22 20:15:00.500")
    _refuse(path, cells["power_w"], ~(samples["power_w"] >= 0), "a power in watts")
    return PowerLog(str(path), samples)


def _column(path: Path, line: int, header: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise InvalidInputError(
        location(path, line=line), expected=f"a column '{names[0]}'", found=f"only {', '.join(header)}"
    )


def _times(cells: pd.Series, time_zone: str) -> pd.Series:
    """Return times in UTC, NaT where a text is none."""
    times = pd.to_datetime(cells.str.replace("/", "-"), errors="coerce", format="ISO8601")
    if times.dt.tz is None:
        # An hour that happens twice, when clocks are set back, tells no time.
        times = times.dt.tz_localize(time_zone, ambiguous="NaT", nonexistent="NaT")
    return times.dt.tz_convert("UTC")


def _refuse(path: Path, cells: pd.Series, bad: pd.Series, expected: str) -> None:
    if bad.any():
        line = int(bad.index.to_numpy()[bad.to_numpy().argmax()])
        raise InvalidInputError(location(path, line=line), expected=expected, found=f"'{cells[line]}'")


def _shown(time: pd.Timestamp) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
