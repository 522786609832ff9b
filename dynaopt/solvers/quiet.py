"""Keeps what a solver's C++ code prints off stdout, which belongs to results.

HiGHS prints lines such as ``HighsMipSolverData::transformNewIntegerFeasibleSolution tmpSolver.run();`` whatever its
output options say, and one of them in front of a JSON document makes it unreadable.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_STDOUT = 1


@contextmanager
def silenced_stdout() -> Iterator[None]:
    """Send what is written to the process's stdout in the block, by C code too, nowhere."""
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    kept = os.dup(_STDOUT)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDOUT)
        yield
    finally:
        # C code buffers what it prints; what is not flushed here would come out later.
        libc.fflush(None)
        os.dup2(kept, _STDOUT)
        os.close(nowhere)
        os.close(kept)
