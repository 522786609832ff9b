"""Tests of what windows have in common."""

import pickle

import pandas as pd
import simple_solver
from planning import make_small_profile, make_week

from dynaopt.problem import Cluster
from dynaopt.slo import Slo
from dynaopt.window_task import Task


def make_task(**changes: object) -> Task:
    """Make a task for the simple solver."""
    simple_solver.register()
    fields = {
        "profiles": {"tiny-model": make_small_profile()},
        "slo": Slo.table_iv(),
        "cluster": Cluster(num_gpus=64),
        "solver": simple_solver.NAME,
        "time_limit_s": None,
        "gap_tolerance": 0.0,
    }
    return Task(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_window_becomes_a_problem() -> None:
    """Tests that profile, objectives, cluster and the price of a GPU in that window are those of the task."""
    window = make_week(2, model="tiny-model").window(1)
    priced = make_task(gpu_price_w={window.start: 7.0})
    problem = priced.problem(window)
    assert (problem.gpu_price_w, problem.cluster.num_gpus) == (7.0, 64)
    assert priced.problem(make_week(2, model="tiny-model").window(0)).gpu_price_w == 0.0
    assert problem.demand is window


def test_the_solver_of_the_task_solves() -> None:
    """Tests that the result names the solver, and that a task that was pickled finds the same."""
    task, window = make_task(), make_week(1, model="tiny-model").window(0)
    result = task.solve(window)
    assert result.solver == simple_solver.NAME
    again = pickle.loads(pickle.dumps(task)).solve(window)
    assert again.power_w == result.power_w
    assert isinstance(window.start, pd.Timestamp)
