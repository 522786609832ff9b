"""Tests that C code cannot write between a program's results."""

import ctypes
import os

import pytest

from dynaopt.solvers.quiet import silenced_stdout


def c_print(text: str) -> None:
    """Print as C code does, through its own buffer."""
    ctypes.CDLL(None).printf(text.encode())


def test_what_c_code_prints_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    """Tests that nothing printed in the block comes out, neither at once nor when C's buffer is flushed later."""
    os.write(1, b"before\n")
    with silenced_stdout():
        c_print("noise\n")
    ctypes.CDLL(None).fflush(None)
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "before\nafter\n"


def test_what_c_code_printed_before_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """Tests that only the block is silent."""
    c_print("kept\n")
    with silenced_stdout():
        pass
    assert capfd.readouterr().out == "kept\n"


def test_stdout_is_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Tests that a solver that fails does not silence the program."""
    with pytest.raises(RuntimeError, match="failed"), silenced_stdout():
        raise RuntimeError("failed")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
