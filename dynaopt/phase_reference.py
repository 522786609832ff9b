"""The measurements that a phase model rests on, as small tables of reference points.

`dynaopt.phase_sources` makes them from the raw files (means over repeats); `read_points` reads those that the package
ships, each with its source and licence in its first lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.errors import MissingFileError
from dynaopt.fit_options import FitOptions
from dynaopt.tables import Column, read_table
from dynaopt.toml_text import read_toml

SHIPPED_POINTS = Path(__file__).parent / "data" / "reference"

_PREFILL = (
    Column("tp", "integer", positive=True),
    Column("prompt_tokens", "integer", positive=True),
    Column("batch", "integer", positive=True),
    Column("repeats", "integer", positive=True),
    Column("prompt_time_s", positive=True),
)
_TOKEN = (
    Column("tp", "integer", positive=True),
    Column("batch", "integer", positive=True),
    Column("repeats", "integer", positive=True),
    Column("token_time_s", positive=True),
)
_SERVING = (
    Column("served_model", "text"),
    Column("tp", "integer", positive=True),
    Column("batch_limit", "integer", positive=True),
    Column("batch", positive=True),
    Column("output_tokens", positive=True),
    Column("step_p50_s", positive=True),
    Column("output_tps", positive=True),
    Column("power_w", positive=True),
)
_HALVED = (
    Column("served_model", "text"),
    Column("batch_limit", "integer", positive=True),
    Column("weights_bytes", positive=True),
    Column("step_tp1_s", positive=True),
    Column("step_tp2_s", positive=True),
)
_POWER = (
    Column("tp", "integer", positive=True),
    Column("tokens", "integer", minimum=0),
    Column("power_w", positive=True),
)
_CLOCK = (
    Column("quantity", "text", choices=("decode_time", "decode_power", "prefill_power")),
    Column("tokens", "integer", positive=True),
    Column("exponent"),
)
_SIZES = (
    Column("served_model", "text"),
    Column("batch_limit", "integer", positive=True),
    Column("weights_bytes", positive=True),
    Column("step_s", positive=True),
)
_STEPS = (
    Column("tp", "integer", positive=True),
    Column("phase", "text", choices=("prefill", "decode")),
    Column("prompt_tokens", "integer", positive=True),
    Column("batch", "integer", positive=True),
    Column("repeats", "integer", positive=True),
    Column("power_w", positive=True),
)
FORMATS = {
    "prefill": _PREFILL,
    "token": _TOKEN,
    "serving": _SERVING,
    "halved": _HALVED,
    "power": _POWER,
    "clock": _CLOCK,
    "sizes": _SIZES,
    "steps": _STEPS,
}
# Kinds that few models have.
_OPTIONAL = ("sizes", "steps")
OPTIONS_FILE = "fit.toml"
_DTYPES = {"integer": "int64", "number": "float64", "text": "object"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReferencePoints:
    """Measured points, one frame for each kind; durations in seconds, powers in watts of the whole instance.

    Parameters
    ----------
    prefill
        Time of a prefill: `tp`, `prompt_tokens` of each of `batch` prompts, `repeats`, `prompt_time_s`.
    token
        Time of a decode step by an engine of 2023: `tp`, `batch`, `repeats`, `token_time_s`.
    serving
        A server kept full with `batch` sequences: `served_model`, `tp`, `batch_limit`, `batch`, mean `output_tokens`
        of a request, `step_p50_s` (median time between tokens), `output_tps` (tokens/s), `power_w`.
    halved
        Median step of models with `weights_bytes` on one GPU and on two, at the same batch.
    power
        Power against the `tokens` processed in parallel; 0 for a loaded instance that is idle.
    clock
        `exponent` with which a quantity goes with the clock; `tokens` is the batch of a decode step or the length of a
        prompt.
    sizes
        Median step of models with `weights_bytes` on one GPU.
    steps
        Power of one `phase`: a prefill of `batch` prompts of `prompt_tokens`, or decode steps after it.
    options
        How a phase model is fitted to them.
    """

    prefill: pd.DataFrame
    token: pd.DataFrame
    serving: pd.DataFrame
    halved: pd.DataFrame
    power: pd.DataFrame
    clock: pd.DataFrame
    sizes: pd.DataFrame = field(default_factory=lambda: no_points("sizes"))
    steps: pd.DataFrame = field(default_factory=lambda: no_points("steps"))
    options: FitOptions = field(default_factory=FitOptions)


def no_points(kind: str) -> pd.DataFrame:
    """Return a frame of one kind of points without rows."""
    return pd.DataFrame({c.name: pd.Series(dtype=_DTYPES[c.kind]) for c in FORMATS[kind]})


def read_points(folder: str | Path, *, partial: bool = False) -> ReferencePoints:
    """Read reference points.

    Parameters
    ----------
    folder
        Holds ``prefill.csv``, ``token.csv``, ``serving.csv``, ``halved.csv``, ``power.csv`` and ``clock.csv``, and
        maybe ``sizes.csv``, ``steps.csv`` and ``fit.toml``, the options.
    partial
        Whether files may be missing; what was not measured is then a frame without rows.

    Raises
    ------
    MissingFileError
        If the folder or a file is not there.
    InvalidInputError
        If a cell does not fit its column.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(str(folder), expected="a folder of reference points", found="nothing there")
    frames = {}
    for name, columns in FORMATS.items():
        path = folder / f"{name}.csv"
        is_absent = (partial or name in _OPTIONAL) and not path.is_file()
        frames[name] = no_points(name) if is_absent else read_table(path, columns)
    options = folder / OPTIONS_FILE
    return ReferencePoints(**frames, options=read_toml(options, FitOptions) if options.is_file() else FitOptions())


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows of a frame as named tuples, whose fields the type checker need not know."""
    return iter(frame.itertuples(index=False))
