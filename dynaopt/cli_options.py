"""Options that several commands share: their names, their help, and how their text becomes a value."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer

from dynaopt.errors import InvalidInputError
from dynaopt.request_class import TABLE_IV, CutPoints
from dynaopt.slo import Slo, read_slo
from dynaopt.solvers.base import DEFAULT_SOLVER, WINDOW_LIMIT_S


def whole_number(text: str) -> int:
    """Read an integer; Typer's own message would not tell what was found.

    Parameters
    ----------
    text
        What was typed.

    Raises
    ------
    typer.BadParameter
        If it is none; Click adds the option.
    """
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected an integer, got '{text}'") from None


def finite_number(text: str) -> float:
    """Read a number that is neither infinite nor NaN.

    Parameters
    ----------
    text
        What was typed.

    Raises
    ------
    typer.BadParameter
        If it is none; Click adds the option.
    """
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not math.isfinite(number):
        raise typer.BadParameter(f"expected a finite number, got '{text}'")
    return number


DEFAULT_PROFILE = "llama2-70b-h100"
DEFAULT_DEMAND = "azure-2024-conversation"
DEFAULT_WINDOW_S = 300.0

_INPUT, _CLUSTER, _SOLVING, _OUTPUT = "Input", "Cluster and objectives", "Solving", "Output"

Source = Annotated[
    str, typer.Argument(metavar="TRACE|DEMAND", help="A shipped week by name, a trace or a demand table.")
]
Profiles = Annotated[
    list[str],
    typer.Option(
        "--profile", metavar="NAME|DIR", help="Profile; again for each further model.", rich_help_panel=_INPUT
    ),
]
Window = Annotated[
    str | None,
    typer.Option("--window", metavar="5min", help="Length of a window of a trace.", rich_help_panel=_INPUT),
]
CutPointsText = Annotated[
    str | None,
    typer.Option(
        "--cut-points",
        metavar="WHERE",
        help="Where a trace's classes are cut: 'table-iv', 'terciles' or numbers such as 255,1023:99,349 (input:output "
        "tokens). By default as the profile has it.",
        rich_help_panel=_INPUT,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Leave out windows before this time, UTC.", rich_help_panel=_INPUT),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Leave out windows from this time on, UTC.", rich_help_panel=_INPUT),
]
Gpus = Annotated[
    int,
    typer.Option(
        "--gpus", parser=whole_number, metavar="N", help="GPUs that all models share.", rich_help_panel=_CLUSTER
    ),
]
SloFile = Annotated[
    Path | None,
    typer.Option(
        "--slo", metavar="FILE", help="Latency objectives; Table IV of DynamoLLM by default.", rich_help_panel=_CLUSTER
    ),
]
SloScale = Annotated[
    float,
    typer.Option(
        "--slo-scale", parser=finite_number, metavar="X", help="Multiplies every objective.", rich_help_panel=_CLUSTER
    ),
]
Headroom = Annotated[
    float,
    typer.Option(
        "--headroom",
        parser=finite_number,
        metavar="X",
        help="Spare share of every instance at the busiest minute.",
        rich_help_panel=_CLUSTER,
    ),
]
Reserve = Annotated[
    str,
    typer.Option(
        "--reserve",
        metavar="X|n+1",
        help="Spare share of each pool, or 'n+1': its largest instance may fail.",
        rich_help_panel=_CLUSTER,
    ),
]
MixDistance = Annotated[
    float,
    typer.Option(
        "--mix-distance",
        parser=finite_number,
        metavar="X",
        help="Most requests, as a share, that the curves of a mixed pool may take for another class; 0 for none.",
        rich_help_panel=_CLUSTER,
    ),
]
PowerCap = Annotated[
    float | None,
    typer.Option(
        "--power-cap",
        parser=finite_number,
        metavar="W",
        help="Most mean power of the cluster, watts.",
        rich_help_panel=_CLUSTER,
    ),
]
UnusedGpus = Annotated[
    str,
    typer.Option(
        "--unused-gpus",
        metavar="released|on",
        help="Whether GPUs without a model are given back or stay on.",
        rich_help_panel=_CLUSTER,
    ),
]
FixedMix = Annotated[
    list[str],
    typer.Option(
        "--fixed-mix",
        metavar="MODEL:TP=N,…",
        help="How many instances of each TP a model runs, no more and no fewer; again for each further model.",
        rich_help_panel=_CLUSTER,
    ),
]
SolverName = Annotated[
    str, typer.Option("--solver", metavar="NAME", help="Who solves the windows.", rich_help_panel=_SOLVING)
]
WindowSolver = Annotated[
    str | None,
    typer.Option(
        "--solver",
        metavar="NAME",
        help="Plan each window by itself, and with whom; see --coupled.",
        rich_help_panel=_SOLVING,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        parser=finite_number,
        metavar="S",
        help=f"Seconds for each window; by default {WINDOW_LIMIT_S:g} with {DEFAULT_SOLVER}, none with others.",
        rich_help_panel=_SOLVING,
    ),
]
Gap = Annotated[
    float,
    typer.Option(
        "--gap",
        parser=finite_number,
        metavar="X",
        help="Relative gap at which an answer is optimal.",
        rich_help_panel=_SOLVING,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        parser=whole_number,
        metavar="N",
        help="Processes; as many as cores by default.",
        rich_help_panel=_SOLVING,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the results as JSON.", show_default=False, rich_help_panel=_OUTPUT)
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Where to write; 'plan-<demand>' here by default.", rich_help_panel=_OUTPUT
    ),
]


def parse_window_s(text: str, option: str = "--window") -> float:
    """Read the length of a window, for example ``5min`` or ``300s``, in seconds.

    Parameters
    ----------
    text
        What was typed. A bare number counts seconds.
    option
        Where it was typed, for the message.

    Raises
    ------
    InvalidInputError
        If it is no length of time, or not a whole number of seconds above 0.
    """
    length = pd.to_timedelta(pd.Series([f"{text}s" if re.fullmatch(r"\d+", text) else text]), errors="coerce")
    seconds = float(length.dt.total_seconds().fillna(0.0).iloc[0])
    if seconds <= 0 or seconds != int(seconds):
        raise InvalidInputError(f"option {option}", expected="a length of time such as 5min or 300s", found=f"'{text}'")
    return seconds


def parse_time(option: str, text: str) -> pd.Timestamp:
    """Read a moment, for example ``2024-05-12`` or ``2024-05-12T18:05``; without a zone it is UTC.

    Parameters
    ----------
    option
        Where it was typed, for the message.
    text
        What was typed.

    Raises
    ------
    InvalidInputError
        If it is not an ISO 8601 date or time.
    """
    time = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    if not isinstance(time, pd.Timestamp):
        raise InvalidInputError(f"option {option}", expected="a time such as 2024-05-12T18:05", found=f"'{text}'")
    return time


def parse_cut_points(text: str) -> CutPoints | Literal["terciles"]:
    """Read where classes are cut.

    Parameters
    ----------
    text
        ``table-iv``, ``terciles``, or the longest S and M of inputs and of outputs, such as ``255,1023:99,349``.

    Raises
    ------
    InvalidInputError
        If it is none of these.
    """
    if text == "table-iv":
        return TABLE_IV
    if text == "terciles":
        return "terciles"
    match = re.fullmatch(r"(\d+),(\d+):(\d+),(\d+)", text)
    if match is None:
        expected = "table-iv, terciles or four numbers such as 255,1023:99,349"
        raise InvalidInputError("option --cut-points", expected=expected, found=f"'{text}'")
    cuts = [int(n) for n in match.groups()]
    return CutPoints((cuts[0], cuts[1]), (cuts[2], cuts[3]))


def parse_reserve(text: str) -> float | Literal["n+1"]:
    """Read a reserve: a share, or ``n+1``.

    Parameters
    ----------
    text
        What was typed.

    Raises
    ------
    InvalidInputError
        If it is neither.
    """
    if text.lower() == "n+1":
        return "n+1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise InvalidInputError("option --reserve", expected="a share from 0 to below 1, or n+1", found=f"'{text}'")
    return share


def parse_fixed_mix(texts: list[str]) -> dict[str, dict[int, int]]:
    """Read fixed mixes such as ``llama2-70b:2=4,8=10``.

    Parameters
    ----------
    texts
        One for each model.

    Returns
    -------
    dict
        For each model, the number of instances of each tensor-parallel degree.

    Raises
    ------
    InvalidInputError
        If a text is not of that form, or names a model or a degree twice.
    """
    mixes: dict[str, dict[int, int]] = {}
    for text in texts:
        model, _, rest = text.rpartition(":")
        pieces = [re.fullmatch(r"(?:TP)?(\d+)=(\d+)", piece, re.IGNORECASE) for piece in rest.split(",")]
        mix = {int(piece[1]): int(piece[2]) for piece in pieces if piece}
        if not model or model in mixes or len(mix) != len(pieces):
            expected = "a model and the instances of each TP, each once, such as llama2-70b:2=4,8=10"
            raise InvalidInputError("option --fixed-mix", expected=expected, found=f"'{text}'")
        mixes[model] = mix
    return mixes


def make_slo(path: Path | None, scale: float) -> Slo:
    """Read the objectives, those of Table IV without a file, and scale them.

    Parameters
    ----------
    path
        A table of objectives, or None.
    scale
        Multiplies every bound.
    """
    if not scale > 0:
        raise InvalidInputError("option --slo-scale", expected="a number above 0", found=str(scale))
    slo = Slo.table_iv() if path is None else read_slo(path)
    return slo.scaled(scale)
