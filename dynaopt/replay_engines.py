"""Every engine that a schedule asks for, as compiled code reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dynaopt.errors import InvalidInputError
from dynaopt.phase_model import PhaseModel
from dynaopt.profile import EngineOptions, Profile
from dynaopt.replay_state import Engines
from dynaopt.replay_windows import Group, WindowPlan


class EngineTable:
    """The engines of the groups of some windows, and of the highest clock for each of them.

    Parameters
    ----------
    profile
        Gives the phase model and how engines are set.
    plans
        The windows.

    Attributes
    ----------
    engines
        A row for each.

    Raises
    ------
    InvalidInputError
        If the profile has no phase model, or does not say how an engine of a group is set.
    """

    def __init__(self, profile: Profile, plans: Iterable[WindowPlan]) -> None:
        if profile.phase_model is None:
            raise InvalidInputError(
                f"profile {profile.name}",
                expected="a phase model, phase.toml, from which single requests can be replayed",
                found="only load curves",
            )
        self._profile = profile
        self._options = {(o.tp, o.frequency_mhz, o.request_class): o for o in profile.metadata.engine_options}
        self._rows: dict[tuple[int, int, str], int] = {}
        found: list[EngineOptions] = []
        for group in dict.fromkeys(g for plan in plans for g in plan.groups):
            for frequency_mhz in (group.frequency_mhz, self._top_mhz(group)):
                key = (group.tp, frequency_mhz, group.pool)
                if key not in self._rows:
                    self._rows[key] = len(found)
                    found.append(self._find(key))
        self.engines = _make_engines(profile.phase_model, found)

    def rows(self, group: Group) -> tuple[int, int]:
        """Return the rows of `engines` for an instance of a group: as planned, and at the highest clock."""
        own = self._rows[group.tp, group.frequency_mhz, group.pool]
        return own, self._rows[group.tp, self._top_mhz(group), group.pool]

    def _top_mhz(self, group: Group) -> int:
        clocks = [f for tp, f, pool in self._options if tp == group.tp and pool == group.pool]
        return max(clocks, default=group.frequency_mhz)

    def _find(self, key: tuple[int, int, str]) -> EngineOptions:
        if key not in self._options:
            raise InvalidInputError(
                f"profile {self._profile.name}",
                expected="engine options for every configuration and pool of the schedule",
                found=f"none for TP{key[0]} at {key[1]} MHz in pool {key[2]}",
            )
        return self._options[key]


def _make_engines(model: PhaseModel, options: list[EngineOptions]) -> Engines:
    coefficients = [model.coefficients(o.tp, o.frequency_mhz) for o in options]
    return Engines(
        coefficients=np.array(coefficients) if coefficients else np.zeros((0, 0)),
        idle_power_w=np.array([model.idle_power_w(o.tp, o.frequency_mhz) for o in options], float),
        kv_capacity_tokens=np.array([o.kv_capacity_tokens for o in options], np.int64),
        token_budget=np.array([o.token_budget for o in options], np.int64),
        max_num_seqs=np.array([min(o.max_num_seqs, o.token_budget) for o in options], np.int64),
    )
