"""Tests of the table that sets a plan beside its baselines."""

from dataclasses import replace

import pytest
from sample_schedule import make_schedule
from two_windows import two_demand, two_objective, two_profile

from dynaopt.comparison import comparison_columns, comparison_rows, saving
from dynaopt.coupling import Coupling
from dynaopt.horizon import plan
from dynaopt.schedule import CouplingRecord, Schedule


def _cells(*args) -> dict[str, list[str | None]]:
    return {row[0]: row[1:] for row in comparison_rows(*args)}


def test_saving_is_a_share_of_the_baseline() -> None:
    """Tests (1,002 − 502) / 1,002 saved against twice the serving power, and what is lost the other way round."""
    cheap, dear = make_schedule(3, power_w=500.0), make_schedule(3, power_w=1000.0)
    assert saving(cheap, dear) == pytest.approx(500 / 1002)
    assert saving(dear, cheap) == pytest.approx(-500 / 502)


def test_saving_compares_only_windows_that_both_answer() -> None:
    """Tests that a plan is not praised for the windows that it leaves unanswered."""
    plan, baseline = make_schedule(4, unsolved=[0, 1]), make_schedule(4, unsolved=[3])
    assert saving(plan, baseline) == pytest.approx(0.0)


def test_saving_without_a_common_window_is_none() -> None:
    """Tests that nothing is claimed where nothing can be compared."""
    assert saving(make_schedule(2, unsolved=[0, 1]), make_schedule(2)) is None


def test_rows_hold_the_numbers_a_person_asks_for() -> None:
    """Tests the arithmetic of a day of 1 kW: 24.05 kWh with transitions, over 288 windows of 10, 20, 30 requests/s."""
    cells = _cells(make_schedule(288), {})
    assert cells["Energy"] == ["24.0 kWh"]
    assert cells["Mean power"] == ["1.00 kW"]
    assert cells["GPUs, min / mean / max"] == ["18 / 29.0 / 40"]
    assert cells["Per 1,000 requests"] == ["13.9 Wh"]  # 24,048 Wh / 1,728 thousand requests
    assert cells["Lower bound (serving)"] == ["23.8 kWh"]
    assert cells["Gap"] == ["1.000%"]
    assert cells["Windows unanswered"] == ["0 of 288"]
    assert cells["Solver"] == ["greedy"]
    assert "Saved by this plan" not in cells


def _coupled(bound: float | None, **changes: object) -> Schedule:
    schedule = make_schedule(288)
    record = CouplingRecord(asked=Coupling(), lower_bound=bound)
    metadata = schedule.metadata.model_copy(update={"coupling": record, "solver": "coupled", **changes})
    return replace(schedule, metadata=metadata)


def test_a_coupled_plan_tells_the_bound_and_gap_of_the_whole() -> None:
    """Tests 24.048 kWh, starts included, against a bound of 24 kWh: a gap of 0.2 %, and nothing of serving alone."""
    cells = _cells(_coupled(24.0 * 3.6e6), {"single pool": make_schedule(288)})
    assert cells["Lower bound (coupled)"] == ["24.0 kWh", None]
    assert cells["Gap"] == ["0.200%", None]
    assert cells["Solver"] == ["coupled", None]
    assert "Lower bound (serving)" not in cells


def test_a_coupled_plan_without_a_bound_claims_none() -> None:
    """Tests that both are dashes where a window was left out."""
    cells = _cells(_coupled(None), {})
    assert (cells["Lower bound (coupled)"], cells["Gap"]) == ([None], [None])


def test_a_coupled_bound_is_in_the_unit_of_the_objective() -> None:
    """Tests that the bound of a plan for money is money, and the label says so."""
    objective = two_objective(price_per_gpu_hour=0.0, carbon_g_per_kwh=None)
    options = {"num_gpus": 16, "headroom": 0.0, "workers": 1, "objective": objective}
    schedule = plan(two_demand(), two_profile(), **options)
    cells = _cells(schedule, {})
    bound = schedule.summary()["coupled_bound"]
    assert cells["Lower bound (coupled, cost)"] == [f"{bound:,.2f}"]
    assert bound == pytest.approx(schedule.summary()["cost"], rel=1e-3)


def test_each_baseline_has_a_column() -> None:
    """Tests that a baseline shows its energy and the saving, but neither bound nor gap, which are not its own."""
    baselines = {"single pool": make_schedule(3, power_w=2000.0), "best single pool": make_schedule(3, power_w=1000.0)}
    plan = make_schedule(3)
    cells = _cells(plan, baselines)
    assert comparison_columns(baselines) == ["", "this plan", "single pool", "best single pool"]
    assert all(len(row) == 3 for row in cells.values())
    assert cells["Saved by this plan"] == [None, "50.0%", "0.0%"]  # 1 − 1,002 / 2,002
    assert cells["Gap"][1:] == [None, None]
    assert cells["Mean power"] == ["1.00 kW", "2.00 kW", "1.00 kW"]


def test_a_schedule_without_any_answer_has_dashes_and_not_zeros() -> None:
    """Tests that what cannot be told is None."""
    cells = _cells(make_schedule(2, unsolved=[0, 1]), {})
    for label in (
        "Energy",
        "Serving energy",
        "Lower bound (serving)",
        "Mean power",
        "GPUs, min / mean / max",
        "Per 1,000 requests",
        "Gap",
    ):
        assert cells[label] == [None], label
    assert cells["Windows unanswered"] == ["2 of 2"]


def test_a_count_that_never_changes_is_told_once() -> None:
    """Tests 18 GPUs in a plan of one window, instead of three times the same number."""
    assert _cells(make_schedule(1), {})["GPUs, min / mean / max"] == ["18"]
