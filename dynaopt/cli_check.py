"""``dynaopt check``: independent verification of a schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dynaopt.check import check
from dynaopt.cli_errors import NO_SOLUTION
from dynaopt.cli_options import Json
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.schedule import Schedule
from dynaopt.schedule_io import read_schedule
from dynaopt.violations import Violation, ViolationKind

Folder = Annotated[Path, typer.Argument(metavar="SCHEDULE_DIR", help="What 'dynaopt plan' wrote.")]
_MOST_SHOWN = 50


def check_command(
    folder: Folder,
    profile: Annotated[
        list[str], typer.Option("--profile", metavar="NAME|DIR", help="Instead of those that the schedule names.")
    ] = [],  # noqa: B006 - Typer reads it and never changes it
    as_json: Json = False,
) -> None:
    """Recompute a schedule from its demand and profiles and list what is wrong; exit code 1 if anything is."""
    schedule = read_schedule(folder)
    violations = check(schedule, profiles=[read_profile(name) for name in profile] or None)
    if as_json:
        records = violations_json(violations)
        print(json.dumps({"schedule": str(folder), "num_violations": len(records), "violations": records}, indent=2))
    elif violations:
        print("\n".join(str(violation) for violation in violations[:_MOST_SHOWN]))
        print(_count(violations))
    else:
        print(f"{folder}: {schedule.num_windows:,} windows checked, no violation")
    if violations:
        raise typer.Exit(NO_SOLUTION)


def check_answers(schedule: Schedule, profiles: Sequence[Profile]) -> list[Violation]:
    """Check the answers that a schedule has; that some windows have none is told elsewhere.

    Parameters
    ----------
    schedule
        What to check.
    profiles
        What it was planned with.
    """
    violations = check(schedule, profiles=profiles)
    return [violation for violation in violations if violation.kind is not ViolationKind.NO_ANSWER]


def violations_json(violations: Sequence[Violation]) -> list[dict[str, str | None]]:
    """Return violations as plain records, times in ISO 8601.

    Parameters
    ----------
    violations
        What a check found.
    """
    return [
        {
            "kind": v.kind.value,
            "window_start": None if v.window_start is None else v.window_start.isoformat(),
            "where": v.where,
            "expected": v.expected,
            "found": v.found,
        }
        for v in violations
    ]


def _count(violations: Sequence[Violation]) -> str:
    rest = f", {_MOST_SHOWN} of them shown (--json lists all)" if len(violations) > _MOST_SHOWN else ""
    return f"{len(violations)} violation{'s' if len(violations) > 1 else ''}{rest}"
