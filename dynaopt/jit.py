"""Compilation with Numba, kept on disk so that only the first run on a machine pays for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of numbers, arrays and records; to type checkers it stays the Python function."""
    return cast("F", numba.njit(cache=True, error_model="numpy")(function))


def sources_digest(*modules: ModuleType) -> str:
    """Return a digest of the source of some modules.

    Numba keeps a compiled function on disk until its own file changes, and does not notice a change of a function in
    another file that was compiled into it. A function that uses this digest as a variable of an enclosing function is
    kept under it too, and so compiled anew when any of these modules changes.

    Parameters
    ----------
    *modules
        Where the functions stand that it calls.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()
