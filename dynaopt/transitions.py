"""What changes between windows: which instances start and stop, and what starting them takes.

An instance is a replica of a model on `tp` GPUs. Giving it to another pool or changing its clock is free, and so is
stopping it. The rule for what a start takes, with an example worked by hand, stands in `docs/horizon.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.errors import InvalidInputError
from dynaopt.profile import FloatArray, Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.schedule import TRANSITION_COLUMNS

IntArray = npt.NDArray[np.int64]

RUNNING_COLUMNS = ("model", "pool", "tp", "num_instances")
"""Columns that say what runs at one time; those of `allocations` are among them."""


def find_transitions(
    allocations: pd.DataFrame,
    starts: pd.DatetimeIndex,
    profiles: Mapping[str, Profile],
    initial: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Tell which instances start and stop at the start of each window, and the energy that the starts take.

    Parameters
    ----------
    allocations
        What runs in each window, with at least `window_start` and `RUNNING_COLUMNS`.
    starts
        The windows that have an answer, ascending. Between two of them, windows without one may lie: the instances
        of the earlier are taken to go on running until the later starts.
    profiles
        The profile of each model.
    initial
        What ran before the first of these windows, with `RUNNING_COLUMNS`. By default that window's own instances: a
        horizon is cut out of continuous operation, and a cold start of the whole cluster, which no plan can avoid,
        would only blur what a plan can.

    Returns
    -------
    pandas.DataFrame
        `TRANSITION_COLUMNS`; a row for each window, model, pool and tensor-parallel degree with a start or a stop.

    Raises
    ------
    InvalidInputError
        If `initial` names a model or a pool that there is not.
    """
    _check_initial(initial, profiles)
    frames = [
        _find_of_model(model, profile, allocations[allocations["model"] == model], starts, initial)
        for model, profile in profiles.items()
    ]
    names = [c.name for c in TRANSITION_COLUMNS]
    rows = pd.concat(frames, ignore_index=True)[names] if frames else pd.DataFrame(columns=names)
    return rows.sort_values("window_start", kind="stable", ignore_index=True)


def pool_names(profile: Profile) -> tuple[str, ...]:
    """Return the names that pools of a model may have, in their order: the classes, then the mixes of its profile.

    Parameters
    ----------
    profile
        Of the model.
    """
    return (*REQUEST_CLASSES, *(mix.name for mix in profile.metadata.mixes))


@dataclass(frozen=True, slots=True, eq=False)
class Starts:
    """Started and stopped instances of one model, shape (windows, pools, tps) each.

    Of the GPUs on which instances start, `num_resharded_gpus` are ones that the same model gives up in the same step.
    """

    num_started: IntArray
    num_stopped: IntArray
    num_resharded_gpus: IntArray


def count_starts(before: IntArray, after: IntArray, tps: IntArray) -> Starts:
    """Match the instances of a model before and after the start of each window.

    Parameters
    ----------
    before, after
        Instances by window, pool and tensor-parallel degree, shape (windows, pools, tps).
    tps
        The tensor-parallel degrees, ascending, shape (tps,).

    Returns
    -------
    Starts
        Instances first move between pools at their `tp`, shrinking pools giving and growing ones taking in the order
        of the pools. What growth is left starts, what shrinkage is left stops. The GPUs of stopped instances go to
        starts, the largest `tp` first and then in the order of the pools.
    """
    growth, shrinkage = np.maximum(after - before, 0), np.maximum(before - after, 0)
    moved = np.minimum(growth.sum(axis=1), shrinkage.sum(axis=1))
    num_started = growth - _in_order(moved, growth)
    num_stopped = shrinkage - _in_order(moved, shrinkage)
    taken = num_started * tps
    freed = (num_stopped * tps).sum(axis=(1, 2))
    by_tp = _in_order(freed[:, None], taken.sum(axis=1)[:, ::-1, None])[:, ::-1, 0]
    return Starts(num_started, num_stopped, _in_order(by_tp, taken))


def _in_order(total: IntArray, limits: IntArray) -> IntArray:
    """Hand out `total` (windows, n) along the second axis of `limits` (windows, pools, n), to each up to its limit."""
    before = np.cumsum(limits, axis=1) - limits
    return np.clip(total[:, None, :] - before, 0, limits)


def _find_of_model(
    model: str, profile: Profile, own: pd.DataFrame, starts: pd.DatetimeIndex, initial: pd.DataFrame | None
) -> pd.DataFrame:
    running = None if initial is None else initial[initial["model"] == model]
    tps = np.array(sorted({*profile.tps, *own["tp"], *(() if running is None else running["tp"])}), dtype=np.int64)
    pools = pool_names(profile)
    after = _count(own, starts.get_indexer(pd.DatetimeIndex(own["window_start"])), len(starts), pools, tps)
    first = after[:1] if running is None else _count(running, np.zeros(len(running), dtype=np.intp), 1, pools, tps)
    changes = count_starts(np.concatenate([first, after[:-1]])[: len(after)], after, tps)
    energy_j = _energy_j(changes, tps, profile)
    window, pool, k = np.nonzero(changes.num_started + changes.num_stopped)
    return pd.DataFrame(
        {
            "window_start": starts[window],
            "model": pd.Series([model] * len(window), dtype="str"),
            "pool": pd.Series([pools[p] for p in pool], dtype="str"),
            "tp": tps[k],
            "num_started": changes.num_started[window, pool, k],
            "num_stopped": changes.num_stopped[window, pool, k],
            "energy_j": energy_j[window, pool, k],
        }
    )


def _count(
    frame: pd.DataFrame, window: npt.NDArray[np.intp], num_windows: int, pools: tuple[str, ...], tps: IntArray
) -> IntArray:
    counts = np.zeros((num_windows, len(pools), len(tps)), dtype=np.int64)
    pool = frame["pool"].map(pools.index).to_numpy(dtype=np.intp)
    tp = np.searchsorted(tps, frame["tp"].to_numpy(dtype=np.int64))
    np.add.at(counts, (window, pool, tp), frame["num_instances"].to_numpy(dtype=np.int64))
    return counts


def _energy_j(changes: Starts, tps: IntArray, profile: Profile) -> FloatArray:
    start_up, power_w = profile.metadata.start_up, profile.metadata.power.start_up_gpu_w
    resharded = changes.num_resharded_gpus
    cold = changes.num_started * tps - resharded
    energy_j: FloatArray = power_w * (resharded * start_up.reshard_s + cold * start_up.cold_s)
    return energy_j


def _check_initial(initial: pd.DataFrame | None, profiles: Mapping[str, Profile]) -> None:
    if initial is None:
        return
    pools = tuple(dict.fromkeys(name for profile in profiles.values() for name in pool_names(profile)))
    for column, expected in zip(("model", "pool"), (tuple(profiles), pools), strict=True):
        for found in _unknown(initial, column, expected):
            raise InvalidInputError(
                f"initial instances, column '{column}'", expected=f"one of {', '.join(expected)}", found=f"'{found}'"
            )


def _unknown(frame: pd.DataFrame, column: str, known: tuple[str, ...]) -> Iterator[object]:
    return (value for value in frame[column] if value not in known)
