"""Latency objectives of each request class.

An objective bounds the 99th percentile of the time to first token (TTFT) and of the time between tokens (TBT).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import Column, read_table

SLO_COLUMNS = (
    Column("request_class", "text", choices=REQUEST_CLASSES),
    Column("ttft_s", positive=True),
    Column("tbt_s", positive=True),
)


@dataclass(frozen=True, slots=True)
class Slo:
    """Bounds on the P99 TTFT and the P99 TBT of each request class.

    Parameters
    ----------
    ttft_s
        Bound on the 99th percentile of the time to first token, in seconds; one for each of `REQUEST_CLASSES`.
    tbt_s
        Bound on the 99th percentile of the time between tokens, in seconds; one for each of `REQUEST_CLASSES`.

    Raises
    ------
    InvalidInputError
        If a bound is missing or not positive.
    """

    ttft_s: tuple[float, ...]
    tbt_s: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tbt_s"):
            bounds = getattr(self, name)
            if len(bounds) != len(REQUEST_CLASSES) or not all(b > 0 for b in bounds):
                raise InvalidInputError(
                    f"SLO, {name}", expected=f"{len(REQUEST_CLASSES)} positive bounds", found=str(bounds)
                )

    @classmethod
    def table_iv(cls) -> Slo:
        """Objectives of DynamoLLM (HPCA 2025), Table IV: five times the latency of an unloaded system."""
        by_input_length = {"S": 0.250, "M": 0.400, "L": 2.000}
        ttft_s = tuple(by_input_length[c[0]] for c in REQUEST_CLASSES)
        return cls(ttft_s=ttft_s, tbt_s=(0.100,) * len(REQUEST_CLASSES))

    def of(self, request_class: str) -> tuple[float, float]:
        """Return the TTFT and the TBT bound of a class, in seconds."""
        at = REQUEST_CLASSES.index(request_class)
        return self.ttft_s[at], self.tbt_s[at]

    def scaled(self, factor: float, *, tbt_factor: float | None = None) -> Slo:
        """Return the objectives with every bound multiplied by a factor.

        Parameters
        ----------
        factor
            Above 0.
        tbt_factor
            For the bounds on the TBT; the same by default.

        Raises
        ------
        InvalidInputError
            If a factor is not above 0.
        """
        factors = (factor, factor if tbt_factor is None else tbt_factor)
        if not all(each > 0 for each in factors):
            raise InvalidInputError("SLO scale", expected="a number above 0", found=str(min(factors)))
        ttft_s, tbt_s = (tuple(t * f for t in own) for own, f in zip((self.ttft_s, self.tbt_s), factors, strict=True))
        return replace(self, ttft_s=ttft_s, tbt_s=tbt_s)

    def shifted(self, *, ttft_s: float = 0.0, tbt_s: float = 0.0, request_class: str | None = None) -> Slo:
        """Return the objectives with so many seconds added to the bounds.

        Parameters
        ----------
        ttft_s, tbt_s
            What is added to the bounds on the TTFT and on the TBT; below 0 makes them tighter.
        request_class
            The only class whose bounds change; all by default.

        Raises
        ------
        InvalidInputError
            If a bound would not stay above 0.
        """
        changes = [request_class in (None, c) for c in REQUEST_CLASSES]
        ttft, tbt = (
            tuple(t + added_s if at else t for t, at in zip(own, changes, strict=True))
            for own, added_s in ((self.ttft_s, ttft_s), (self.tbt_s, tbt_s))
        )
        return replace(self, ttft_s=ttft, tbt_s=tbt)


def read_slo(path: str | Path) -> Slo:
    """Read objectives from a table with the columns ``request_class, ttft_s, tbt_s``, a row for each class.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` file.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there, a cell does not fit, or a class has no row.
    """
    frame = read_table(path, SLO_COLUMNS, key=["request_class"]).set_index("request_class")
    missing = [c for c in REQUEST_CLASSES if c not in frame.index]
    if missing:
        raise InvalidInputError(str(path), expected="a row for each class", found=f"none for {', '.join(missing)}")
    frame = frame.loc[list(REQUEST_CLASSES)]
    return Slo(ttft_s=tuple(map(float, frame["ttft_s"])), tbt_s=tuple(map(float, frame["tbt_s"])))
