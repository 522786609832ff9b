"""What can go wrong, said so that the reader knows what to do.

Every message says where, what was expected and what was found::

    profiles/x/load.csv, line 14, column 'power_w': expected a number of at least 0, got '-3'
"""

from __future__ import annotations

from pathlib import Path


class DynaoptError(Exception):
    """Base of every error that dynaopt raises on purpose."""


class InputError(DynaoptError):
    """Something that the user gave cannot be used; the command line exits with 2.

    Parameters
    ----------
    where
        The file, line and column, or the option, that is at fault.
    found
        What stood there.
    expected
        What should have stood there.
    hint
        What to type instead, where that is known.
    """

    def __init__(self, where: str, *, expected: str, found: str, hint: str | None = None) -> None:
        message = f"{where}: expected {expected}, got {found}"
        super().__init__(f"{message}; {hint}" if hint else message)
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments do not survive pickling of exceptions, and worker processes send them home pickled.
        return _rebuild, (type(self), self.where, self.expected, self.found, self.hint)


def _rebuild(kind: type[InputError], where: str, expected: str, found: str, hint: str | None) -> InputError:
    return kind(where, expected=expected, found=found, hint=hint)


class InvalidInputError(InputError, ValueError):
    """A value in a file or an option is not what the format allows."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or a folder that was named does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownNameError(InputError, LookupError):
    """A name (of a profile, demand, solver, class) that nothing goes by."""


class SolverError(DynaoptError, RuntimeError):
    """A solver failed in a way that is neither an answer nor a proof that there is none."""


class NoSolutionError(DynaoptError, RuntimeError):
    """Something that only an answer has was asked of a result without one."""


def location(path: str | Path, *, line: int | None = None, row: int | None = None, column: str | None = None) -> str:
    """Say where in a file something stands.

    Parameters
    ----------
    path
        The file.
    line
        Line of a text file; the header is line 1.
    row
        Row of a file without lines (Parquet); the first is row 1.
    column
        Name of the column.

    Returns
    -------
    str
        For example ``profiles/x/load.csv, line 14, column 'power_w'``.
    """
    parts = [str(path)]
    if line is not None:
        parts.append(f"line {line}")
    if row is not None:
        parts.append(f"row {row}")
    if column is not None:
        parts.append(f"column '{column}'")
    return ", ".join(parts)
