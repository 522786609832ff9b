"""Tests of `dynaopt.linear_model`."""

import numpy as np
import pytest

from dynaopt.linear_model import LinearModel, ModelBuilder


@pytest.fixture
def small() -> LinearModel:
    """Return a model with two variables and a row of each kind."""
    builder = ModelBuilder()
    x = builder.variable("x[0]", upper=4, integer=True, cost=3)
    y = builder.variable("y[0,1]", lower=-np.inf, cost=-1.5)
    builder.row("cap[0]", [(x, 1), (y, 2)], upper=10)
    builder.row("floor[0]", [(x, 1), (y, -1)], lower=-2)
    builder.row("same[0]", [(y, 0.5)], lower=1, upper=1)
    builder.row("between[0]", [(x, 1), (y, 0)], lower=1, upper=3)
    return builder.build(offset=7)


def test_build_keeps_variables_and_rows(small: LinearModel) -> None:
    """Tests that names, bounds, costs and coefficients come out as they went in."""
    assert small.variable_names == ("x[0]", "y[0,1]")
    assert small.row_names == ("cap[0]", "floor[0]", "same[0]", "between[0]")
    np.testing.assert_array_equal(small.rows.toarray(), [[1, 2], [1, -1], [0, 0.5], [1, 0]])
    np.testing.assert_array_equal(small.lower, [0, -np.inf])
    np.testing.assert_array_equal(small.upper, [4, np.inf])
    np.testing.assert_array_equal(small.is_integer, [True, False])
    np.testing.assert_array_equal(small.objective, [3, -1.5])
    np.testing.assert_array_equal(small.row_lower, [-np.inf, -2, 1, 1])
    np.testing.assert_array_equal(small.row_upper, [10, np.inf, 1, 3])
    assert small.offset == 7


def test_terms_of_one_variable_add_up() -> None:
    """Tests that a variable that a row names twice gets the sum of both coefficients."""
    builder = ModelBuilder()
    x = builder.variable("x")
    builder.row("row", [(x, 1), (x, 2.5)], upper=1)
    np.testing.assert_array_equal(builder.build().rows.toarray(), [[3.5]])


def test_empty_model() -> None:
    """Tests that a model without variables and rows can be built."""
    model = ModelBuilder().build(offset=5)
    assert model.rows.shape == (0, 0)
    assert model.variable_names == ()
    assert model.families == ()


def test_families_and_without(small: LinearModel) -> None:
    """Tests that rows can be dropped by family, and the others stay as they are."""
    assert small.families == ("cap", "floor", "same", "between")
    fewer = small.without(["floor", "same"])
    assert fewer.row_names == ("cap[0]", "between[0]")
    np.testing.assert_array_equal(fewer.rows.toarray(), [[1, 2], [1, 0]])
    np.testing.assert_array_equal(fewer.row_upper, [10, 3])
    assert fewer.variable_names == small.variable_names


def test_lp_text(small: LinearModel) -> None:
    """Tests that the LP text has every part of the model, a row with two sides twice."""
    assert small.lp_text() == (
        "Minimize\n obj: + 3 x(0) - 1.5 y(0_1) +7\n"
        "Subject To\n cap(0): + x(0) + 2 y(0_1) <= 10\n floor(0): + x(0) - y(0_1) >= -2\n same(0): + 0.5 y(0_1) = 1\n"
        " between(0)_low: + x(0) >= 1\n between(0)_high: + x(0) <= 3\n"
        "Bounds\n 0 <= x(0) <= 4\n -inf <= y(0_1) <= +inf\nGeneral\n x(0)\nEnd\n"
    )


def test_lp_text_wraps_long_rows() -> None:
    """Tests that no line of the LP text grows beyond what readers of the format take."""
    builder = ModelBuilder()
    columns = [builder.variable(f"variable[{n}]") for n in range(100)]
    builder.row("row", [(c, 1.25) for c in columns], upper=1)
    text = builder.build().lp_text()
    assert max(map(len, text.splitlines())) < 130
    assert text.count("1.25 variable(") == 100
