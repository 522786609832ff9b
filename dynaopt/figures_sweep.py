"""Pictures of a sweep: functions that take its table and return a Plotly figure, and change nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from dynaopt.errors import InvalidInputError
from dynaopt.figures import INK, MUTED, PLAN_COLOUR
from dynaopt.objective import JOULES_PER_KWH

TITLES = {
    "num_gpus": "GPUs of the cluster",
    "slo_scale": "scale of the latency objectives (1)",
    "rate_scale": "scale of the arrival rates (1)",
    "headroom": "headroom (1)",
    "max_mix_distance": "greatest distance of a mix (1)",
    "power_cap_w": "power cap (W)",
    "host_w": "power of a server's host (W)",
}
"""What may be the horizontal axis."""
HEIGHT_PX = 480
_COLOURS = (PLAN_COLOUR, "#c2410c", "#0f766e", "#b45fae", "#a16207", "#64748b")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_OF_COLOUR = ("service", "profiles")


def energy_lines(points: pd.DataFrame, x: str) -> go.Figure:
    """Draw energy against one axis of a sweep, a line for each combination of the others.

    Parameters
    ----------
    points
        `Sweep.points`. Those with windows unanswered are left out, and counted in the title: their energy is that of
        fewer windows. Where windows are a sample, the energy is that of serving them.
    x
        One of `TITLES`.

    Raises
    ------
    InvalidInputError
        If it is not one of them.
    """
    if x not in TITLES:
        raise InvalidInputError("option x", expected=f"one of {', '.join(TITLES)}", found=f"'{x}'")
    others = [axis for axis in _swept(points) if axis != x]
    answered = points[points["num_unsolved"] == 0].dropna(subset=[x])
    column = "serving_energy_j" if answered["energy_j"].isna().any() else "energy_j"
    figure = go.Figure()
    colours, dashes = _Cycle(_COLOURS), _Cycle(_DASHES)
    groups = answered.groupby(others, sort=False, dropna=False) if others else [((), answered)]
    for key, rows in groups:
        named = dict(zip(others, key if isinstance(key, tuple) else (key,), strict=True))
        rows = rows.sort_values(x)
        figure.add_scatter(
            x=rows[x],
            y=rows[column] / JOULES_PER_KWH,
            mode="lines+markers",
            name=", ".join(_told(axis, value) for axis, value in named.items()) or "energy",
            line={
                "color": colours.of([named.get(axis) for axis in _OF_COLOUR]),
                "dash": dashes.of([value for axis, value in named.items() if axis not in _OF_COLOUR]),
                "width": 1.6,
            },
            marker={"size": 8},
        )
    left_out = int((points["num_unsolved"] > 0).sum())
    note = f"; left out are points with windows unanswered: {left_out}" if left_out else ""
    what = "serving energy of the sampled windows (kWh)" if column == "serving_energy_j" else "energy (kWh)"
    return _laid_out(figure, f"{what.partition(' (')[0].capitalize()}{note}", TITLES[x], what)


def figures_of(points: pd.DataFrame) -> list[go.Figure]:
    """Draw energy against each axis that is swept and can be drawn against.

    Parameters
    ----------
    points
        `Sweep.points`.
    """
    swept = _swept(points)
    return [energy_lines(points, x) for x in TITLES if x in swept]


def _swept(points: pd.DataFrame) -> list[str]:
    """Return the axes with more than one value; they stand between the name of a point and its solver."""
    axes = [str(name) for name in points.columns[1 : points.columns.get_loc("solver")]]
    return [axis for axis in axes if len(points[axis].unique()) > 1]


def _told(axis: str, value: object) -> str:
    if axis in _OF_COLOUR:
        return str(value)
    if axis == "num_gpus":
        return f"{value} GPUs"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{axis.replace('_', ' ')} {text}"


class _Cycle:
    """Gives each new key the next of some values, and a known one the value that it had."""

    def __init__(self, values: Sequence[str]) -> None:
        self._values = values
        self._known: dict[str, str] = {}

    def of(self, key: object) -> str:
        """Return the value of a key."""
        return self._known.setdefault(repr(key), self._values[len(self._known) % len(self._values)])


def _laid_out(figure: go.Figure, title: str, x_title: str, y_title: str) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=HEIGHT_PX,
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        xaxis={"title": {"text": x_title}, "ticks": "outside", "linecolor": MUTED},
        # From zero, lines that lie some per cent apart would be one.
        yaxis={"title": {"text": y_title}, "ticks": "outside", "linecolor": MUTED},
        showlegend=True,
    )
    return figure
