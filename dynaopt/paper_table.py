"""A profile against table I of DynamoLLM: which configurations keep the SLO at 2,000 tokens/s, and which is cheapest.

The table is a check of plausibility, not a fit target. It says neither what its 2,000 tokens/s count nor whose energy
it gives, so that all readings are made: input plus output tokens, or input tokens alone; the energy of the instance
shared by its requests (power over rate), or drawn while one is served (power times its time until the last token).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dynaopt.lengths import SERVICE_REQUESTS, Lengths, merged, service_lengths
from dynaopt.profile import LoadCurve, Profile, slo_rates_rps
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo
from dynaopt.tables import Column, read_table

TABLE = "DynamoLLM, table I"
TOKENS_PER_S = 2000.0
TABLE_COLUMNS = (
    Column("request_class", "text", choices=REQUEST_CLASSES),
    Column("tp", "integer", positive=True),
    Column("frequency_mhz", "integer", positive=True),
    Column("meets_slo", "text", choices=("true", "false")),
    Column("energy_wh", positive=True, nullable=True),
)
_KEY = ["request_class", "tp", "frequency_mhz"]
# The paper rounds the highest clock of an H100.
_CLOCKS_MHZ = {2000: 1980}
_FEWEST_TO_RANK = 3


READINGS = {"in + out": True, "in": False}
"""What the tokens/s may count, and whether that is output tokens too."""
ENERGIES = {"per request": "request_j", "power x time": "service_j"}
"""What the energies may be, and the column of `table_energies` that has it."""
AIMS = {"cells": 0.85, "cheapest_tp": 8 / 9, "rank_correlation": 0.9}
"""The agreement that one would like, as shares, and the rank correlation."""


def read_paper_table(folder: str | Path) -> pd.DataFrame:
    """Read ``table1.csv``: `request_class, tp, frequency_mhz, meets_slo` (bool), `energy_wh` (NaN where not met).

    Raises
    ------
    MissingFileError, InvalidInputError
        If it is not there or a cell does not fit.
    """
    table = read_table(Path(folder) / "table1.csv", TABLE_COLUMNS, key=_KEY)
    table["meets_slo"] = table["meets_slo"] == "true"
    table["frequency_mhz"] = table["frequency_mhz"].replace(_CLOCKS_MHZ)
    return table


def table_agreement(profile: Profile, table: pd.DataFrame, slo: Slo) -> pd.DataFrame:
    """Compare a profile with the table, in all readings.

    Parameters
    ----------
    profile
        Has curves of the table's configurations; a configuration without a curve keeps no SLO.
    table
        From `read_paper_table`.
    slo
        The objectives of the table.

    Returns
    -------
    pandas.DataFrame
        A row for each reading: `tokens` (what the tokens/s count), `energy` (what the energies are) and how often both
        say the same, beside how often they might: `cells` of `num_cells` (is the SLO kept), `cheapest_tp` of
        `num_classes`, `cheapest_common_tp` of the same (among cells that keep the SLO in both), `cheapest_clock` of
        `num_degrees` (of a class and degree, among such cells); `rank_correlation` of the energies of all such cells,
        and `class_rank_correlation`, the mean over the classes that have three or more (NaN where there are none).
    """
    rows = []
    for tokens, counts_output in READINGS.items():
        cells = table_energies(profile, table, slo, counts_output=counts_output)
        rows += [{"tokens": tokens, "energy": name} | agreement(cells, own) for name, own in ENERGIES.items()]
    return pd.DataFrame(rows)


def agreement(cells: pd.DataFrame, energy: str) -> dict[str, float]:
    """Compare cells in one reading.

    Parameters
    ----------
    cells
        From `table_energies`.
    energy
        The column to compare with the table's energies.

    Returns
    -------
    dict
        The columns of `table_agreement` that count and correlate.
    """
    both = cells[cells["meets_slo"] & cells["kept"]]
    by_class, by_degree = (dict(list(both.groupby(keys))) for keys in ("request_class", ["request_class", "tp"]))
    ranks = [_rank_correlation(own, energy) for own in by_class.values() if len(own) >= _FEWEST_TO_RANK]
    return {
        "cells": int((cells["meets_slo"] == cells["kept"]).sum()),
        "num_cells": len(cells),
        "cheapest_tp": _same(dict(list(cells.groupby("request_class"))), energy, "tp"),
        "cheapest_common_tp": _same(by_class, energy, "tp"),
        "num_classes": cells["request_class"].nunique(),
        "cheapest_clock": _same(by_degree, energy, "frequency_mhz"),
        "num_degrees": len(by_degree),
        "rank_correlation": _rank_correlation(both, energy) if len(both) >= _FEWEST_TO_RANK else np.nan,
        "class_rank_correlation": float(np.mean(ranks)) if ranks else np.nan,
    }


def class_ranks(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what a profile and the table say of each class.

    Parameters
    ----------
    cells
        From `table_energies`.

    Returns
    -------
    pandas.DataFrame
        `request_class`, `agree` of `num_cells` on the SLO, `paper_tp, paper_mhz` (cheapest in the table), `tp,
        frequency_mhz` (cheapest by energy per request here), and the rank correlations of both energies, by their
        columns in `table_energies` (NaN where fewer than three cells keep the SLO in both).
    """
    rows = []
    for request_class in REQUEST_CLASSES:
        own = cells[cells["request_class"] == request_class]
        if own.empty:
            continue
        both = own[own["meets_slo"] & own["kept"]]
        enough = len(both) >= _FEWEST_TO_RANK
        row = {"request_class": request_class, "agree": int((own["meets_slo"] == own["kept"]).sum())}
        row |= {"num_cells": len(own)}
        for energy, names in (("energy_wh", ("paper_tp", "paper_mhz")), ("request_j", ("tp", "frequency_mhz"))):
            row |= {name: _cheapest(own, energy, of) for name, of in zip(names, ("tp", "frequency_mhz"), strict=True)}
        row |= {energy: _rank_correlation(both, energy) if enough else np.nan for energy in ENERGIES.values()}
        rows.append(row)
    return pd.DataFrame(rows)


def table_energies(profile: Profile, table: pd.DataFrame, slo: Slo, *, counts_output: bool = True) -> pd.DataFrame:
    """Return the table with what the profile says of each row.

    Parameters
    ----------
    profile, table, slo
        As in `table_agreement`.
    counts_output
        Whether the 2,000 tokens/s count output tokens too.

    Returns
    -------
    pandas.DataFrame
        The table's columns and `rate_rps` (what 2,000 tokens/s come to), `slo_rate_rps` (the last rate that keeps the
        SLO; 0 where none does), `kept` (whether it is as high), and where it is kept `request_j` (power over rate) and
        `service_j` (power times the time of a request of median latencies and mean output).
    """
    lengths = {c: _class_lengths(profile, c) for c in REQUEST_CLASSES}
    limits = slo_rates_rps(profile, slo)
    rates_rps = {c: TOKENS_PER_S / _mean_tokens(own, counts_output) for c, own in lengths.items()}
    rows = []
    for key in zip(table["tp"], table["frequency_mhz"], table["request_class"], strict=True):
        rate_rps, limit_rps = rates_rps[key[2]], limits.get(key, 0.0)
        kept = limit_rps >= rate_rps
        power_w = profile.curves[key].power_at_w(rate_rps) if kept else np.nan
        service_s = _service_s(profile.curves[key], rate_rps, lengths[key[2]]) if kept else np.nan
        rows.append((rate_rps, limit_rps, kept, power_w / rate_rps, power_w * service_s))
    out = table.copy()
    out[["rate_rps", "slo_rate_rps", "kept", "request_j", "service_j"]] = rows
    return out.astype({"kept": bool})


def _service_s(curve: LoadCurve, rate_rps: float, lengths: Lengths) -> float:
    ttft_s, tbt_s = (float(np.interp(rate_rps, curve.rate_rps, v)) for v in (curve.ttft_p50_s, curve.tbt_p50_s))
    return ttft_s + (float(np.average(lengths.output_tokens, weights=lengths.weight)) - 1) * tbt_s


def _same(groups: Mapping[Any, pd.DataFrame], energy: str, column: str) -> int:
    """Count the groups in which `column` is the same where the table and where the profile is cheapest."""
    return sum(_cheapest(own, "energy_wh", column) == _cheapest(own, energy, column) for own in groups.values())


def _cheapest(group: pd.DataFrame, energy: str, column: str) -> int | None:
    kept = group.dropna(subset=[energy])
    return None if kept.empty else int(kept[column].to_numpy()[kept[energy].to_numpy().argmin()])


def _rank_correlation(cells: pd.DataFrame, energy: str) -> float:
    # Spearman's; SciPy's statistics take half a second to import.
    return float(cells["energy_wh"].rank().corr(cells[energy].rank()))


def _class_lengths(profile: Profile, request_class: str) -> Lengths:
    """Return the lengths of a class, of both services of 2024 together."""
    return merged([service_lengths(s) for s in SERVICE_REQUESTS]).of_class(request_class, profile.cut_points)


def _mean_tokens(lengths: Lengths, counts_output: bool) -> float:
    counted = lengths.input_tokens + lengths.output_tokens if counts_output else lengths.input_tokens
    return float(np.average(counted, weights=lengths.weight))
