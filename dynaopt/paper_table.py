"""A profile against table I of DynamoLLM: which configurations keep the SLO at 2,000 tokens/s, and which is cheapest.

The table is a check of plausibility, not a fit target. It does not say what its 2,000 tokens/s count, so that both
readings are made: input plus output tokens, and input tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.lengths import SERVICE_REQUESTS, merged, service_lengths
from dynaopt.phase_errors import Comparison
from dynaopt.phase_model import FloatArray
from dynaopt.profile import Profile, slo_rates_rps
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo
from dynaopt.tables import Column, read_table

TABLE = "DynamoLLM, table I"
TOKENS_PER_S = 2000.0
DISAGREEMENT = "disagreement"
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


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    name: str
    counts_output: bool


_READINGS = (_Reading("in + out", True), _Reading("in", False))


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


def compare_table(profile: Profile, table: pd.DataFrame, slo: Slo) -> tuple[Comparison, ...]:
    """Compare a profile with the table, in both readings of its tokens/s.

    Parameters
    ----------
    profile
        Has curves of the table's configurations; a configuration without a curve keeps no SLO.
    table
        From `read_paper_table`.
    slo
        The objectives of the table.
    """
    return tuple(c for reading in _READINGS for c in _compare(profile, table, slo, reading))


def table_energies(profile: Profile, table: pd.DataFrame, slo: Slo, *, counts_output: bool = True) -> pd.DataFrame:
    """Return the table with what the profile says of each row.

    Parameters
    ----------
    profile, table, slo
        As in `compare_table`.
    counts_output
        Whether the 2,000 tokens/s count output tokens too.

    Returns
    -------
    pandas.DataFrame
        The table's columns and `rate_rps` (what 2,000 tokens/s come to), `kept` (whether the profile's curve keeps the
        SLO at that rate) and `request_j` (energy per request there; NaN where not kept).
    """
    tokens = _mean_tokens(profile, counts_output)
    limits = slo_rates_rps(profile, slo)
    out = table.assign(rate_rps=TOKENS_PER_S / table["request_class"].map(tokens))
    keys = list(zip(out["tp"], out["frequency_mhz"], out["request_class"], strict=True))
    out["kept"] = [limits.get(k, 0.0) >= r for k, r in zip(keys, out["rate_rps"], strict=True)]
    out["request_j"] = [
        profile.curves[k].power_at_w(r) / r if kept else np.nan
        for k, r, kept in zip(keys, out["rate_rps"], out["kept"], strict=True)
    ]
    return out


def _compare(profile: Profile, table: pd.DataFrame, slo: Slo, reading: _Reading) -> tuple[Comparison, ...]:
    cells = table_energies(profile, table, slo, counts_output=reading.counts_output)
    both = cells[cells["meets_slo"] & cells["kept"]]
    rank = both["energy_wh"].rank().corr(both["request_j"].rank()) if len(both) > 1 else 0.0
    parts = {
        "SLO kept": (cells["meets_slo"] != cells["kept"]).to_numpy(float),
        "cheapest TP": _disagreements(cells, "tp"),
        "cheapest clock": _disagreements(both, "frequency_mhz", by=["request_class", "tp"]),
        "1 - rank correlation": np.array([1 - rank]),
    }
    return tuple(
        Comparison(
            quantity=f"{name} ({reading.name})",
            reference=TABLE,
            errors=errors,
            held_out=np.empty(0),
            measure="difference" if "rank" in name else DISAGREEMENT,
        )
        for name, errors in parts.items()
    )


def _disagreements(cells: pd.DataFrame, column: str, by: list[str] | None = None) -> FloatArray:
    """Tell for each group (1 or 0) whether table and profile differ in where `column` is cheapest."""
    groups = [group for _, group in cells.groupby(by or ["request_class"])]
    return np.array([float(_cheapest(g, "energy_wh", column) != _cheapest(g, "request_j", column)) for g in groups])


def _cheapest(group: pd.DataFrame, energy: str, column: str) -> int | None:
    kept = group.dropna(subset=[energy])
    return None if kept.empty else int(kept[column].to_numpy()[kept[energy].to_numpy().argmin()])


def _mean_tokens(profile: Profile, counts_output: bool) -> dict[str, float]:
    """Return the tokens of a mean request of each class, of both services of 2024 together."""
    lengths = merged([service_lengths(s) for s in SERVICE_REQUESTS])
    means = {}
    for request_class in REQUEST_CLASSES:
        own = lengths.of_class(request_class, profile.cut_points)
        counted = own.input_tokens + own.output_tokens if counts_output else own.input_tokens
        means[request_class] = float(np.average(counted, weights=own.weight))
    return means
