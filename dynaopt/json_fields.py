"""Fields of a JSON document that others wrote, read with every value checked and every fault named by file and key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynaopt.errors import InvalidInputError, MissingFileError


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a JSON document.

    Parameters
    ----------
    where
        The file, for messages.
    content
        The object.
    prefix
        Keys that lead to it, with a dot behind each.
    """

    where: str
    content: Mapping[str, Any]
    prefix: str = ""

    def at(self, key: str) -> str:
        """Return what a message calls a key."""
        return f"{self.where}, key '{self.prefix}{key}'"

    def has(self, key: str) -> bool:
        """Tell whether a key is there and not null."""
        return self.content.get(key) is not None

    def section(self, key: str) -> Fields:
        """Return the object under a key.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        value = self.content.get(key)
        if not isinstance(value, Mapping):
            raise InvalidInputError(self.at(key), expected="an object", found=_described(value))
        return Fields(self.where, value, f"{self.prefix}{key}.")

    def sections(self, key: str) -> tuple[Fields, ...]:
        """Return the objects in the list under a key.

        Raises
        ------
        InvalidInputError
            If there is no list of objects.
        """
        value = self.content.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
            raise InvalidInputError(self.at(key), expected="a list of objects", found=_described(value))
        return tuple(Fields(self.where, item, f"{self.prefix}{key}.{at}.") for at, item in enumerate(value))

    def text(self, key: str) -> str:
        """Return the text under a key.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        value = self.content.get(key)
        if not isinstance(value, str):
            raise InvalidInputError(self.at(key), expected="a text", found=_described(value))
        return value

    def number(self, *keys: str, positive: bool = False) -> float:
        """Return the number under the first of some keys that is there.

        Parameters
        ----------
        *keys
            Names that the number goes by in different versions.
        positive
            Whether 0 is refused; what is below 0 always is.

        Raises
        ------
        InvalidInputError
            If there is none, or it is no such number.
        """
        key = next((k for k in keys if self.has(k)), keys[0])
        value = self.content.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or value < 0 or (positive and value == 0):  # type: ignore[operator]
            expected = "a number above 0" if positive else "a number of at least 0"
            raise InvalidInputError(self.at(key), expected=expected, found=_described(value))
        return float(value)  # type: ignore[arg-type]

    def whole(self, *keys: str, positive: bool = True) -> int:
        """Return the integer under the first of some keys that is there, as `number`.

        Raises
        ------
        InvalidInputError
            If there is none, or it is no such integer.
        """
        value = self.number(*keys, positive=positive)
        if value != int(value):
            key = next(k for k in keys if self.has(k))
            raise InvalidInputError(self.at(key), expected="an integer", found=f"{value:g}")
        return int(value)


def read_documents(path: str | Path) -> tuple[Fields, ...]:
    """Read a JSON file that holds one object, or several one after another.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it does not hold JSON objects.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(str(path), expected="a file", found="nothing there")
    decoder = json.JSONDecoder()
    documents = []
    try:
        rest = path.read_text(encoding="utf-8").strip()
        while rest:
            content, end = decoder.raw_decode(rest)
            documents.append(content)
            rest = rest[end:].strip()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), expected="JSON", found=str(error)) from None
    if not documents or not all(isinstance(content, Mapping) for content in documents):
        raise InvalidInputError(str(path), expected="a JSON object", found="something else" if documents else "nothing")
    return tuple(Fields(str(path), content) for content in documents)


def _described(value: object) -> str:
    return "none" if value is None else f"{json.dumps(value, default=str):.60}"
