"""What it costs not to know the future: forecasts, margins, planners; both shipped weeks, every request replayed.

    python benchmarks/forecast_regret.py [--week conversation|coding]… [--windows N] [--no-replay] [--out FILE]
                                         [--keep DIR]

Every row is one run of `dynaopt.rolling.roll` and the replay of its schedule (seed 0, bursts as `bounded` has them);
runs that the file already has are left out, so that it resumes. All schedules go through `dynaopt.check`: it must find
nothing but the demand of overloaded windows. With ``--keep`` the folder gets what each window came to; with
``--no-replay`` rows are stored without what a replay tells.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from headroom_trade import attainment_of

import dynaopt
from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.look_ahead import LookAhead
from dynaopt.profile import Profile
from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult
from dynaopt.rolling import PlannerMaker, roll
from dynaopt.rolling_result import RollingResult
from dynaopt.schedule_io import write_schedule
from dynaopt.synthesis import SynthesisedStream
from dynaopt.violations import ViolationKind


class Policy(NamedTuple):
    """A row of the table: whose forecast, the quantile of its margin, and how many windows are solved together."""

    forecaster: str
    quantile: float | None
    look_ahead: int = 0
    """0 for `KeepSpares`, which solves each window by itself."""


POLICIES = (
    Policy("oracle", None),
    Policy("last", 0.95),
    Policy("statsmodels", 0.95),
    Policy("statsmodels", 0.95, 6),
    Policy("oracle", None, 6),
    Policy("last", None),
    Policy("template", 0.95),
    Policy("scaled-template", 0.95),
    Policy("statsmodels", 0.99),
    Policy("last", 0.99),
    Policy("statsmodels", None),
    Policy("scaled-template", 0.99),
)
STORED = Path(__file__).parent / "results" / "forecast_regret.csv"
PROFILE = "llama2-70b-h100"
KEY = ["week", "windows", *Policy._fields]
_NONE = -1.0
"""What stands for no quantile where rows are compared."""


def run(week: str, demand: Demand, policy: Policy, *, with_replay: bool, keep: Path | None) -> dict[str, object]:
    """Run one policy over a week, replay it, and return its row."""
    profile = dynaopt.read_profile(PROFILE)
    planner: PlannerMaker | None = (lambda fleet: LookAhead(fleet, policy.look_ahead)) if policy.look_ahead else None
    began_s = time.perf_counter()
    result = roll(demand, profile, forecaster=policy.forecaster, quantile=policy.quantile, planner=planner)
    wall_s = round(time.perf_counter() - began_s, 1)
    check_run(result, profile)
    row = {"week": week, "windows": demand.num_windows, **policy._asdict(), **result.summary()}
    own = None if keep is None else keep / "-".join(map(str, (week, *policy)))
    if own is not None:
        write_schedule(result.schedule, own)
        result.windows.to_csv(own / "rolling.csv", index=False)
    if not with_replay:
        return {**row, "wall_s": wall_s}
    began_s = time.perf_counter()
    replayed = replay(result.schedule, SynthesisedStream(week, 0), profile)
    if own is not None:
        replayed.windows.to_csv(own / "replay.csv", index=False)
    return {**row, **outcome_of(replayed), "wall_s": wall_s, "replay_s": round(time.perf_counter() - began_s, 1)}


def outcome_of(replayed: ReplayResult) -> dict[str, object]:
    """Return what a row has of a replay."""
    return {
        "num_requests": replayed.num_requests,
        "num_lost": replayed.num_lost,
        "replayed_energy_j": round(replayed.energy_j),
        **attainment_of(replayed),
        "ttft_p99_s": round(float(replayed.classes.iloc[-1]["ttft_p99_s"]), 4),
    }


def check_run(result: RollingResult, profile: Profile) -> None:
    """Stop if the independent check finds more than the demand of overloaded windows."""
    overloaded = set(result.windows.loc[result.windows["served_share"] < 1, "window_start"])
    found = check(result.schedule, profiles=[profile])
    wrong = [v for v in found if v.kind is not ViolationKind.UNSERVED_DEMAND or v.window_start not in overloaded]
    if wrong:
        raise SystemExit(f"{result.forecaster}: {len(wrong)} violations, first {wrong[0]}")


def main() -> None:
    """Run what is not stored yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--week", action="append", choices=["conversation", "coding"])
    parser.add_argument("--windows", type=int)
    parser.add_argument("--no-replay", action="store_true")
    parser.add_argument("--out", type=Path, default=STORED)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    demands = {w: dynaopt.read_demand(f"azure-2024-{w}") for w in options.week or ["conversation", "coding"]}
    if options.windows:
        demands = {week: demand.select(0, options.windows) for week, demand in demands.items()}
    for policy, (week, demand) in product(POLICIES, demands.items()):
        rows = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame(columns=KEY)
        if key_of(week, demand.num_windows, policy) in by_key(rows):
            continue
        row = pd.DataFrame([run(week, demand, policy, with_replay=not options.no_replay, keep=options.keep)])
        (pd.concat([rows, row]) if len(rows) else row).to_csv(options.out, index=False)
        print(week, *policy, f"{row['energy_j'].iloc[0] / 3.6e6:,.1f} kWh, {row['wall_s'].iloc[0]} s", flush=True)
    print(with_regret(pd.read_csv(options.out)).to_string(index=False))


Key = tuple[object, ...]


def key_of(week: str, num_windows: int, policy: Policy) -> Key:
    """Return what tells one row from another."""
    return (
        week,
        num_windows,
        policy.forecaster,
        _NONE if policy.quantile is None else policy.quantile,
        policy.look_ahead,
    )


def by_key(rows: pd.DataFrame) -> dict[Key, float]:
    """Return the energy of each row in joules, by its key."""
    keys = rows[KEY].assign(quantile=rows["quantile"].astype(float).fillna(_NONE))
    return dict(zip(keys.itertuples(index=False, name=None), rows.get("energy_j", []), strict=True))


def with_regret(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with how much more energy each takes than the oracle and than reacting with the same margin.

    Both are held against runs that solve each window by itself.
    """
    energy_j = by_key(rows)

    def beyond(row: pd.Series, forecaster: str, quantile: float) -> float:
        """Return the share by which a row exceeds another; NaN where that is missing."""
        policy = Policy(forecaster, None if pd.isna(quantile) else quantile)
        other_j = energy_j.get(key_of(row["week"], row["windows"], policy))
        return float("nan") if other_j is None else float(row["energy_j"] / other_j - 1)

    return rows.assign(
        regret_oracle=[beyond(row, "oracle", float("nan")) for _, row in rows.iterrows()],
        regret_reactive=[beyond(row, "last", row["quantile"]) for _, row in rows.iterrows()],
    )


if __name__ == "__main__":
    main()
