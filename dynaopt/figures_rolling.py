"""Pictures of a rolling horizon."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynaopt.figures import INK, MUTED, PLAN_COLOUR, UNSOLVED_COLOUR
from dynaopt.rolling_result import RollingResult

_FORETOLD_COLOUR = "#c2410c"
_STEP = {"shape": "hv"}
_HEIGHT_PX = 720


def rolling_windows(result: RollingResult) -> go.Figure:
    """Draw what came and what was prepared for, how far the forecast was off, and the GPUs that ran.

    What was foretold is drawn by its error, since in one scale with what came the two lines hide each other. Windows
    with overload are marked on the line of what came. Windows in which nothing came have no error.

    Parameters
    ----------
    result
        The run.
    """
    w = result.windows
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.4, 0.22, 0.38])
    over = w[w["served_share"] < 1]
    arrived = w["arrived_rps"].where(w["arrived_rps"] > 0)
    error = (100 * (w["foretold_rps"] / arrived - 1)).replace([np.inf, -np.inf], np.nan)
    lines = (
        (1, w["foretold_rps"] * w["margin"], "foretold with margin", {"color": MUTED, "width": 1}),
        (1, w["arrived_rps"], "arrived", {"color": INK, "width": 1.6}),
        (2, error, "foretold beyond arrived", {"color": _FORETOLD_COLOUR, "width": 1}),
        (3, w["num_gpus"], "GPUs that ran", {"color": PLAN_COLOUR, "width": 1.6}),
        (3, w["idle_gpus"], "of them without load", {"color": MUTED, "width": 1}),
    )
    for row, values, name, line in lines:
        figure.add_scatter(
            x=w["window_start"], y=values, name=name, line=line | _STEP, mode="lines", row=row, col=1, legendrank=row
        )
    figure.add_scatter(
        x=over["window_start"],
        y=over["arrived_rps"],
        name="overload",
        mode="markers",
        marker={"color": UNSOLVED_COLOUR, "size": 6},
        legendrank=1,
        row=1,
        col=1,
    )
    figure.update_yaxes(title_text="requests/s", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="error, %", row=2, col=1)
    figure.update_yaxes(title_text="GPUs", rangemode="tozero", row=3, col=1)
    figure.update_xaxes(title_text="UTC", row=3, col=1)
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT_PX,
        title={"text": f"Rolling horizon, forecast '{result.forecaster}'", "x": 0, "xref": "paper"},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 70, "r": 20, "t": 90, "b": 50},
    )
    return figure
