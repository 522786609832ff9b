"""TOML files of pydantic models: read with every key checked, and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.tables import atomic_path

Content = TypeVar("Content", bound=BaseModel)


def read_toml(path: Path, kind: type[Content]) -> Content:
    """Read a file.

    Parameters
    ----------
    path
        The file.
    kind
        What it holds.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it is not TOML, or a key is missing, unknown or of the wrong kind.
    """
    if not path.is_file():
        raise MissingFileError(str(path), expected="a file", found="nothing there")
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), expected="a TOML file in UTF-8", found=str(error)) from None
    except ValidationError as error:
        raise _first_error(path, error) from None


def write_toml(model: BaseModel, path: str | Path) -> None:
    """Write a file; it appears whole or not at all.

    Parameters
    ----------
    model
        What to write. Keys that hold their default are written too, but for those that hold None.
    path
        The file; its folder must exist.
    """
    with atomic_path(path) as partial:
        partial.write_text(_document(model.model_dump(exclude_none=True)), encoding="utf-8", newline="\n")


def _first_error(path: Path, error: ValidationError) -> InvalidInputError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return InvalidInputError(str(path), expected=f"a key '{key}'", found="none")
    if first["type"] == "extra_forbidden":
        return InvalidInputError(str(path), expected="only the keys that the format names", found=f"'{key}'")
    expected = first["msg"].removeprefix("Input should be ")
    return InvalidInputError(f"{path}, key '{key}'", expected=expected, found=repr(first["input"]))


def _document(content: Mapping[str, Any]) -> str:
    """Write a document as TOML: plain keys and lists of numeric rows first, since a table header ends the top level."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            tables += _table(key, value)
        elif _is_rows(value) and not _is_numeric(value):
            for row in value:
                tables += ["", f"[[{key}]]", *_pairs(row)]
        elif _is_rows(value):
            lines += [f"{key} = [", *(f"    {_value(row)}," for row in value), "]"]
        else:
            lines.append(f"{key} = {_value(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _table(name: str, table: Mapping[Any, Any]) -> Iterator[str]:
    """Write a table; one that holds nothing but tables is written as these."""
    if table and all(isinstance(value, Mapping) for value in table.values()):
        for key, value in table.items():
            yield from _table(f"{name}.{key}", value)
    else:
        yield from ["", f"[{name}]", *_pairs(table)]


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _is_rows(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], Mapping)


def _is_numeric(rows: Sequence[Mapping[str, Any]]) -> bool:
    return all(isinstance(cell, int | float) for row in rows for cell in row.values())


def _value(value: object) -> str:
    """Write one value as JSON, whose finite numbers and texts TOML shares, but for a bare DEL in a text."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
