"""Tests of `dynaopt.solvers.cbc`."""

import numpy as np
import pulp
import pytest
from builders import make_curve, make_problem, make_profile

from dynaopt.errors import SolverError
from dynaopt.formulation import formulate
from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.solvers import cbc
from dynaopt.solvers.cbc import Cbc, load_pulp

LOG = "✔ Stopped (time limit)\nResult - Stopped on time limit\nObjective value:   19356.4\nLower bound:  18138.3\n"


def market_split(rows: int = 4, columns: int = 30) -> LinearModel:
    """Return a market split problem, easy to answer with slack and very hard to prove."""
    rng = np.random.default_rng(5)
    builder = ModelBuilder()
    chosen = [builder.variable(f"x[{n}]", upper=1, integer=True) for n in range(columns)]
    for row in range(rows):
        over, under = (builder.variable(f"{name}[{row}]", upper=1e4, cost=1) for name in ("over", "under"))
        weights = rng.integers(0, 100, columns)
        terms = [(x, float(a)) for x, a in zip(chosen, weights, strict=True)]
        side = float(weights.sum() // 2)
        builder.row(f"split[{row}]", [*terms, (over, 1), (under, -1)], lower=side, upper=side)
    return builder.build(offset=3)


def simple(least: float) -> LinearModel:
    """Return: minimise 3 a + b + 10, 2 a + b >= least, a whole and at most 4, b at most 1."""
    builder = ModelBuilder()
    a = builder.variable("a", upper=4, integer=True, cost=3)
    b = builder.variable("b", upper=1, cost=1)
    builder.row("row", [(a, 2), (b, 1)], lower=least)
    return builder.build(offset=10)


def test_optimum_and_bound() -> None:
    """Tests that values and bound are those of the model, its offset included: a = 2, b = 1 for 5, and 17."""
    outcome = Cbc().run(simple(5.0), None, 0.0)
    np.testing.assert_allclose(outcome.values, [2, 1], atol=1e-6)
    assert outcome.bound == pytest.approx(17.0)
    assert outcome.reason == ""


@pytest.mark.parametrize("least", [9.5, 100.0])
def test_infeasible(least: float) -> None:
    """Tests that CBC's ways to say infeasible are known: by a bound, and by the search."""
    assert Cbc().run(simple(least), None, 0.0).infeasible


def test_time_limit_is_no_proof() -> None:
    """Tests that an answer at the time limit comes with the reason, and with a bound below it.

    PuLP's own status says Optimal here.
    """
    outcome = Cbc().run(market_split(), 1.0, 0.0)
    assert outcome.reason == "the time limit was reached"
    assert outcome.values is not None
    model = market_split()
    assert outcome.bound < model.objective @ outcome.values + model.offset - 1e-6


@pytest.mark.parametrize(
    ("status", "bound", "reason"),
    [
        (pulp.LpSolutionIntegerFeasible, 18138.25, "the time limit was reached"),
        (pulp.LpSolutionNoSolutionFound, 18138.25, "the time limit was reached"),
        (pulp.LpSolutionOptimal, 0.9 * 20000.0, ""),
    ],
)
def test_reading_of_status_and_log(status: int, bound: float, reason: str) -> None:
    """Tests that the bound is CBC's, less half a unit of its last printed digit, or what its gap promises."""
    program, _ = load_pulp(simple(5.0))
    program.sol_status = status
    program.setObjective(pulp.LpAffineExpression(constant=20000.0))
    log = LOG if status != pulp.LpSolutionOptimal else "Bound: 17000.0"
    outcome = cbc._outcome(program, np.zeros(2), 0.1, log)
    assert outcome.bound == pytest.approx(bound)
    assert outcome.reason == reason
    assert (outcome.values is None) == (status == pulp.LpSolutionNoSolutionFound)


def test_unknown_status_is_an_error() -> None:
    """Tests that an end that is neither answer nor proof nor limit is an error with the end of the log."""
    program, _ = load_pulp(simple(5.0))
    program.sol_status = pulp.LpSolutionNoSolutionFound
    with pytest.raises(SolverError, match="ERROR: out of memory"):
        cbc._outcome(program, np.zeros(2), 0.1, "ERROR: out of memory")


def test_missing_program_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a CBC that cannot be run is an error that says so."""
    monkeypatch.setattr(cbc.cbcbox, "cbc_bin_path", lambda: "/nowhere/cbc")
    with pytest.raises(SolverError, match="cbc failed"):
        Cbc().run(simple(5.0), None, 0.0)


def test_loaded_program_is_the_model() -> None:
    """Tests that a row with two sides becomes two, and the offset the cost of a variable fixed at 1."""
    builder = ModelBuilder()
    a = builder.variable("a", lower=-np.inf, cost=2)
    builder.row("between", [(a, 1)], lower=1, upper=3)
    program, variables = load_pulp(builder.build(offset=7))
    assert program.numConstraints() == 2
    assert variables[0].lowBound is None
    one = next(v for v in program.variables() if v.name == "one")
    assert (one.lowBound, one.upBound) == (1, 1)
    assert program.objective[one] == 7


def test_infeasible_by_its_linear_relaxation() -> None:
    """Tests n+1, of which the linear relaxation alone says so: two classes in pools of two TP2 take 8 GPUs of 6."""
    curves = [make_curve(2, 1000, c, [(0, 120), (1, 120)]) for c in ("SS", "SL", "LS")]
    curves += [make_curve(4, 1000, c, [(0, 240), (r, 240)]) for c, r in (("SS", 2), ("SL", 2), ("LS", 1))]
    problem = make_problem(make_profile(curves), {"SL": 0.125, "LS": 0.5}, num_gpus=6, headroom=0.1, reserve="n+1")
    assert Cbc().run(formulate(problem).model, None, 0.0).infeasible


def test_infeasible_by_preprocessing() -> None:
    """Tests n+1, of which cuts at the root say so: two classes in pools of two TP2 take 8 GPUs of 5."""
    points = {"SL": [(0, 120), (1, 120)], "LS": [(0, 120), (1, 120), (2, 120), (4, 120)]}
    curves = [make_curve(2, 1000, c, own) for c, own in points.items()]
    curves += [make_curve(2, 1980, c, [(0, 120), (1, w)]) for c, w in (("SL", 120), ("LS", 121))]
    problem = make_problem(make_profile(curves), {"SL": 0.125, "LS": 1.0}, num_gpus=5, headroom=0.1, reserve="n+1")
    assert Cbc().run(formulate(problem).model, None, 0.0).infeasible
