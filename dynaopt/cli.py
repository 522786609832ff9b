"""The command line: ``dynaopt``.

Results go to stdout, progress and logs to stderr. Exit codes: 0 done, 1 no solution or a violation, 2 bad input (one
line on stderr), 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from dynaopt import (
    cli_bench,
    cli_check,
    cli_compare,
    cli_pareto,
    cli_plan,
    cli_prices,
    cli_profile,
    cli_replay,
    cli_report,
    cli_rolling,
    cli_sweep,
    cli_trace,
)
from dynaopt.cli_errors import INTERRUPTED, USAGE_ERROR, fail
from dynaopt.errors import DynaoptError

app = typer.Typer(
    name="dynaopt",
    help="Plan LLM-inference clusters for the least energy that keeps every latency objective.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("plan")(cli_plan.plan_command)
app.command("check")(cli_check.check_command)
app.command("pareto")(cli_pareto.pareto_command)
app.command("compare")(cli_compare.compare_command)
app.command("sweep")(cli_sweep.sweep_command)
app.command("bench")(cli_bench.bench_command)
app.command("replay")(cli_replay.replay_command)
app.command("rolling")(cli_rolling.rolling_command)
app.command("report")(cli_report.report_command)
app.command("prices")(cli_prices.prices_command)
app.add_typer(cli_profile.app, name="profile")
app.add_typer(cli_trace.app, name="trace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Words after the program's name; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=words, prog_name="dynaopt", standalone_mode=False)
    except BrokenPipeError:
        # The reader of our output has gone (`dynaopt … | head`); nothing is left to say, nor a place to say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DynaoptError, OSError, USAGE_ERROR) as error:
        return fail(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dynaopt {version('dynaopt')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _front(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.", show_default=False)] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=_print_version, is_eager=True, show_default=False
        ),
    ] = False,
) -> None:
    if verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
