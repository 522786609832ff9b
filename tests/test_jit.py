"""Tests compilation."""

from dynaopt.jit import compiled


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
