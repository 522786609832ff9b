"""One HTML page of policies side by side that needs nothing beside it: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from dynaopt.tables import atomic_path

Rows = Sequence[Sequence[str | None]]
_TEMPLATES = Environment(
    loader=PackageLoader("dynaopt"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def write_policy_page(
    path: Path,
    *,
    title: str,
    tables: Sequence[tuple[str, Sequence[str], Rows]],
    figures: Sequence[go.Figure],
    notes: Sequence[str],
) -> None:
    """Write the page.

    Parameters
    ----------
    path
        The HTML file; it appears whole or not at all.
    title
        Its heading.
    tables
        A heading, the columns and the rows of each.
    figures
        Pictures to stand below the tables.
    notes
        Sentences to stand below the first table.
    """
    page = _TEMPLATES.get_template("policies.html.j2").render(
        title=title,
        tables=tables,
        pictures=[Markup(to_html(f, full_html=False, include_plotlyjs=False)) for f in figures],
        notes=notes,
        plotly_js=Markup(get_plotlyjs()),
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
