"""Tests that imports follow the one direction of flow."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dynaopt"
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN = {
    "check": ("solvers", "formulation", "pruning", "linear_model", "horizon"),
    "formulation": ("solvers", "horizon", "check"),
    "problem": ("solvers", "formulation", "result", "horizon", "check"),
    "result": ("solvers", "formulation", "horizon", "check"),
    "replay": ("solvers", "formulation", "horizon", "check", "pruning"),
    "replay_model": ("solvers", "formulation", "horizon", "check", "pruning"),
    "replay_result": ("solvers", "formulation", "horizon", "check", "pruning"),
    "errors": ("",),
}


def _imports(path: Path) -> set[str]:
    """Names of the package's modules that a file imports, wherever in it, without the package's name."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
    return {name.removeprefix("dynaopt.") for name in found if name.startswith("dynaopt.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_the_command_line_or_the_report(path: Path) -> None:
    """Tests that only the command line and the package's front imports the report, and nothing the command line."""
    if path.name.startswith("cli") or path.name == "__init__.py":
        return
    for name in _imports(path):
        assert not name.startswith("cli"), f"{path.name} imports {name}"
        assert path.name == "report.py" or name.partition(".")[0] != "report", f"{path.name} imports {name}"


@pytest.mark.parametrize("module", FORBIDDEN)
def test_layers_do_not_import_what_lies_above(module: str) -> None:
    """Tests the layers that independence rests on: above all that `check` shares no code with the solvers."""
    for name in _imports(PACKAGE / f"{module}.py"):
        top = name.partition(".")[0]
        assert not any(top == f or f == "" for f in FORBIDDEN[module]), f"{module} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    """Tests that what a module needs stands at its top."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not hidden, f"{path.name}, {node.name}"


def test_there_are_no_import_cycles() -> None:
    """Tests that the modules can be put in an order in which each imports only earlier ones."""
    graph = {}
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES}
    for name, path in names.items():
        if name != "__init__":
            graph[name] = {n for n in _imports(path) if n in names and n != name}
    while graph:
        free = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert free, f"a cycle among {sorted(graph)}"
        for name in free:
            del graph[name]
