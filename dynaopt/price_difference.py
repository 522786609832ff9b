"""The difference of two proved solves: what a change costs, and between which ends the proofs leave it.

Let a window's problem have the optimum O, an answer A ≥ O and a bound B ≤ O, and the changed problem O', A' and B'.
The price is O' − O. Its best estimate is A' − A, and it lies in [B' − A, A' − B]. Where one of the two problems is
*wider*, so that all answers of the other serve in it too, three things more are known: the answer of the narrower is
one of the wider, the bound of the wider is one of the narrower, and the wider costs no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What is known of a problem, in watts.

    Parameters
    ----------
    power_w
        Power of the best answer.
    objective_w
        Objective of the best answer; its power, unless GPUs in use have a price.
    bound_w
        What no objective can go below.
    """

    power_w: float
    objective_w: float
    bound_w: float

    def plus(self, shift_w: float) -> Proved:
        """Return the same where everything draws so much more, in watts."""
        return Proved(
            power_w=self.power_w + shift_w, objective_w=self.objective_w + shift_w, bound_w=self.bound_w + shift_w
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a change costs, in watts; below 0 where it saves.

    Parameters
    ----------
    power_w, objective_w
        Of the best answer after the change, less of the one before.
    lower_w, upper_w
        The least and the most that the difference of the two optima of the objective can be.
    """

    power_w: float
    objective_w: float
    lower_w: float
    upper_w: float


def difference(
    before: Proved, after: Proved, *, widens: int = 0, serves_both: bool = False, shift_w: float = 0.0
) -> Difference:
    """Subtract two solves.

    Parameters
    ----------
    before, after
        What is known without and with the change.
    widens
        1 where the problem after is the wider one, -1 where the one before is, 0 where neither need be.
    serves_both
        Whether the best answer of the wider problem is known to serve in the narrower too.
    shift_w
        By how much an answer draws more in the wider problem than in the narrower: 0 but for unused GPUs that stay on.
    """
    if widens == 0:
        return _subtract(before, after)
    wide, narrow = (after, before) if widens > 0 else (before, after)
    narrow = replace(narrow, bound_w=max(narrow.bound_w, wide.bound_w - shift_w))
    wide = _with_answer_of(wide, narrow.plus(shift_w))
    if serves_both:
        narrow = _with_answer_of(narrow, wide.plus(-shift_w))
    gained = _subtract(narrow, wide)
    gained = replace(gained, upper_w=min(gained.upper_w, shift_w))
    return gained if widens > 0 else _negative(gained)


def _with_answer_of(own: Proved, other: Proved) -> Proved:
    """Return the answer of another problem, which serves here too, where it is better."""
    if other.objective_w >= own.objective_w:
        return own
    return replace(own, power_w=other.power_w, objective_w=other.objective_w)


def _subtract(before: Proved, after: Proved) -> Difference:
    return Difference(
        power_w=after.power_w - before.power_w,
        objective_w=after.objective_w - before.objective_w,
        lower_w=after.bound_w - before.objective_w,
        upper_w=after.objective_w - before.bound_w,
    )


def _negative(gained: Difference) -> Difference:
    return Difference(
        power_w=-gained.power_w,
        objective_w=-gained.objective_w,
        lower_w=-gained.upper_w,
        upper_w=-gained.lower_w,
    )
