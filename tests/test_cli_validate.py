"""Tests of `dynaopt profile validate`."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dynaopt import cli_validate
from dynaopt.cli import main
from dynaopt.profile_validate import Validation

ERRORS = pd.DataFrame(
    {
        "quantity": ["decode", "energy"],
        "reference": ["measured", "paper"],
        "measure": ["relative", "relative"],
        "points": [10, 5],
        "mean_error": [0.05, 0.5],
        "max_error": [0.2, 0.9],
        "held_out_by": ["batch size", ""],
        "held_out_mean_error": [0.06, np.nan],
        "held_out_max_error": [0.3, np.nan],
        "target": [0.07, np.nan],
    }
)
AGREEMENT = pd.DataFrame(
    {
        "tokens": ["in + out"],
        "energy": ["per request"],
        "cells": [90],
        "num_cells": [108],
        "cheapest_tp": [6],
        "cheapest_common_tp": [7],
        "num_classes": [9],
        "cheapest_clock": [12],
        "num_degrees": [18],
        "rank_correlation": [0.745],
        "class_rank_correlation": [np.nan],
    }
)
CLASSES = pd.DataFrame(
    {
        "request_class": ["SS", "LL"],
        "agree": [10, 8],
        "num_cells": [12, 12],
        "paper_tp": [2, 8],
        "paper_mhz": [1200, 1600],
        "tp": [2, np.nan],
        "frequency_mhz": [1600, np.nan],
        "request_j": [0.7, np.nan],
        "service_j": [0.95, np.nan],
    }
)


LEVELS = pd.DataFrame(
    {
        "quantity": ["power", "TBT P99", "TBT P99 of a class in a mix"],
        "levels": [1200, 1000, 0],
        "met_in_value": [1.0, 0.875, np.nan],
        "met": [1.0, 0.9995, np.nan],
        "worst_in_value": [0.0175, 3.5, 0.0],
        "worst": [0.0175, 0.025, 0.0],
    }
)


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> Validation:
    """Let the command find a made-up validation, and return it."""
    made = Validation(
        profile="p", errors=ERRORS, agreement=AGREEMENT, classes=CLASSES, missing=("No clocks.",), levels=LEVELS
    )
    monkeypatch.setattr(cli_validate, "validate", lambda _: made)
    return made


def _printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("mean_error", "code", "kept"), [(0.05, 0, "yes"), (0.08, 1, "no")])
def test_it_tells_whether_targets_are_kept(
    mean_error: float,
    code: int,
    kept: str,
    validation: Validation,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tests the exit code and the last column for an error below its target of 7 % and one above."""
    errors = ERRORS.assign(mean_error=[mean_error, 0.5])
    monkeypatch.setattr(cli_validate, "validate", lambda _: replace(validation, errors=errors))
    assert main(["profile", "validate"]) == code
    lines = _printed(capsys)
    assert f"decode measured batch size 10 {mean_error:.2%} 20.00% 6.00% 30.00% 7.00% {kept}" in lines
    assert "energy paper – 5 50.00% 90.00% – – – –" in lines
    assert main(["profile", "validate", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["num_missed"] == code
    assert told["errors"][1]["target"] is None


def test_agreement_is_shown_as_counts_beside_the_aims(
    validation: Validation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests counts, a dash where nothing can be ranked, and the aims: 85 % of 108 cells is 92, rounded up."""
    assert main(["profile", "validate"]) == 0
    lines = _printed(capsys)
    assert "in + out per request 90 of 108 6 of 9 7 of 9 12 of 18 0.745 –" in lines
    assert "aim – 92 of 108 8 of 9 – – 0.90 –" in lines
    assert "SS 10 of 12 TP2 at 1,200 MHz TP2 at 1,600 MHz 0.700 0.950" in lines
    assert "LL 8 of 12 TP8 at 1,600 MHz – – –" in lines


def test_levels_left_out_are_shown_by_both_rules(validation: Validation, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests shares and worst misses, in value alone and in value or load, and dashes where no level counts."""
    assert main(["profile", "validate"]) == 0
    lines = _printed(capsys)
    assert "TBT P99 1000 87.50% 99.95% 350.00% 2.50%" in lines
    assert "TBT P99 of a class in a mix 0 – – 0.00% 0.00%" in lines
    assert main(["profile", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["levels"][1]["met"] == 0.9995


def test_what_is_missing_is_said(validation: Validation, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests the sentence at the end, in both forms."""
    assert main(["profile", "validate"]) == 0
    assert _printed(capsys)[-1] == "No clocks."
    assert main(["profile", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == ["No clocks."]


def test_json_has_every_table(validation: Validation, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests names and units of the JSON, and null for what has no value."""
    assert main(["profile", "validate", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format_version"], told["profile"]) == (1, "p")
    assert told["table1"][0]["cells"] == 90
    assert told["table1"][0]["class_rank_correlation"] is None
    assert told["table1_classes"][1]["tp"] is None
    assert told["table1_aims"] == {"cells": 0.85, "cheapest_tp": 8 / 9, "rank_correlation": 0.9}


def test_a_profile_without_references(
    validation: Validation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that no empty table is printed: only that there is nothing to compare with."""
    nothing = pd.DataFrame()
    bare = replace(
        validation, errors=nothing, agreement=nothing, classes=nothing, levels=nothing, missing=("Nothing is public.",)
    )
    monkeypatch.setattr(cli_validate, "validate", lambda _: bare)
    assert main(["profile", "validate"]) == 0
    assert _printed(capsys) == ["Nothing is public."]
    assert main(["profile", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"] == []


def test_the_shipped_profile_keeps_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that the fit errors against the measurements are as small as was asked for."""
    assert main(["profile", "validate"]) == 0
    out = capsys.readouterr().out
    assert "prefill" in out
    assert "table I" in out
