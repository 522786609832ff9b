"""``dynaopt trace``: what a trace or a demand holds, the demand table of a trace, and a trace of a shipped week."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.cli_files import check_out_file
from dynaopt.cli_input import DemandOptions, kind_of, load_demand
from dynaopt.cli_options import (
    DEFAULT_DEMAND,
    CutPointsText,
    From,
    Json,
    Source,
    Until,
    Window,
    parse_cut_points,
)
from dynaopt.cli_synthesise import synthesise_command
from dynaopt.console import TitledTable, make_table, render
from dynaopt.demand import Demand, write_demand
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.trace import TraceSummary, trace_summary

app = typer.Typer(help="Read a trace or a shipped week, or make a trace of one.", no_args_is_help=False)
app.command("synthesise")(synthesise_command)


@app.command("summary")
def summary_command(source: Source = DEFAULT_DEMAND, cut_points: CutPointsText = None, as_json: Json = False) -> None:
    """Tell how many requests there are, of what lengths and classes, and when."""
    if kind_of(source) == "trace":
        cuts = TABLE_IV if cut_points is None else parse_cut_points(cut_points)
        summary = trace_summary(source, cut_points=cuts)
        print(json.dumps(_trace_json(summary), indent=2) if as_json else _trace_text(summary))
    else:
        demand = load_demand(DemandOptions(source=source, cut_points=cut_points))
        print(json.dumps(_demand_json(demand), indent=2) if as_json else _demand_text(demand))


@app.command("demand")
def demand_command(
    source: Source = DEFAULT_DEMAND,
    window: Window = None,
    cut_points: CutPointsText = None,
    start: From = None,
    end: Until = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="A .csv or .parquet file; stdout, as CSV, by default."),
    ] = None,
) -> None:
    """Write the demand table: requests per second of each window and class."""
    if out is not None:
        check_out_file("--out", out, (".csv", ".parquet"))
    options = DemandOptions(source=source, window=window, cut_points=cut_points, start=start, end=end)
    demand = load_demand(options)
    if out is None:
        demand.table.to_csv(sys.stdout, index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")
        return
    write_demand(demand, out)
    typer.echo(f"{out}: {demand}")


def _trace_json(summary: TraceSummary) -> dict[str, object]:
    return {
        "format_version": 1,
        "name": summary.name,
        "num_requests": summary.num_requests,
        "first": summary.first.isoformat(),
        "last": summary.last.isoformat(),
        "cut_points": asdict(summary.cut_points),
        "lengths": summary.lengths.to_dict(),
        "class_share": summary.class_share.to_dict(),
    }


def _trace_text(summary: TraceSummary) -> str:
    head = f"{summary.name}: {summary.num_requests:,} requests from {summary.first} to {summary.last}"
    rows = [[str(row[0]), *(f"{tokens:,.0f}" for tokens in row[1:])] for row in summary.lengths.itertuples()]
    cuts = summary.cut_points
    ends = f"S and M end at {_pair(cuts.input_tokens)} input tokens and at {_pair(cuts.output_tokens)} output tokens"
    lengths = make_table(["length, tokens", "input", "output"], rows)
    return render(head, lengths, _class_table(summary.class_share), ends)


def _demand_json(demand: Demand) -> dict[str, object]:
    return {
        "format_version": 1,
        "name": demand.name,
        "num_requests": demand.num_requests,
        "num_windows": demand.num_windows,
        "window_s": demand.window_s,
        "first": demand.starts[0].isoformat(),
        "last": demand.starts[-1].isoformat(),
        "mean_rate_rps": demand.num_requests / (demand.num_windows * demand.window_s),
        "peak_rate_rps": demand.peak_rate_rps,
        "class_share": _shares(demand).to_dict(),
    }


def _demand_text(demand: Demand) -> str:
    return render(str(demand), _class_table(_shares(demand)))


def _shares(demand: Demand) -> pd.Series:
    rates = demand.total_rates_rps.sum(axis=0)
    return pd.Series(rates / rates.sum(), index=list(REQUEST_CLASSES))


def _class_table(share: pd.Series) -> TitledTable:
    return make_table(["class", "share of requests"], [[name, f"{value:.2%}"] for name, value in share.items()])


def _pair(cuts: tuple[int, int]) -> str:
    return f"{cuts[0]:,} and {cuts[1]:,}"
