"""``dynaopt trace synthesise``: a shipped week, request by request, as a trace in the Azure schema."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dynaopt.burstiness import DEFAULT_READING, READINGS
from dynaopt.cli_files import check_out_file
from dynaopt.cli_input import DemandOptions, load_demand
from dynaopt.cli_options import DEFAULT_DEMAND, From, Until, whole_number
from dynaopt.console import StepProgress
from dynaopt.request_stream import RequestPart
from dynaopt.synthesis import SynthesisedStream, find_service
from dynaopt.trace_write import TRACE_ENDINGS, write_trace, write_trace_text

Service = Annotated[
    str, typer.Argument(metavar="SERVICE", help="A shipped week by name; its prefix 'azure-2024-' may be left out.")
]
Seed = Annotated[
    int, typer.Option("--seed", parser=whole_number, metavar="N", help="The same seed gives the same requests.")
]
BurstinessReading = Annotated[
    str,
    typer.Option(
        "--burstiness",
        metavar="|".join(READINGS),
        help="How arrivals inside a minute follow from those measured at a tenth of the traffic (docs/replay.md).",
    ),
]


def synthesise_command(
    service: Service = DEFAULT_DEMAND,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="A .csv, .csv.gz or .parquet file; stdout, as CSV, by default."),
    ] = None,
    start: From = None,
    end: Until = None,
    seed: Seed = 0,
    burstiness: BurstinessReading = DEFAULT_READING,
) -> None:
    """Write a trace with the real number of requests in every minute, lengths and moments drawn."""
    if out is not None:
        check_out_file("--out", out, TRACE_ENDINGS)
    stream = SynthesisedStream(find_service(service), seed, burstiness)
    demand = load_demand(DemandOptions(source=f"azure-2024-{stream.service}", start=start, end=end))
    with StepProgress(f"synthesise {demand.name}") as progress:
        parts = _shown(stream, demand.starts, demand.window_s, progress)
        if out is None:
            write_trace_text(parts, stream.start, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        num_requests = write_trace(parts, stream.start, out)
    stop = demand.starts[-1] + pd.Timedelta(seconds=demand.window_s)
    typer.echo(f"{out}: {num_requests:,} requests from {demand.starts[0].isoformat()} to {stop.isoformat()}")


def _shown(
    stream: SynthesisedStream, starts: pd.DatetimeIndex, window_s: float, progress: StepProgress
) -> Iterator[RequestPart]:
    num_requests = 0
    for number, part in enumerate(stream.parts(starts, window_s), start=1):
        yield part
        num_requests += part.num_requests
        progress(number, len(starts), f"{num_requests:,} requests so far")
