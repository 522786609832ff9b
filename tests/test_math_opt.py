"""Tests of `dynaopt.solvers.math_opt`."""

import subprocess
import sys

import numpy as np
import pytest
from ortools.math_opt.python import mathopt

from dynaopt.errors import SolverError
from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.solvers.math_opt import Highs, Scip, load_math_opt

BACK_ENDS = [Highs(), Scip()]


def knapsack(*, lower: float = 0.0) -> LinearModel:
    """Return: minimise 100 - 5 a - 4 b, 2 a + 3 b <= 7.5, a at most 2, whole numbers; least 100 - 10 - 4 = 86."""
    builder = ModelBuilder()
    a = builder.variable("a", upper=2, integer=True, cost=-5)
    b = builder.variable("b", upper=9, integer=True, cost=-4)
    builder.row("room", [(a, 2), (b, 3)], lower=lower, upper=7.5)
    return builder.build(offset=100)


@pytest.mark.parametrize("back_end", BACK_ENDS, ids=lambda b: b.name)
def test_optimum_and_bound(back_end: Highs | Scip) -> None:
    """Tests that values and bound are those of the model, its offset included."""
    outcome = back_end.run(knapsack(), None, 0.0)
    np.testing.assert_allclose(outcome.values, [2, 1], atol=1e-6)
    assert outcome.bound == pytest.approx(86.0)
    assert not outcome.infeasible
    assert outcome.reason == ""


@pytest.mark.parametrize("back_end", BACK_ENDS, ids=lambda b: b.name)
def test_infeasible(back_end: Highs | Scip) -> None:
    """Tests that a model without answer is told apart from a failure."""
    builder = ModelBuilder()
    a = builder.variable("a", upper=2, integer=True, cost=1)
    b = builder.variable("b", upper=2, cost=1)
    builder.row("more", [(a, 1), (b, 1)], lower=3.5)
    builder.row("less", [(a, 2), (b, 1)], upper=4.5)
    outcome = back_end.run(builder.build(), None, 0.0)
    assert outcome.infeasible
    assert outcome.values is None


@pytest.mark.parametrize("back_end", BACK_ENDS, ids=lambda b: b.name)
def test_failure_is_an_error(back_end: Highs | Scip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that what MathOpt refuses surfaces as a SolverError, also where MathOpt makes an AttributeError of it."""
    monkeypatch.setattr(type(back_end), "parameters", lambda self: {"threads": -7})
    with pytest.raises(SolverError, match=f"{back_end.name} failed"):
        back_end.run(knapsack(), None, 0.0)


def test_highs_refuses_the_common_threads() -> None:
    """Tests that the trap is still there: the day this fails `Highs.parameters` can use the common option."""
    parameters = mathopt.SolveParameters(threads=2)
    with pytest.raises((ValueError, AttributeError)):
        mathopt.solve(load_math_opt(knapsack()), mathopt.SolverType.HIGHS, params=parameters)


def test_loaded_model_is_the_model() -> None:
    """Tests that bounds, kinds, rows and objective arrive unchanged."""
    proto = load_math_opt(knapsack(lower=1.0)).export_model()
    assert list(proto.variables.upper_bounds) == [2, 9]
    assert list(proto.variables.integers) == [True, True]
    assert list(proto.linear_constraints.lower_bounds) == [1]
    assert list(proto.linear_constraint_matrix.coefficients) == [2, 3]
    assert list(proto.objective.linear_coefficients.values) == [-5, -4]
    assert proto.objective.offset == 100


def test_both_libraries_load_in_one_process() -> None:
    """Tests that OR-Tools and PuLP solve in one process, in either order, and nobody loads highspy."""
    program = """
import sys
for name in sys.argv[1:]:
    from dynaopt.solvers import get_solver
    from dynaopt.linear_model import ModelBuilder
    builder = ModelBuilder()
    a = builder.variable("a", upper=9, integer=True, cost=1)
    builder.row("row", [(a, 2)], lower=3)
    assert abs(get_solver(name).run(builder.build(), None, 0.0).values[0] - 2) < 1e-6
assert "highspy" not in sys.modules
"""
    for order in (["highs", "cbc", "scip", "cp-sat"], ["cbc", "cp-sat", "highs"]):
        subprocess.run([sys.executable, "-W", "error", "-c", program, *order], check=True, timeout=120)
