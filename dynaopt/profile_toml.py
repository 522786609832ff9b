"""``profile.toml``: what a profile is and where its numbers come from, read with every key checked, and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dynaopt.errors import InvalidInputError, MissingFileError
from dynaopt.profile import Metadata
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, CutPoints
from dynaopt.tables import atomic_path


def read_metadata(path: str | Path) -> Metadata:
    """Read ``profile.toml``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it is not TOML, a key is missing, unknown or of the wrong kind, or a mix or the cut-points make no sense.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(str(path), expected="a file", found="nothing there")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        metadata = Metadata.model_validate(content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), expected="a TOML file in UTF-8", found=str(error)) from None
    except ValidationError as error:
        raise _first_error(path, error) from None
    _check_cuts(path, metadata)
    _check_mixes(path, metadata)
    return metadata


def write_metadata(metadata: Metadata, path: str | Path) -> None:
    """Write ``profile.toml``; the file appears whole or not at all.

    Parameters
    ----------
    metadata
        What to write. Keys that hold their default are written too.
    path
        The file; its folder must exist.
    """
    with atomic_path(path) as partial:
        partial.write_text(_document(metadata.model_dump()), encoding="utf-8", newline="\n")


def _first_error(path: Path, error: ValidationError) -> InvalidInputError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return InvalidInputError(str(path), expected=f"a key '{key}'", found="none")
    if first["type"] == "extra_forbidden":
        return InvalidInputError(str(path), expected="only the keys that the format names", found=f"'{key}'")
    expected = first["msg"].removeprefix("Input should be ")
    return InvalidInputError(f"{path}, key '{key}'", expected=expected, found=repr(first["input"]))


def _check_cuts(path: Path, metadata: Metadata) -> None:
    try:
        CutPoints(metadata.classes.input_tokens, metadata.classes.output_tokens)
    except InvalidInputError as error:
        key = error.where.removeprefix("cut-points, ")
        raise InvalidInputError(f"{path}, key 'classes.{key}'", expected=error.expected, found=error.found) from None


def _check_mixes(path: Path, metadata: Metadata) -> None:
    names = [mix.name for mix in metadata.mixes]
    for at, mix in enumerate(metadata.mixes):
        where = f"{path}, key 'mixes.{at}"
        if not mix.name.startswith(MIX_PREFIX) or mix.name in names[:at]:
            raise InvalidInputError(
                f"{where}.name'", expected=f"a name of its own that starts with {MIX_PREFIX}", found=f"'{mix.name}'"
            )
        unknown = [name for name in mix.shares if name not in REQUEST_CLASSES]
        if unknown:
            raise InvalidInputError(
                f"{where}.shares'", expected=f"classes out of {', '.join(REQUEST_CLASSES)}", found=f"'{unknown[0]}'"
            )
        total = sum(mix.shares.values())
        if abs(total - 1) > 1e-6:
            raise InvalidInputError(f"{where}.shares'", expected="shares that add up to 1", found=f"{total:g}")


def _document(content: Mapping[str, Any]) -> str:
    """Write a document as TOML: plain keys and lists of numeric rows first, since a table header ends the top level."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            tables += ["", f"[{key}]", *_pairs(value)]
        elif _is_rows(value) and not _is_numeric(value):
            for row in value:
                tables += ["", f"[[{key}]]", *_pairs(row)]
        elif _is_rows(value):
            lines += [f"{key} = [", *(f"    {_value(row)}," for row in value), "]"]
        else:
            lines.append(f"{key} = {_value(value)}")
    return "\n".join([*lines, *tables]) + "\n"


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
