"""For a window without an answer: the smallest change of one thing that gives it one, for each thing there is.

Each is searched for by bisection on what is proved of the changed problem: that it has an answer, which `dynaopt.solve`
then shows, or that it has none. Whether capacities carry the arrivals is a small integer program (`capacity_program`);
where there is a power cap too, the least power is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import pandas as pd

from dynaopt.capacity_program import capacities, solve_program
from dynaopt.problem import Problem
from dynaopt.profile import Profile
from dynaopt.relaxation_levers import Lever, RelaxationKind, levers
from dynaopt.result import Termination
from dynaopt.schedule import ANALYSES, Schedule
from dynaopt.schedule_inputs import WindowChoice, charges_of, choose_windows, profiles_of, window_of
from dynaopt.solvers import solve
from dynaopt.solvers.base import DEFAULT_SOLVER

RELAXATION_COLUMNS = ("window_start", "kind", "model", "item", "from_value", "to_value", "unit", "is_proved")
PROGRAM_S = 5.0
_ROUNDING = 1e-9
_ANY_GAP = 0.5  # any answer shows that there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """A change of one thing with which a problem that has no answer has one.

    Parameters
    ----------
    kind
        What gives way: ``gpu`` (GPUs), ``ttft``, ``tbt`` or ``ttft_and_tbt`` (bounds of all classes, times one factor),
        ``headroom``, ``peak_factor``, ``reserve``, ``spare_instances`` (of n+1), ``power_cap``, ``fixed_mix`` (one
        model's, freed), ``arrivals`` (of all classes alike) or ``request_class`` (arrivals of one).
    model, item
        Whose: a model and a class; ``"all"`` classes; the ``"cluster"``; a model's ``"mix"``.
    from_value, to_value
        Where it stands, and the nearest value with which the problem has an answer.
    unit
        Of both.
    is_proved
        Whether one step less (1 GPU, 1 W, 0.001, 0.01 requests/s) was proved to have no answer.
    """

    kind: RelaxationKind
    model: str
    item: str
    from_value: float
    to_value: float
    unit: str
    is_proved: bool


def relaxations(
    problem: Problem,
    *,
    kinds: Sequence[RelaxationKind] | None = None,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = PROGRAM_S,
) -> tuple[Relaxation, ...]:
    """Return the smallest change of each single thing with which a problem has an answer.

    Parameters
    ----------
    problem
        One that has none. For one that has, nothing has to give way, and nothing is returned.
    kinds
        Of `RelaxationKind`; all by default.
    solver, time_limit_s
        As for `dynaopt.solve`, for the solve that shows the answer and those that find the least power.

    Returns
    -------
    tuple of Relaxation
        One for each thing that can be enough by itself, in the order of `RelaxationKind`.
    """
    oracle = _Oracle(solver, time_limit_s)
    if oracle.fits(problem):
        return ()
    found = (_smallest(lever, oracle) for lever in levers(problem) if kinds is None or lever.kind in kinds)
    return tuple(each for each in found if each is not None)


def relaxation_table(
    schedule: Schedule,
    *,
    windows: WindowChoice = None,
    kinds: Sequence[RelaxationKind] | None = None,
    profiles: Profile | Sequence[Profile] | None = None,
    solver: str = DEFAULT_SOLVER,
    time_limit_s: float | None = PROGRAM_S,
    workers: int = 1,
) -> pd.DataFrame:
    """Return, for windows of a schedule that have no answer, the smallest single changes that give them one.

    Parameters
    ----------
    schedule
        Just planned, or read from its folder.
    windows
        ``"all"`` that have no answer, the ``"busiest"`` of them, or a list of numbers and moments, of which those with
        an answer are left out; by default the busiest and 23 others.
    kinds, solver, time_limit_s
        As for `relaxations`.
    profiles
        Those that it was planned with; by default those it has, or else read again as it names them.
    workers
        Processes.

    Returns
    -------
    pandas.DataFrame
        `RELAXATION_COLUMNS`, the fields of `Relaxation`; a row for each window and thing that can be enough by itself.

    Raises
    ------
    InputError
        If a window or a profile is not what it should be.
    """
    used = profiles_of(schedule, [profiles] if isinstance(profiles, Profile) else profiles)
    charges = charges_of(schedule)
    unsolved = schedule.windows["power_w"].isna().to_numpy().nonzero()[0].tolist()
    numbers = [n for n in choose_windows(schedule, windows, among=unsolved) if n in set(unsolved)]
    by_model = {profile.model: profile for profile in used}
    problems = (
        Problem(
            demand=window_of(schedule, used, number),
            profiles=by_model,
            slo=schedule.metadata.slo,
            cluster=schedule.metadata.cluster,
            gpu_price_w=0.0 if charges is None else float(charges.gpu_price_w[number]),
        )
        for number in numbers
    )
    parallel = joblib.Parallel(n_jobs=workers, batch_size=1)
    options = {"kinds": kinds, "solver": solver, "time_limit_s": time_limit_s}
    found = parallel(joblib.delayed(relaxations)(problem, **options) for problem in problems)
    names = RELAXATION_COLUMNS[1:]
    rows = [
        [schedule.demand.starts[number], *(getattr(each, name) for name in names)]
        for number, several in zip(numbers, found, strict=True)
        for each in several
    ]
    return pd.DataFrame(rows, columns=list(RELAXATION_COLUMNS))


@dataclass(frozen=True, slots=True)
class _Oracle:
    """Tells whether problems have an answer."""

    solver: str
    time_limit_s: float | None

    def fits(self, problem: Problem) -> bool | None:
        """Tell whether there is an answer; None where neither that nor the contrary was proved."""
        cap_w = problem.cluster.power_cap_w
        carried = solve_program(capacities(problem, wanted="fit"), PROGRAM_S)
        if carried is None:
            return False
        if cap_w is None:
            return True if math.isfinite(carried.value) else None
        least = solve(
            problem.replace(power_cap_w=None, gpu_price_w=0.0),
            solver=self.solver,
            time_limit_s=self.time_limit_s,
            gap_tolerance=0.0,
        )
        if least.allocation is not None and least.power_w <= cap_w:
            return True
        return False if least.lower_bound_w > cap_w * (1 + _ROUNDING) else None

    def answers(self, problem: Problem) -> bool:
        """Tell whether the solver finds an answer."""
        result = solve(problem, solver=self.solver, time_limit_s=self.time_limit_s, gap_tolerance=_ANY_GAP)
        return result.termination in (Termination.OPTIMAL, Termination.FEASIBLE)


def _smallest(lever: Lever, oracle: _Oracle) -> Relaxation | None:
    """Find the fewest steps with which there is an answer, by doubling and then bisection; None where none suffices."""
    if lever.most < 1 or not oracle.fits(lever.at(lever.most)):
        return None
    below, is_proved, steps = 0, oracle.fits(lever.at(0)) is False, 1
    while steps < lever.most:
        known = oracle.fits(lever.at(steps))
        if known:
            break
        below, is_proved, steps = steps, known is False, min(2 * steps, lever.most)
    while steps - below > 1:
        middle = (below + steps) // 2
        known = oracle.fits(lever.at(middle))
        if known:
            steps = middle
        else:
            below, is_proved = middle, known is False
    if not oracle.answers(lever.at(steps)):
        return None
    return Relaxation(
        kind=lever.kind,
        model=lever.model,
        item=lever.item,
        from_value=lever.from_value,
        to_value=lever.value(steps),
        unit=lever.unit,
        is_proved=is_proved,
    )


ANALYSES["relaxations"] = relaxation_table
