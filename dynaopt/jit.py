"""Compilation with Numba, kept on disk so that only the first run on a machine pays for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of numbers, arrays and records; to type checkers it stays the Python function."""
    return cast("F", numba.njit(cache=True, error_model="numpy")(function))
