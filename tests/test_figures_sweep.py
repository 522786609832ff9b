"""Tests of the pictures of sweeps."""

import numpy as np
import pandas as pd
import pytest

from dynaopt.errors import InvalidInputError
from dynaopt.figures_sweep import energy_lines, figures_of


def make_points(**changes: object) -> pd.DataFrame:
    """Make the table of two profiles by two scales by two clusters; the energy of row n is n + 1 kWh."""
    rows = [
        {"point": f"{p}{s}{g}", "service": "w", "profiles": p, "slo_scale": s, "num_gpus": g}
        for p in ("a", "b")
        for s in (1.0, 2.0)
        for g in (160, 320)
    ]
    energy_j = 3.6e6 * np.arange(1, 9)
    frame = pd.DataFrame(rows).assign(solver="greedy", num_unsolved=0, serving_energy_j=energy_j / 2, energy_j=energy_j)
    return frame.assign(**changes)


def test_a_line_for_each_combination_of_the_others() -> None:
    """Tests names, values in kWh, and that one colour is one profile and one dash one scale."""
    figure = energy_lines(make_points(), "num_gpus")
    assert [line.name for line in figure.data] == [
        "a, slo scale 1",
        "a, slo scale 2",
        "b, slo scale 1",
        "b, slo scale 2",
    ]
    assert [list(line.x) for line in figure.data] == [[160, 320]] * 4
    assert [list(line.y) for line in figure.data] == [[1, 2], [3, 4], [5, 6], [7, 8]]
    colours = [line.line.color for line in figure.data]
    dashes = [line.line.dash for line in figure.data]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert dashes[0] == dashes[2] != dashes[1] == dashes[3]
    assert figure.layout.xaxis.title.text == "GPUs of the cluster"
    assert figure.layout.yaxis.title.text == "energy (kWh)"


def test_points_without_answers_are_left_out_and_counted() -> None:
    """Tests that the energy of fewer windows is not set beside that of all."""
    figure = energy_lines(make_points(num_unsolved=[3, 0, 0, 0, 0, 0, 0, 0]), "slo_scale")
    assert [list(line.y) for line in figure.data] == [[2, 4], [3], [5, 7], [6, 8]]
    assert figure.layout.title.text == "Energy; left out are points with windows unanswered: 1"


def test_a_sample_is_drawn_by_its_serving_energy() -> None:
    """Tests the values and that the axis says so."""
    figure = energy_lines(make_points(energy_j=np.nan), "num_gpus")
    assert list(figure.data[0].y) == [0.5, 1.0]
    assert figure.layout.yaxis.title.text == "serving energy of the sampled windows (kWh)"


def test_there_is_a_picture_for_each_axis_that_is_swept() -> None:
    """Tests GPUs and scale, and none where nothing is swept; the table itself is left as it was."""
    points = make_points()
    before = points.copy()
    titles = [figure.layout.xaxis.title.text for figure in figures_of(points)]
    assert titles == ["GPUs of the cluster", "scale of the latency objectives (1)"]
    assert figures_of(points.iloc[:1]) == []
    pd.testing.assert_frame_equal(points, before)


def test_a_single_line_has_a_name() -> None:
    """Tests a sweep along one axis only, and one in which no point has an answer."""
    points = make_points().iloc[:2]
    assert [line.name for line in energy_lines(points, "num_gpus").data] == ["energy"]
    nothing = energy_lines(points.assign(num_unsolved=1), "num_gpus")
    assert sum(len(line.x) for line in nothing.data) == 0


def test_an_axis_that_cannot_be_drawn_is_told() -> None:
    """Tests that the ones there are get listed."""
    with pytest.raises(InvalidInputError, match=r"option x: expected one of num_gpus, .*got 'service'"):
        energy_lines(make_points(), "service")
