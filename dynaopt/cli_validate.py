"""``dynaopt profile validate``: a profile beside its references, as tables."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

import pandas as pd
import typer

from dynaopt.cli_options import DEFAULT_PROFILE, Json
from dynaopt.console import TitledTable, make_table, render, table_of_frame
from dynaopt.level_errors import LOAD_TOLERANCE, TOLERANCE
from dynaopt.paper_table import AIMS
from dynaopt.profile_validate import Validation, validate

_FIT_COLUMNS = {
    "quantity": "quantity",
    "reference": "reference",
    "held_out_by": "held out by",
    "points": "points",
    "mean_error": "mean",
    "max_error": "max",
    "held_out_mean_error": "held out mean",
    "held_out_max_error": "held out max",
    "target": "target",
}
_COUNTS = {
    "SLO kept": ("cells", "num_cells"),
    "cheapest TP": ("cheapest_tp", "num_classes"),
    "of common cells": ("cheapest_common_tp", "num_classes"),
    "cheapest clock": ("cheapest_clock", "num_degrees"),
}


def validate_command(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A shipped profile by name, or a folder.")] = (
        DEFAULT_PROFILE
    ),
    as_json: Json = False,
) -> None:
    """Compare a profile with the measurements it rests on, and with published results that it does not rest on.

    Exit code 1 if a mean error exceeds its target.
    """
    validation = validate(name)
    if as_json:
        print(json.dumps(_content(validation), indent=2))
    else:
        print(render(*_parts(validation)))
    if validation.num_missed:
        raise typer.Exit(1)


def _content(validation: Validation) -> dict[str, object]:
    tables = {
        "errors": validation.errors,
        "table1": validation.agreement,
        "table1_classes": validation.classes,
        "levels": validation.levels,
    }
    return {
        "format_version": 1,
        "profile": validation.profile,
        "num_missed": validation.num_missed,
        **{name: json.loads(frame.to_json(orient="records")) for name, frame in tables.items()},
        "table1_aims": AIMS,
        "missing": list(validation.missing),
    }


def _parts(validation: Validation) -> list[TitledTable | str]:
    parts: list[TitledTable | str] = []
    if len(validation.errors):
        parts.append(_fits(validation))
    if len(validation.agreement):
        parts += [_agreement(validation.agreement), _classes(validation.classes)]
    if len(validation.levels):
        parts.append(_levels(validation.levels))
    return [*parts, *validation.missing]


def _fits(validation: Validation) -> TitledTable:
    shown = validation.errors[list(_FIT_COLUMNS)].rename(columns=_FIT_COLUMNS)
    for column in ("mean", "max", "held out mean", "held out max", "target"):
        shown[column] = [None if pd.isna(value) else f"{value:.2%}" for value in shown[column]]
    shown["held out by"] = [text or None for text in shown["held out by"]]
    missed = validation.errors["mean_error"] > validation.errors["target"]
    shown["kept"] = missed.map({True: "no", False: "yes"}).where(validation.errors["target"].notna(), None)
    title = f"{validation.profile}: errors as shares of the reference; by clock, differences of exponents"
    return table_of_frame(shown, title=title, text_columns=3)


def _levels(levels: pd.DataFrame) -> TitledTable:
    rows = [
        [
            row["quantity"],
            row["levels"],
            *(None if pd.isna(row[column]) else f"{row[column]:.2%}" for column in ("met_in_value", "met")),
            *(f"{row[column]:.2%}" for column in ("worst_in_value", "worst")),
        ]
        for row in levels.to_dict(orient="records")
    ]
    headings = ["quantity", "levels", "met in value", "in value or load", "worst in value", "in value or load"]
    title = (
        f"Levels left out: met by the line between their neighbours within {TOLERANCE:.0%} of the value, "
        f"or so at a load within {LOAD_TOLERANCE:.1%} of theirs"
    )
    return make_table(headings, rows, title=title)


def _agreement(agreement: pd.DataFrame) -> TitledTable:
    rows: list[list[object]] = []
    for row in agreement.to_dict(orient="records"):
        counts = [f"{row[count]:g} of {row[of]:g}" for count, of in _COUNTS.values()]
        rows.append([row["tokens"], row["energy"], *counts, *_ranks(row, "rank_correlation", "class_rank_correlation")])
    first = agreement.iloc[0]
    aims = [
        f"{math.ceil(AIMS[count] * first[of]):g} of {first[of]:g}" if count in AIMS else None
        for count, of in _COUNTS.values()
    ]
    rows.append(["aim", None, *aims, f"{AIMS['rank_correlation']:.2f}", None])
    headings = ["tokens/s count", "energy is", *_COUNTS, "rank correlation", "by class"]
    title = "Agreement with DynamoLLM's table I: 2,000 tokens/s on one instance, 9 classes, 3 degrees, 4 clocks"
    return make_table(headings, rows, title=title, text_columns=2)


def _classes(classes: pd.DataFrame) -> TitledTable:
    rows = [
        [
            row["request_class"],
            f"{row['agree']} of {row['num_cells']}",
            _configuration(row["paper_tp"], row["paper_mhz"]),
            _configuration(row["tp"], row["frequency_mhz"]),
            *_ranks(row, "request_j", "service_j"),
        ]
        for row in classes.to_dict(orient="records")
    ]
    headings = ["class", "SLO kept", "cheapest there", "cheapest here", "rank, per request", "rank, power x time"]
    return make_table(headings, rows, title="By class, with tokens/s of input and output")


def _ranks(row: dict[Any, Any], *columns: str) -> list[object]:
    return [None if pd.isna(row[column]) else f"{row[column]:.3f}" for column in columns]


def _configuration(tp: float | None, frequency_mhz: float | None) -> str | None:
    return None if tp is None or pd.isna(tp) else f"TP{tp:g} at {frequency_mhz:,.0f} MHz"
