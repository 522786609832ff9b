"""The horizon as one problem: serving and starting together, with a bound on every schedule; `docs/coupling.md`.

Column generation (Dantzig and Wolfe, Operations Research 8, 1960). The windows are coupled by how many instances of
each kind run, so a linear program over mixes already found prices an instance in every window; the cheapest mix at
these prices is a window problem, which the tree search answers in milliseconds, and enters the program. What the
windows' bounds add up to bounds all schedules (Lagrangian relaxation of the rows of `link_rows`). When the two meet,
the program is solved in whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynaopt.coupled_shard import Found
from dynaopt.coupling import IntArray, Links
from dynaopt.profile import FloatArray
from dynaopt.restricted_master import Duals, RestrictedMaster
from dynaopt.stores import NOWHERE, Store
from dynaopt.whole_numbers import BoolArray
from dynaopt.window_mixes import InstanceMix

MAX_PASSES = 15
LEAST_PROGRESS = 1e-6
"""Share of the objective by which a pass must raise the bound, or find new mixes, to be worth another."""

Search = Callable[[Sequence[Sequence[FloatArray]]], Sequence[Sequence[Found]]]
"""Takes the price of an instance of each degree, for each model of each window, in watts, and finds the cheapest."""
Mixes = list[list[list[InstanceMix]]]
"""Those found for each model of each window."""


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
    idle: IntArray
    lower_bound: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pass:
    """What a pass over the windows came to.

    Parameters
    ----------
    found
        Window, model and mix, of mixes that are of use.
    bound
        The best lower bound so far.
    value
        Least value of the linear program before it.
    is_last
        Whether another would be of no use.
    """

    found: Sequence[tuple[int, int, InstanceMix]]
    bound: float
    value: float
    is_last: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        found = [(t, m, mix.to_json()) for t, m, mix in self.found]
        return {"found": found, "bound": self.bound, "value": self.value, "is_last": self.is_last}

    @classmethod
    def from_json(cls, kept: Any) -> Pass:
        """Return what `to_json` kept."""
        found = [(t, m, InstanceMix.from_json(mix)) for t, m, mix in kept["found"]]
        return cls(found=found, bound=kept["bound"], value=kept["value"], is_last=kept["is_last"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Whom to tell of what.

    Parameters
    ----------
    passed
        Called after every pass over the windows: its number, the bound and the relaxed value so far.
    settled
        Called as windows are settled in whole numbers: which, and what their mixes draw, in watts.
    """

    passed: Callable[[int, float, float], None] = lambda *_: None
    settled: Callable[[BoolArray, float], None] = lambda *_: None


def solve_coupled(
    first: Sequence[Sequence[InstanceMix]],
    links: Links,
    search: Search,
    *,
    gap: float,
    store: Store = NOWHERE,
    progress: Progress = Progress(),
) -> CoupledAnswer:
    """Find a schedule of least objective.

    Parameters
    ----------
    first
        A mix of each model in each window, which together keep the window's limits.
    links
        What ties them together.
    search
        Finds further ones.
    gap
        Relative gap at which to stop.
    store
        Where passes and stretches of windows are kept as they come, and those found there are not done again.
    progress
        Whom to tell.

    Returns
    -------
    CoupledAnswer
        Its gap may exceed what was asked for: what is left after `MAX_PASSES`, and what whole numbers cost.
    """
    if links.num_kinds == 0:
        progress.settled(np.ones(len(first), dtype=np.bool_), 0.0)
        return CoupledAnswer(chosen=[[] for _ in first], idle=np.zeros((len(first), 0), np.int64), lower_bound=0.0)
    master, bound = RestrictedMaster(links), -np.inf
    mixes: Mixes = [[[mix] for mix in own] for own in first]
    for number, done in _passes(master, links, search, mixes, gap, store):
        bound = done.bound
        if number is not None:
            progress.passed(number, bound, done.value)
    choice = master.choose(mixes, gap=gap, store=store, settled=progress.settled)
    chosen = [_chosen(own, numbers.tolist()) for own, numbers in zip(mixes, choice.mixes, strict=True)]
    return CoupledAnswer(chosen=chosen, idle=choice.idle, lower_bound=bound)


def passes_kept(store: Store) -> int:
    """Return how many passes a store holds."""
    return next(number for number in range(MAX_PASSES + 1) if store.get(_name(number + 1)) is None)


def _passes(
    master: RestrictedMaster, links: Links, search: Search, mixes: Mixes, gap: float, store: Store
) -> Iterator[tuple[int | None, Pass]]:
    """Take passes that are kept and make others, and add what they find to the mixes; yields numbers of new ones."""
    bound = -np.inf
    for number in range(1, MAX_PASSES + 1):
        kept = store.get(_name(number))
        if kept is None:
            done = _pass(master, links, search, mixes, gap, bound)
            store.put(_name(number), done.to_json())
        else:
            done = Pass.from_json(kept)
        for t, m, mix in done.found:
            _add(mixes[t][m], mix)
        bound = done.bound
        yield (number if kept is None else None), done
        if done.is_last:
            return


def _name(number: int) -> str:
    return f"pass-{number:03d}"


def _pass(master: RestrictedMaster, links: Links, search: Search, mixes: Mixes, gap: float, before: float) -> Pass:
    duals = master.relax(mixes)
    found, least = _price(duals, links, search, mixes)
    bound = max(before, least)
    stuck = not found and bound - before <= LEAST_PROGRESS * abs(bound)
    is_last = stuck or duals.value - bound <= gap / 2 * abs(duals.value)
    return Pass(found=found, bound=bound, value=duals.value, is_last=is_last)


def _price(
    duals: Duals, links: Links, search: Search, mixes: Mixes
) -> tuple[list[tuple[int, int, InstanceMix]], float]:
    """Search every window at the prices; return the mixes that are of use, and the dual function."""
    kinds = [links.of_model(m) for m in range(len(links.models))]
    prices = [[own[k] / watt for k in kinds] for own, watt in zip(duals.instance, duals.power, strict=True)]
    found, least = list[tuple[int, int, InstanceMix]](), duals.rest
    for t, answers in enumerate(search(prices)):
        watt = float(duals.power[t])
        for m, (mix, lower_w) in enumerate(answers):
            least += watt * lower_w
            if mix is None or watt * (mix.power_w + float(prices[t][m] @ mix.counts)) >= _worth(duals, t, m):
                continue
            same = _same(mixes[t][m], mix)
            if same is None or mix.power_w < mixes[t][m][same].power_w * (1 - 1e-9):
                found.append((t, m, mix))
    return found, least


def _worth(duals: Duals, t: int, m: int) -> float:
    one = float(duals.one[t, m])
    return one - 1e-7 * abs(one)


def _same(mixes: Sequence[InstanceMix], mix: InstanceMix) -> int | None:
    return next((i for i, other in enumerate(mixes) if (other.counts == mix.counts).all()), None)


def _add(mixes: list[InstanceMix], mix: InstanceMix) -> None:
    """Add a mix, in place of a dearer one of the same counts."""
    same = _same(mixes, mix)
    if same is None:
        mixes.append(mix)
    else:
        mixes[same] = mix


def _chosen(mixes: Sequence[Sequence[InstanceMix]], numbers: Sequence[int]) -> list[InstanceMix] | None:
    if min(numbers, default=0) < 0:
        return None
    return [own[i] for own, i in zip(mixes, numbers, strict=True)]
