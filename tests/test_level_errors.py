"""Tests of `dynaopt.level_errors`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_metadata

from dynaopt.level_errors import level_errors
from dynaopt.profile import LoadCurve, Profile


def _errors(*curves: LoadCurve) -> pd.DataFrame:
    metadata = make_metadata()
    return level_errors(Profile(metadata, {(c.tp, n, c.request_class): c for n, c in enumerate(curves)})).set_index(
        "quantity"
    )


def _flat(points: list[tuple[float, float]], **latencies: list[float]) -> LoadCurve:
    """Make an SS curve, whose medians are a hundredth of a second throughout."""
    curve = make_curve(4, 2000, "SS", points, **latencies)
    flat = np.full(len(points), 0.01)
    return replace(curve, ttft_p50_s=flat, tbt_p50_s=flat)


def test_misses_by_hand() -> None:
    """Tests two inner levels. Power at 1: 110 against 105 on the line, 4.5 %; at 2: 110 against 115, 4.5 %.

    TTFT P99: the line gives 0.1 at 1, where the level has it, and 0.125 at 2 instead of 0.1, 25 % off.
    """
    curve = _flat([(0, 100), (1, 110), (2, 110), (3, 120)], ttft_p99_s=[0.1, 0.1, 0.1, 0.15])
    errors = _errors(curve)
    assert errors["levels"].to_dict() == dict.fromkeys(["power", "TTFT P50", "TTFT P99", "TBT P50", "TBT P99"], 2)
    assert errors.loc["power", ["met", "met_in_value"]].tolist() == [0, 0]
    assert errors.loc["power", "worst"] == pytest.approx(5 / 110)
    assert errors.loc["TTFT P99", "met_in_value"] == 0.5
    assert errors.loc["TTFT P99", "worst_in_value"] == pytest.approx(0.25)
    assert errors.loc["TBT P99", ["met", "met_in_value", "worst"]].tolist() == [1, 1, 0]


def test_an_enclosed_jump_is_met_in_load() -> None:
    """Tests a TBT P99 that goes from 20 to 60 ms between 10.01 and 10.02, with a level 0.1 % before and after."""
    points = [(0, 100), (10, 200), (10.01, 200), (10.02, 200), (10.03, 200), (20, 200)]
    errors = _errors(_flat(points, tbt_p99_s=[0.02, 0.02, 0.02, 0.06, 0.06, 0.06]))
    assert errors.loc["TBT P99", "met_in_value"] == 0.5
    assert errors.loc["TBT P99", "worst_in_value"] == pytest.approx(1)
    assert errors.loc["TBT P99", ["met", "worst"]].tolist() == [1, 0]


def test_power_is_met_at_its_load_or_not_at_all() -> None:
    """Tests the same jump in power, which no load close by excuses."""
    points = [(0, 100), (10, 100), (10.01, 100), (10.02, 300), (10.03, 300), (20, 300)]
    errors = _errors(_flat(points))
    assert errors.loc["power", "met"] == errors.loc["power", "met_in_value"] == 0.5


def test_levels_of_no_use_count_for_power_only() -> None:
    """Tests an SS curve beyond 1.5 times its 0.25 s from load 2 on."""
    points = [(0, 100), (1, 110), (2, 120), (3, 130), (4, 140)]
    errors = _errors(_flat(points, ttft_p99_s=[0.1, 0.2, 0.5, 1.0, 2.0]))
    assert errors["levels"].to_dict() == {"power": 3, "TTFT P50": 1, "TTFT P99": 1, "TBT P50": 1, "TBT P99": 1}


def test_in_a_mix_classes_count_near_their_bounds() -> None:
    """Tests SS in a mix at 0.1, 0.24 and 0.3 s of 0.25 s: two levels from 0.95 times the bound on; its TBT never."""
    points = [(0, 100), (1, 110), (2, 120), (3, 130), (4, 140)]
    mix = replace(_flat(points), request_class="ALL-conversation")
    low = np.full(5, 0.01)
    errors = _errors(replace(mix, class_latencies={"SS": (np.array([0.05, 0.1, 0.24, 0.3, 0.36]), low)}))
    assert errors.loc["TTFT P99 of a class in a mix", "levels"] == 2
    assert errors.loc["TBT P99 of a class in a mix", "levels"] == 0
    assert np.isnan(errors.loc["TBT P99 of a class in a mix", "met"])


def test_curves_are_put_together() -> None:
    """Tests that levels of all curves count, and the worst of them is told."""
    bent = _flat([(0, 100), (1, 110), (2, 100)])
    straight = _flat([(0, 100), (1, 110), (2, 120)])
    errors = _errors(bent, straight)
    assert errors.loc["power", "levels"] == 2
    assert errors.loc["power", "met"] == 0.5
    assert errors.loc["power", "worst"] == pytest.approx(10 / 110)
