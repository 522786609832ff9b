"""One HTML page of a schedule that needs nothing beside it: no network, no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from dynaopt import figures
from dynaopt.comparison import comparison_columns, comparison_rows
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule
from dynaopt.series import is_solved
from dynaopt.tables import atomic_path
from dynaopt.violations import Violation

MOST_UNSOLVED_SHOWN = 12
_TEMPLATES = Environment(
    loader=PackageLoader("dynaopt"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_PLOT_OPTIONS = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
}


def write_report(
    schedule: Schedule,
    path: str | Path,
    *,
    baselines: Mapping[str, Schedule] | None = None,
    profiles: Sequence[Profile] = (),
    violations: Sequence[Violation] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the page of a schedule: the summary, the pictures, and where the numbers come from.

    Parameters
    ----------
    schedule
        What to show.
    path
        The HTML file; it appears whole or not at all.
    baselines
        Other schedules of the same demand to set beside it, by name. None by default.
    profiles
        What it was planned with, to tell what is measured and what is modelled. None by default.
    violations
        What `check` found; None, the default, if it was not asked.
    notes
        Sentences to stand below the summary, for example what a reader of the comparison should know.
    """
    page = render_report(schedule, baselines=baselines or {}, profiles=profiles, violations=violations, notes=notes)
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def render_report(
    schedule: Schedule,
    *,
    baselines: Mapping[str, Schedule],
    profiles: Sequence[Profile],
    violations: Sequence[Violation] | None,
    notes: Sequence[str],
) -> str:
    """Return the page of `write_report` as text."""
    pictures = (
        figures.power(schedule, baselines),
        figures.gpus(schedule, baselines),
        figures.clock(schedule),
        figures.demand(schedule),
        figures.class_rates(schedule),
    )
    unsolved = schedule.windows[~is_solved(schedule).to_numpy()]
    return _TEMPLATES.get_template("report.html.j2").render(
        metadata=schedule.metadata,
        start=schedule.windows["window_start"].iloc[0],
        num_windows=schedule.num_windows,
        coupled_gap=schedule.coupled_gap,
        coupling_asked=_asked(schedule),
        columns=comparison_columns(baselines),
        rows=comparison_rows(schedule, baselines),
        pictures=[_embed(picture) for picture in pictures],
        profiles=[profile.metadata for profile in profiles],
        violations=violations,
        notes=notes,
        unsolved=unsolved.head(MOST_UNSOLVED_SHOWN).to_dict("records"),
        num_unsolved=len(unsolved),
        # Plotly's own script, so that the page works without a network.
        plotly_js=Markup(get_plotlyjs()),
    )


def _asked(schedule: Schedule) -> str:
    """Say what was asked of starts."""
    coupling = schedule.metadata.coupling
    if coupling is None:
        return ""
    asked = coupling.asked
    told = [f"an instance serves at least {asked.min_up_s / 60:g} min once started"] if asked.min_up_s > 0 else []
    told += [f"at most {asked.max_starts} instances start at one window"] if asked.max_starts is not None else []
    told += ["the instances before the first window were given"] if asked.initial is not None else []
    return f"Asked of starts: {'; '.join(told)}." if told else ""


def _embed(picture: go.Figure) -> Markup:
    html = to_html(picture, full_html=False, include_plotlyjs=False, config=_PLOT_OPTIONS)
    return Markup(html)
