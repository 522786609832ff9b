"""Pictures of policies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dynaopt.figures import INK, MUTED, PLAN_COLOUR
from dynaopt.policies import OURS

RIVAL_COLOUR = "#94a3b8"
START_UP_COLOUR = "#c2410c"
_ROW_PX, _FRAME_PX = 30, 130


def energy_bars(records: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw the energy of each policy in kWh: serving and start-ups, beside it the paper's relative to SinglePool.

    Parameters
    ----------
    records
        From `policy_records`. Those without an answer are left out.
    """
    shown = [record for record in records if record["reason"] is None]
    titles = [record["title"] for record in shown]
    colours = [PLAN_COLOUR if record["name"].startswith(OURS) else RIVAL_COLOUR for record in shown]
    figure = go.Figure()
    serving = [record["serving_energy_j"] / 3.6e6 for record in shown]
    starts = [record["transition_energy_j"] / 3.6e6 for record in shown]
    figure.add_bar(y=titles, x=serving, orientation="h", name="serving", marker={"color": colours})
    figure.add_bar(y=titles, x=starts, orientation="h", name="start-ups", marker={"color": START_UP_COLOUR})
    reference = next((r["energy_j"] for r in shown if r["relative_energy"] == 1), None)
    if reference is not None:
        told = [(r["title"], r["paper_relative_energy"]) for r in shown if r["paper_relative_energy"] is not None]
        figure.add_scatter(
            y=[title for title, _ in told],
            x=[share * reference / 3.6e6 for _, share in told],
            mode="markers",
            name="DynamoLLM paper, scaled to SinglePool here",
            marker={"symbol": "diamond-open", "size": 10, "color": INK},
        )
    figure.update_layout(
        template="plotly_white",
        barmode="stack",
        height=_FRAME_PX + _ROW_PX * len(shown),
        title={"text": "Energy by policy", "x": 0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 190, "r": 20, "t": 70, "b": 50},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": {"text": "kWh"}, "rangemode": "tozero", "linecolor": MUTED},
        yaxis={"autorange": "reversed"},
    )
    return figure
