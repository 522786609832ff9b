"""What an independent check finds wrong, one record for each finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

RELATIVE_TOLERANCE = 1e-6
"""Two numbers that should be equal may differ by this share of the larger: sums in another order, text and back."""

RATE_TOLERANCE_RPS = 1e-6
"""And two rates by this much, in requests per second: what integer-programming solvers leave open in a row."""


class ViolationKind(StrEnum):
    """What rule was broken."""

    UNKNOWN_NAME = "unknown model, class or configuration"
    IMPOSSIBLE_NUMBER = "impossible number"
    UNSERVED_DEMAND = "demand that is not served"
    INVENTED_DEMAND = "load that did not arrive"
    PROMOTION = "promotion to a shorter pool"
    MIX = "pool of a mix that serves something else"
    POOL_LOAD = "load of a pool that its instances do not carry"
    BEYOND_CURVE = "load beyond the profiled curve"
    TTFT = "P99 TTFT above its objective at the peak"
    TBT = "P99 TBT above its objective at the peak"
    RESERVE = "too little spare capacity"
    GPU_LIMIT = "more GPUs than there are"
    POWER_CAP = "more power than the cap"
    FIXED_MIX = "another mix than the fixed one"
    INSTANCE_POWER = "power of an instance"
    WINDOW_POWER = "power of a window"
    NUM_GPUS = "GPUs of a window"
    NO_ANSWER = "window without an answer"
    WINDOWS = "windows out of step with the demand"
    SERVING_ENERGY = "serving energy"
    TRANSITION_COUNT = "starts and stops"
    TRANSITION_ENERGY = "transition energy"
    WINDOW_ENERGY = "energy of a window"
    LOWER_BOUND = "lower bound above the answer"
    GAP = "gap"
    OPTIMALITY = "optimality that is not proved"
    PRICE = "price of a window"
    COST = "money of a window"
    CARBON = "carbon of a window"
    OBJECTIVE = "objective of a window"
    MIN_UP = "instance stopped too soon"
    MAX_STARTS = "more starts than are allowed"
    STARTING_GPUS = "more GPUs than there are, with those of instances that start"
    COUPLED_BOUND = "bound on all windows above the schedule"
    TOTAL = "total"
    DIGEST = "input that is not the one planned for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule broken at one place.

    Parameters
    ----------
    kind
        The rule.
    window_start
        The window, or None for what concerns the whole schedule.
    where
        The place inside the window, for example ``llama2-70b, pool LL, TP8 at 1980 MHz``.
    found
        What stands there.
    expected
        What should stand there.
    """

    kind: ViolationKind
    window_start: pd.Timestamp | None = None
    where: str = ""
    found: str
    expected: str

    def __str__(self) -> str:
        place = [f"{self.window_start:%Y-%m-%d %H:%M}"] if self.window_start is not None else []
        place += [self.where] if self.where else []
        return f"{', '.join(place) or 'schedule'}: {self.kind}: expected {self.expected}, found {self.found}"
