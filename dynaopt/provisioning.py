"""How many instances should run in the windows to come: what a planner is, and a simple one.

A planner is asked at the start of each window. It knows what is foretold for this window and the next ones, as many
as a cold start needs or more if it looks further ahead, and what runs. `rolling` carries its wishes out as far as lead
times allow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dynaopt.fleet import Fleet, IntArray
from dynaopt.problem import WindowDemand
from dynaopt.profile import Profile


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Outlook:
    """What is known when a window starts.

    Parameters
    ----------
    windows
        What is foretold, margins included, for the window that starts and each of the next `lead` ones; and for those
        after them that the planner looks ahead to.
    running
        Instances of each degree that ran until now, shape (tps,).
    available_gpus
        GPUs with the model's weights from the start of each window of `windows` on, if none is given up: those that
        run, and those that were ordered before. Shape (lead + 1,); orders made now add to the last.
    """

    windows: tuple[WindowDemand, ...]
    running: IntArray
    available_gpus: IntArray


class Planner(Protocol):
    """Decides how many instances of each degree should run.

    `look_ahead` is how many windows it wants foretold, the one that starts among them; it gets lead + 1 at least.
    """

    look_ahead: int

    def plan(self, outlook: Outlook) -> IntArray:
        """Return the instances of each degree that should run in each window, shape (lead + 1, tps).

        The first row takes effect at once, with the GPUs there are. The last one decides what is ordered now. Rows
        between say what will be kept.

        Parameters
        ----------
        outlook
            What is known.
        """


class KeepSpares:
    """Runs what is foretold to be needed, and stops what is no longer needed only after some windows.

    Starting a GPU anew takes what it idles away in `break_even_windows`; whoever stops after having idled for so long
    pays at most twice what one pays who knows the future (the ski-rental rule: Karlin and others, Algorithmica 3,
    1988).

    Parameters
    ----------
    fleet
        Tells what a window needs.
    keep_windows
        How many windows an instance that is not needed goes on; by default as many as break even, to the nearest.
    """

    look_ahead = 1

    def __init__(self, fleet: Fleet, keep_windows: int) -> None:
        self._fleet = fleet
        self._past: deque[int] = deque(maxlen=keep_windows)

    def plan(self, outlook: Outlook) -> IntArray:
        """Find what each window needs; see `Planner.plan`."""
        fleet = self._fleet
        needed = [fleet.needed(window) for window in outlook.windows[: outlook.available_gpus.size]]
        gpus = [fleet.num_gpus(counts) for counts in needed]
        rows, keep = [], self._past.maxlen or 0
        for step, counts in enumerate(needed):
            # What was needed a little while ago or will be needed again is kept.
            recent = list(self._past)[max(0, len(self._past) + step - keep) :]
            most = max([*gpus[step:], *recent])
            rows.append(fleet.filled(counts, max(gpus[step], min(most, int(outlook.available_gpus[step])))))
        self._past.append(gpus[0])
        return np.array(rows, dtype=np.int64)


def break_even_windows(profile: Profile, window_s: float) -> float:
    """Return for how many windows an idle GPU takes as much energy as starting it again from cold.

    Parameters
    ----------
    profile
        Its start-up energy, and the least power of an idle instance per GPU.
    window_s
        Length of a window, in seconds.
    """
    idle_w = min(float(curve.power_w[0]) / curve.tp for curve in profile.curves.values())
    start_j = profile.metadata.power.start_up_gpu_w * profile.metadata.start_up.cold_s
    return start_j / (idle_w * window_s) if idle_w > 0 else float("inf")
