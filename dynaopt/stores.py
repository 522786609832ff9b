"""Somewhere to keep what was found of a plan on the way, so that it need not be found again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from dynaopt.answers import Answers


class Store(Protocol):
    """Keeps values of JSON by name."""

    def get(self, name: str) -> Any:
        """Return what is kept under a name; None for nothing."""

    def put(self, name: str, value: Any) -> None:
        """Keep a value, whole or not at all.

        Parameters
        ----------
        name
            Letters and digits, a hyphen, letters and digits.
        value
            Anything that JSON can hold.
        """


class PlanStore(Store, Protocol):
    """A store that keeps finished windows too; see `journal.Journal`."""

    def read(self) -> Iterable[Answers]:
        """Return the answers that are kept."""

    def write(self, answers: Answers) -> None:
        """Keep the answers of some windows."""


class _Nowhere:
    def get(self, name: str) -> Any:  # noqa: ARG002
        return None

    def put(self, name: str, value: Any) -> None:
        pass

    def read(self) -> Iterable[Answers]:
        return ()

    def write(self, answers: Answers) -> None:
        pass


NOWHERE: PlanStore = _Nowhere()
"""Keeps nothing."""
