"""The demand that a command was given: a shipped week by name, a demand table, or a trace."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dynaopt.cli_options import DEFAULT_WINDOW_S, parse_cut_points, parse_time, parse_window_s
from dynaopt.demand import Demand, demand_names, read_demand
from dynaopt.errors import InvalidInputError, MissingFileError, UnknownNameError
from dynaopt.profile import Profile
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.trace import read_trace

# One of its own columns tells a format, so that its reader can say which other one is missing.
_DEMAND_COLUMNS = {"window_start", "request_class", "rate_rps"}
_TRACE_COLUMNS = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}
_ENDINGS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandOptions:
    """What was typed about the demand, as text; None where nothing was."""

    source: str
    window: str | None = None
    cut_points: str | None = None
    start: str | None = None
    end: str | None = None


def load_demand(options: DemandOptions, profiles: Sequence[Profile] = ()) -> Demand:
    """Read the demand that a command was given.

    Parameters
    ----------
    options
        What was typed.
    profiles
        Their cut-points are those of a trace's classes, unless others were typed.

    Raises
    ------
    InputError
        If there is no such week or file, it is neither a trace nor a demand, or an option does not go with it.
    """
    window_s = None if options.window is None else parse_window_s(options.window)
    cuts = None if options.cut_points is None else parse_cut_points(options.cut_points)
    if kind_of(options.source) == "trace":
        cuts = _common_cut_points(profiles) if cuts is None else cuts
        demand = read_trace(options.source, window_s=window_s or DEFAULT_WINDOW_S, cut_points=cuts)
    else:
        demand = _read_demand(options, window_s)
    return _between(demand, options)


def kind_of(source: str) -> Literal["trace", "demand"]:
    """Tell whether a source is a trace or a demand, a file by its header.

    Parameters
    ----------
    source
        A shipped name or a file.

    Raises
    ------
    InputError
        If it is neither.
    """
    if source in demand_names():
        return "demand"
    path = Path(source)
    if not path.is_file():
        raise _nothing_there(path)
    if not path.name.endswith(_ENDINGS):
        raise InvalidInputError(source, expected=f"a file ending in {', '.join(_ENDINGS)}", found=f"'{path.name}'")
    header = _header(path)
    if _DEMAND_COLUMNS & set(header):
        return "demand"
    if _TRACE_COLUMNS & set(header):
        return "trace"
    raise InvalidInputError(
        source,
        expected="the columns of a trace (TIMESTAMP, ContextTokens, …) or of a demand (window_start, request_class, …)",
        found=", ".join(header)[:200] if any(header) else "no header",
    )


def _nothing_there(path: Path) -> MissingFileError | UnknownNameError | InvalidInputError:
    names = ", ".join(demand_names())
    if path.is_dir():
        return InvalidInputError(str(path), expected=f"a file, or one of {names}", found="a folder")
    if path.name.endswith(_ENDINGS):
        return MissingFileError(str(path), expected="a trace or a demand", found="nothing there")
    return UnknownNameError("demand", expected=f"one of {names}, or a file", found=f"'{path}'")


def _header(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        open_text = gzip.open if path.suffix == ".gz" else open
        with open_text(path, "rt", encoding="utf-8-sig") as file:
            first = next((line for line in file if not line.startswith("#")), "")
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInputError(str(path), expected=f"a readable {path.suffix} file", found=reason) from None
    return [name.strip().strip('"') for name in first.strip().split(",")]


def _read_demand(options: DemandOptions, window_s: float | None) -> Demand:
    if options.cut_points is not None:
        found = f"demand '{options.source}'"
        raise InvalidInputError("option --cut-points", expected="a trace, whose classes are yet to be cut", found=found)
    demand = read_demand(options.source)
    if window_s is not None and window_s != demand.window_s:
        expected = f"{demand.window_s:g} s, which demand '{options.source}' has (only a trace can be cut anew)"
        raise InvalidInputError("option --window", expected=expected, found=f"{window_s:g} s")
    return demand


def _common_cut_points(profiles: Sequence[Profile]) -> CutPoints:
    found = list(dict.fromkeys(profile.cut_points for profile in profiles)) or [TABLE_IV]
    if len(found) > 1:
        names = ", ".join(profile.name for profile in profiles)
        raise InvalidInputError("option --profile", expected="profiles whose classes are cut alike", found=names)
    return found[0]


def _between(demand: Demand, options: DemandOptions) -> Demand:
    """Keep the windows that start from `options.start` on and before `options.end`."""
    first, stop = demand.starts[0], demand.starts[-1] + pd.Timedelta(seconds=demand.window_s)
    start = first if options.start is None else parse_time("--from", options.start)
    end = stop if options.end is None else parse_time("--until", options.end)
    inside = (demand.starts >= start) & (demand.starts < end)
    if not inside.any():
        option = "--from" if options.start is not None else "--until"
        found = f"none from {start:%Y-%m-%dT%H:%M} to {end:%Y-%m-%dT%H:%M}"
        expected = f"windows between {first:%Y-%m-%dT%H:%M} and {stop:%Y-%m-%dT%H:%M}"
        raise InvalidInputError(f"option {option}", expected=expected, found=found)
    if inside.all():
        return demand
    numbers = inside.nonzero()[0]
    return demand.select(int(numbers[0]), int(numbers[-1]) + 1)
