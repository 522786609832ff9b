"""``dynaopt report``: one self-contained HTML page of a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynaopt.cli_baselines import find_baselines
from dynaopt.cli_check import Folder, check_answers
from dynaopt.report import write_report
from dynaopt.schedule_inputs import read_again
from dynaopt.schedule_io import read_schedule

REPORT_FILE = "report.html"


def report_command(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page; 'report.html' in the folder by default.")
    ] = None,
) -> None:
    """Write one HTML page of a schedule that needs no network and no other file."""
    schedule = read_schedule(folder)
    profiles = [read_again(source) for source in schedule.metadata.profiles]
    baselines, notes = find_baselines(schedule, profiles)
    path = folder / REPORT_FILE if out is None else out
    violations = check_answers(schedule, profiles)
    write_report(schedule, path, baselines=baselines, profiles=profiles, violations=violations, notes=notes)
    typer.echo(path)
