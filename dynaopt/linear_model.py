"""A mixed-integer linear program as plain data, which any back end can load."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dynaopt.profile import FloatArray

_LP_LINE_LENGTH = 110


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LinearModel:
    """Minimise ``objective @ v + offset`` subject to ``row_lower <= rows @ v <= row_upper`` and bounds on v.

    Parameters
    ----------
    variable_names
        Name of each of the n variables.
    lower, upper
        Bounds of the variables, shape (n,).
    is_integer
        Which variables take whole numbers only, shape (n,).
    objective
        Coefficients of the objective, shape (n,).
    offset
        Constant part of the objective.
    rows
        Coefficients of the m rows, shape (m, n).
    row_names
        Name of each row: its family, then its indices in brackets.
    row_lower, row_upper
        Bounds of the rows, shape (m,); infinite where there is none.
    """

    variable_names: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    is_integer: npt.NDArray[np.bool_]
    objective: FloatArray
    offset: float
    rows: sparse.csr_array
    row_names: tuple[str, ...]
    row_lower: FloatArray
    row_upper: FloatArray

    @property
    def families(self) -> tuple[str, ...]:
        """Families of rows, in the order of their first row."""
        return tuple(dict.fromkeys(name.partition("[")[0] for name in self.row_names))

    def lp_text(self) -> str:
        """Return the model in the LP format, as CPLEX defined it; brackets and commas in names become other signs."""
        names = [_lp_name(name) for name in self.variable_names]
        cost = np.flatnonzero(self.objective)
        objective = [(float(self.objective[j]), names[j]) for j in cost]
        lines = ["Minimize", *_wrap("obj:", [_term(*t) for t in objective] + [f"{self.offset:+.12g}"]), "Subject To"]
        for n, name in enumerate(self.row_names):
            cells = slice(self.rows.indptr[n], self.rows.indptr[n + 1])
            terms = zip(self.rows.data[cells], self.rows.indices[cells], strict=True)
            written = [_term(float(a), names[j]) for a, j in terms]
            for suffix, sense, side in _sides(float(self.row_lower[n]), float(self.row_upper[n])):
                lines += _wrap(f"{_lp_name(name)}{suffix}:", [*written, f"{sense} {side:.12g}"])
        bounds = zip(self.lower, names, self.upper, strict=True)
        lines += ["Bounds", *(f" {_bound(low)} <= {name} <= {_bound(high)}" for low, name, high in bounds)]
        lines += ["General", *_wrap("", [name for name, whole in zip(names, self.is_integer, strict=True) if whole])]
        return "\n".join([*lines, "End", ""])

    def without(self, families: Iterable[str]) -> LinearModel:
        """Return the model without some families of rows."""
        dropped = set(families)
        kept = np.array([name.partition("[")[0] not in dropped for name in self.row_names], dtype=bool)
        return LinearModel(
            variable_names=self.variable_names,
            lower=self.lower,
            upper=self.upper,
            is_integer=self.is_integer,
            objective=self.objective,
            offset=self.offset,
            rows=self.rows[kept],
            row_names=tuple(name for name, keep in zip(self.row_names, kept, strict=True) if keep),
            row_lower=self.row_lower[kept],
            row_upper=self.row_upper[kept],
        )


@dataclass(slots=True)
class ModelBuilder:
    """Collects the variables and rows of a `LinearModel`."""

    _variables: list[tuple[str, float, float, bool, float]] = field(default_factory=list)
    _rows: list[tuple[str, float, float]] = field(default_factory=list)
    _columns: list[int] = field(default_factory=list)
    _coefficients: list[float] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])

    def variable(
        self, name: str, *, lower: float = 0.0, upper: float = np.inf, integer: bool = False, cost: float = 0.0
    ) -> int:
        """Add a variable and return its column."""
        self._variables.append((name, lower, upper, integer, cost))
        return len(self._variables) - 1

    def row(
        self, name: str, terms: Iterable[tuple[int, float]], *, lower: float = -np.inf, upper: float = np.inf
    ) -> None:
        """Add a row: the sum of coefficient times column lies between `lower` and `upper`."""
        for column, coefficient in terms:
            if coefficient != 0:
                self._columns.append(column)
                self._coefficients.append(coefficient)
        self._starts.append(len(self._columns))
        self._rows.append((name, lower, upper))

    def charge(self, column: int, cost: float) -> None:
        """Add to what a variable costs."""
        name, lower, upper, integer, before = self._variables[column]
        self._variables[column] = (name, lower, upper, integer, before + cost)

    def append(self, other: ModelBuilder, *, cost: float = 1.0) -> int:
        """Add all of another program, its costs multiplied, and return the column of its first variable."""
        first, cells = len(self._variables), len(self._columns)
        self._variables += [(name, low, high, whole, own * cost) for name, low, high, whole, own in other._variables]
        self._columns += [first + column for column in other._columns]
        self._coefficients += other._coefficients
        self._starts += [cells + at for at in other._starts[1:]]
        self._rows += other._rows
        return first

    def build(self, *, offset: float = 0.0) -> LinearModel:
        """Return the model, whose objective has the constant part `offset`."""
        names, lower, upper, is_integer, cost = zip(*self._variables, strict=True) if self._variables else ((),) * 5
        row_names, row_lower, row_upper = zip(*self._rows, strict=True) if self._rows else ((),) * 3
        rows = sparse.csr_array(
            (
                np.array(self._coefficients, dtype=float),
                np.array(self._columns, dtype=np.int32),
                np.array(self._starts),
            ),
            shape=(len(row_names), len(names)),
        )
        rows.sum_duplicates()
        return LinearModel(
            variable_names=names,
            lower=np.array(lower, dtype=float),
            upper=np.array(upper, dtype=float),
            is_integer=np.array(is_integer, dtype=bool),
            objective=np.array(cost, dtype=float),
            offset=offset,
            rows=rows,
            row_names=row_names,
            row_lower=np.array(row_lower, dtype=float),
            row_upper=np.array(row_upper, dtype=float),
        )


def _lp_name(name: str) -> str:
    return name.replace("[", "(").replace("]", ")").replace(",", "_")


def _term(coefficient: float, name: str) -> str:
    sign = "-" if coefficient < 0 else "+"
    return f"{sign} {name}" if abs(coefficient) == 1 else f"{sign} {abs(coefficient):.12g} {name}"


def _sides(lower: float, upper: float) -> list[tuple[str, str, float]]:
    if lower == upper:
        return [("", "=", lower)]
    both = np.isfinite(lower) and np.isfinite(upper)
    sides = [("_low" if both else "", ">=", lower), ("_high" if both else "", "<=", upper)]
    return [side for side in sides if np.isfinite(side[2])]


def _bound(value: float) -> str:
    return f"{value:.12g}" if np.isfinite(value) else ("-inf" if value < 0 else "+inf")


def _wrap(head: str, parts: Iterable[str]) -> list[str]:
    lines = [f" {head}" if head else ""]
    for part in parts:
        if len(lines[-1]) + len(part) >= _LP_LINE_LENGTH:
            lines.append(" ")
        lines[-1] += f" {part}"
    return lines
