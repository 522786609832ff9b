"""The horizon as one problem: serving and starting together, with a bound on every schedule; `docs/coupling.md`.

Column generation (Dantzig and Wolfe, Operations Research 8, 1960). The windows are coupled by how many instances of
each kind run, so a linear program over mixes already found prices an instance in every window; the cheapest mix at
these prices is a window problem, which the tree search answers in milliseconds, and enters the program. What the
windows' bounds add up to bounds all schedules (Lagrangian relaxation of the rows of `link_rows`). When the two meet,
the program is solved in whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dynaopt.coupled_windows import CoupledWindow
from dynaopt.coupling import Links
from dynaopt.price_search import Workspace
from dynaopt.restricted_master import Duals, RestrictedMaster
from dynaopt.solvers.greedy import FEW_NODES
from dynaopt.window_mixes import InstanceMix

MAX_PASSES = 15
STRETCH_S = 60.0
LEAST_PROGRESS = 1e-6
"""Share of the objective by which a pass must raise the bound, or find new mixes, to be worth another."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CoupledAnswer:
    """A schedule of all windows, and what none goes below.

    Parameters
    ----------
    chosen
        For each window the mix of each model, None where no mix keeps to the links.
    idle
        Instances of each kind that run and serve nothing, shape (T, K).
    lower_bound
        No schedule of all windows has a lower objective, serving beyond unused GPUs and starts together.
    """

    chosen: Sequence[Sequence[InstanceMix] | None]
    idle: np.ndarray
    lower_bound: float


def solve_coupled(
    windows: Sequence[CoupledWindow],
    links: Links,
    *,
    gap: float,
    progress: Callable[[int, float, float], None] = lambda *_: None,
) -> CoupledAnswer:
    """Find a schedule of least objective.

    Parameters
    ----------
    windows
        What each window may run; `CoupledWindow.mixes` must hold one mix of each model.
    links
        What ties them together.
    gap
        Relative gap at which to stop.
    progress
        Called after every pass over the windows: its number, the bound and the relaxed value so far.

    Returns
    -------
    CoupledAnswer
        Its gap may exceed what was asked for: what is left after `MAX_PASSES`, and what whole numbers cost.
    """
    master, room, bound = RestrictedMaster(links), Workspace(), -np.inf
    mixes = [[list(own) for own in window.mixes] for window in windows]
    for number in range(1, MAX_PASSES + 1):
        duals = master.relax(mixes)
        found, least = _price(windows, duals, links, mixes, room, gap / 2)
        before, bound = bound, max(bound, least)
        progress(number, bound, duals.value)
        stuck = found == 0 and bound - before <= LEAST_PROGRESS * abs(bound)
        if stuck or duals.value - bound <= gap / 2 * abs(duals.value):
            break
    choice = master.choose(mixes, gap=gap, time_limit_s=STRETCH_S)
    chosen = [_chosen(own, numbers.tolist()) for own, numbers in zip(mixes, choice.mixes, strict=True)]
    return CoupledAnswer(chosen=chosen, idle=choice.idle, lower_bound=bound)


def _chosen(mixes: Sequence[Sequence[InstanceMix]], numbers: Sequence[int]) -> list[InstanceMix] | None:
    if min(numbers, default=0) < 0:
        return None
    return [own[i] for own, i in zip(mixes, numbers, strict=True)]


def _price(
    windows: Sequence[CoupledWindow],
    duals: Duals,
    links: Links,
    mixes: list[list[list[InstanceMix]]],
    room: Workspace,
    gap: float,
) -> tuple[int, float]:
    """Search every window at the prices; add mixes that are of use, and return their number and the dual function."""
    found, least = 0, duals.rest
    for t, window in enumerate(windows):
        watt = float(duals.power[t])
        for m, model in enumerate(window.models):
            price_w = duals.instance[t, links.of_model(m)] / watt
            mix, lower_w = model.cheapest(price_w, room, max_nodes=FEW_NODES, gap=gap)
            least += watt * lower_w
            if mix is not None and watt * (mix.power_w + float(price_w @ mix.counts)) < _worth(duals, t, m):
                found += _add(mixes[t][m], mix)
    return found, least


def _worth(duals: Duals, t: int, m: int) -> float:
    one = float(duals.one[t, m])
    return one - 1e-7 * abs(one)


def _add(mixes: list[InstanceMix], mix: InstanceMix) -> bool:
    """Add a mix, in place of a dearer one of the same counts; tell whether that changed anything."""
    for i, other in enumerate(mixes):
        if (other.counts == mix.counts).all():
            if mix.power_w < other.power_w * (1 - 1e-9):
                mixes[i] = mix
                return True
            return False
    mixes.append(mix)
    return True
