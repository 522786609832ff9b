"""Tests of `dynaopt.figures_replay`."""

import pandas as pd
import pytest

from dynaopt.figures_replay import headroom_trade

TABLE = pd.DataFrame(
    {
        "service": ["coding", "coding", "conversation"],
        "headroom": [0.5, 0.0, 0.1],
        "num_requests": [1000, 1000, 2000],
        "energy_j": [7.2e6, 3.6e6, 3.6e6],
        "ttft_attainment": [0.999, 0.98, 1.0],
        "worst_ttft_attainment": [0.995, 0.9, 0.999],
        "tbt_attainment": [1.0, 0.99, 1.0],
        "worst_tbt_attainment": [1.0, 0.95, 1.0],
    }
)


def test_points_are_energy_and_percent_in_the_order_of_headroom() -> None:
    """Tests 3.6 and 7.2 MJ over 1,000 requests, which are 1,000 and 2,000 Wh a thousand, of one service."""
    figure = headroom_trade(TABLE)
    trace = figure.data[0]
    assert list(trace.x) == [1000.0, 2000.0]
    assert list(trace.y) == [98.0, 99.9]
    assert list(trace.customdata) == [0, 50]
    assert len(figure.data) == 8


def test_each_service_has_a_panel_and_one_legend_serves_both() -> None:
    """Tests panels, axes with units, and that the four lines are named once."""
    figure = headroom_trade(TABLE)
    assert [trace.showlegend for trace in figure.data] == [True] * 4 + [False] * 4
    assert [note.text for note in figure.layout.annotations][:2] == ["coding", "conversation"]
    assert figure.layout.xaxis.title.text == "replayed energy, Wh per 1,000 requests"
    assert figure.layout.yaxis.title.text == "requests that keep the objective, %"


def test_headrooms_stand_below_their_points() -> None:
    """Tests the three labels, at the energies of their points and below all of them."""
    figure = headroom_trade(TABLE)
    labels = {note.text: (note.x, note.y) for note in figure.layout.annotations if note.text.endswith("%")}
    assert {text: x for text, (x, _) in labels.items()} == {"0 %": 1000.0, "50 %": 2000.0, "10 %": 500.0}
    assert labels["0 %"][1] < 90


@pytest.mark.parametrize("panel", ["yaxis", "yaxis2"])
def test_the_promised_share_is_in_sight(panel: str) -> None:
    """Tests that 99 % and 100 % are inside both panels, even where every point is above 99 %."""
    low, high = headroom_trade(TABLE).layout[panel].range
    assert low < 99 < 100 < high
