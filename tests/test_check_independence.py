"""Tests that the check shares nothing with what it checks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dynaopt"
CHECKS = sorted(PACKAGE.glob("check*.py"))
FORBIDDEN_MODULES = (
    "solvers",
    "formulation",
    "pruning",
    "linear_model",
    "solution",
    "pool_value",
    "transitions",
    "horizon",
)
FORBIDDEN_NAMES = {"make_allocation", "slo_rate_rps", "slo_rates_rps", "power_at_w", "pools", "promotions", "options"}


def imports(path: Path) -> set[str]:
    """Return the package's modules that a module imports, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dynaopt."):
            found.add(str(node.module).removeprefix("dynaopt."))
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("dynaopt.") for a in node.names if a.name.startswith("dynaopt.")}
    return found


def test_nothing_that_solves_is_reached() -> None:
    """Tests the imports of the check, and theirs, and so on."""
    reached: set[str] = set()
    ahead = {path.stem for path in CHECKS}
    while ahead:
        reached |= ahead
        ahead = {m for name in ahead for m in imports(PACKAGE / f"{name.replace('.', '/')}.py")} - reached
    assert "profile" in reached
    assert not [name for name in reached if name.split(".")[0] in FORBIDDEN_MODULES]


@pytest.mark.parametrize("path", CHECKS, ids=lambda p: p.stem)
def test_nothing_derived_is_used(path: Path) -> None:
    """Tests that only inputs are read: no function that writes answers, no shortened curves, no list of promotions."""
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            used |= {a.name for a in node.names}
    assert not used & FORBIDDEN_NAMES
