"""How a schedule's robustness looks: tables for the terminal, and the same as JSON."""

from __future__ import annotations

import json

import pandas as pd

from dynaopt.console import TitledTable, make_table
from dynaopt.robustness import Robustness


def perturbation_tables(name: str, robustness: Robustness) -> list[TitledTable | str]:
    """Return what to print.

    Parameters
    ----------
    name
        What was planned.
    robustness
        From `robustness.perturb`.
    """
    return [_changes(name, robustness), _margins(robustness), _sentence(robustness)]


def perturbation_content(robustness: Robustness) -> dict[str, object]:
    """Return the same as JSON has it.

    Parameters
    ----------
    robustness
        From `robustness.perturb`.
    """
    frames = {"changes": robustness.changes, "margins": robustness.margin_table()}
    worst = robustness.worst_regret
    return {
        "size": robustness.size,
        "worst_regret": None if pd.isna(worst) else worst,
        **{key: json.loads(frame.to_json(orient="records")) for key, frame in frames.items()},
    }


def _changes(name: str, robustness: Robustness) -> TitledTable:
    rows = []
    for row in robustness.changes.to_dict(orient="records"):
        is_kept = row["num_broken_instances"] == 0
        rows.append(
            [
                row["change"],
                f"{row['energy_j'] / 3.6e6:,.1f}",
                f"{row['best_energy_j'] / 3.6e6:,.1f}",
                f"{row['regret']:.2%}" if is_kept and not pd.isna(row["regret"]) else None,
                f"{row['num_broken_instances'] / max(row['num_instances'], 1):.1%}",
                f"{row['num_broken_windows']:,}",
                f"{row['num_unsolved']:,}" if row["num_unsolved"] else None,
            ]
        )
    headings = ["the truth is", "plan kWh", "best plan kWh", "regret", "instances late", "windows", "unsolved"]
    title = f"{name}, if its profile is off by {robustness.size:.0%}: the plan as it is, and as one that knew it"
    return make_table(headings, rows, title=title)


def _margins(robustness: Robustness) -> TitledTable:
    table = robustness.margin_table()
    margins = [table[column].map("{:.1%}".format) for column in ("latency_margin", "duration_margin")]
    names = [f"{share:.0%} of instances" if share else "the first" for share in table["share"]]
    rows = zip(names, *margins, strict=True)
    title = "How much longer they may be before an SLO breaks at the busiest minute"
    return make_table(["breaks", "latencies", "iterations"], rows, title=title)


def _sentence(robustness: Robustness) -> str:
    worst = robustness.worst_regret
    if pd.isna(worst):
        return "Every one of these truths breaks an SLO of the plan."
    kept = robustness.changes[robustness.changes["num_broken_instances"] == 0]
    name = kept["change"].iloc[int(kept["regret"].to_numpy().argmax())]
    return f"Where the plan keeps its SLOs, not knowing the truth costs at most {worst:.1%} ({name})."
