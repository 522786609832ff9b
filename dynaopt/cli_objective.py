"""Options about what to minimise and what it costs, shared by `plan` and `pareto`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dynaopt.cli_options import finite_number
from dynaopt.errors import InvalidInputError
from dynaopt.objective import QUANTITIES, Objective, Quantity
from dynaopt.price_series import PriceSeries, read_series

_PANEL = "Energy, money and carbon"

Minimise = Annotated[
    str | None,
    typer.Option(
        "--objective",
        metavar="energy|cost|carbon",
        help="What to minimise; energy by default.",
        rich_help_panel=_PANEL,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="energy=X,cost=X,carbon=X",
        help="Minimise a weighting instead: what a kWh, a unit of money and a gram of CO2 count.",
        rich_help_panel=_PANEL,
    ),
]
Price = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="FILE|NUMBER",
        help="Money per kWh: a number, or a table of window_start (or timestamp) and price_per_kwh.",
        rich_help_panel=_PANEL,
    ),
]
GpuPrice = Annotated[
    float,
    typer.Option(
        "--gpu-price",
        parser=finite_number,
        metavar="NUMBER",
        help="Money per hour of a GPU in use.",
        rich_help_panel=_PANEL,
    ),
]
Carbon = Annotated[
    str | None,
    typer.Option(
        "--carbon",
        metavar="FILE|NUMBER",
        help="Grams of CO2 per kWh: a number, or a table of window_start (or timestamp) and carbon_g_per_kwh.",
        rich_help_panel=_PANEL,
    ),
]
GpuCarbon = Annotated[
    float,
    typer.Option(
        "--gpu-carbon",
        parser=finite_number,
        metavar="NUMBER",
        help="Grams of CO2 per hour of a GPU in use, from its making.",
        rich_help_panel=_PANEL,
    ),
]
Pue = Annotated[
    float,
    typer.Option(
        "--pue",
        parser=finite_number,
        metavar="X",
        help="Energy of the building over that of GPUs and hosts.",
        rich_help_panel=_PANEL,
    ),
]
HostPower = Annotated[
    float | None,
    typer.Option(
        "--host-power",
        parser=finite_number,
        metavar="W",
        help="Power of a server beside its GPUs, watts; by default as the profile has it.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class ObjectiveOptions:
    """What was typed about the objective."""

    minimise: str | None = None
    weights: str | None = None
    price: str | None = None
    gpu_price: float = 0.0
    carbon: str | None = None
    gpu_carbon: float = 0.0
    pue: float = 1.0


def make_objective(options: ObjectiveOptions) -> Objective | None:
    """Make the objective that was asked for; None where nothing but the energy of the cluster was.

    Parameters
    ----------
    options
        What was typed.

    Raises
    ------
    InputError
        If an option is out of range, a file cannot be read, or what is to be minimised has no price.
    """
    if options in (ObjectiveOptions(), ObjectiveOptions(minimise="energy")):
        return None
    if options.weights is not None and options.minimise is not None:
        raise InvalidInputError(
            "option --weights", expected="weights, or --objective with one of its names", found="both"
        )
    minimise = options.minimise or "energy"
    return Objective(
        minimise=minimise if options.weights is None else parse_weights(options.weights),
        price_per_kwh=read_rate("--price", options.price, "price_per_kwh"),
        price_per_gpu_hour=options.gpu_price,
        carbon_g_per_kwh=read_rate("--carbon", options.carbon, "carbon_g_per_kwh"),
        carbon_g_per_gpu_hour=options.gpu_carbon,
        pue=options.pue,
    )


def read_rate(option: str, text: str | None, column: str) -> float | PriceSeries | None:
    """Read a price or a carbon intensity: a number, or the table of a series.

    Parameters
    ----------
    option
        Where it was typed, for messages.
    text
        What was typed, or None.
    column
        The column of the table.

    Raises
    ------
    InputError
        If it is neither a number of at least 0 nor a table that can be read.
    """
    if text is None:
        return None
    if Path(text).suffix in (".csv", ".parquet"):
        return read_series(text, column)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number < float("inf"):
        expected = "a number of at least 0, or a .csv or .parquet file"
        raise InvalidInputError(f"option {option}", expected=expected, found=f"'{text}'")
    return number


def parse_weights(text: str) -> dict[Quantity, float]:
    """Read weights such as ``energy=0.1,carbon=0.0001``.

    Parameters
    ----------
    text
        What was typed.

    Raises
    ------
    InvalidInputError
        If it is anything else.
    """
    weights: dict[Quantity, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        known = next((quantity for quantity in QUANTITIES if quantity == name.strip()), None)
        try:
            weight = float(value)
        except ValueError:
            weight = float("nan")
        if known is None or known in weights or not 0 <= weight < float("inf"):
            expected = f"{', '.join(QUANTITIES)} at most once each, such as cost=1,carbon=0.0001"
            raise InvalidInputError("option --weights", expected=expected, found=f"'{text}'")
        weights[known] = weight
    return weights
