"""Tests of `dynaopt.figures_scaling`."""

import numpy as np
import pandas as pd
import pytest

from dynaopt.figures_scaling import LEAST_PERCENT, scaling


def row(wall_s: float, gap: float, **others: object) -> dict[str, object]:
    """Make a row of one model with slack on 64 GPUs."""
    case = {"room": "slack", "num_gpus": 64, "num_models": 1, "num_classes": 9, "num_configurations": 0}
    return {**case, "wall_s": wall_s, "gap": gap, **others}


TABLE = pd.DataFrame(
    [
        row(0.1, 1e-4),
        row(0.2, 3e-4),
        row(0.6, 2e-4),
        row(1.0, 0.0, num_gpus=128),
        row(5.0, np.nan, num_gpus=128),
        row(2.0, 1e-3, num_gpus=10240, room="bound", num_models=10),
        row(1.5, 1e-3, num_gpus=4096, room="bound", num_models=10),
        row(3.0, 2e-3, num_gpus=10240, room="bound", num_models=10, num_classes=3),
        row(4.0, 5e-3, num_gpus=10240, room="bound", num_models=10, num_configurations=21),
    ]
)


def traces(column: int, name: str) -> list[object]:
    """Return the traces of a name in a column: times, then gaps."""
    axes = {f"x{n}" if n > 1 else "x" for n in (column, column + 3)}
    return [trace for trace in scaling(TABLE).data if trace.name == name and trace.xaxis in axes]


def test_medians_and_bars() -> None:
    """Tests 0.1, 0.2 and 0.6 s: 0.2 s, and a bar up to their 99th percentile, 0.592 s; gaps of 0.02 % up to 0.03 %."""
    times, gaps = traces(1, "1 model, 80 % of the GPUs used")
    assert list(times.x) == [64, 128]
    assert list(times.y) == [0.2, 1.0]
    assert times.error_y.array[0] == pytest.approx(0.592 - 0.2)
    assert gaps.y[0] == pytest.approx(0.02)
    assert gaps.error_y.array[0] == pytest.approx(0.01)


def test_no_gap_is_drawn_at_the_bottom_and_no_answer_not_at_all() -> None:
    """Tests a gap of 0 on a logarithmic axis, beside which a window without an answer took 5 s."""
    times, gaps = traces(1, "1 model, 80 % of the GPUs used")
    assert gaps.y[1] == LEAST_PERCENT
    assert times.y[1] == 1.0


@pytest.mark.parametrize(("column", "levels"), [(1, [4096, 10240]), (2, [3, 9]), (3, [21])])
def test_panels_differ_in_their_own_axis_only(column: int, levels: list[int]) -> None:
    """Tests that GPUs run over nine classes, classes over the most GPUs, and configurations over generated models."""
    times, _ = traces(column, "10 models, the GPUs bind")
    assert list(times.x) == levels


def test_a_lone_level_of_another_panel_is_left_out() -> None:
    """Tests five models on the most GPUs only, which belong beside other classes."""
    more = pd.DataFrame([row(1.0, 1e-3, num_gpus=10240, num_models=5, num_classes=n) for n in (3, 9)])
    figure = scaling(pd.concat([TABLE, more]))
    assert {t.xaxis for t in figure.data if t.name == "5 models, 80 % of the GPUs used"} == {"x2", "x5"}


def test_axes_have_units_and_the_legend_names_each_line_once() -> None:
    """Tests titles, logarithms, and that two cases have a name."""
    figure = scaling(TABLE)
    assert figure.layout.yaxis.title.text == "time to pose and solve a window, s"
    assert figure.layout.yaxis4.title.text == "certified gap, %"
    assert [figure.layout[f"xaxis{n}"].title.text for n in (4, 5, 6)] == [
        "GPUs, nine classes",
        "classes of each model, 10,240 GPUs",
        "configurations of each model, 10,240 GPUs",
    ]
    assert (figure.layout.yaxis.type, figure.layout.yaxis4.type) == ("log", "log")
    assert [figure.layout[name].type for name in ("xaxis4", "xaxis5", "xaxis6")] == ["log", "linear", "log"]
    assert sum(bool(trace.showlegend) for trace in figure.data) == len({trace.name for trace in figure.data}) == 2


def test_the_goals_are_drawn() -> None:
    """Tests a dashed line at 1 s and at 0.1 % in each of three panels."""
    heights = sorted(shape.y0 for shape in scaling(TABLE).layout.shapes)
    assert heights == pytest.approx([0.1] * 3 + [1.0] * 3)
