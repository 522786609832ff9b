"""Pictures of a schedule: each function takes one and returns a Plotly figure, and changes nothing else.

Counts and rates are constant within a window, so they are drawn as steps. Windows without an answer are shaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import plotly.graph_objects as go

from dynaopt import series
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import Schedule

# One hue for each input length, darker for longer outputs, so that the nine classes read as three families.
CLASS_COLOURS = dict(
    zip(
        REQUEST_CLASSES,
        ("#c6dbef", "#6baed6", "#2171b5", "#c7e9c0", "#74c476", "#238b45", "#fdd0a2", "#fd8d3c", "#d94801"),
        strict=True,
    )
)
TP_COLOURS = {1: "#dbe9f6", 2: "#b7cfe4", 4: "#5b8fbf", 8: "#1f4e79", 16: "#0b2540"}
OTHER_TP_COLOUR = "#94a3b8"
INK = "#1f2937"
MUTED = "#6b7280"
PLAN_COLOUR = "#1f4e79"
BASELINE_COLOURS = ("#c2410c", "#b45fae", "#0f766e")
UNSOLVED_COLOUR = "#dc2626"
HEIGHT_PX = 340


def demand(schedule: Schedule) -> go.Figure:
    """Draw the arrivals of each window, mean and busiest minute, in requests per second.

    Parameters
    ----------
    schedule
        What to draw.
    """
    figure = _figure(schedule, "Demand", "requests/s")
    _add_step(figure, schedule, series.peak_rate_rps(schedule), "busiest minute", {"color": "#9ca3af", "width": 1})
    rates = series.class_rates_rps(schedule).sum(axis="columns")
    _add_step(figure, schedule, rates, "mean of the window", {"color": PLAN_COLOUR, "width": 1.6})
    return figure


def gpus(schedule: Schedule, baselines: Mapping[str, Schedule] | None = None) -> go.Figure:
    """Draw the GPUs in use, stacked by tensor-parallel degree, and those of each baseline as a line.

    Parameters
    ----------
    schedule
        What to draw.
    baselines
        Other schedules of the same demand, by the name to show.
    """
    figure = _figure(schedule, "GPUs in use, by tensor-parallel degree (TP)", "GPUs")
    for tp, counts in series.gpus_by_tp(schedule).items():
        _add_layer(figure, schedule, counts, f"TP{tp}", TP_COLOURS.get(int(str(tp)), OTHER_TP_COLOUR))
    for name, baseline, line in _styled(baselines):
        _add_step(figure, baseline, series.gpus_in_use(baseline), name, line)
    return figure


def clock(schedule: Schedule) -> go.Figure:
    """Draw the mean GPU clock over the GPUs in use, in MHz.

    Parameters
    ----------
    schedule
        What to draw.
    """
    figure = _figure(schedule, "Mean clock of the GPUs in use", "MHz")
    line = {"color": PLAN_COLOUR, "width": 1.4}
    _add_step(figure, schedule, series.mean_clock_mhz(schedule), "mean clock", line)
    # From zero, the few hundred MHz that a plan moves in would be a flat line.
    figure.update_layout(showlegend=False, yaxis={"rangemode": "normal"})
    return figure


def power(schedule: Schedule, baselines: Mapping[str, Schedule] | None = None) -> go.Figure:
    """Draw the mean power of each window in kW, with its lower bound by itself and that of each baseline.

    Parameters
    ----------
    schedule
        What to draw. Its transitions, where there are any, are drawn beside its serving power.
    baselines
        Other schedules of the same demand, by the name to show.
    """
    figure = _figure(schedule, "Power", "kW")
    for name, baseline, line in _styled(baselines):
        _add_step(figure, baseline, series.serving_power_w(baseline) / 1e3, name, line)
    if schedule.transition_energy_j > 0:
        total = series.total_power_w(schedule) / 1e3
        _add_step(figure, schedule, total, "this plan with start-ups", {"color": "#8fb3d4", "width": 1})
    serving = series.serving_power_w(schedule) / 1e3
    _add_step(figure, schedule, serving, "this plan", {"color": PLAN_COLOUR, "width": 1.8})
    bound_w = series.bound_power_w(schedule)
    if bound_w.notna().any():  # with a price of GPUs nothing is proved of power
        # What coupled windows keep running for one another lies above it, and is no gap.
        name = "lower bound" if schedule.metadata.coupling is None else "least by itself"
        _add_step(figure, schedule, bound_w / 1e3, name, {"color": INK, "width": 1, "dash": "dot"})
    return figure


def class_rates(schedule: Schedule) -> go.Figure:
    """Draw the arrivals of each request class, stacked, in requests per second.

    Parameters
    ----------
    schedule
        What to draw.
    """
    figure = _figure(schedule, "Demand by request class (input length, output length)", "requests/s")
    for request_class, rates in series.class_rates_rps(schedule).items():
        if rates.any():
            _add_layer(figure, schedule, rates, str(request_class), CLASS_COLOURS[str(request_class)])
    return figure


def _styled(baselines: Mapping[str, Schedule] | None) -> list[tuple[str, Schedule, dict[str, object]]]:
    shown = zip((baselines or {}).items(), BASELINE_COLOURS, strict=False)
    return [(name, baseline, {"color": colour, "width": 1.2}) for (name, baseline), colour in shown]


def _edges(schedule: Schedule) -> list[datetime]:
    """Return the starts of all windows and the end of the last, so that the last step is drawn too."""
    starts = pd.DatetimeIndex(schedule.windows[series.START]).tz_localize(None)
    end = starts[-1] + pd.Timedelta(seconds=schedule.metadata.window_s)
    return [t.to_pydatetime() for t in starts.append(pd.DatetimeIndex([end]))]


def _closed(values: pd.Series) -> list[float]:
    rounded = values.astype(float).round(4).tolist()
    return [*rounded, rounded[-1]]


def _add_step(figure: go.Figure, schedule: Schedule, values: pd.Series, name: str, line: dict[str, object]) -> None:
    figure.add_scatter(x=_edges(schedule), y=_closed(values), name=name, mode="lines", line={"shape": "hv", **line})


def _add_layer(figure: go.Figure, schedule: Schedule, values: pd.Series, name: str, colour: str) -> None:
    figure.add_scatter(
        x=_edges(schedule),
        y=_closed(values.fillna(0.0)),
        name=name,
        mode="lines",
        stackgroup="all",
        line={"shape": "hv", "color": colour, "width": 0},
        fillcolor=colour,
    )


def _figure(schedule: Schedule, title: str, unit: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=HEIGHT_PX,
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 16}},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 70, "r": 20, "t": 60, "b": 50},
        hovermode="x unified",
        showlegend=True,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        xaxis={
            "title": {"text": "time (UTC)", "standoff": 8},
            "showgrid": False,
            "ticks": "outside",
            "linecolor": MUTED,
        },
        yaxis={"title": {"text": unit, "standoff": 12}, "rangemode": "tozero", "zeroline": False},
    )
    for start, end in series.unsolved_spans(schedule):
        x0, x1 = start.tz_localize(None), end.tz_localize(None)
        figure.add_vrect(x0=x0, x1=x1, fillcolor=UNSOLVED_COLOUR, opacity=0.15, line_width=0)
    return figure
