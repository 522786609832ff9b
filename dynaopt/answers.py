"""Answers of windows as plain columns: what worker processes send home, journals keep and tables are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.result import Result
from dynaopt.schedule import ALLOCATION_COLUMNS, ROUTE_COLUMNS

Columns = dict[str, list[Any]]
Answers = dict[str, Columns]
"""The columns of each of the tables ``windows``, ``allocations`` and ``routes``; windows are numbered in them."""

_OF_GROUP = tuple(c.name for c in ALLOCATION_COLUMNS[1:])
_OF_ROUTE = tuple(c.name for c in ROUTE_COLUMNS[1:])
_NAMES = {
    "windows": (
        "window",
        "termination",
        "solver",
        "power_w",
        "lower_bound_w",
        "gap",
        "num_gpus",
        "runtime_s",
        "reason",
    ),
    "allocations": ("window", *_OF_GROUP),
    "routes": ("window", *_OF_ROUTE),
}


def answers_of(results: Iterable[tuple[int, Result]]) -> Answers:
    """Write results as columns.

    Parameters
    ----------
    results
        The number of each window and what a solver said. Without an answer a window has no power, bound, gap or GPUs.
    """
    answers: Answers = {table: {name: [] for name in names} for table, names in _NAMES.items()}
    for number, result in results:
        _append(answers["windows"], _window_row(number, result))
        if result.allocation is not None:
            for group in result.allocation.groups:
                _append(answers["allocations"], [number, *(getattr(group, name) for name in _OF_GROUP)])
            for route in result.allocation.routes:
                _append(answers["routes"], [number, *(getattr(route, name) for name in _OF_ROUTE)])
    return answers


def join_answers(parts: Iterable[Answers]) -> dict[str, pd.DataFrame]:
    """Put answers together as frames, their rows in the order of the windows.

    Parameters
    ----------
    parts
        Answers of different windows, in any order.
    """
    joined: Answers = {table: {name: [] for name in names} for table, names in _NAMES.items()}
    for part in parts:
        for table, columns in part.items():
            for name, cells in columns.items():
                joined[table][name] += cells
    frames = {table: pd.DataFrame(columns) for table, columns in joined.items()}
    return {table: frame.sort_values("window", kind="stable", ignore_index=True) for table, frame in frames.items()}


def window_numbers(answers: Answers) -> Sequence[int]:
    """Return the windows that answers are for."""
    return answers["windows"]["window"]


def total_power_w(answers: Answers) -> float:
    """Return the sum of the mean powers of the answered windows, in watts."""
    return float(sum(power_w for power_w in answers["windows"]["power_w"] if power_w is not None))


def is_complete(answers: object) -> bool:
    """Tell whether something read from outside has the tables and columns of answers, each column as long as the next.

    Parameters
    ----------
    answers
        Anything that JSON can hold.
    """
    if not isinstance(answers, Mapping) or set(answers) != set(_NAMES):
        return False
    return all(
        isinstance(answers[table], Mapping)
        and set(answers[table]) == set(names)
        and all(isinstance(cells, list) for cells in answers[table].values())
        and len({len(cells) for cells in answers[table].values()}) == 1
        for table, names in _NAMES.items()
    )


def _window_row(number: int, result: Result) -> list[Any]:
    head = [number, result.termination.value, result.solver]
    tail = [float(result.runtime_s), result.reason]
    if result.allocation is None:
        return [*head, None, None, None, None, *tail]
    # A bound may exceed the answer by rounding, which `Result` allows and a table had better not show.
    bound_w = min(result.lower_bound_w, result.objective_w)
    return [*head, float(result.power_w), float(bound_w), float(result.gap), int(result.allocation.num_gpus), *tail]


def _append(columns: Columns, row: Sequence[Any]) -> None:
    for cells, cell in zip(columns.values(), row, strict=True):
        cells.append(cell.item() if isinstance(cell, np.generic) else cell)
