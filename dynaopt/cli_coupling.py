"""Options of a coupled plan: whether, and what is asked of starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.cli_options import parse_window_s, whole_number
from dynaopt.coupling import Coupling
from dynaopt.errors import InvalidInputError
from dynaopt.schedule_io import read_schedule
from dynaopt.tables import Column, read_table

_PANEL = "Between windows"
_INITIAL_COLUMNS = (
    Column("model", "text"),
    Column("tp", "integer", minimum=1),
    Column("num_instances", "integer", minimum=0),
)

Coupled = Annotated[
    bool | None,
    typer.Option(
        "--coupled/--myopic",
        help="All windows together, serving and starts; or each by itself. By default together, unless --solver or "
        "--time-limit is given, which are of windows by themselves.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
MinUp = Annotated[
    str | None,
    typer.Option(
        "--min-up", metavar="30min", help="How long an instance serves at least once started.", rich_help_panel=_PANEL
    ),
]
MaxStarts = Annotated[
    int | None,
    typer.Option(
        "--max-starts",
        parser=whole_number,
        metavar="N",
        help="Most instances that start at one window.",
        rich_help_panel=_PANEL,
    ),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        "--initial",
        metavar="FILE|DIR",
        help="What runs before the first window: a table of model, tp and num_instances, or the last window of a "
        "schedule. By default what runs in the first window.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class CouplingOptions:
    """What was typed."""

    coupled: bool | None = None
    min_up: str | None = None
    max_starts: int | None = None
    initial: Path | None = None
    solver: str | None = None
    time_limit_s: float | None = None


def make_coupling(asked: CouplingOptions) -> Coupling | None:
    """Return how windows are coupled, None for each by itself.

    Parameters
    ----------
    asked
        What was typed.

    Raises
    ------
    InvalidInputError
        If something is asked of starts that windows by themselves cannot keep, a solver of windows is given beside
        ``--coupled``, or something is out of range.
    """
    given = {"--min-up": asked.min_up, "--max-starts": asked.max_starts, "--initial": asked.initial}
    alone = {"--solver": asked.solver, "--time-limit": asked.time_limit_s}
    of_starts, of_windows = ([name for name, value in own.items() if value is not None] for own in (given, alone))
    of_windows += ["--myopic"] if asked.coupled is False else []
    if of_windows and (asked.coupled or of_starts):
        raise InvalidInputError(
            f"option {of_windows[0]}",
            expected="a plan window by window, or a coupled one without it",
            found=f"{'--coupled' if asked.coupled else of_starts[0]} beside it",
            hint="all windows together have a method of their own; leave one of the two out",
        )
    if of_windows:
        return None
    min_up_s = 0.0 if asked.min_up is None else parse_window_s(asked.min_up, "--min-up")
    initial = None if asked.initial is None else _read_initial(asked.initial)
    return Coupling.of(min_up_s=min_up_s, max_starts=asked.max_starts, initial=initial)


def _read_initial(path: Path) -> pd.DataFrame:
    if not path.is_dir():
        return read_table(path, _INITIAL_COLUMNS, key=("model", "tp"), may_be_empty=True)
    allocations = read_schedule(path).allocations
    last: pd.DataFrame = allocations[allocations["window_start"] == allocations["window_start"].max()]
    return last
