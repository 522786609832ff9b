"""Pictures of a rolling horizon."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynaopt.figures import INK, MUTED, PLAN_COLOUR, UNSOLVED_COLOUR
from dynaopt.rolling_result import RollingResult

_FORETOLD_COLOUR = "#c2410c"
_STEP = {"shape": "hv"}
_HEIGHT_PX = 560


def rolling_windows(result: RollingResult) -> go.Figure:
    """Draw what was foretold and what came, in requests/s, above the GPUs that ran and those of them that idled.

    Windows with overload are marked on the line of what came.

    Parameters
    ----------
    result
        The run.
    """
    w = result.windows
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    over = w[w["served_share"] < 1]
    wanted = w["foretold_rps"] * w["margin"]
    lines = (
        (1, wanted, "foretold with margin", {"color": MUTED, "width": 1, "dash": "dot"} | _STEP),
        (1, w["foretold_rps"], "foretold", {"color": _FORETOLD_COLOUR, "width": 1} | _STEP),
        (1, w["arrived_rps"], "arrived", {"color": PLAN_COLOUR, "width": 1.6} | _STEP),
        (2, w["num_gpus"], "GPUs that ran", {"color": PLAN_COLOUR, "width": 1.6} | _STEP),
        (2, w["idle_gpus"], "of them without load", {"color": MUTED, "width": 1} | _STEP),
    )
    for row, values, name, line in lines:
        figure.add_scatter(x=w["window_start"], y=values, name=name, line=line, mode="lines", row=row, col=1)
    figure.add_scatter(
        x=over["window_start"],
        y=over["arrived_rps"],
        name="overload",
        mode="markers",
        marker={"color": UNSOLVED_COLOUR, "size": 6},
        row=1,
        col=1,
    )
    figure.update_yaxes(title_text="requests/s", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="GPUs", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="UTC", row=2, col=1)
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT_PX,
        title={"text": f"Rolling horizon, forecast '{result.forecaster}'", "x": 0, "xref": "paper"},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 70, "r": 20, "t": 90, "b": 50},
    )
    return figure
