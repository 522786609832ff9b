"""Tests compilation."""

from pathlib import Path
from types import ModuleType

from dynaopt.jit import compiled, sources_digest


@compiled
def double(x: float) -> float:
    """Return twice a number."""
    return 2 * x


def test_a_compiled_function_returns_what_the_python_function_does() -> None:
    """Tests the value, and that it was compiled for the type it was called with."""
    assert double(1.5) == 3.0
    assert len(double.signatures) == 1  # type: ignore[attr-defined]


def test_division_by_zero_is_infinite_as_in_numpy() -> None:
    """Tests that compiled code follows NumPy's rules rather than raising, which costs time in every loop."""

    @compiled
    def inverse(x: float) -> float:
        return 1 / x

    assert inverse(0.0) == float("inf")


def test_digest_changes_with_any_of_the_sources(tmp_path: Path) -> None:
    """Tests two modules: the same digest twice, and another when either of them has changed."""
    modules = [ModuleType("one"), ModuleType("two")]
    for module in modules:
        module.__file__ = str(tmp_path / f"{module.__name__}.py")
        Path(module.__file__).write_text("x = 1\n")
    before = sources_digest(*modules)
    assert sources_digest(*modules) == before
    assert sources_digest(modules[0]) != before
    Path(str(modules[1].__file__)).write_text("x = 2\n")
    assert sources_digest(*modules) != before
