"""Pictures of replays: each function takes a table and returns a Plotly figure, and changes nothing else."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynaopt.figures import BASELINE_COLOURS, INK, MUTED, PLAN_COLOUR
from dynaopt.replay_promise import PROMISED_SHARE

_MEASURES = {
    "ttft_attainment": ("time to first token, all requests", PLAN_COLOUR, "solid"),
    "worst_ttft_attainment": ("time to first token, worst class", PLAN_COLOUR, "dot"),
    "tbt_attainment": ("time between tokens, all requests", BASELINE_COLOURS[0], "solid"),
    "worst_tbt_attainment": ("time between tokens, worst class", BASELINE_COLOURS[0], "dot"),
}
_HEIGHT_PX = 440
_ROOM = 0.08
"""Share of the height left free below the lowest point and above 100 %."""


def headroom_trade(table: pd.DataFrame) -> go.Figure:
    """Draw what headroom buys: the share of requests that keep an objective against the energy it takes.

    Parameters
    ----------
    table
        A row for each service and headroom: `service`, `headroom` (a share), `num_requests`, `energy_j` (replayed),
        `ttft_attainment`, `tbt_attainment`, `worst_ttft_attainment`, `worst_tbt_attainment` (shares).
    """
    services = list(dict.fromkeys(table["service"]))
    figure = make_subplots(cols=len(services), subplot_titles=services, horizontal_spacing=0.1)
    for panel, service in enumerate(services, start=1):
        rows = table[table["service"] == service].sort_values("headroom")
        rows = rows.assign(energy_wh=(rows["energy_j"] / 3.6 / rows["num_requests"]).round(3))
        _add_lines(figure, panel, rows)
        _add_headrooms(figure, panel, rows)
    figure.add_hline(y=100 * PROMISED_SHARE, line={"color": MUTED, "width": 1, "dash": "dash"})
    figure.update_xaxes(title={"text": "replayed energy, Wh per 1,000 requests"})
    figure.update_yaxes(title={"text": "requests that keep the objective, %"}, col=1)
    title = "What headroom buys (below the points: the headroom)"
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT_PX,
        title={"text": title, "x": 0, "y": 0.96, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 70, "r": 20, "t": 120, "b": 60},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.1, "yanchor": "bottom"},
    )
    return figure


def _add_lines(figure: go.Figure, panel: int, rows: pd.DataFrame) -> None:
    """Draw the four shares of one service, named in the legend once."""
    for measure, (name, colour, dash) in _MEASURES.items():
        figure.add_scatter(
            x=rows["energy_wh"].tolist(),
            y=(100 * rows[measure]).round(4).tolist(),
            name=name,
            legendgroup=name,
            showlegend=panel == 1,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 1.6},
            customdata=(100 * rows["headroom"]).round(3).tolist(),
            hovertemplate=f"{name}<br>headroom %{{customdata}} %: %{{y:.2f}} % kept, %{{x:.1f}} Wh<extra></extra>",
            row=1,
            col=panel,
        )


def _add_headrooms(figure: go.Figure, panel: int, rows: pd.DataFrame) -> None:
    """Write the headrooms on a line of their own, since beside each of four points they would cover one another."""
    lowest = 100 * min(PROMISED_SHARE, float(rows[list(_MEASURES)].to_numpy(float).min()))
    room = _ROOM * max(100 - lowest, 1.0)
    for x, headroom in zip(rows["energy_wh"], rows["headroom"], strict=True):
        text = f"{100 * headroom:g} %"
        figure.add_annotation(x=x, y=lowest - room, text=text, showarrow=False, font={"size": 11}, row=1, col=panel)
    figure.update_yaxes(range=[lowest - 2 * room, 100 + room], row=1, col=panel)
