"""What a replay found: did real arrivals keep their objectives, and what did it take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.replay_model import ModelReplay
from dynaopt.replay_state import (
    ARRIVED,
    BIN_WIDTH,
    BOTH_KEPT,
    CLOCK_UPS,
    ELSEWHERE,
    FIRST_BIN_S,
    LARGER_POOL,
    OVERSIZE,
    RESTEERED,
    SQUASHED,
    TBT_KEPT,
    TTFT_KEPT,
    FloatArray,
    IntArray,
)
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import Schedule

QUANTILES = (0.5, 0.9, 0.99)
EVENTS = {
    "num_elsewhere": ELSEWHERE,
    "num_larger_pool": LARGER_POOL,
    "num_clock_ups": CLOCK_UPS,
    "num_resteered": RESTEERED,
    "num_squashed": SQUASHED,
    "num_oversize": OVERSIZE,
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReplayResult:
    """What became of every request, and what it took.

    A request keeps its TTFT if its first token comes within the bound of its class. It keeps its TBT if at most one in
    a hundred of its gaps between tokens, rounded down, is longer than the bound: with fewer than 101 tokens, none.
    Shares are of the requests that arrived, so that a lost one keeps neither.

    Parameters
    ----------
    name
        Name of the demand that was planned for.
    duration_s
        Length of all windows together, in seconds.
    classes
        A row for each model and class with requests, and at last one for all of them (`request_class` ``all``):
        requests, lost requests, shares that kept TTFT, TBT, and both, share of gaps within the bound, mean TTFT,
        percentiles of TTFT, TBT and TPOT in seconds (good to 0.2 %), goodput in requests that kept both per second.
    windows
        A row for each window: energy as planned and as replayed, in joules, by what it went into; requests as planned
        and as they came; shares that kept their bounds; GPUs in use.
    window_classes
        A row for each window, model and class with requests: how many, and how many kept what.
    pools
        A row for each model and pool: energy of its instances as planned and as replayed, in joules.
    totals
        Sums over all windows, and counts of what was done beside following the plan.
    """

    name: str
    duration_s: float
    classes: pd.DataFrame
    windows: pd.DataFrame
    window_classes: pd.DataFrame
    pools: pd.DataFrame
    totals: Mapping[str, float]

    @property
    def num_requests(self) -> int:
        """Requests that arrived."""
        return int(self.totals["num_requests"])

    @property
    def num_lost(self) -> int:
        """Requests that no instance could take."""
        return int(self.totals["num_lost"])

    @property
    def energy_j(self) -> float:
        """Energy of all windows, in joules."""
        return float(self.totals["energy_j"])

    def summary(self) -> dict[str, float]:
        """Return what a person asks first, each quantity under a name that carries its unit."""
        return dict(self.totals)

    def __repr__(self) -> str:
        t = self.totals
        return (
            f"ReplayResult({self.name}: {self.num_requests:,} requests, {self.num_lost} lost, "
            f"TTFT kept by {t['ttft_attainment']:.2%}, TBT by {t['tbt_attainment']:.2%}, "
            f"{self.energy_j / 3.6e6:.1f} kWh, {t['energy_ratio']:.1%} of the planned)"
        )


def make_result(schedule: Schedule, replays: Mapping[str, ModelReplay]) -> ReplayResult:
    """Put together what was counted.

    Parameters
    ----------
    schedule
        What was replayed.
    replays
        The replay of each model, finished.
    """
    classes = _classes(schedule, replays)
    windows = _windows(schedule, list(replays.values()))
    return ReplayResult(
        name=schedule.metadata.demand.name,
        duration_s=float(windows["window_s"].sum()),
        classes=classes,
        windows=windows,
        window_classes=_window_classes(schedule, replays),
        pools=_pools(replays),
        totals=_totals(classes, windows, replays),
    )


def quantile_s(counts: npt.ArrayLike, q: float) -> float:
    """Return a quantile of a histogram of latencies, in seconds.

    Parameters
    ----------
    counts
        How many fell into each bin, shape (bins,).
    q
        Between 0 and 1.

    Returns
    -------
    float
        The middle of its bin, good to 0.2 %; NaN of an empty histogram.
    """
    total = np.cumsum(np.asarray(counts))
    if not total[-1]:
        return float("nan")
    at = int(np.searchsorted(total, q * total[-1]))
    return FIRST_BIN_S * float(np.exp((at + 0.5) * BIN_WIDTH))


def _classes(schedule: Schedule, replays: Mapping[str, ModelReplay]) -> pd.DataFrame:
    duration_s = float(schedule.windows["window_s"].sum())
    rows = []
    for model, replay in replays.items():
        for c, request_class in enumerate(REQUEST_CLASSES):
            row = _row([replay], np.array([c]), duration_s)
            bounds = {"ttft_slo_s": replay.slo.ttft_s[c], "tbt_slo_s": replay.slo.tbt_s[c]}
            rows.append({"model": model, "request_class": request_class, **row, **bounds})
    whole = _row(list(replays.values()), np.arange(len(REQUEST_CLASSES)), duration_s)
    rows.append({"model": "", "request_class": "all", **whole})
    frame = pd.DataFrame(rows)
    return frame[(frame["num_requests"] > 0) | (frame["request_class"] == "all")].reset_index(drop=True)


def _row(replays: Sequence[ModelReplay], classes: IntArray, duration_s: float) -> dict[str, float]:
    """Describe some classes of some models together."""
    kept = np.sum([r.tally.kept[:, classes].sum(axis=(0, 1)) for r in replays], axis=0)
    gaps = np.sum([r.token_gaps[:, classes].sum(axis=1) for r in replays], axis=0)
    slow = sum(int(r.tally.slow_gaps[classes].sum()) for r in replays)
    ttft = np.sum([r.tally.ttft[:, classes].sum(axis=1) for r in replays], axis=0)
    tpot = np.sum([r.tally.tpot[:, classes].sum(axis=1) for r in replays], axis=0)
    row: dict[str, float] = {
        "num_requests": int(sum(r.num_arrived[:, classes].sum() for r in replays)),
        "num_lost": int(sum(r.num_lost[classes].sum() for r in replays)),
    }
    row |= _shares(kept, row["num_requests"])
    row["gaps_within"] = 1 - slow / gaps.sum() if gaps.sum() else float("nan")
    ttft_total_s = sum(float(r.tally.ttft_total_s[classes].sum()) for r in replays)
    row["ttft_mean_s"] = ttft_total_s / kept[ARRIVED] if kept[ARRIVED] else float("nan")
    for name, counts in (("ttft", ttft), ("tbt", gaps), ("tpot", tpot)):
        row |= {f"{name}_p{round(100 * q)}_s": quantile_s(counts, q) for q in QUANTILES}
    row["goodput_rps"] = float(kept[BOTH_KEPT]) / duration_s
    return row


def _shares(kept: IntArray, num_requests: float) -> dict[str, float]:
    """Return the shares of the requests that came: a lost one kept nothing."""
    names = {"ttft_attainment": TTFT_KEPT, "tbt_attainment": TBT_KEPT, "attainment": BOTH_KEPT}
    return {name: kept[at] / num_requests if num_requests else float("nan") for name, at in names.items()}


def _windows(schedule: Schedule, replays: Sequence[ModelReplay]) -> pd.DataFrame:
    frame = schedule.windows[["window_start", "window_s"]].reset_index(drop=True)
    planned = schedule.windows.reset_index(drop=True)
    instances_j = _sum(r.planned_j for r in replays)
    # What hosts and unused GPUs draw is as planned, and goes on as before in windows without an answer.
    other_w = (planned["power_w"] - instances_j / planned["window_s"]).ffill().fillna(0.0)
    frame["planned_energy_j"] = planned["energy_j"]
    frame["planned_power_w"] = planned["power_w"]
    frame["serving_energy_j"] = _sum(r.busy_j for r in replays)
    frame["idle_energy_j"] = _sum(r.idle_j for r in replays)
    frame["start_up_energy_j"] = _sum(r.start_up_j for r in replays)
    frame["other_energy_j"] = np.maximum(other_w, 0.0) * frame["window_s"]
    parts = ["serving_energy_j", "idle_energy_j", "start_up_energy_j", "other_energy_j"]
    frame["energy_j"] = frame[parts].sum(axis=1)
    frame["energy_ratio"] = frame["energy_j"] / frame["planned_energy_j"]
    frame["planned_requests"] = schedule.demand.total_rates_rps.sum(axis=1) * planned["window_s"]
    frame["num_requests"] = _sum(r.num_arrived.sum(axis=1) for r in replays)
    kept = np.sum([r.tally.kept.sum(axis=1) for r in replays], axis=0)
    with np.errstate(invalid="ignore"):
        frame["ttft_attainment"] = kept[:, TTFT_KEPT] / frame["num_requests"]
        frame["tbt_attainment"] = kept[:, TBT_KEPT] / frame["num_requests"]
    frame["planned_gpus"] = planned["num_gpus"]
    frame["num_gpus"] = _sum(r.num_gpus for r in replays)
    return frame


def _sum(arrays: object) -> FloatArray:
    total: FloatArray = np.sum(list(arrays), axis=0)  # type: ignore[call-overload]
    return total


def _window_classes(schedule: Schedule, replays: Mapping[str, ModelReplay]) -> pd.DataFrame:
    frames = []
    for model, replay in replays.items():
        window, c = np.nonzero(replay.num_arrived)
        kept = replay.tally.kept[window, c]
        names = pd.Series(REQUEST_CLASSES)
        frames.append(
            pd.DataFrame(
                {
                    "window_start": schedule.windows["window_start"].to_numpy()[window],
                    "model": model,
                    "request_class": names.to_numpy()[c],
                    "num_requests": replay.num_arrived[window, c],
                    "num_ttft_kept": kept[:, TTFT_KEPT],
                    "num_tbt_kept": kept[:, TBT_KEPT],
                    "num_kept": kept[:, BOTH_KEPT],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _pools(replays: Mapping[str, ModelReplay]) -> pd.DataFrame:
    rows = [
        {"model": model, "pool": pool, "planned_energy_j": replay.planned_pool_j[pool], "energy_j": energy_j}
        for model, replay in replays.items()
        for pool, energy_j in sorted(replay.pool_j.items())
    ]
    return pd.DataFrame(rows, columns=["model", "pool", "planned_energy_j", "energy_j"])


def _totals(classes: pd.DataFrame, windows: pd.DataFrame, replays: Mapping[str, ModelReplay]) -> dict[str, float]:
    everything = classes.iloc[-1]
    energies = [name for name in windows.columns if name.endswith("energy_j")]
    events = np.sum([r.tally.events for r in replays.values()], axis=0)
    totals: dict[str, float] = {"num_windows": len(windows)}
    totals |= {name: int(everything[name]) for name in ("num_requests", "num_lost")}
    totals |= {name: float(everything[name]) for name in ("ttft_attainment", "tbt_attainment", "attainment")}
    totals |= {name: float(windows[name].sum()) for name in energies}
    answered = windows["planned_energy_j"].notna()
    planned_j = float(windows["planned_energy_j"].sum())
    totals["energy_ratio"] = float(windows["energy_j"][answered].sum()) / planned_j if planned_j else float("nan")
    totals["goodput_rps"] = float(everything["goodput_rps"])
    totals["most_gpus"] = int(windows["num_gpus"].max())
    return totals | {name: int(events[at]) for name, at in EVENTS.items()}
