"""Tests of the pictures of a schedule."""

import inspect
from dataclasses import replace

import plotly.graph_objects as go
import plotly.io
import pytest
from sample_schedule import make_schedule

from dynaopt import figures
from dynaopt.coupling import Coupling
from dynaopt.schedule import CouplingRecord

ALL = (figures.demand, figures.gpus, figures.clock, figures.power, figures.class_rates)
UNITS = {"demand": "requests/s", "gpus": "GPUs", "clock": "MHz", "power": "kW", "class_rates": "requests/s"}


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
def test_axes_carry_units(draw) -> None:
    """Tests that each picture names the unit of its values and that its times are UTC."""
    figure = draw(make_schedule(3))
    assert figure.layout.yaxis.title.text == UNITS[draw.__name__]
    assert figure.layout.xaxis.title.text == "time (UTC)"
    assert figure.layout.title.text


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("num_windows", [1, 3])
def test_lines_are_steps_up_to_the_end_of_the_last_window(draw, num_windows: int) -> None:
    """Tests that each window is drawn over its whole length, be it the only one."""
    for trace in draw(make_schedule(num_windows)).data:
        assert trace.line.shape == "hv"
        assert len(trace.x) == num_windows + 1
        assert (trace.x[-1] - trace.x[0]).total_seconds() == 300 * num_windows
        assert trace.y[-1] == trace.y[-2]


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
def test_windows_without_an_answer_are_shaded(draw) -> None:
    """Tests one shaded stretch for each run of them, and none where all are answered."""
    assert len(draw(make_schedule(8, unsolved=[1, 2, 5])).layout.shapes) == 2
    assert len(draw(make_schedule(8)).layout.shapes) == 0


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
def test_a_schedule_without_any_answer_can_be_drawn(draw) -> None:
    """Tests that nothing breaks where there is nothing but demand to show."""
    assert isinstance(draw(make_schedule(2, unsolved=[0, 1])), go.Figure)


def test_drawing_changes_nothing() -> None:
    """Tests that neither the schedule nor Plotly's default style is touched."""
    schedule, template = make_schedule(3), plotly.io.templates.default
    before = schedule.windows.copy()
    for draw in ALL:
        draw(schedule)
    assert schedule.windows.equals(before)
    assert plotly.io.templates.default == template


def test_power_is_in_kilowatts_beside_bound_and_baseline() -> None:
    """Tests 1 kW for the plan, 1.002 kW with its start-ups, 0.99 kW for the bound and 1.7 kW for a baseline."""
    figure = figures.power(make_schedule(2), {"single pool": make_schedule(2, power_w=1700.0)})
    assert {t.name: t.y[0] for t in figure.data} == pytest.approx(
        {"single pool": 1.7, "this plan with start-ups": 1.002, "this plan": 1.0, "lower bound": 0.99}
    )


def test_the_bounds_of_coupled_windows_are_called_what_they_are() -> None:
    """Tests that where windows keep instances for one another, a window's own bound is not called that of the plan."""
    schedule = make_schedule(2)
    record = CouplingRecord(asked=Coupling())
    coupled = replace(schedule, metadata=schedule.metadata.model_copy(update={"coupling": record}))
    assert [t.name for t in figures.power(coupled).data][-1] == "least by itself"


def test_start_ups_are_drawn_only_where_they_cost() -> None:
    """Tests that a schedule without transition energy has no line for it."""
    figure = figures.power(make_schedule(2, transition_j=0.0))
    assert [t.name for t in figure.data] == ["this plan", "lower bound"]


def test_gpus_are_stacked_by_degree() -> None:
    """Tests a layer for each degree, and baselines as lines that are not part of the stack."""
    figure = figures.gpus(make_schedule(2), {"single pool": make_schedule(2)})
    assert [(t.name, t.stackgroup) for t in figure.data] == [("TP2", "all"), ("TP8", "all"), ("single pool", None)]
    assert list(figure.data[0].y) == [2, 4, 4]
    assert list(figure.data[2].y) == [18, 20, 20]


def test_classes_that_never_arrive_are_left_out() -> None:
    """Tests eight layers, since nothing of class SL arrives, in nine colours that all differ."""
    figure = figures.class_rates(make_schedule(2))
    names = [t.name for t in figure.data]
    assert len(names) == 8
    assert "SL" not in names
    assert len(set(figures.CLASS_COLOURS.values())) == 9


def test_demand_shows_mean_and_busiest_minute() -> None:
    """Tests 10 requests/s on average and 12 in the busiest minute."""
    figure = figures.demand(make_schedule(1))
    assert {t.name: t.y[0] for t in figure.data} == pytest.approx({"busiest minute": 12, "mean of the window": 10})


def test_every_public_figure_is_tested() -> None:
    """Tests that a new picture cannot be left out of `ALL`."""
    own = [f for n, f in inspect.getmembers(figures, inspect.isfunction) if f.__module__ == figures.__name__]
    assert {f.__name__ for f in own if not f.__name__.startswith("_")} == {f.__name__ for f in ALL}
