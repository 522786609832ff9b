"""What the DynamoLLM paper says of its six policies: energy relative to SinglePool, for one hour and for two weeks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import Column, read_table

_FOLDER = Path(__file__).parent / "data" / "reference" / "dynamollm-policies"
_WEEK_COLUMNS = (Column("service", "text"), Column("system", "text"), Column("relative_energy", positive=True))
_HOUR_COLUMNS = (
    Column("system", "text"),
    *(Column(request_class, minimum=0) for request_class in REQUEST_CLASSES),
    *(Column(name, positive=True) for name in ("total", "ttft_p99_s", "tbt_p99_ms")),
)
Experiment = Literal["week conversation", "week coding", "hour"]
"""The weeks are simulated (figure 15), the hour of conversation is measured (figure 7)."""

_SYSTEMS = {
    "single-pool": "SinglePool",
    "multi-pool": "MultiPool",
    "scale-inst": "ScaleInst",
    "scale-shard": "ScaleShard",
    "scale-freq": "ScaleFreq",
    "dynamollm": "DynamoLLM",
}


def paper_energies(experiment: Experiment) -> Mapping[str, float]:
    """Return the energy of the paper's policies relative to its SinglePool, by the names of `policies`.

    Parameters
    ----------
    experiment
        Which one.
    """
    if experiment == "hour":
        table = read_table(_FOLDER / "hour.csv", _HOUR_COLUMNS).set_index("system")["total"]
        relative = table / table["SinglePool"]
    else:
        frame = read_table(_FOLDER / "week.csv", _WEEK_COLUMNS)
        relative = frame[frame["service"] == experiment.split()[1]].set_index("system")["relative_energy"]
    return {name: float(relative[system]) for name, system in _SYSTEMS.items()}
