"""The picture of how solving scales: a function that takes a table and returns a Plotly figure, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dynaopt.figures import BASELINE_COLOURS, INK, MUTED, PLAN_COLOUR

MOST_S, MOST_GAP = 1.0, 1e-3
"""What a large window may take, and its gap; drawn as dashed lines."""

LEAST_PERCENT = 1e-5
"""Smaller gaps, down to 0, are drawn here: a logarithm has no 0."""

_COLOURS = {1: PLAN_COLOUR, 2: BASELINE_COLOURS[2], 5: BASELINE_COLOURS[1], 10: BASELINE_COLOURS[0]}
_DASHES = {"slack": "dot", "bound": "solid"}
_WORDS = {"slack": "80 % of the GPUs used", "bound": "the GPUs bind"}
_HEIGHT_PX, _WIDTH_PX = 760, 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """A column of the picture: what runs along its axis, its title, and whether that is logarithmic."""

    column: str
    title: str
    is_log: bool
    ticks: tuple[int, ...]


_PANELS = (
    _Panel(column="num_gpus", title="GPUs, nine classes", is_log=True, ticks=(64, 256, 1024, 4096, 10240)),
    _Panel(
        column="num_classes", title="classes of each model, {most_gpus:,} GPUs", is_log=False, ticks=(1, 3, 5, 7, 9)
    ),
    _Panel(
        column="num_configurations",
        title="configurations of each model, {most_gpus:,} GPUs",
        is_log=True,
        ticks=(3, 6, 12, 21, 42, 63),
    ),
)


def scaling(table: pd.DataFrame) -> go.Figure:
    """Draw time and certified gap of windows against GPUs, classes and configurations.

    Lines join medians over seeds and repeats; bars go up to the 99th percentile of times and the largest gap.

    Parameters
    ----------
    table
        A row for each answer: `room` (``slack`` or ``bound``), `num_gpus`, `num_models`, `num_classes`,
        `num_configurations` (0 where the models are the mixed set of `large_profiles`), `wall_s` (posing and solving,
        in seconds), `gap` (a share; NaN without an answer).
    """
    figure = make_subplots(
        rows=2,
        cols=len(_PANELS),
        shared_xaxes=True,
        shared_yaxes="rows",
        vertical_spacing=0.07,
        horizontal_spacing=0.03,
    )
    answered = table[table["gap"].notna()]
    named: set[str] = set()
    for number, panel in enumerate(_PANELS, start=1):
        for (number_of_models, room_of_all), rows in _cases(answered, panel).groupby(["num_models", "room"]):
            levels, models, room = rows.groupby(panel.column), int(str(number_of_models)), str(room_of_all)
            name = f"{models} model{'s' if models > 1 else ''}, {_WORDS[room]}"
            line = {"color": _COLOURS.get(models, MUTED), "dash": _DASHES[room], "width": 1.6}
            times, gaps = levels["wall_s"], levels["gap"]
            percent = (100 * gaps.median()).clip(lower=LEAST_PERCENT), (100 * gaps.max()).clip(lower=LEAST_PERCENT)
            for row, middle, most in ((1, times.median(), times.quantile(0.99)), (2, *percent)):
                _add_line(figure, row, number, middle, most, name, line, is_named=name not in named)
                named.add(name)
        _set_axis(figure, number, panel, panel.title.format(most_gpus=int(table["num_gpus"].max())))
    _lay_out(figure)
    return figure


def _cases(table: pd.DataFrame, panel: _Panel) -> pd.DataFrame:
    """Return the rows that differ in what runs along a panel's axis only."""
    if panel.column == "num_configurations":
        return table.loc[table["num_configurations"] > 0]
    mixed = table.loc[table["num_configurations"] == 0]
    fixed = "num_classes" if panel.column == "num_gpus" else "num_gpus"
    most: pd.DataFrame = mixed.loc[mixed[fixed] == mixed[fixed].max()]
    # Models of which there is one level here belong to another panel, unless there is one level of all.
    levels = most.groupby("num_models")[panel.column].transform("nunique")
    several: pd.DataFrame = most.loc[levels > 1]
    return several if len(several) else most


def _add_line(
    figure: go.Figure,
    row: int,
    column: int,
    middle: pd.Series,
    most: pd.Series,
    name: str,
    line: dict[str, object],
    *,
    is_named: bool,
) -> None:
    figure.add_scatter(
        x=middle.index.tolist(),
        y=middle.round(8).tolist(),
        error_y={"type": "data", "array": (most - middle).round(8).tolist(), "arrayminus": [0.0] * len(middle)}
        | {"width": 3, "thickness": 1},
        mode="lines+markers",
        name=name,
        legendgroup=name,
        legendrank=int(name.partition(" ")[0]),
        showlegend=is_named,
        line=line,
        marker={"size": 6},
        row=row,
        col=column,
    )


def _set_axis(figure: go.Figure, number: int, panel: _Panel, title: str) -> None:
    ticks: Sequence[int] = panel.ticks
    figure.update_xaxes(
        type="log" if panel.is_log else "linear",
        tickvals=list(ticks),
        ticktext=[f"{tick:,}" for tick in ticks],
        ticks="outside",
        linecolor=MUTED,
        col=number,
    )
    figure.update_xaxes(title={"text": title}, row=2, col=number)
    for row, most in ((1, MOST_S), (2, 100 * MOST_GAP)):
        line = {"color": MUTED, "width": 1, "dash": "dash"}
        figure.add_hline(y=most, line=line, row=row, col=number)


def _lay_out(figure: go.Figure) -> None:
    figure.update_yaxes(type="log", ticks="outside", linecolor=MUTED, minor={"showgrid": False})
    times, gaps = (0.001, 0.01, 0.1, 1.0, 10.0), (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
    figure.update_yaxes(tickvals=list(times), ticktext=[f"{t:g}" for t in times], row=1)
    figure.update_yaxes(tickvals=list(gaps), ticktext=["0", *(f"{g:g}" for g in gaps[1:])], row=2)
    figure.update_yaxes(title={"text": "time to pose and solve a window, s"}, row=1, col=1)
    figure.update_yaxes(title={"text": "certified gap, %"}, row=2, col=1)
    title = "How solving scales (median; bars to the 99th percentile of times and the largest gap; dashed: the goals)"
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT_PX,
        width=_WIDTH_PX,
        title={"text": title, "x": 0, "y": 0.97, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 70, "r": 20, "t": 110, "b": 60},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    )
