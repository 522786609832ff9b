"""Tests of the rows of a sweep."""

from pathlib import Path

import pandas as pd
import pytest
from planning import plan_simply
from test_sweep_points import points_of

from dynaopt.answers import answers_of
from dynaopt.horizon import assemble
from dynaopt.sweep_points import Point
from dynaopt.sweep_table import RESULTS, record_of, table_of

ONE = {"services": '"week.csv"', "slo_scales": "1"}


def solved(point: Point) -> dict:
    """Solve a point here and return its record."""
    horizon = point.horizon
    numbers = range(horizon.demand.num_windows)
    parts = [answers_of((n, horizon.task.solve(horizon.window(n))) for n in numbers)]
    return record_of(point, assemble(horizon, parts))


def test_a_record_has_every_result(tmp_path: Path) -> None:
    """Tests that its sums are those of `plan`, and that an answer for each window leaves no reason."""
    (point,) = points_of(tmp_path, **ONE, num_gpus="64")
    record = solved(point)
    summary = plan_simply(point.horizon.demand).summary()
    assert set(RESULTS) < set(record)
    assert {n: record[n] for n in ("energy_j", "gpus_mean", "gap")} == {
        n: summary[n] for n in ("energy_j", "gpus_mean", "gap")
    }
    assert (record["reason"], record["num_violations"], record["objective"]) == ("", 0, "energy")
    assert record["cost"] is None


def test_no_answer_at_all_is_no_energy(tmp_path: Path) -> None:
    """Tests that a sum over no window is missing and not 0, which would be the best point of all."""
    (point,) = points_of(tmp_path, **ONE, num_gpus="1")
    record = solved(point)
    assert record["num_unsolved"] == record["num_windows"] == 20
    for name in ("energy_j", "serving_energy_j", "transition_energy_j", "lower_bound_j", "gap", "gpus_max"):
        assert record[name] is None, name
    assert "GPUs of 1" in record["reason"]


def test_a_sample_by_hand(tmp_path: Path) -> None:
    """Tests that mean power is serving energy over the time of the windows in the sample, 4 of 300 s."""
    (point,) = points_of(tmp_path, **ONE, num_gpus="64", windows="{ every = 5 }")
    record = solved(point)
    assert record["num_windows"] == 4
    assert record["mean_power_w"] == pytest.approx(record["serving_energy_j"] / 1200)
    per_request_j = record["serving_energy_j"] / record["num_requests"]
    assert record["wh_per_1000_requests"] == pytest.approx(per_request_j / 3.6)
    assert [record[n] for n in ("energy_j", "transition_energy_j", "cost", "carbon_g")] == [None] * 4


def test_columns_keep_their_kinds() -> None:
    """Tests that counts stay whole and texts texts, where a value is missing and where none is there."""
    rows = [
        {"point": "a", "num_gpus": 8, "power_cap_w": None, "energy_j": None, "gpus_max": None, "reason": "no"},
        {"point": "b", "num_gpus": 16, "power_cap_w": None, "energy_j": 3.5, "gpus_max": 12, "reason": ""},
    ]
    table = table_of(rows)
    assert table["gpus_max"].tolist()[1] == 12
    assert str(table["gpus_max"].dtype) == str(table["num_gpus"].dtype) == "Int64"
    assert table["power_cap_w"].dtype == table["energy_j"].dtype == float
    assert table["reason"].tolist() == ["no", ""]
    assert pd.isna(table["energy_j"][0])
