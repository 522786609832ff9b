"""Errors of every forecaster on both shipped weeks, from every window: ``python benchmarks/forecast_backtest.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import dynaopt
from dynaopt.backtest import backtest
from dynaopt.forecasters import forecaster_names, get_forecaster, history_of
from dynaopt.rolling import load_weights
from dynaopt.slo import Slo

STORED = Path(__file__).parent / "results"
STEPS = 3


def main() -> None:
    """Run all, print the errors of all requests together, and store everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int)
    parser.add_argument("--out", type=Path, default=STORED)
    options = parser.parse_args()
    weights = load_weights(dynaopt.read_profile("llama2-70b-h100"), Slo.table_iv())
    errors, coverage = [], []
    for week in ("conversation", "coding"):
        demand = dynaopt.read_demand(f"azure-2024-{week}")
        history = history_of(demand, demand.models[0]).until(options.windows or demand.num_windows)
        for name in forecaster_names():
            found = backtest(get_forecaster(name, history), history, weights, steps=STEPS)
            errors.append(found.errors.assign(week=week, forecaster=name))
            coverage.append(found.coverage.assign(week=week, forecaster=name))
            print(week, name, flush=True)
    pd.concat(errors).to_csv(options.out / "forecast_errors.csv", index=False)
    pd.concat(coverage).to_csv(options.out / "forecast_coverage.csv", index=False)
    every = pd.concat(errors).query("request_class == 'all'")
    print(every.pivot_table(index=["week", "forecaster"], columns="step", values="wape").to_string())


if __name__ == "__main__":
    main()
