"""Pictures of a profile: power and latencies of every configuration against the load, for one request class.

Functions take a profile and return a Plotly figure; nothing is shown or changed.
"""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from dynaopt.errors import UnknownNameError
from dynaopt.profile import FloatArray, LoadCurve, Profile
from dynaopt.slo import Slo

# One scale of hues for each number of GPUs; within it a higher clock is darker.
_SCALES = {2: "Greens", 4: "Blues", 8: "Oranges"}
_OTHER_SCALE = "Greys"
_LIGHTEST, _DARKEST = 0.35, 1.0
_BOUND_COLOUR = "#6b7280"
_HEIGHT_PX = 900
_FRAME_SHARE = 1.6


def load_curves(profile: Profile, request_class: str, *, slo: Slo | None = None, tp: int | None = None) -> go.Figure:
    """Draw power, P99 TTFT and P99 TBT of each configuration against the load on one instance.

    Parameters
    ----------
    profile
        What to draw.
    request_class
        A class, or a mix (``ALL-…``).
    slo
        Bounds to draw as dashed lines; Table IV of the DynamoLLM paper by default. A mix has none of its own.
    tp
        Only this tensor-parallel degree; all by default.

    Returns
    -------
    plotly.graph_objects.Figure
        Three panels above each other over one axis of load. Latencies are cut off a little above their bound.

    Raises
    ------
    UnknownNameError
        If the profile has no such curve.
    """
    curves = [curve for curve in profile.of_class(request_class) if tp is None or curve.tp == tp]
    if not curves:
        found = request_class if tp is None else f"{request_class} on TP{tp}"
        raise UnknownNameError(f"profile {profile.name}", expected=repr(profile), found=found)
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    for curve in curves:
        colour = _colour(profile, curve)
        for row, (values, _) in enumerate(_panels(curve), start=1):
            figure.add_trace(_line(curve, values, colour, in_legend=row == 1), row=row, col=1)
    for row, (_, title) in enumerate(_panels(curves[0]), start=1):
        figure.update_yaxes(title_text=title, rangemode="tozero", row=row, col=1)
    figure.update_xaxes(title_text=f"load on one instance, {request_class} requests/s", row=3, col=1)
    _add_bounds(figure, request_class, slo or Slo.table_iv())
    figure.update_layout(
        title=f"{profile.name}: {request_class}",
        height=_HEIGHT_PX,
        template="plotly_white",
        legend_title="configuration",
    )
    return figure


def energy_per_request(profile: Profile, request_class: str, *, slo: Slo | None = None) -> go.Figure:
    """Draw the energy of a request at the highest load that keeps the SLO, against the clock, for each number of GPUs.

    Parameters
    ----------
    profile
        What to draw.
    request_class
        A class, or a mix (``ALL-…``).
    slo
        The bounds; Table IV of the DynamoLLM paper by default. Configurations that never keep them are absent.
    """
    slo = slo or Slo.table_iv()
    figure = go.Figure()
    for tp in profile.tps:
        points = []
        for curve in profile.of_class(request_class):
            rate = curve.slo_rate_rps(slo) if curve.tp == tp else None
            if rate is not None:
                points.append((curve.frequency_mhz, curve.power_at_w(rate) / rate))
        if points:
            clocks, energies = zip(*points, strict=True)
            colour = sample_colorscale(_SCALES.get(tp, _OTHER_SCALE), [0.8])[0]
            figure.add_trace(
                go.Scatter(x=clocks, y=energies, name=f"TP{tp}", mode="lines+markers", line={"color": colour})
            )
    figure.update_xaxes(title_text="clock, MHz")
    figure.update_yaxes(title_text="energy of one request at the highest load within the SLO, J", type="log")
    figure.update_layout(title=f"{profile.name}: {request_class}", template="plotly_white", showlegend=True)
    return figure


def _panels(curve: LoadCurve) -> Iterator[tuple[FloatArray, str]]:
    yield curve.power_w, "power of the instance, W"
    yield curve.ttft_p99_s, "P99 TTFT, s"
    yield curve.tbt_p99_s, "P99 TBT, s"


def _line(curve: LoadCurve, values: FloatArray, colour: str, *, in_legend: bool) -> go.Scatter:
    name = f"TP{curve.tp}, {curve.frequency_mhz} MHz"
    return go.Scatter(
        x=curve.rate_rps,
        y=values,
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={"size": 4},
    )


def _colour(profile: Profile, curve: LoadCurve) -> str:
    clocks = profile.frequencies_mhz
    share = clocks.index(curve.frequency_mhz) / max(1, len(clocks) - 1)
    shade = _LIGHTEST + share * (_DARKEST - _LIGHTEST)
    return str(sample_colorscale(_SCALES.get(curve.tp, _OTHER_SCALE), [shade])[0])


def _add_bounds(figure: go.Figure, request_class: str, slo: Slo) -> None:
    """Draw the bounds, and cut the latencies off above them, where saturation would flatten all else."""
    if len(request_class) != 2:  # a mix
        return
    for row, bound_s in zip((2, 3), slo.of(request_class), strict=True):
        figure.add_hline(y=bound_s, line_dash="dash", line_color=_BOUND_COLOUR, row=row, col=1)
        figure.update_yaxes(range=[0, _FRAME_SHARE * bound_s], row=row, col=1)
