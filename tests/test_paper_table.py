"""Tests of `dynaopt.paper_table`."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_profile

from dynaopt.errors import InvalidInputError
from dynaopt.lengths import SERVICE_REQUESTS, merged, service_lengths
from dynaopt.paper_table import (
    AIMS,
    TOKENS_PER_S,
    agreement,
    class_ranks,
    read_paper_table,
    table_agreement,
    table_energies,
)
from dynaopt.phase_reference import SHIPPED_POINTS
from dynaopt.profile import Profile
from dynaopt.request_class import REQUEST_CLASSES, TABLE_IV
from dynaopt.slo import Slo

SLO = Slo.table_iv()
CLOCKS_MHZ = (800, 1200, 1600, 1980)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the shipped table."""
    return read_paper_table(SHIPPED_POINTS / "llama2-70b-h100")


@cache
def _rate_rps(request_class: str) -> float:
    """Requests/s of a class that make 2,000 tokens/s, input and output."""
    lengths = merged([service_lengths(s) for s in SERVICE_REQUESTS]).of_class(request_class, TABLE_IV)
    tokens = np.average(lengths.input_tokens + lengths.output_tokens, weights=lengths.weight)
    return TOKENS_PER_S / float(tokens)


def _faithful(table: pd.DataFrame, *, spare: float = 1.1) -> Profile:
    """Return a profile that says of each cell just what the table says."""
    curves = []
    for row in table.itertuples():
        rate_rps = _rate_rps(row.request_class)
        energy_j = row.energy_wh * 100 if row.meets_slo else 1.0
        last_rps = rate_rps * (spare if row.meets_slo else 0.5)
        points = [(0.0, 0.0), (last_rps, energy_j * last_rps)]
        curves.append(make_curve(row.tp, row.frequency_mhz, row.request_class, points))
    return make_profile(curves)


def _agreement(profile: Profile, table: pd.DataFrame, *, tokens: str = "in + out") -> pd.Series:
    """Return how far both agree, energies per request."""
    found = table_agreement(profile, table, SLO).set_index(["tokens", "energy"])
    return found.loc[(tokens, "per request")]


def _cells(rows: list[tuple[str, int, int, float, float]]) -> pd.DataFrame:
    """Make cells of (class, degree, clock, energy there, energy here); 0 where the SLO is not kept."""
    cells = pd.DataFrame(rows, columns=["request_class", "tp", "frequency_mhz", "energy_wh", "request_j"])
    cells = cells.assign(meets_slo=cells["energy_wh"] > 0, kept=cells["request_j"] > 0)
    for column in ("energy_wh", "request_j"):
        cells[column] = cells[column].where(cells[column] > 0)
    return cells.assign(service_j=cells["request_j"])


def test_the_table_is_whole(table: pd.DataFrame) -> None:
    """Tests 9 classes, 3 degrees and 4 clocks, of which the paper's 2,000 MHz is our 1,980; 66 cells keep the SLO."""
    assert len(table) == 108
    assert set(table["request_class"]) == set(REQUEST_CLASSES)
    assert sorted(set(table["frequency_mhz"])) == list(CLOCKS_MHZ)
    assert (table["meets_slo"] == table["energy_wh"].notna()).all()
    assert table["meets_slo"].sum() == 66


def test_a_profile_that_agrees_agrees_everywhere(table: pd.DataFrame) -> None:
    """Tests all cells, the cheapest degree and clock, and the ranks of energies."""
    found = _agreement(_faithful(table), table)
    counts = {"cells": 108, "cheapest_tp": 9, "cheapest_common_tp": 9, "cheapest_clock": 19}
    assert {name: found[name] for name in counts} == counts
    assert (found["num_cells"], found["num_classes"], found["num_degrees"]) == (108, 9, 19)
    assert found["rank_correlation"] == pytest.approx(1)
    assert found["class_rank_correlation"] == pytest.approx(1)


def test_every_reading_is_made(table: pd.DataFrame) -> None:
    """Tests four rows: two readings of the tokens/s times two of the energies; the aims are names of columns."""
    found = table_agreement(_faithful(table), table, SLO)
    readings = set(zip(found["tokens"], found["energy"], strict=True))
    assert readings == {(t, e) for t in ("in + out", "in") for e in ("per request", "power x time")}
    assert set(AIMS) < set(found.columns)


def test_input_tokens_alone_ask_for_more_requests(table: pd.DataFrame) -> None:
    """Tests that in the other reading, with as many input tokens, instances that just kept the SLO no longer do."""
    profile = _faithful(table, spare=1.001)
    assert _agreement(profile, table, tokens="in")["cells"] == 108 - 66
    both = table_energies(profile, table, SLO)
    inputs = table_energies(profile, table, SLO, counts_output=False)
    assert (inputs["rate_rps"] > both["rate_rps"]).all()


def test_a_cell_that_differs_is_counted_once(table: pd.DataFrame) -> None:
    """Tests a profile without SS on TP8 at 800 MHz: one cell of 108 disagrees, and nothing else."""
    profile = _faithful(table)
    curves = {key: curve for key, curve in profile.curves.items() if key != (8, 800, "SS")}
    found = _agreement(Profile(profile.metadata, curves), table)
    assert found["cells"] == 107
    assert found["cheapest_tp"] == 9


def test_agreement_by_hand() -> None:
    """Tests five cells of two classes.

    SS keeps its SLO in three cells of the table and in two here: the table's cheapest, TP2, is not among them, so that
    the degrees differ, but of the two common cells TP8 at 1,200 MHz is the cheapest in both. MM keeps it in two, with
    another order of clocks on the only degree. Of the four common cells the table ranks 2, 1, 3, 4 and the profile
    2, 1, 4, 3: 1 - 6·(0 + 0 + 1 + 1) / (4·15) = 0.8. No class has three to rank.
    """
    cells = _cells(
        [
            ("SS", 2, 800, 1.0, 0.0),
            ("SS", 4, 800, 3.0, 20.0),
            ("SS", 8, 1200, 2.0, 10.0),
            ("MM", 8, 800, 4.0, 40.0),
            ("MM", 8, 1200, 5.0, 30.0),
        ]
    )
    found = agreement(cells, "request_j")
    assert np.isnan(found.pop("class_rank_correlation"))
    assert found == {
        "cells": 4,
        "num_cells": 5,
        "cheapest_tp": 1,
        "cheapest_common_tp": 2,
        "num_classes": 2,
        "cheapest_clock": 2,
        "num_degrees": 3,
        "rank_correlation": pytest.approx(0.8),
    }


def test_classes_by_hand() -> None:
    """Tests one class with three common cells, ranked 1, 2, 3 there and 1, 3, 2 here: 1 - 6·2 / (3·8) = 0.5."""
    rows = [("SS", 2, 800, 1.0, 10.0), ("SS", 4, 800, 2.0, 30.0), ("SS", 8, 800, 3.0, 20.0), ("LL", 8, 800, 1.0, 0.0)]
    ranks = class_ranks(_cells(rows)).set_index("request_class")
    assert list(ranks.index) == ["SS", "LL"]
    assert ranks.loc["SS", ["agree", "num_cells", "paper_tp", "paper_mhz", "tp"]].tolist() == [3, 3, 2, 800, 2]
    assert ranks.loc["SS", "request_j"] == pytest.approx(0.5)
    assert ranks.loc["LL", "agree"] == 0
    assert ranks.loc["LL", ["tp", "frequency_mhz", "request_j"]].isna().all()


def test_slow_instances_do_not_keep_the_slo(table: pd.DataFrame) -> None:
    """Tests that latency decides: a P99 TTFT of 0.3 s at the rate asked for is too slow for S inputs, not for M."""
    rates = {c: _rate_rps(c) for c in ("SS", "MS")}
    curves = [make_curve(4, 1200, c, [(0.0, 400.0), (2 * r, 900.0)], ttft_p99_s=[0.1, 0.5]) for c, r in rates.items()]
    cells = table_energies(make_profile(curves), table, SLO).set_index(["request_class", "tp", "frequency_mhz"])
    assert not cells.loc[("SS", 4, 1200), "kept"]
    assert cells.loc[("MS", 4, 1200), "kept"]


def test_energy_of_a_request(table: pd.DataFrame) -> None:
    """Tests power over rate: half way along a curve from 400 to 900 W, 650 W."""
    rate_rps = _rate_rps("LS")
    profile = make_profile([make_curve(4, 1600, "LS", [(0.0, 400.0), (2 * rate_rps, 900.0)])])
    cells = table_energies(profile, table, SLO).set_index(["request_class", "tp", "frequency_mhz"])
    assert cells.loc[("LS", 4, 1600), "rate_rps"] == pytest.approx(rate_rps)
    assert cells.loc[("LS", 4, 1600), "request_j"] == pytest.approx(650 / rate_rps)
    assert np.isnan(cells.loc[("LS", 4, 1200), "request_j"])
    assert cells.loc[("LS", 4, 1600), "slo_rate_rps"] == pytest.approx(2 * rate_rps)


def test_power_times_time_of_a_request(table: pd.DataFrame) -> None:
    """Tests power times (P50 TTFT + (mean output - 1) P50 TBT): 650 W for 5 ms and as many gaps of 5 ms."""
    rate_rps = _rate_rps("LS")
    profile = make_profile([make_curve(4, 1600, "LS", [(0.0, 400.0), (2 * rate_rps, 900.0)])])
    cells = table_energies(profile, table, SLO).set_index(["request_class", "tp", "frequency_mhz"])
    lengths = merged([service_lengths(s) for s in SERVICE_REQUESTS]).of_class("LS", TABLE_IV)
    outputs = float(np.average(lengths.output_tokens, weights=lengths.weight))
    assert cells.loc[("LS", 4, 1600), "service_j"] == pytest.approx(650 * outputs * 0.005)


def test_the_cheapest_degree_is_compared(table: pd.DataFrame) -> None:
    """Tests that halving the energy of every TP8 cell changes the cheapest degree of the 7 classes that had another."""
    profile = _faithful(table)
    curves = [
        make_curve(*key, list(zip(c.rate_rps, c.power_w * (0.2 if key[0] == 8 else 1.0), strict=True)))
        for key, c in profile.curves.items()
    ]
    found = _agreement(make_profile(curves), table)
    assert found["cheapest_tp"] == 2
    assert found["rank_correlation"] < 0.9


def test_a_profile_that_keeps_nothing(table: pd.DataFrame) -> None:
    """Tests that an empty profile disagrees wherever the table keeps the SLO, without failing."""
    found = _agreement(make_profile([]), table)
    assert found["cells"] == 108 - 66
    assert found["cheapest_tp"] == 0
    assert np.isnan(found["rank_correlation"])


def test_a_cell_twice_is_refused(tmp_path: Path) -> None:
    """Tests that a table with two rows for one cell is refused with its line."""
    text = "request_class,tp,frequency_mhz,meets_slo,energy_wh\nSS,2,800,false,\nSS,2,800,true,1.0\n"
    (tmp_path / "table1.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=r"table1\.csv, line 3: expected each row once"):
        read_paper_table(tmp_path)
