"""The picture of a Pareto front: a function that takes one and returns a Plotly figure, and changes nothing else."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dynaopt.figures import INK, MUTED, PLAN_COLOUR
from dynaopt.objective import JOULES_PER_KWH
from dynaopt.pareto import COLUMNS, SLO_SCALE, ParetoFront

HEIGHT_PX = 480
TITLES = {
    "energy": "energy of the building (kWh)",
    "cost": "cost (money)",
    "carbon": "carbon (kg CO2)",
    SLO_SCALE: "scale of the latency objectives (1)",
}
_DIVISORS = {"energy": JOULES_PER_KWH, "cost": 1.0, "carbon": 1000.0, SLO_SCALE: 1.0}


def axis_values(points: pd.DataFrame, axis: str) -> pd.Series:
    """Return an axis of some points in the unit of its title.

    Parameters
    ----------
    points
        Rows of `ParetoFront.points`.
    axis
        One of `dynaopt.pareto.AXES`.
    """
    return points[COLUMNS[axis]] / _DIVISORS[axis]


def pareto(front: ParetoFront) -> go.Figure:
    """Draw the plans of a front, joined, and apart from them those that are dominated.

    Parameters
    ----------
    front
        What to draw. The line joins neighbours to guide the eye: between them there may be no plan.
    """
    figure = go.Figure()
    kept, rest = front.front, front.points[front.points["dominated"]]
    figure.add_scatter(
        x=axis_values(kept, front.x),
        y=axis_values(kept, front.y),
        mode="lines+markers",
        name="best plans",
        line={"color": PLAN_COLOUR, "width": 1.4},
        marker={"size": 9},
    )
    if len(rest):
        figure.add_scatter(
            x=axis_values(rest, front.x),
            y=axis_values(rest, front.y),
            mode="markers",
            name="dominated, or with windows unanswered",
            marker={"color": MUTED, "size": 8, "symbol": "circle-open"},
        )
    figure.update_layout(
        template="plotly_white",
        height=HEIGHT_PX,
        title={"text": f"{front.y} against {front.x}", "x": 0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        xaxis={"title": {"text": TITLES[front.x]}, "ticks": "outside", "linecolor": MUTED},
        yaxis={"title": {"text": TITLES[front.y]}, "ticks": "outside", "linecolor": MUTED},
        showlegend=True,
    )
    return figure
