"""What it costs not to know the future: forecasts, margins and the energy that they lead to, over both shipped weeks.

    python benchmarks/forecast_regret.py [--week conversation|coding]… [--windows N] [--out FILE] [--keep DIR]

Every row is one run of `dynaopt.rolling.roll`; runs that the file already has are left out, so that it resumes. All
schedules go through `dynaopt.check`: it must find nothing but the demand of overloaded windows.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path

import pandas as pd

import dynaopt
from dynaopt.check import check
from dynaopt.rolling import roll
from dynaopt.schedule_io import write_schedule
from dynaopt.violations import ViolationKind

POLICIES: tuple[tuple[str, float | None], ...] = (
    ("oracle", None),
    ("last", 0.95),
    ("statsmodels", 0.95),
    ("template", 0.95),
    ("scaled-template", 0.95),
    ("last", None),
    ("statsmodels", 0.99),
    ("last", 0.99),
    ("statsmodels", None),
    ("scaled-template", 0.99),
)
STORED = Path(__file__).parent / "results" / "forecast_regret.csv"
KEY = ["week", "windows", "forecaster", "quantile"]


def run(
    week: str, windows: int | None, forecaster: str, quantile: float | None, keep: Path | None
) -> dict[str, object]:
    """Run one policy over a week and return its row."""
    profile = dynaopt.read_profile("llama2-70b-h100")
    demand = dynaopt.read_demand(f"azure-2024-{week}")
    demand = demand if windows is None else demand.select(0, windows)
    began_s = time.perf_counter()
    result = roll(demand, profile, forecaster=forecaster, quantile=quantile)
    wall_s = time.perf_counter() - began_s
    found = check(result.schedule, profiles=[profile])
    overloaded = set(result.windows.loc[result.windows["served_share"] < 1, "window_start"])
    wrong = [v for v in found if v.kind is not ViolationKind.UNSERVED_DEMAND or v.window_start not in overloaded]
    if wrong:
        raise SystemExit(f"{week}, {forecaster}: {len(wrong)} violations, first {wrong[0]}")
    if keep is not None:
        name = f"{week}-{forecaster}-{quantile}"
        write_schedule(result.schedule, keep / name)
        result.windows.to_csv(keep / f"{name}.csv", index=False)
    key = {"week": week, "windows": demand.num_windows, "forecaster": forecaster, "quantile": quantile}
    return {**key, **result.summary(), "wall_s": round(wall_s, 1)}


def main() -> None:
    """Run what is not stored yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--week", action="append", choices=["conversation", "coding"])
    parser.add_argument("--windows", type=int)
    parser.add_argument("--out", type=Path, default=STORED)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    weeks = options.week or ["conversation", "coding"]
    for (forecaster, quantile), week in product(POLICIES, weeks):
        rows = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame(columns=KEY)
        num_windows = options.windows or dynaopt.read_demand(f"azure-2024-{week}").num_windows
        own = (rows["week"] == week) & (rows["windows"] == num_windows) & (rows["forecaster"] == forecaster)
        if (own & (rows["quantile"].isna() if quantile is None else rows["quantile"] == quantile)).any():
            continue
        row = pd.DataFrame([run(week, options.windows, forecaster, quantile, options.keep)])
        (pd.concat([rows, row]) if len(rows) else row).to_csv(options.out, index=False)
        print(row.to_string(index=False), flush=True)
    print(with_regret(pd.read_csv(options.out)).to_string(index=False))


def with_regret(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with how much more energy each takes than the oracle and than reacting with the same margin."""
    by_key = rows.set_index(["week", "windows", "forecaster", "quantile"])["energy_j"]

    def beyond(row: pd.Series, forecaster: str, quantile: float) -> float:
        """Return the share by which a row exceeds another; NaN where that is missing."""
        key = (row["week"], row["windows"], forecaster, quantile)
        return float(row["energy_j"] / by_key[key] - 1) if key in by_key.index else float("nan")

    return rows.assign(
        regret_oracle=[beyond(row, "oracle", float("nan")) for _, row in rows.iterrows()],
        regret_reactive=[beyond(row, "last", row["quantile"]) for _, row in rows.iterrows()],
    )


if __name__ == "__main__":
    main()
