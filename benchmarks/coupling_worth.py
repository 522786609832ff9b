"""What planning a week coupled is worth: against windows by themselves, and the best rule that keeps spare GPUs.

    python benchmarks/coupling_worth.py [--out benchmarks/results/0.1.0/coupling_worth.json]

The rule is what an operator would do without looking ahead: GPUs that a window no longer needs stay loaded for some
windows before they are given up. It knows the windows' own optima; the best number is chosen in hindsight.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import dynaopt
from dynaopt.check import check
from dynaopt.demand import Demand
from dynaopt.profile import Profile
from dynaopt.schedule import Schedule

WEEKS = ("azure-2024-conversation", "azure-2024-coding")
PROFILE = "llama2-70b-h100"
KEEP_WINDOWS = (0, 1, 2, 3, 4, 6, 8, 12, 24)
JOULES_PER_KWH = 3.6e6


def gate(schedule: Schedule, profile: Profile, keep: int) -> dict[str, float]:
    """Return the energy of windows by themselves when spare GPUs idle for some windows before they are given up.

    Parameters
    ----------
    schedule
        Windows by themselves, of one model.
    profile
        Of the model.
    keep
        Windows for which GPUs that are not needed stay loaded.

    Returns
    -------
    dict
        Serving, idle and start energy, in joules. The cheapest start that the numbers of GPUs allow is charged:
        cold ones where their number grows, and for changes of degrees what `schedule` has of resharding.
    """
    used = schedule.windows["num_gpus"].to_numpy(dtype=float)
    held = np.array([used[max(t - keep, 0) : t + 1].max() for t in range(len(used))])
    start_up, power = profile.metadata.start_up, profile.metadata.power
    idle_w = min(float(curve.power_w[0]) / curve.tp for curve in profile.curves.values())
    cold = np.maximum(np.diff(held), 0.0).sum()
    cold_before = np.maximum(np.diff(used), 0.0).sum()
    resharding_j = schedule.transition_energy_j - cold_before * power.start_up_gpu_w * start_up.cold_s
    return {
        "serving_j": schedule.serving_energy_j,
        "idle_j": float((held - used).sum()) * idle_w * schedule.metadata.window_s,
        "start_j": float(cold * power.start_up_gpu_w * start_up.cold_s + resharding_j),
    }


def measure(demand: Demand, profile: Profile) -> dict[str, Any]:
    """Plan a week in each way and return energies in kWh, seconds, the load of the machine, and the coupled gap."""
    myopic, myopic_s, myopic_cpu_s = _timed(demand, profile, coupled=False, workers=1)
    alone, alone_s, alone_cpu_s = _timed(demand, profile, coupled=True, workers=1)
    coupled, coupled_s, coupled_cpu_s = _timed(demand, profile, coupled=True)
    assert coupled.allocations.equals(alone.allocations)  # whatever the number of processes
    violations = [*check(myopic, profiles=[profile]), *check(coupled, profiles=[profile])]
    gates = {keep: sum(gate(myopic, profile, keep).values()) / JOULES_PER_KWH for keep in KEEP_WINDOWS}
    best = min(gates, key=lambda keep: gates[keep])
    bound = coupled.metadata.coupling.lower_bound if coupled.metadata.coupling else None
    return {
        "windows": demand.num_windows,
        "myopic_kwh": myopic.energy_j / JOULES_PER_KWH,
        "myopic_starts_kwh": myopic.transition_energy_j / JOULES_PER_KWH,
        "gate_kwh": gates,
        "best_gate_windows": best,
        "best_gate_kwh": gates[best],
        "coupled_kwh": coupled.energy_j / JOULES_PER_KWH,
        "coupled_starts_kwh": coupled.transition_energy_j / JOULES_PER_KWH,
        "bound_kwh": None if bound is None else bound / JOULES_PER_KWH,
        "coupled_gap": coupled.coupled_gap,
        "myopic_s": myopic_s,
        "myopic_cpu_s": myopic_cpu_s,
        "coupled_one_process_s": alone_s,
        "coupled_one_process_cpu_s": alone_cpu_s,
        "coupled_s": coupled_s,
        "coupled_cpu_s": coupled_cpu_s,
        "load": os.getloadavg()[1],
        "num_unsolved": coupled.num_unsolved,
        "num_violations": len(violations),
    }


def _timed(demand: Demand, profile: Profile, **options: Any) -> tuple[Schedule, float, float]:
    """Plan; return the schedule, the seconds it took, and those of processors, helpers' included."""
    began_s, before = time.perf_counter(), sum(os.times()[:4])
    schedule = dynaopt.plan(demand, profile, **options)
    return schedule, time.perf_counter() - began_s, sum(os.times()[:4]) - before


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--windows", type=int, help="Only so many windows of each week.")
    asked = parser.parse_args(arguments)
    profile = dynaopt.read_profile(PROFILE)
    found: dict[str, Any] = {"dynaopt": version("dynaopt"), "machine": platform.processor() or platform.machine()}
    for week in WEEKS:
        demand = dynaopt.read_demand(week)
        found[week] = measure(demand if asked.windows is None else demand.select(0, asked.windows), profile)
        print(week, json.dumps(found[week], indent=2), flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
