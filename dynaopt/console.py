"""How results and progress look in a terminal: tables for stdout, a progress bar or sparse lines for stderr."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from dynaopt.sweep import SweepState

# Without a terminal a table may be as wide as it needs: its reader is a file or a pipe.
_WIDTH_WITHOUT_TERMINAL = 160
# In a narrower terminal lines go on in the next one, which loses nothing; Rich would cut columns away.
_LEAST_WIDTH = 100
# Texts shorter than this stay on one line, however narrow the terminal.
_WRAPPED_FROM = 24
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True, slots=True)
class TitledTable:
    """A table and the line above it, which may be wider than the table."""

    title: str
    table: Table


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", text_columns: int = 1
) -> TitledTable:
    """Make a table.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells; what is not a text is written with `str`, and None as a dash.
    title
        Stands above the table; nothing by default.
    text_columns
        How many columns, from the left, are text, aligned to the left; 1 by default. The others are numbers.
    """
    cells = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        is_text = number < text_columns
        longest = max((len(row[number]) for row in cells), default=0)
        least = min(longest, _WRAPPED_FROM) if is_text else longest
        table.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text, min_width=least)
    for row in cells:
        table.add_row(*map(escape, row))
    return TitledTable(title, table)


def table_of_frame(frame: pd.DataFrame, *, title: str = "", text_columns: int = 1) -> TitledTable:
    """Make a table of a data frame, numbers with four significant digits.

    Parameters
    ----------
    frame
        What to show; its index is left out.
    title, text_columns
        As for `make_table`.
    """
    rows = ([_cell(value) for value in row] for row in frame.itertuples(index=False))
    return make_table([str(c) for c in frame.columns], rows, title=title, text_columns=text_columns)


def render(*parts: TitledTable | str) -> str:
    """Return tables and texts as stdout is to show them.

    Parameters
    ----------
    *parts
        In order. Texts are taken as they are, without markup.
    """
    width = max(_LEAST_WIDTH, Console().width) if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    console = Console(file=io.StringIO(), width=width, force_terminal=sys.stdout.isatty(), highlight=False)
    with console.capture() as capture:
        for part in parts:
            if isinstance(part, str):
                console.print(part, markup=False, soft_wrap=True)
                continue
            if part.title:
                console.print(part.title, style="bold", markup=False, soft_wrap=True)
            console.print(part.table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)


class _Bar:
    """A progress bar on a terminal; elsewhere a line on stderr at most every ten seconds, so that a log stays short."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, note="")
        self._last_line_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _show(self, num_done: int, num_all: int, note: str) -> None:
        self._bar.update(self._task, completed=num_done, total=num_all, note=note)
        if num_done < num_all and self._is_due():
            self._say(f"{num_done:,} of {num_all:,}, {note}")

    def _is_due(self) -> bool:
        """Tell whether it is time for a line, and if so begin to count anew."""
        due = not self._console.is_terminal and time.monotonic() - self._last_line_s > _SECONDS_BETWEEN_LINES
        if due:
            self._last_line_s = time.monotonic()
        return due

    def _say(self, text: str) -> None:
        self._console.print(f"{self._label}: {text}", soft_wrap=True, markup=False, highlight=False)


class WindowProgress(_Bar):
    """Shows on stderr how many windows are planned and what energy they take so far.

    Parameters
    ----------
    label
        What is being planned.
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self._is_first = True
        self.num_done = 0

    def __call__(self, num_done: int, num_windows: int, energy_j: float) -> None:
        """Show a new state, as `horizon.plan` calls for it.

        Parameters
        ----------
        num_done, num_windows
            Windows that are planned, and all.
        energy_j
            Energy of those planned, in joules.
        """
        self.num_done = num_done
        if self._is_first and num_done:
            rest = f"{num_windows - num_done:,} are left" if num_done < num_windows else "nothing is left to plan"
            self._say(f"{num_done:,} of {num_windows:,} windows were planned before; {rest}")
        self._is_first = False
        self._show(num_done, num_windows, f"{energy_j / 3.6e6:,.1f} kWh so far")

    def stage(self, text: str, is_news: bool) -> None:
        """Show what a coupled plan is at, as `horizon.plan` calls for it.

        Parameters
        ----------
        text
            In words.
        is_news
            Whether to say it at all costs.
        """
        self._bar.update(self._task, description=f"{self._label}: {text}")
        if is_news or self._is_due():
            self._say(text)


class SweepProgress(_Bar):
    """Shows on stderr how many windows and points of a sweep are planned, and what energy they take so far.

    Parameters
    ----------
    label
        What is swept.
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self._is_first = True
        self.note = "nothing is"

    def __call__(self, state: SweepState) -> None:
        """Show a new state.

        Parameters
        ----------
        state
            As `sweep` tells it.
        """
        points = f"{state.points_done:,} of {state.num_points:,} points"
        windows = f"{state.windows_done:,} of {state.num_windows:,} windows"
        self.note = f"{points}, {windows} are"
        if self._is_first and state.windows_done:
            self._say(f"{points} and {windows} were planned before")
        self._is_first = False
        energy = f"{state.serving_energy_j / 3.6e6:,.1f} kWh so far"
        # Windows tell how far it is, for a point may be a week.
        self._show(state.windows_done, state.num_windows, f"{points}, {energy}")


class StepProgress(_Bar):
    """Shows on stderr how many of a known number of steps are done.

    Parameters
    ----------
    label
        What is being done.
    """

    def __call__(self, num_done: int, num_steps: int, note: str) -> None:
        """Show a new state.

        Parameters
        ----------
        num_done, num_steps
            Steps that are done, and all.
        note
            What was done last, in a few words.
        """
        self._show(num_done, num_steps, note)


def _cell(value: object) -> object:
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else value
