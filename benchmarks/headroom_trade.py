"""Show the trade between energy and kept objectives: plan, check and replay both services at several headrooms.

    python benchmarks/headroom_trade.py [--days 1] [--service conversation --service coding] [--headroom 0 0.1 …]

Each service is planned with `greedy` on the shipped profile from its first weekday (or ``--from``), and its own
synthesised requests are replayed. The table goes to ``benchmarks/results/<version>/headroom_trade.csv`` row by row, so
that a run that was stopped goes on where it was, and the picture beside it. `docs/replay.md` says how to read them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from dynaopt.burstiness import DEFAULT_READING, READINGS
from dynaopt.check import check
from dynaopt.demand import Demand, read_demand
from dynaopt.digests import profile_digest
from dynaopt.figures_replay import headroom_trade
from dynaopt.horizon import plan
from dynaopt.profile import Profile
from dynaopt.profile_io import read_profile
from dynaopt.replay import replay
from dynaopt.replay_result import ReplayResult
from dynaopt.schedule import Schedule
from dynaopt.synthesis import SynthesisedStream
from dynaopt.tables import write_table

RESULTS = Path(__file__).parent / "results" / version("dynaopt")
HEADROOMS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
FIRST_WEEKDAYS = {"conversation": "2024-05-13", "coding": "2024-05-13"}
PROFILE = "llama2-70b-h100"
NUM_GPUS = 1000
"""More than any headroom takes, so that the cluster's size has no part in the trade."""
KEY = ["service", "start", "num_windows", "headroom", "burstiness", "seed", "profile_sha256"]


def main() -> None:
    """Measure what is not there yet, and draw all that there is of these options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", nargs="+", choices=FIRST_WEEKDAYS, default=list(FIRST_WEEKDAYS))
    parser.add_argument("--from", dest="start", help="first window, UTC; the service's first weekday by default")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--headroom", nargs="+", type=float, default=list(HEADROOMS), help="shares")
    parser.add_argument("--burstiness", choices=READINGS, default=DEFAULT_READING)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path, keys = options.out / "headroom_trade.csv", []
    profile = read_profile(PROFILE)
    for service in options.service:
        demand = part_of_week(service, options.start, options.days)
        for headroom in options.headroom:
            key = key_of(service, demand, headroom, options.burstiness, options.seed, profile)
            keys.append(key)
            table = read_rows(path)
            if not len(matching(table, [key])):
                row = key | measure(
                    demand, profile, SynthesisedStream(service, options.seed, options.burstiness), headroom
                )
                write_table(pd.DataFrame([*table.to_dict("records"), row]), path)
                print(line_of(row), flush=True)
    rows = matching(read_rows(path), keys)
    headroom_trade(rows).write_html(options.out / "headroom_trade.html", include_plotlyjs="cdn")
    print(rows.drop(columns=["profile_sha256"]).to_string(index=False))


def part_of_week(service: str, start: str | None, days: float) -> Demand:
    """Return so many days of a service's shipped week."""
    demand = read_demand(f"azure-2024-{service}")
    first = int(demand.starts.searchsorted(pd.Timestamp(start or FIRST_WEEKDAYS[service], tz="UTC")))
    return demand.select(first, min(first + round(days * 86_400 / demand.window_s), demand.num_windows))


def key_of(
    service: str, demand: Demand, headroom: float, burstiness: str, seed: int, profile: Profile
) -> dict[str, object]:
    """Return what tells one row from another: all that decides it."""
    values = (
        service,
        demand.starts[0].isoformat(),
        demand.num_windows,
        headroom,
        burstiness,
        seed,
        profile_digest(profile),
    )
    return dict(zip(KEY, values, strict=True))


def read_rows(path: Path) -> pd.DataFrame:
    """Read what was measured before; an empty table if nothing was."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEY)


def matching(table: pd.DataFrame, keys: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return the rows that have one of the keys."""
    return table.merge(pd.DataFrame(keys).astype(table[KEY].dtypes.to_dict()), on=KEY) if len(table) else table


def measure(demand: Demand, profile: Profile, stream: SynthesisedStream, headroom: float) -> dict[str, object]:
    """Plan, check and replay at one headroom."""
    began_s = time.perf_counter()
    schedule = plan(demand, profile, solver="greedy", workers=1, num_gpus=NUM_GPUS, headroom=headroom)
    violations = check(schedule, profiles=[profile])
    if violations:
        raise SystemExit(f"the plan at a headroom of {headroom:g} does not pass its check: {violations[0]}")
    planned_s = time.perf_counter()
    result = replay(schedule, stream, profile)
    row = row_of(schedule, result)
    return row | {"plan_s": round(planned_s - began_s, 1), "replay_s": round(time.perf_counter() - planned_s, 1)}


def row_of(schedule: Schedule, result: ReplayResult) -> dict[str, object]:
    """Return what the table has of one replay: energies in joules, shares that kept the objectives."""
    return {
        "num_requests": result.num_requests,
        "num_lost": result.num_lost,
        "planned_energy_j": round(schedule.energy_j),
        "energy_j": round(result.energy_j),
        "energy_ratio": round(float(result.totals["energy_ratio"]), 5),
        "mean_gpus": round(float(schedule.windows["num_gpus"].mean()), 2),
    } | attainment_of(result)


def attainment_of(result: ReplayResult) -> dict[str, object]:
    """Return the shares that kept each objective, of all requests and of the class with the least."""
    classes, row = result.classes[result.classes["request_class"] != "all"], dict[str, object]()
    for name in ("ttft", "tbt"):
        column = f"{name}_attainment"
        worst = classes.loc[classes[column].idxmin()]
        row |= {
            column: round(float(result.totals[column]), 6),
            f"worst_{column}": round(float(worst[column]), 6),
            f"worst_{name}_class": worst["request_class"],
        }
    return row


def line_of(row: dict[str, object]) -> str:
    """Say in one line what was measured, in the order of time."""
    kept = ", ".join(f"{name} {row[name]:.2%}" for name in row if str(name).endswith("_attainment"))
    return f"{row['service']}, headroom {row['headroom']:.0%}: {row['energy_j'] / 3.6e6:,.1f} kWh, {kept}"  # type: ignore[operator]


if __name__ == "__main__":
    main()
