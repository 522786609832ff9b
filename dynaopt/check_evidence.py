"""What is claimed of windows beside what it must agree with, and how a disagreement is written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dynaopt.problem import Cluster
from dynaopt.profile import FloatArray, Mix, Profile
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.slo import Slo
from dynaopt.violations import RELATIVE_TOLERANCE, Violation, ViolationKind

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evidence:
    """What is claimed of W windows and M models, beside what it must agree with.

    Parameters
    ----------
    starts
        Start of each window, length W.
    profiles
        The profile of each model; their order is that of the models below.
    slo, cluster
        The objectives and the limits.
    rate_rps
        What arrives, in requests per second, shape (W, 9 M): the classes of the first model, then of the next.
    peak_factor
        How far the busiest minute stands above the mean, shape (W, M).
    answered
        Whether there is an answer for the window, length W.
    power_w
        The power that is claimed, in watts, length W.
    groups
        Instances: ``window`` (from 0), ``model, pool, tp, frequency_mhz, num_instances, rate_per_instance_rps,
        power_per_instance_w``.
    routes
        ``window, model, request_class, pool, rate_rps``.
    """

    starts: pd.DatetimeIndex
    profiles: Mapping[str, Profile]
    slo: Slo
    cluster: Cluster
    rate_rps: FloatArray
    peak_factor: FloatArray
    answered: BoolArray
    power_w: FloatArray
    groups: pd.DataFrame
    routes: pd.DataFrame

    @property
    def num_classes(self) -> int:
        """Classes of all models: 9 M."""
        return len(self.profiles) * len(REQUEST_CLASSES)

    @property
    def mixes(self) -> list[tuple[str, Mix]]:
        """Every model's mixes, each of which may have a pool."""
        return [(model, mix) for model, profile in self.profiles.items() for mix in profile.metadata.mixes]

    @property
    def shape(self) -> tuple[int, int]:
        """Windows, and pools of all models."""
        return len(self.starts), self.num_classes + len(self.mixes)

    def pool_name(self, pool: int) -> str:
        """Name a pool, or the class of the same number, by model and class or mix."""
        if pool >= self.num_classes:
            model_name, mix = self.mixes[pool - self.num_classes]
            return f"{model_name}, {mix.name}"
        model, request_class = divmod(pool, len(REQUEST_CLASSES))
        return f"{list(self.profiles)[model]}, {REQUEST_CLASSES[request_class]}"

    def classes_of(self, table: pd.DataFrame, column: str = "request_class") -> IntArray:
        """Return the number of the class that each row names in `column`; -1 where there is none such."""
        model = pd.Index(list(self.profiles)).get_indexer(pd.Index(table["model"]))
        request_class = pd.Index(REQUEST_CLASSES).get_indexer(pd.Index(table[column]))
        known = (model >= 0) & (request_class >= 0)
        return np.where(known, model * len(REQUEST_CLASSES) + request_class, -1).astype(np.int64)

    def pools_of(self, table: pd.DataFrame) -> IntArray:
        """Return the number of the pool that each row names: that of its class, or beyond them that of its mix."""
        found = self.classes_of(table, "pool")
        for at, (model, mix) in enumerate(self.mixes, start=self.num_classes):
            found[((table["model"] == model) & (table["pool"] == mix.name)).to_numpy(bool)] = at
        return found

    def add_up(self, table: pd.DataFrame, pool: IntArray, values: FloatArray) -> FloatArray:
        """Add values over the rows of each window and pool, shape (W, pools); rows of unknown pools are left out."""
        kept = pool >= 0
        windows, pools = self.shape
        at = table["window"].to_numpy()[kept] * pools + pool[kept]
        return np.bincount(at, weights=values[kept], minlength=windows * pools).reshape(windows, pools).astype(float)

    def add_up_windows(self, table: pd.DataFrame, values: FloatArray) -> FloatArray:
        """Add values over the rows of each window, length W."""
        return np.bincount(table["window"].to_numpy(), weights=values, minlength=len(self.starts)).astype(float)


def stretch(evidence: Evidence) -> FloatArray:
    """How far above its load an instance must keep its SLO, for each row of instances."""
    groups = evidence.groups
    model = pd.Index(list(evidence.profiles)).get_indexer(pd.Index(groups["model"]))
    peak = np.where(model >= 0, evidence.peak_factor[groups["window"].to_numpy(), model], 1.0)
    return peak * (1 + evidence.cluster.headroom)


def differ(found: FloatArray, expected: FloatArray, slack: float = 0.0) -> BoolArray:
    """Tell where two numbers differ by more than the tolerances; what is not finite differs from everything."""
    with np.errstate(invalid="ignore"):
        within = np.abs(found - expected) <= RELATIVE_TOLERANCE * np.maximum(np.abs(found), np.abs(expected)) + slack
    return ~(within & np.isfinite(found) & np.isfinite(expected))


def exceeds(found: FloatArray, limit: FloatArray | float, slack: float = 0.0) -> BoolArray:
    """Tell where a number lies above its limit by more than the tolerances, or is NaN."""
    return ~(found <= limit + RELATIVE_TOLERANCE * np.abs(limit) + slack)


def place_of_group(row: pd.Series) -> str:
    """Name the instances of a row."""
    return f"{row['model']}, pool {row['pool']}, TP{row['tp']} at {row['frequency_mhz']} MHz"


def place_of_route(row: pd.Series) -> str:
    """Name the class and the pool of a row."""
    return f"{row['model']}, {row['request_class']} to pool {row['pool']}"


def of_groups(
    evidence: Evidence, kind: ViolationKind, bad: BoolArray, found: FloatArray, expected: FloatArray, text: str
) -> Iterable[Violation]:
    """Write down violations of rows of instances, where `bad`; `text` says what was expected, {} being the number."""
    for at in np.flatnonzero(bad).tolist():
        row = evidence.groups.iloc[at]
        yield Violation(
            kind=kind,
            window_start=evidence.starts[row["window"]],
            where=place_of_group(row),
            found=f"{found[at]:.9g}",
            expected=text.format(f"{expected[at]:.9g}"),
        )


def of_pools(
    evidence: Evidence, kind: ViolationKind, bad: BoolArray, found: FloatArray, expected: FloatArray, text: str
) -> Iterable[Violation]:
    """Write down violations of windows and pools, where `bad`; `text` says what was expected, {} being the number."""
    for window, pool in np.argwhere(bad):
        yield Violation(
            kind=kind,
            window_start=evidence.starts[window],
            where=evidence.pool_name(int(pool)),
            found=f"{found[window, pool]:.9g}",
            expected=text.format(f"{expected[window, pool]:.9g}"),
        )


def of_windows(
    evidence: Evidence, kind: ViolationKind, bad: BoolArray, found: FloatArray, expected: FloatArray, text: str
) -> Iterable[Violation]:
    """Write down violations of windows, where `bad`; `text` says what was expected, {} being the number."""
    for window in np.flatnonzero(bad).tolist():
        yield Violation(
            kind=kind,
            window_start=evidence.starts[window],
            found=f"{found[window]:.9g}",
            expected=text.format(f"{expected[window]:.9g}"),
        )
