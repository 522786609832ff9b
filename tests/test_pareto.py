"""Tests of fronts: what dominates what, the supported plans of a case worked by hand, and resuming."""

from pathlib import Path

import numpy as np
import pytest
from planning import OPTIONS as SMALL
from planning import make_small_profile, make_week
from two_windows import OPTIONS, two_demand, two_objective, two_profile

from dynaopt import figures_pareto
from dynaopt.errors import InvalidInputError
from dynaopt.objective import Objective
from dynaopt.pareto import ParetoFront, dominated, pareto_front
from dynaopt.schedule_io import read_schedule


def front_of(x: str = "energy", y: str = "cost", num_points: int = 5, **changes: object) -> ParetoFront:
    """Make the front of the two windows, GPUs at 0.05 an hour."""
    return pareto_front(
        two_demand(), two_profile(), objective=two_objective(**changes), x=x, y=y, num_points=num_points, **OPTIONS
    )


def test_what_dominates_what() -> None:
    """Tests a point worse in both, one worse in one, an equal one, and two that trade."""
    points = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0], [3.0, 3.0]])
    assert dominated(points).tolist() == [False, False, True, True, False, True]
    assert dominated(np.array([[np.inf, np.inf], [1.0, 1.0]])).tolist() == [True, False]


def test_the_front_of_two_windows_by_hand() -> None:
    """Tests the two plans of `test_accounts`: the second window on 4 slow GPUs or on 2 fast ones.

    Energy at PUE 1.5, starts included: 1.5 · (0.42 + 0.79 + 0.02444) = 1.8517 kWh at 0.54817, or 1.5 · 1.64 = 2.46 kWh
    at 0.509. A third plan that trades between them there is not, so the search ends after trying one weighting more.
    """
    front = front_of()
    assert (front.front["facility_energy_j"] / 3.6e6).tolist() == pytest.approx([1.8516667, 2.46])
    assert front.front["cost"].tolist() == pytest.approx([0.5481667, 0.509])
    assert len(front.points) == 3
    assert front.num_dominated == 1
    assert front.points["gpu_hours"].tolist()[0] == 6


def test_without_a_price_of_gpus_there_is_nothing_to_trade() -> None:
    """Tests that energy, cost and carbon then have one plan in common, whatever prices do over time."""
    front = front_of("cost", "carbon", price_per_gpu_hour=0.0)
    assert len(front.front) == 1
    assert len(front.points) == 2


def test_a_front_is_convex_and_of_plans_that_keep_their_bound() -> None:
    """Tests on eight windows that serving energy rises as cost falls, by ever smaller steps.

    Plans are solved to 1e-6, and slopes compared with that much room.
    """
    front = pareto_front(
        two_demand((3.0, 4.5, 6.0, 6.5, 7.0, 7.5, 9.0, 11.0)),
        two_profile(),
        objective=Objective(price_per_kwh=0.2, price_per_gpu_hour=0.1),
        x="energy",
        y="cost",
        num_points=6,
        solver="highs",
        gap_tolerance=1e-6,
        workers=1,
        num_gpus=16,
        headroom=0.0,
    )
    sums = [schedule.summary() for schedule in front.schedules]
    pairs = sorted({(s["serving_energy_j"] / 3.6e6, _serving_cost(s)) for s in sums})  # type: ignore[operator]
    energy, cost = np.array(pairs).T
    kept = np.concatenate([[True], np.diff(energy) > 1e-5])
    slopes = np.diff(cost[kept]) / np.diff(energy[kept])
    assert len(slopes) >= 2
    assert (slopes < 0).all()
    assert (np.diff(slopes) > -1e-3).all()


def _serving_cost(summary: dict[str, float]) -> float:
    return summary["cost"] - 0.2 * summary["transition_energy_j"] / 3.6e6


def test_looser_latency_objectives_never_take_more() -> None:
    """Tests energy against the scale of the objectives: each scale once, energy falling."""
    front = front_of("energy", "slo-scale", num_points=3)
    assert sorted(front.points["slo_scale"]) == [1.0, 2.0, 4.0]
    by_scale = front.points.sort_values("slo_scale")["energy_j"]
    assert (by_scale.diff().dropna() <= 1e-6 * by_scale.max()).all()


def test_what_does_not_answer_all_windows_is_not_on_the_front() -> None:
    """Tests that a plan with a window of too many requests counts as dominated, and dominates nothing."""
    front = pareto_front(
        make_week(3, too_much=(1,)),
        make_small_profile(),
        objective=Objective(),
        x="energy",
        y="slo-scale",
        num_points=2,
        workers=1,
        **SMALL,
    )
    assert front.points["num_unsolved"].tolist() == [1, 1]
    assert front.front.empty


def test_a_front_resumes(tmp_path: Path) -> None:
    """Tests that plans already in the folder are read: the front is the same, and their files are not touched."""
    arguments = (two_demand(), two_profile())
    first = pareto_front(*arguments, objective=two_objective(), x="energy", y="cost", out=tmp_path, **OPTIONS)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    again = pareto_front(*arguments, objective=two_objective(), x="energy", y="cost", out=tmp_path, **OPTIONS)
    assert again.points.equals(first.points)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == stamps
    assert read_schedule(tmp_path / "point-01").metadata.objective is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "time"}, "option x: expected one of energy, cost, carbon, got 'time'"),
        ({"x": "slo-scale"}, "option x"),
        ({"y": "water"}, "option y: expected one of energy, cost, carbon, slo-scale"),
        ({"y": "energy"}, "option y: expected another quantity than x"),
        ({"num_points": 1}, "option points: expected at least 2, got 1"),
        ({"price_per_kwh": None, "price_per_gpu_hour": 0.0, "minimise": "energy"}, "option price_per_kwh"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    """Tests axes, number and what has no price."""
    with pytest.raises(InvalidInputError) as caught:
        front_of(**options)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize("scales", [(2.0, 1.0), (0.0, 1.0), (1.0, float("inf"))])
def test_a_range_of_scales_ascends(scales: tuple[float, float]) -> None:
    """Tests that others are refused."""
    with pytest.raises(InvalidInputError, match="slo_range"):
        pareto_front(two_demand(), two_profile(), objective=Objective(), x="energy", y="slo-scale", slo_range=scales)


def test_the_picture_has_units_and_both_kinds_of_plans() -> None:
    """Tests titles and values in the units of the titles: kWh of the building and money."""
    front = front_of()
    figure = figures_pareto.pareto(front)
    assert figure.layout.xaxis.title.text == "energy of the building (kWh)"
    assert figure.layout.yaxis.title.text == "cost (money)"
    assert list(figure.data[0].x) == pytest.approx([1.8516667, 2.46])
    assert len(figure.data[1].x) == front.num_dominated
