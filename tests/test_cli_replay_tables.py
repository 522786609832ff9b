"""Tests of `dynaopt.cli_replay_tables`."""

import math

from replay_samples import class_row, make_result
from sample_schedule import make_schedule

from dynaopt.cli_replay_tables import result_parts
from dynaopt.console import render
from dynaopt.replay_result import ReplayResult


def _lines(result: ReplayResult) -> list[list[str]]:
    return [line.split() for line in render(*result_parts(make_schedule(), result)).splitlines()]


def test_every_class_has_its_shares_and_latencies() -> None:
    """Tests requests, percent, milliseconds below and above 100, and dashes where there is no value."""
    row = class_row("LM", num_requests=12345, num_lost=6, ttft_attainment=0.98765, ttft_p99_s=2.0, tpot_p50_s=math.nan)
    lines = _lines(make_result(row))
    assert ["LM", "12,345", "6", "98.77%", "100.00%", "100.00%", "100.00%", "2.500"] in lines
    assert ["LM", "50.0", "50.0", "2,000", *["50.0"] * 3, "–", "50.0", "50.0", "250", "100"] in lines
    assert ["all", *["50.0"] * 9, "–", "–"] in lines


def test_plan_stands_beside_replay() -> None:
    """Tests kWh of each part and of all, and their ratio."""
    lines = _lines(make_result(class_row("SS")))
    started_kwh = f"{make_schedule().transition_energy_j / 3.6e6:,.2f}"
    assert ["serving", "–", "1.00", "–"] in lines
    assert ["start-up", started_kwh, "0.25", "–"] in lines
    assert ["all", "1.67", "1.75", "105.00%"] in lines


def test_only_what_happened_is_told() -> None:
    """Tests that measures beside the plan are told with their counts, and those that were not taken are not."""
    text = render(*result_parts(make_schedule(), make_result(class_row("SS"), num_resteered=1234)))
    assert "1,234 moved to another instance while they waited" in text
    assert "begun again" not in text


def test_models_are_told_apart() -> None:
    """Tests the names of two models, and their absence where there is one."""
    several = _lines(make_result(class_row("SS"), class_row("SS", model="n")))
    assert [line[:2] for line in several if line and line[0] in "mn"] == [["m", "SS"], ["n", "SS"]] * 2
    assert not any(line[:1] == ["m"] for line in _lines(make_result(class_row("SS"))))
