"""Tests of `dynaopt.paper_table`."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import make_curve, make_profile

from dynaopt.errors import InvalidInputError
from dynaopt.lengths import SERVICE_REQUESTS, merged, service_lengths
from dynaopt.paper_table import TOKENS_PER_S, compare_table, read_paper_table, table_energies
from dynaopt.phase_errors import Comparison
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


def _by_name(comparisons: tuple[Comparison, ...], reading: str) -> dict[str, Comparison]:
    ending = f" ({reading})"
    return {c.quantity.removesuffix(ending): c for c in comparisons if c.quantity.endswith(ending)}


def test_the_table_is_whole(table: pd.DataFrame) -> None:
    """Tests 9 classes, 3 degrees and 4 clocks, of which the paper's 2,000 MHz is our 1,980; 66 cells keep the SLO."""
    assert len(table) == 108
    assert set(table["request_class"]) == set(REQUEST_CLASSES)
    assert sorted(set(table["frequency_mhz"])) == list(CLOCKS_MHZ)
    assert (table["meets_slo"] == table["energy_wh"].notna()).all()
    assert table["meets_slo"].sum() == 66


def test_a_profile_that_agrees_has_no_error(table: pd.DataFrame) -> None:
    """Tests all cells, the cheapest degree and clock, and the ranks of energies."""
    found = _by_name(compare_table(_faithful(table), table, SLO), "in + out")
    assert {name: len(c.errors) for name, c in found.items()} == {
        "SLO kept": 108,
        "cheapest TP": 9,
        "cheapest clock": 19,
        "1 - rank correlation": 1,
    }
    for name, comparison in found.items():
        assert comparison.errors.max() == pytest.approx(0.0, abs=1e-12), name


def test_input_tokens_alone_ask_for_more_requests(table: pd.DataFrame) -> None:
    """Tests that in the other reading, with as many input tokens, instances that just kept the SLO no longer do."""
    profile = _faithful(table, spare=1.001)
    found = _by_name(compare_table(profile, table, SLO), "in")
    assert found["SLO kept"].errors.sum() == 66
    both = table_energies(profile, table, SLO)
    inputs = table_energies(profile, table, SLO, counts_output=False)
    assert (inputs["rate_rps"] > both["rate_rps"]).all()


def test_a_cell_that_differs_is_counted_once(table: pd.DataFrame) -> None:
    """Tests a profile without SS on TP8 at 800 MHz: one cell of 108 disagrees, and nothing else."""
    profile = _faithful(table)
    curves = {key: curve for key, curve in profile.curves.items() if key != (8, 800, "SS")}
    found = _by_name(compare_table(Profile(profile.metadata, curves), table, SLO), "in + out")
    assert found["SLO kept"].errors.sum() == 1
    assert found["cheapest TP"].errors.sum() == 0


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


def test_the_cheapest_degree_is_compared(table: pd.DataFrame) -> None:
    """Tests that halving the energy of every TP8 cell changes the cheapest degree of the 7 classes that had another."""
    profile = _faithful(table)
    curves = [
        make_curve(*key, list(zip(c.rate_rps, c.power_w * (0.2 if key[0] == 8 else 1.0), strict=True)))
        for key, c in profile.curves.items()
    ]
    found = _by_name(compare_table(make_profile(curves), table, SLO), "in + out")
    assert found["cheapest TP"].errors.sum() == 7
    assert found["1 - rank correlation"].errors[0] > 0.1


def test_a_profile_that_keeps_nothing(table: pd.DataFrame) -> None:
    """Tests that an empty profile disagrees wherever the table keeps the SLO, without failing."""
    found = _by_name(compare_table(make_profile([]), table, SLO), "in + out")
    assert found["SLO kept"].errors.sum() == 66
    assert found["cheapest TP"].errors.sum() == 9
    assert found["1 - rank correlation"].errors[0] == 1


def test_a_cell_twice_is_refused(tmp_path: Path) -> None:
    """Tests that a table with two rows for one cell is refused with its line."""
    text = "request_class,tp,frequency_mhz,meets_slo,energy_wh\nSS,2,800,false,\nSS,2,800,true,1.0\n"
    (tmp_path / "table1.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=r"table1\.csv, line 3: expected each row once"):
        read_paper_table(tmp_path)
